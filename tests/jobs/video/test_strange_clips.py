"""Clips, and places to write them to, that were made to do harm."""

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from helpers import error_line
from made_clips import (
    add_tone,
    av,
    frames_of,
    object_mask,
    packets,
    still,
    video,
    write_clip,
)
from PIL import Image

from harmonizer import Harmonizer
from harmonizer.imaging.video_codecs import CODECS, FORMATS, Codec
from harmonizer.jobs.video.cuts import Histogram
from harmonizer.jobs.video.frames import _moments  # pyright: ignore[reportPrivateUsage]
from harmonizer.jobs.video.mask_sources import Masks, read_masks
from harmonizer.jobs.video.reading import Clip
from harmonizer.jobs.video.track import Moment, Track
from harmonizer.jobs.video.writing import pixel_format
from harmonizer.lifting import ColorTransform


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", [still()] * 2)


@pytest.mark.parametrize("codec", CODECS)
def test_frames_too_small_for_an_encoder_are_refused_with_the_least_size(
    codec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below it, x265 wrote beyond its memory, and SVT-AV1 hung."""
    least = CODECS[codec].least
    clip = write_clip(
        *(tmp_path / "clip.mkv", [np.full((300, 300, 4), 90, np.uint8)] * 3),
        pix_fmt="yuva444p",
        source="rgba",
    )
    behind, out = tmp_path / "behind.png", tmp_path / "out.mkv"
    for width, height in ((least, least), (least, 300), (300, least)):
        Image.new("RGB", (width, height)).save(behind)
        assert video(clip, "--on", behind, "-o", out, "--codec", codec, "--force") == 0
        assert len(frames_of(out)) == 3
    capsys.readouterr()
    for width, height in ((least - 1, 300), (300, least - 1)) if least > 1 else ():
        Image.new("RGB", (width, height)).save(behind)
        assert video(clip, "--on", behind, "-o", out, "--codec", codec, "--force") == 1
        said = error_line(capsys)
        assert f"takes frames of at least {least} x {least} pixels; got " in said
        assert said.endswith("or a larger clip (or, with --on, a larger background)")


def test_more_bits_than_an_encoder_has_here_are_told_of(
    mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [still()] * 2, pix_fmt="yuv420p10le")
    assert video(clip, mask, "-o", tmp_path / "out.webm") == 0
    assert "libvpx-vp9 holds fewer bits than the clip's 10" in capsys.readouterr().err
    assert len(frames_of(tmp_path / "out.webm")) == 2


@pytest.mark.parametrize("linked", [True, False])
def test_a_pipe_is_not_replaced(
    linked: bool, clip: Path, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe, output = tmp_path / "pipe", tmp_path / "out.mp4"
    os.mkfifo(pipe if linked else output)
    if linked:
        output.symlink_to(pipe)
    assert video(clip, mask, "-o", output) == 1
    assert "no regular file, and is left as it is" in error_line(capsys)
    assert stat.S_ISFIFO(output.stat().st_mode)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_who_may_read_a_clip_stays(clip: Path, mask: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.touch(0o600)
    assert video(clip, mask, "-o", output, "--force") == 0
    assert output.stat().st_size > 0
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("room", [0, 10, 20_000])  # for nothing, for no header, for some frames
def test_a_full_disk_is_told_of_the_file_and_nothing_is_left(
    ending: str, room: int, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resource = pytest.importorskip("resource")
    clip = write_clip(tmp_path / "clip.mp4", [still(seed) for seed in range(20)])
    output = tmp_path / f"out{ending}"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        assert video(clip, mask, "-o", output, "--quality", 1) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"File too large: '{output}'" in error_line(capsys)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["clip.mp4", "mask.png"]


@pytest.mark.parametrize(
    ("form", "ending"),
    [
        *((form, ending) for form in ("uyvy422", "yuyv422") for ending in (".mov", ".avi")),
        *((form, ".nut") for form in ("yuv422p10be", "yvyu422", "nv12", "yuv420p", "gray10le")),
    ],
)
def test_masks_come_in_every_order_of_bytes(form: str, ending: str, tmp_path: Path) -> None:
    """Brightness and colours by turns in one plane, or the higher byte first."""
    path, wanted = tmp_path / f"mask{ending}", object_mask()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.height, stream.width = wanted.shape
        stream.pix_fmt = form
        white = np.repeat(wanted[..., None], 3, 2).astype(np.uint8) * 255
        frame = av.VideoFrame.from_ndarray(white, format="rgb24").reformat(format=form)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    found = next(read_masks(Masks(path), wanted.shape))
    assert np.abs(found - wanted).max() < 0.02


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_quality_that_the_codec_lacks_is_named(
    codec: str, mask: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    assert video(clip, mask, "-o", out, "--codec", codec, "--quality", 52) == 1
    assert "has qualities from 0 to 51; got 52" in error_line(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("codec", "ending"),
    [
        ("h264", ".mp4"),
        ("hevc", ".mp4"),
        ("hevc", ".mov"),
        ("vp9", ".webm"),
        ("av1", ".mp4"),
        ("prores", ".mov"),
        ("ffv1", ".mkv"),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_shortest_clips_are_written(
    codec: str, ending: str, count: int, mask: Path, tmp_path: Path
) -> None:
    clip, output = write_clip(tmp_path / "clip.mkv", [still()] * count), tmp_path / f"out{ending}"
    assert video(clip, mask, "-o", output, "--codec", codec) == 0
    found = [frame.time for frame in frames_of(output)]
    assert [one - found[0] for one in found] == pytest.approx([0, 0.04, 0.08][:count])


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_is_written_soundly_or_refused_by_its_name(
    codec: str,
    ending: str,
    clip: Path,
    mask: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / f"out{ending}"
    if ending in CODECS[codec].endings:
        assert video(clip, mask, "-o", output, "--codec", codec) == 0
        assert len(frames_of(output)) == 2
        with av.open(str(output)) as container:
            assert container.streams.video[0].codec_context.codec.canonical_name == codec
        return
    monkeypatch.setattr(Harmonizer, "from_pretrained", lambda *_, **__: pytest.fail("loaded"))  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    assert video(clip, mask, "-o", output, "--codec", codec) == 1
    said = error_line(capsys)
    assert f"out{ending} cannot hold {codec}; write {CODECS[codec].endings[0]} or " in said
    held = said.split(f"{ending} holds: ")[1].split(", ")
    assert held == [name for name, one in CODECS.items() if ending in one.endings]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["clip.mp4", "mask.png"]


def test_an_encoder_that_is_missing_is_named(
    clip: Path,
    mask: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = replace(CODECS["hevc"], encoder="libnone")
    monkeypatch.setitem(cast(dict[str, Codec], CODECS), "hevc", missing)
    assert video(clip, mask, "-o", tmp_path / "out.mp4", "--codec", "hevc") == 1
    assert "cannot write out.mp4 by libnone; choose another --codec" in error_line(capsys)


@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_sound_that_nobody_knows_is_refused_or_left_out(
    ending: str, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [still()] * 30, audio="aac")
    clip.write_bytes(clip.read_bytes().replace(b"A_AAC", b"A_XYZ"))
    output = tmp_path / f"out{ending}"
    assert video(clip, mask, "-o", output) == 1
    said = error_line(capsys)
    assert f"out{ending} cannot hold the clip's audio, which FFmpeg does not know" in said
    assert said.endswith("leave it out: --no-audio")
    assert not output.exists()
    assert video(clip, mask, "-o", output, "--no-audio") == 0
    assert len(frames_of(output)) == 30


def test_frames_have_no_more_pixels_than_pictures_may(
    clip: Path,
    mask: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "out.mp4"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 128 * 96 - 1)
    assert video(clip, mask, "-o", output) == 1
    assert "frames of 128 x 96, more than 12,287 pixels" in error_line(capsys)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 128 * 96)
    assert video(clip, mask, "-o", output) == 0


def test_what_is_decoded_counts_and_not_what_is_shown_of_it(
    mask: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip, output = tmp_path / "clip.h264", tmp_path / "out.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 960, "yuv420p"
        cropped = "h264_metadata=crop_right=1152:crop_bottom=864"
        cut = av.bitstream.BitStreamFilterContext(cropped, stream)
        for packet in [*stream.encode(av.VideoFrame(1280, 960, "yuv420p")), *stream.encode(None)]:
            for one in cut.filter(packet):
                container.mux(one)
    assert video(clip, mask, "-o", output) == 0
    capsys.readouterr()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1280 * 960 - 1)
    assert video(clip, mask, "-o", output, "--force") == 1
    assert "frames of 1280 x 960, more than" in error_line(capsys)


def matrix_of(*numbers: float) -> bytes:
    a, b, c, d = (round(one * 65536) for one in numbers)
    return struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize(
    "matrix",
    [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, 0, 0, 0), (0.7, 0.7, -0.7, 0.7), (2, 0, 0, 1)],
)
def test_what_is_shown_mirrored_or_askew_is_refused(
    matrix: tuple[float, ...],
    clip: Path,
    mask: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, plain = clip.read_bytes(), matrix_of(1, 0, 0, 1)
    place = data.index(plain, data.index(b"tkhd"))
    clip.write_bytes(data[:place] + matrix_of(*matrix) + data[place + len(plain) :])
    assert video(clip, mask, "-o", tmp_path / "out.mp4") == 1
    assert "shown mirrored, or turned by other than quarter turns" in error_line(capsys)


@pytest.mark.parametrize("ending", [".mkv", ".webm"])
def test_sound_may_last_longer_than_the_pictures(ending: str, mask: Path, tmp_path: Path) -> None:
    clip, output = tmp_path / f"clip{ending}", tmp_path / f"out{ending}"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        sound = container.add_stream("libopus", rate=48000)
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(still(), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        add_tone(container, sound, 4)
    assert video(clip, mask, "-o", output) == 0
    assert len(frames_of(output)) == 50
    assert packets(output, "audio")[-1][0] > 3.9


def trimmed(data: bytes, begin: float, lasts: float) -> bytes:
    """MP4 whose edit lists show a part of it, as phones trim clips."""
    patched = bytearray(data)
    place = data.index(b"mvhd")
    (scale,) = struct.unpack_from(">I", data, place + 16)
    struct.pack_into(">I", patched, place + 20, round(lasts * scale))
    track = -1
    while (track := data.find(b"tkhd", track + 1)) >= 0:
        struct.pack_into(">I", patched, track + 24, round(lasts * scale))
        (own,) = struct.unpack_from(">I", data, data.index(b"mdhd", track) + 16)
        edit = data.index(b"elst", track)
        assert struct.unpack_from(">I", data, edit + 8) == (1,)
        struct.pack_into(">Ii", patched, edit + 12, round(lasts * scale), round(begin * own))
    return bytes(patched)


def test_masks_of_a_trimmed_clip_are_those_of_what_is_shown(tmp_path: Path) -> None:
    clip, masks = tmp_path / "clip.mp4", tmp_path / "masks"
    options = {"g": "200", "bf": "0"}
    write_clip(clip, [still()] * 100, codec="libx264", options=options, audio="aac")
    clip.write_bytes(trimmed(clip.read_bytes(), 2, 1))
    masks.mkdir()
    for index in range(25):
        Image.fromarray(object_mask()).save(masks / f"{index:02}.png")
    assert video(clip, masks, "-o", tmp_path / "out.mkv") == 0
    assert len(frames_of(tmp_path / "out.mkv")) == 25
    heard = packets(tmp_path / "out.mkv", "audio")
    assert heard[-1][0] < 1.1
    assert 40 < len(heard) < 55  # of 1,024 samples each: a second, and what leads up to it


def test_colours_of_fewer_pixels_are_told_of(mask: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [still()] * 2, pix_fmt="yuv444p")
    with pytest.warns(UserWarning, match="libsvtav1 holds the colours of fewer pixels"):
        pixel_format("yuv444p", CODECS["av1"], tmp_path / "out.mp4")
    assert video(clip, mask, "-o", tmp_path / "out.mkv", "--codec", "ffv1") == 0


@pytest.mark.parametrize("name", ["gray", "yuv420p", "rgb24"])
def test_nothing_is_told_of_where_nothing_is_lost(
    name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    pixel_format(name, CODECS["av1" if name != "rgb24" else "h264"], tmp_path / "out.mp4")
    assert not recwarn.list


def test_a_pipe_among_pictures_is_no_picture(
    mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(still()).save(folder / "1.png")
    os.mkfifo(folder / "2.png")  # nobody writes to it
    assert video(folder, mask, "-o", tmp_path / "out.mp4") == 1
    assert "2.png cannot be read" in error_line(capsys)


def test_frames_at_one_time_are_not_all_held() -> None:
    drawn = 0
    spread: Histogram = np.full((3, 32), 1 / 32, np.float32)

    def moments() -> Iterator[Moment[int]]:
        nonlocal drawn
        for drawn in range(5000):
            yield Moment(0.0, drawn, spread, ColorTransform.identity)

    held = [drawn - content for content, _ in Track().follow(moments())]
    assert len(held) == 5000
    assert max(held) <= 300


def test_a_long_window_is_held_as_it_was_asked_for() -> None:
    spread: Histogram = np.full((3, 32), 1 / 32, np.float32)
    strong = ColorTransform(np.eye(3, 10, k=1) * 0.5)

    def look(index: int) -> ColorTransform:
        return strong if index >= 400 else ColorTransform.identity()

    moments = (Moment(index / 50, index, spread, partial(look, index)) for index in range(600))
    changes = [change for _, change in Track(window=20).follow(moments)]
    assert changes[0] is not None
    assert not np.array_equal(changes[0].coefficients, ColorTransform.identity().coefficients)


def test_very_large_frames_are_not_all_held() -> None:
    """A clip of 8K takes few bytes where nothing moves."""
    drawn, size = 0, 100 << 20
    spread: Histogram = np.full((3, 32), 1 / 32, np.float32)

    def moments() -> Iterator[Moment[int]]:
        nonlocal drawn
        for drawn in range(200):
            yield Moment(drawn / 60, drawn, spread, ColorTransform.identity, size)

    held = [drawn - content for content, _ in Track().follow(moments())]
    assert len(held) == 200
    assert max(held) * size <= 1.5 * (1 << 30)


def test_what_a_frame_holds_is_known(model: Harmonizer, noise: Any) -> None:
    frames, mask = [noise(64, 96)] * 3, np.ones((64, 96), np.float32)
    shared = list(_moments(frames, mask, model, 25.0, False))
    assert [one.size for one in shared] == [frames[0].nbytes] * 3
    own = list(_moments(frames, [mask.copy() for _ in frames], model, 25.0, False))
    assert [one.size for one in own] == [frames[0].nbytes + mask.nbytes] * 3


def test_what_a_frame_of_a_file_holds_is_known(
    clip: Path, mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    follow = Track.follow

    def noted(self: Track, moments: Any) -> Any:
        def each() -> Iterator[Any]:
            for moment in moments:
                sizes.append(moment.size)
                yield moment

        return follow(self, each())

    monkeypatch.setattr(Track, "follow", noted)
    assert video(clip, mask, "-o", tmp_path / "out.mkv") == 0
    pixels = 96 * 128
    assert sizes[1] == pixels * 3 // 2  # of 4:2:0; the mask is held once
    assert sizes[0] > sizes[1]


@pytest.mark.parametrize("name", [b"A_DTS", b"A_AC3", b"A_AAC"])
def test_sound_is_copied_by_either_name_of_its_codec(
    name: bytes, mask: Path, tmp_path: Path
) -> None:
    clip, output = tmp_path / "clip.mkv", tmp_path / "out.mkv"
    write_clip(clip, [still()] * 5, audio="aac")
    clip.write_bytes(clip.read_bytes().replace(b"A_AAC", name))  # it is not decoded
    assert video(clip, mask, "-o", output) == 0
    assert packets(clip, "audio") == packets(output, "audio") != []


def write_pcm(path: Path, channels: int) -> Path:
    """An AVI file with so many channels of sound, and, as usual there, no word on what each is."""
    write_clip(path, [still()] * 5, codec="mjpeg", pix_fmt="yuvj420p", audio="pcm_s16le")
    begin, rate = b"\x01\x00", (48000).to_bytes(4, "little")
    was, now = (begin + count.to_bytes(2, "little") + rate for count in (2, channels))
    assert path.read_bytes().count(was) == 1
    path.write_bytes(path.read_bytes().replace(was, now))
    return path


def test_what_a_format_refuses_at_its_end_is_not_said_to_be_there(
    mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """MP4 says of each channel what it is, and nobody knows that of nine."""
    clip, output = write_pcm(tmp_path / "clip.avi", 9), tmp_path / "out.mp4"
    assert video(clip, mask, "-o", output) == 1
    said = error_line(capsys)
    assert "out.mp4 cannot hold the clip's streams together" in said
    assert "--no-audio" in said
    assert "frames before" not in said
    assert sorted(one.name for one in tmp_path.iterdir()) == ["clip.avi", "mask.png"]


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_sound_need_not_say_what_its_channels_are(ending: str, mask: Path, tmp_path: Path) -> None:
    clip, output = write_pcm(tmp_path / "clip.avi", 2), tmp_path / f"out{ending}"
    with av.open(str(clip)) as before:
        assert before.streams.audio[0].layout.name == "2 channels"
    assert video(clip, mask, "-o", output) == 0
    sounds = [b"".join(data for _, data in packets(one, "audio")) for one in (clip, output)]
    assert sounds[0] == sounds[1] != b""
    with av.open(str(output)) as after:
        assert after.streams.audio[0].layout.name == (
            "2 channels" if ending == ".mkv" else "stereo"
        )


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_raw_dv_has_a_usual_rate(ending: str, tmp_path: Path) -> None:
    """It says a time code, too, which MP4 counts by the rate."""
    frames = [np.full((576, 720, 3), 90 + index, np.uint8) for index in range(5)]
    clip, mask, output = tmp_path / "in.dv", tmp_path / "mask.png", tmp_path / f"out{ending}"
    write_clip(clip, frames, codec="dvvideo")
    Image.fromarray(np.eye(576, 720, dtype=np.uint8) * 255).save(mask)
    assert video(clip, mask, "-o", output) == 0
    assert [round(frame.time, 2) for frame in frames_of(output)] == [0, 0.04, 0.08, 0.12, 0.16]
    on = "--on", clip  # which lasts as long as the cut-out
    assert video(clip, mask, "-o", tmp_path / f"placed{ending}", *on) == 0
    with Clip(clip) as opened:
        assert (opened.rate, opened.expected) == (25, 5)
