"""`harmonizer video`: what changes is the foreground, and nothing else."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import error_line
from made_clips import (
    HEIGHT,
    TICKS,
    WIDTH,
    add_tone,
    av,
    frames_of,
    mask_video,
    object_mask,
    packets,
    planes,
    still,
    video,
    write_clip,
    write_lines,
)
from PIL import Image

from harmonizer.jobs.video import clip as clip_module
from harmonizer.jobs.video import scenes, yuv
from harmonizer.jobs.video.writing import Output
from harmonizer.lifting import ColorTransform

MASK = object_mask()


def assert_only_the_foreground_changed(before: list[Any], after: list[Any]) -> None:
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        assert old.format.name.replace("yuvj", "yuv") == new.format.name.replace("yuvj", "yuv")
        changed = False
        for one, other in zip(planes(old), planes(new), strict=True):
            step = HEIGHT // one.shape[0], WIDTH // one.shape[1]
            inside = MASK[:: step[0], :: step[1]]  # the object's sides are even
            np.testing.assert_array_equal(one[~inside], other[~inside])
            changed |= bool((one[inside] != other[inside]).any())
        assert changed


@pytest.mark.parametrize(
    ("pix_fmt", "source"),
    [
        ("yuv420p", "rgb24"),
        ("yuv422p", "rgb24"),
        ("yuv444p", "rgb24"),
        ("yuv420p10le", "rgb24"),
        ("yuv444p16le", "rgb24"),
        ("yuva420p", "rgb24"),
    ],
)
def test_the_background_stays_bit_for_bit(
    tmp_path: Path, mask: Path, pix_fmt: str, source: str
) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 6, pix_fmt=pix_fmt, source=source)
    out = tmp_path / "out.mkv"
    assert video(clip, mask, "-o", out, "--codec", "ffv1") == 0
    assert_only_the_foreground_changed(frames_of(clip), frames_of(out))


def test_the_background_equals_a_plain_encoding(tmp_path: Path, mask: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4", [still()] * 6, codec="libx264")
    out = tmp_path / "out.mp4"
    assert video(clip, mask, "-o", out, "--quality", 0) == 0  # lossless
    assert_only_the_foreground_changed(frames_of(clip), frames_of(out))


@pytest.mark.parametrize(
    ("codec", "ending", "name"),
    [
        ("h264", ".mp4", "h264"),
        ("hevc", ".mp4", "hevc"),
        ("hevc", ".mkv", "hevc"),
        ("vp9", ".webm", "vp9"),
        ("av1", ".mp4", "av1"),
        ("prores", ".mov", "prores"),
        ("ffv1", ".mkv", "ffv1"),
    ],
)
def test_every_codec_holds_the_change(
    tmp_path: Path,
    mask: Path,
    codec: str,
    ending: str,
    name: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    grey = still()  # the object's brightness is what changes, and is looked at
    grey[MASK] = 0.7 * grey[MASK].mean(axis=1, keepdims=True)
    clip = write_clip(
        tmp_path / "in.mkv", [grey] * 30, audio="aac" if ending == ".mov" else "libopus"
    )
    out = tmp_path / f"out{ending}"
    capfd.readouterr()
    assert video(clip, mask, "-o", out, "--codec", codec) == 0
    assert capfd.readouterr().err == ""  # encoders would tell of themselves
    if hasattr(os, "sched_getscheduler"):  # to root, SVT-AV1 gives the highest priority of all
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == name
    before, after = frames_of(clip), frames_of(out)
    assert len(after) == 30
    far = np.ones_like(MASK)
    far[8:88, 24:104] = False
    for old, new in zip(before, after, strict=True):
        apart = np.abs(planes(old)[0].astype(float) - planes(new)[0] / (4 if "10" in
                       new.format.name else 1))  # fmt: skip
        assert apart[far].mean() < 1.5
        assert apart[MASK].mean() > 1.5 * apart[far].mean() + 0.5
    assert [one for _, one in packets(out, "audio")] == [one for _, one in packets(clip, "audio")]


def test_strength_0_changes_nothing(tmp_path: Path, mask: Path) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 3)
    out = tmp_path / "out.mkv"
    assert video(clip, mask, "-o", out, "--codec", "ffv1", "--strength", 0) == 0
    for old, new in zip(frames_of(clip), frames_of(out), strict=True):
        for one, other in zip(planes(old), planes(new), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("colorspace", [1, 5, 9])
@pytest.mark.parametrize("color_range", [1, 2])
def test_the_change_is_that_of_the_picture(
    tmp_path: Path, mask: Path, colorspace: int, color_range: int, model: Any
) -> None:
    tags = {"colorspace": colorspace, "color_range": color_range}
    clip = write_clip(tmp_path / "in.mkv", [still()] * 3, pix_fmt="yuv444p", tags=tags)
    out = tmp_path / "out.mkv"
    assert video(clip, mask, "-o", out, "--codec", "ffv1") == 0
    shown = frames_of(clip)[0].to_ndarray(format="rgb24")  # what is left of it in YUV
    expected = model.color_transform(shown, MASK).apply(shown, MASK)
    (frame, *_) = frames_of(out)
    assert (int(frame.colorspace), int(frame.color_range)) == (colorspace, color_range)
    found = frame.to_ndarray(format="rgb24")
    assert np.abs(expected.astype(int) - still())[MASK].mean() > 1
    assert np.abs(found.astype(int) - expected).mean() < 1.5
    assert np.abs(found.astype(int) - expected)[MASK].max() <= 4


def test_timing_audio_and_tags_are_kept(tmp_path: Path, mask: Path) -> None:
    times = [0, 1, 3, 4, 8, 9, 10, 15, 20, 21, 40, 41]  # variable frame rate
    clip = write_clip(
        tmp_path / "in.mp4",
        [still()] * len(times),
        codec="libx264",
        times=[one * TICKS for one in times],
        tags={"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1},
        audio="aac",
    )
    out = tmp_path / "out.mp4"
    assert video(clip, mask, "-o", out) == 0
    before, after = frames_of(clip), frames_of(out)
    assert [one.time for one in after] == [one.time for one in before]
    for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
        assert [int(getattr(one, name)) for one in after] == [1] * len(times)
    assert packets(out, "audio") == packets(clip, "audio")
    assert packets(out, "audio")


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotation_is_kept_and_masks_stand_upright(tmp_path: Path, rotation: int) -> None:
    clip = write_clip(tmp_path / "in.mp4", [still()] * 3, codec="libx264", rotation=rotation)
    upright = np.rot90(MASK, rotation // 90)
    Image.fromarray(np.ascontiguousarray(upright)).save(tmp_path / "mask.png")
    out = tmp_path / "out.mp4"
    assert video(clip, tmp_path / "mask.png", "-o", out, "--quality", 0) == 0
    assert frames_of(out)[0].rotation == frames_of(clip)[0].rotation != 0
    assert_only_the_foreground_changed(frames_of(clip), frames_of(out))


def test_full_range_stays_full(tmp_path: Path, mask: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4", [still()] * 3, codec="libx264", pix_fmt="yuvj420p")
    out = tmp_path / "out.mp4"
    assert video(clip, mask, "-o", out, "--quality", 0) == 0
    assert int(frames_of(out)[0].color_range) == 2
    assert_only_the_foreground_changed(frames_of(clip), frames_of(out))


def test_masks_come_from_videos_and_folders(tmp_path: Path, mask: Path) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 12)
    moving = mask_video(tmp_path / "masks.mp4", [MASK] * 12)
    folder = tmp_path / "masks"
    folder.mkdir()
    for index in range(12):
        Image.fromarray(MASK).save(folder / f"m{index}.png")
    results: list[list[Any]] = []
    for source in (mask, moving, folder):
        out = tmp_path / "out.mkv"
        assert video(clip, source, "-o", out, "--codec", "ffv1", "--force") == 0
        assert_only_the_foreground_changed(frames_of(clip), frames_of(out))
        results.append(planes(frames_of(out)[5]))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_allclose(one.astype(int), two, rtol=0, atol=1)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("in.mov", "prores_ks", "yuva444p10le"), ("in.webm", "libvpx-vp9", "yuva420p")],
)
def test_alpha_is_the_mask_and_stays(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = np.dstack([still(), MASK.astype(np.uint8) * 255])
    clip = write_clip(tmp_path / name, [picture] * 4, codec=codec, pix_fmt=pix_fmt, source="rgba")
    out = tmp_path / "out.mkv"
    assert video(clip, "-o", out) == 0
    (first, *_) = frames_of(out)
    alpha = planes(first)[3] / ((1 << first.format.components[3].bits) - 1)
    assert alpha[MASK].mean() > 0.98
    assert alpha[~MASK].mean() < 0.02
    assert np.abs(first.to_ndarray(format="rgb24").astype(int) - still())[MASK].mean() > 2
    capsys.readouterr()
    for codec in ("h264", "vp9"):
        assert video(clip, "-o", tmp_path / "out.mp4", "--codec", codec) == 1
        assert "alpha" in error_line(capsys)
        assert not (tmp_path / "out.mp4").exists()


def test_a_table_for_the_clip_is_written(tmp_path: Path, mask: Path) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 3)
    assert video(clip, mask, "-o", tmp_path / "out.mkv", "--lut", tmp_path / "c.cube") == 0
    assert "LUT_3D_SIZE 33" in (tmp_path / "c.cube").read_text()
    for table in (clip, mask, tmp_path / "new.mkv"):
        assert video(clip, mask, "-o", tmp_path / "new.mkv", "--lut", table, "--force") == 1
    assert mask.read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "new.mkv").exists()


def test_the_environment_of_the_program_stays(
    tmp_path: Path, mask: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SVT_LOG", raising=False)
    clip = write_clip(tmp_path / "in.mkv", [still()] * 2)
    before = dict(os.environ)
    assert video(clip, mask, "-o", tmp_path / "out.mkv", "--codec", "av1") == 0
    assert dict(os.environ) == before


def test_why_a_clip_ended_is_said_where_its_table_fails_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 12)
    masks = mask_video(tmp_path / "masks.mkv", [MASK] * 9, codec="ffv1")
    table = tmp_path / "c.cube"

    def to_cube(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(table))

    monkeypatch.setattr(ColorTransform, "to_cube", to_cube)
    assert video(clip, masks, "-o", tmp_path / "out.mkv", "--lut", table) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "masks for 9 frames" in first
    assert "out.mkv holds the 9 frames before" in first
    assert f"No space left on device: '{table}'" in second


def test_a_picture_of_a_folder_that_is_read_is_not_replaced(
    tmp_path: Path, mask: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "clip", tmp_path / "out.mkv"
    folder.mkdir()
    first = folder / "0.png"
    Image.fromarray(still()).save(first)
    before = first.read_bytes()
    linked = tmp_path / "linked.cube"
    linked.symlink_to(first)
    for masks in (mask, folder):
        for table in (first, linked):
            assert video(folder, masks, "-o", out, "--lut", table, "--force") == 1
            assert "is read; name another file" in error_line(capsys)
    assert first.read_bytes() == before
    assert not out.exists()


def test_subtitles_are_copied(tmp_path: Path, mask: Path) -> None:
    lines = write_lines(tmp_path / "lines.srt")
    clip = write_clip(tmp_path / "in.mkv", [still()] * 30, subtitles=lines)
    out = tmp_path / "out.mkv"
    assert video(clip, mask, "-o", out) == 0
    assert packets(out, "subtitles") == packets(clip, "subtitles") != []
    assert video(clip, mask, "-o", out, "--no-subtitles", "--force") == 0
    with av.open(str(out)) as container:
        assert not container.streams.subtitles


def test_odd_sides_need_a_codec_that_holds_them(
    tmp_path: Path, mask: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = still()[:95, :127]
    clip = write_clip(tmp_path / "in.mkv", [odd] * 3)
    Image.fromarray(MASK[:95, :127]).save(mask)
    out = tmp_path / "out.mkv"
    assert video(clip, mask, "-o", out) == 1
    assert "libx264 cannot encode 127 x 95" in error_line(capsys)
    assert video(clip, mask, "-o", out, "--codec", "ffv1") == 0
    assert len(frames_of(out)) == 3


def left(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_what_cannot_be_done_is_refused_before_work(
    tmp_path: Path, mask: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "in.mp4", [still()] * 4, codec="libx264")
    hdr = write_clip(
        tmp_path / "hdr.mp4",
        [still()] * 2,
        codec="libx264",
        pix_fmt="yuv420p10le",
        tags={"color_trc": 16, "colorspace": 9, "color_primaries": 9},
    )
    pcm = write_clip(tmp_path / "pcm.mkv", [still()] * 30, audio="pcm_s16le")
    opus = write_clip(tmp_path / "opus.mkv", [still()] * 30, audio="libopus")
    longer = mask_video(tmp_path / "masks.mp4", [MASK] * 5)
    small = tmp_path / "small.png"
    Image.fromarray(MASK[:50]).save(small)
    (tmp_path / "text.mp4").write_text("this is no clip")
    (tmp_path / "half.mp4").write_bytes(clip.read_bytes()[:-700])
    lossless = write_clip(tmp_path / "lossless.mkv", [still()] * 4).read_bytes()
    for codec in ("NONE", "SNOW"):
        (tmp_path / f"{codec}.mkv").write_bytes(lossless.replace(b"V_FFV1", b"V_" + codec.encode()))
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile in.mp4\n")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nin.mp4\n#EXT-X-ENDLIST\n")
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        add_tone(container, container.add_stream("aac", rate=48000), 0.5)
    before = left(tmp_path)
    for arguments, message in (
        ((hdr, mask, "-o", "out.mp4"), "HDR, PQ"),
        ((pcm, mask, "-o", "out.webm"), "cannot hold the clip's audio"),
        ((opus, mask, "-o", "out.mov"), "cannot hold the clip's streams"),
        ((clip, longer, "-o", "out.mp4"), "has 4 frames, and .* 5 masks"),
        ((clip, small, "-o", "out.mp4"), "same size"),
        ((clip, "-o", "out.mp4"), "no alpha channel"),
        ((tmp_path / "text.mp4", mask, "-o", "out.mp4"), "no video that can be read"),
        ((tmp_path / "half.mp4", mask, "-o", "out.mp4"), "truncated"),
        ((tmp_path / "NONE.mkv", mask, "-o", "out.mp4"), "NONE.mkv cannot be decoded"),
        ((tmp_path / "SNOW.mkv", mask, "-o", "out.mp4"), "SNOW.mkv cannot be decoded"),
        ((tmp_path / "list.mp4", mask, "-o", "out.mp4"), "lists of files are not"),
        ((clip, tmp_path / "list.m3u8", "-o", "out.mp4"), "lists of files are not"),
        ((sound, mask, "-o", "out.mp4"), "no video stream"),
        ((tmp_path / "none.mp4", mask, "-o", "out.mp4"), "there is no file"),
        ((clip, mask, "-o", "out.gif"), "does not end in"),
        ((clip, mask, "-o", "in.mp4", "--force"), "is read"),
    ):
        resolved = [tmp_path / one if str(one).startswith(("out.", "in.")) else one
                    for one in arguments]  # fmt: skip
        assert video(*resolved) == 1, message
        assert re.search(message, error_line(capsys))
        assert left(tmp_path) == before


def test_a_mask_that_is_missing_leaves_what_was_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 12)  # Matroska counts no frames
    masks = mask_video(tmp_path / "masks.mkv", [MASK] * 9, codec="ffv1")
    out = tmp_path / "out.mkv"
    assert video(clip, masks, "-o", out) == 1
    assert "masks for 9 frames" in error_line(capsys)
    assert len(frames_of(out)) == 9


def test_what_was_done_before_memory_ran_out_is_kept(
    tmp_path: Path, mask: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 9)
    calls: list[object] = []

    def planes_of(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 6:
            raise MemoryError
        return yuv.planes_of(*arguments)

    monkeypatch.setattr(scenes, "planes_of", planes_of)
    out = tmp_path / "out.mkv"
    assert video(clip, mask, "-o", out) == 1
    assert "not enough memory for frames of 128 x 96" in error_line(capsys)
    assert len(frames_of(out)) == 5


def test_a_truncated_clip_is_named_and_kept_as_far_as_it_goes(
    tmp_path: Path, mask: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still(index) for index in range(80)])
    half = tmp_path / "half.mkv"
    half.write_bytes(clip.read_bytes()[: clip.stat().st_size // 3])
    out = tmp_path / "out.mkv"
    assert video(half, mask, "-o", out, "--no-audio") == 1
    assert "truncated" in error_line(capsys)
    assert 10 < len(frames_of(out)) < 40


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_leaves_a_whole_file_of_what_is_done(
    number: signal.Signals, code: int, tmp_path: Path, mask: Path
) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 9000, codec="libx264", audio="aac")
    out = tmp_path / "out.mkv"
    command = [sys.executable, "-m", "harmonizer", "video", str(clip), str(mask), "-o", str(out)]
    # Its first frames are soon in the file, and its last ones, each looked at, long after.
    command += ["--codec", "ffv1", "--window", "0"]
    # Where tests run in the background, a shell may have had Ctrl-C ignored.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heard) as process:
        until = time.monotonic() + 240  # three seconds, but on a machine that does much else
        while time.monotonic() < until and process.poll() is None:
            time.sleep(0.02)
            if any(one.suffix == ".tmp" and one.stat().st_size for one in tmp_path.iterdir()):
                break
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "holds the" in said
    assert left(tmp_path) == ["in.mkv", "mask.png", "out.mkv"]
    count = len(frames_of(out))
    assert 0 < count < 9000
    assert packets(out, "audio") == packets(clip, "audio")[: len(packets(out, "audio"))]


@pytest.mark.parametrize(
    ("step", "at", "least"), [("_take_packets", 60, 55), ("_last_frames", 1, 80)]
)
def test_a_stop_in_the_middle_of_a_frame_or_of_the_end_takes_none_away(
    step: str, at: int, least: int, tmp_path: Path, mask: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames of H.264 are made of those before: without one, those behind it are wrong."""
    clip = write_clip(tmp_path / "in.mkv", moving(80))
    done, calls = getattr(Output, step), 0

    def stopped(output: Output) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return done(output)

    monkeypatch.setattr(Output, step, stopped)
    out = tmp_path / "out.mkv"
    assert video(clip, mask, "-o", out, "--strength", 0, "--quality", 0) == 143
    assert_the_first_frames_of(clip, out, least)


def test_sound_that_is_refused_in_the_middle_takes_no_frame_away(
    tmp_path: Path, mask: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "in.mkv", moving(80), audio="aac")
    done = Output._mux_copied

    def refused(output: Output, packet: Any) -> None:
        if packet.dts * packet.time_base > 1:
            raise av.error.ArgumentError(errno.EINVAL, "Invalid argument")
        done(output, packet)

    monkeypatch.setattr(Output, "_mux_copied", refused)
    out = tmp_path / "out.mkv"
    assert video(clip, mask, "-o", out, "--strength", 0, "--quality", 0) == 1
    assert "holds the" in error_line(capsys)
    assert_the_first_frames_of(clip, out, 20)


def moving(count: int) -> list[Any]:
    return [np.roll(still(), 2 * index, axis=1) for index in range(count)]


def assert_the_first_frames_of(clip: Path, out: Path, least: int) -> None:
    before, after = frames_of(clip), frames_of(out)
    assert len(after) >= least
    for old, new in zip(before, after, strict=False):
        assert old.time == pytest.approx(new.time, abs=0.002)
        for one, other in zip(planes(old), planes(new), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_stop_before_the_first_frame_says_nothing_of_a_file(
    tmp_path: Path, mask: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(clip_module, "change_ahead", stopped)
    clip = write_clip(tmp_path / "in.mkv", [still()] * 3)
    assert video(clip, mask, "-o", tmp_path / "out.mkv") == 130
    assert capsys.readouterr().err == "harmonizer: stopped\n"
    assert left(tmp_path) == ["in.mkv", "mask.png"]
