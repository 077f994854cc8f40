"""Clips whose times go back, or are missing: they are written with times that rise."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from helpers import error_line
from made_clips import TICKS, av, frames_of, packets, still, video, write_clip, write_lines

from harmonizer.jobs.video.times import Times


def joined(clip: Path) -> Path:
    """A clip and itself again, as `cat clip clip` joins them."""
    path = clip.with_stem("joined")
    path.write_bytes(clip.read_bytes() * 2)
    return path


def remuxed(clip: Path, path: Path, pts: Callable[[int, int], int]) -> Path:
    """Write the packets of a clip again, with times by their number and ticks."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None:
                packet.pts, packet.stream = pts(index, packet.pts), stream
                container.mux(packet)
    return path


def steps(times: Sequence[float]) -> list[float]:
    return [round(after - before, 3) for before, after in pairwise(times)]


@pytest.mark.parametrize("ending", [".ts", ".mkv"])
@pytest.mark.parametrize("written", [".mp4", ".mkv"])
def test_joined_clips_go_on_with_their_sound(
    ending: str, written: str, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(
        tmp_path / f"clip{ending}",
        [still(index // 25) for index in range(50)],
        codec="libx264",
        audio="aac",
        options={"x264-params": "bframes=0"},
    )
    twice, out = joined(clip), tmp_path / f"out{written}"
    assert video(twice, mask, "-o", out) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"harmonizer: warning: the times of {twice.name} go back; they are made to rise"
    ]
    shown = steps([frame.time for frame in frames_of(out)])
    assert shown[:49] == shown[50:] == [0.04] * 49
    assert 0.02 < shown[49] < 0.12  # the second part waits for the sound of the first one
    heard = packets(out, "audio")
    half = len(packets(clip, "audio"))
    assert [one for _, one in heard[:half]] == [one for _, one in heard[half:]]
    moved = heard[half][0] - heard[0][0]
    assert moved == pytest.approx(sum(shown[:50]), abs=0.002)
    assert steps([time for time, _ in heard]) == pytest.approx(
        [*[1024 / 48000] * (half - 1), heard[half][0] - heard[half - 1][0]]
        + [1024 / 48000] * (half - 1),
        abs=0.002,
    )


def test_a_time_that_goes_back_leaves_the_others(
    mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = write_clip(tmp_path / "plain.mp4", [still()] * 20)
    clip = remuxed(
        plain, tmp_path / "clip.mp4", lambda index, pts: pts + (0 if index == 10 else 5 * TICKS)
    )
    before = [frame.time for frame in frames_of(clip)]
    assert before[10] < before[9]
    assert video(clip, mask, "-o", tmp_path / "out.mp4") == 0
    assert "the times of clip.mp4 go back" in capsys.readouterr().err
    after = [frame.time for frame in frames_of(tmp_path / "out.mp4")]
    assert min(steps(after)) >= 0
    assert after == sorted(set(after))
    assert after[:10] + after[11:] == pytest.approx(before[:10] + before[11:])


def test_h264_with_b_frames_in_avi_is_evenly_timed(mask: Path, tmp_path: Path) -> None:
    options = {"x264-params": "b-adapt=0:bframes=3"}
    pictures = [still(index // 10) for index in range(40)]
    clip = write_clip(tmp_path / "clip.avi", pictures, codec="libx264", options=options)
    before = [frame.pts for frame in frames_of(clip)]
    assert before != sorted(before)  # it has them in the order of decoding
    assert video(clip, mask, "-o", tmp_path / "out.mp4") == 0
    after = frames_of(tmp_path / "out.mp4")
    assert len(after) == 40
    shown = steps([frame.time for frame in after])
    assert min(shown) > 0
    assert shown[4:35] == [0.04] * 31


def test_frames_without_times_are_counted(mask: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.h264", [still()] * 10, codec="libx264")
    assert {frame.pts for frame in frames_of(clip)} == {None}
    assert video(clip, mask, "-o", tmp_path / "out.mp4") == 0
    assert steps([frame.time for frame in frames_of(tmp_path / "out.mp4")]) == [0.04] * 9


def test_lines_of_joined_clips_move_with_their_pictures(mask: Path, tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "lines.srt")
    clip = write_clip(tmp_path / "clip.mkv", [still()] * 30, subtitles=lines)
    out = tmp_path / "out.mkv"
    assert video(joined(clip), mask, "-o", out) == 0
    begin = frames_of(out)[30].time
    assert begin == pytest.approx(1.2, abs=0.002)
    shown = [time for time, _ in packets(out, "subtitles")]
    assert shown == pytest.approx([0, 0.4, begin, begin + 0.4], abs=0.002)


@pytest.mark.parametrize(("ending", "back", "lost"), [(".mp4", 1024, 1), (".mkv", 1034, 1),
                                                      (".mkv", 1024, 0)])  # fmt: skip
def test_sound_that_goes_back_is_left_out_there(
    ending: str,
    back: int,
    lost: int,
    mask: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Matroska holds two packets of one time, as those of TrueHD have there; MP4 does not."""
    clip = write_clip(tmp_path / "clip.mp4", [still()] * 30, audio="aac")
    count = 0

    def twisted(_: Times, packet: Any) -> None:
        nonlocal count
        if packet.stream.type == "audio" and packet.dts is not None:
            count += 1
            if count == 10:
                packet.pts, packet.dts = packet.pts - back, packet.dts - back

    monkeypatch.setattr(Times, "move", twisted)
    out = tmp_path / f"out{ending}"
    assert video(clip, mask, "-o", out) == 0
    said = "audio of clip.mp4 goes back in time, and is left out there" in capsys.readouterr().err
    assert said == bool(lost)
    assert len(packets(out, "audio")) == len(packets(clip, "audio")) - lost
    assert len(frames_of(out)) == 30


@pytest.mark.parametrize("codec", ["ffv1", "h264"])  # the one at once, the other at the end
@pytest.mark.parametrize("sound", [None, "aac"])
def test_what_the_format_refuses_leaves_what_was_done(
    codec: str,
    sound: str | None,
    mask: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [still()] * 10, audio=sound)
    for name in ("move", "settle"):
        monkeypatch.setattr(Times, name, lambda *_: None)
    out = tmp_path / "out.mp4"
    assert video(joined(clip), mask, "-o", out, "--codec", codec) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "out.mp4 cannot hold the clip's streams together: Invalid argument. Write .mkv" in said
    assert ("--no-audio" in said) == bool(sound)
    kept = len(frames_of(out))
    assert 0 < kept < 20
    assert f"{out} holds the {kept} frames before" in said
    assert sorted(one.name for one in tmp_path.iterdir() if one.suffix == ".tmp") == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_clip_that_begins_late_is_truncated_only_if_it_is(
    whole: bool, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Matroska says when a stream ends, not how long it lasts."""
    times = [(75 + index) * TICKS for index in range(100)]  # from 3 to 7 seconds
    clip = write_clip(tmp_path / "clip.mkv", [still(one) for one in range(100)], times=times)
    if not whole:
        clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    out = tmp_path / "out.mkv"
    assert video(clip, mask, "-o", out) == (0 if whole else 1)
    if whole:
        assert len(frames_of(out)) == 100
    else:
        assert "promises 4.00 s: it is truncated" in error_line(capsys)
        assert 0 < len(frames_of(out)) < 60
