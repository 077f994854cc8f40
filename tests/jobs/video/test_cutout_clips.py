"""`harmonizer video --on`: a cut-out clip is pasted into a clip or a picture on the way."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import error_line
from made_clips import (
    HEIGHT,
    TICKS,
    WIDTH,
    frames_of,
    mask_video,
    object_mask,
    packets,
    planes,
    still,
    video,
    write_clip,
)
from numpy.typing import NDArray
from PIL import Image

from harmonizer import compose
from harmonizer.jobs.video.reading import Clip

MASK = object_mask()
CUTOUT = np.dstack([still(), MASK.astype(np.uint8) * 255])


def test_frames_that_say_no_time_are_timed_by_their_number(tmp_path: Path) -> None:
    with Clip(write_clip(tmp_path / "in.mkv", [still()] * 3)) as clip:
        assert clip.time_of(5, SimpleNamespace(time=None)) == pytest.approx(5 / 25)
        assert clip.time_of(5, SimpleNamespace(time=2.5)) == 2.5


def prores(folder: Path, count: int = 8, **options: Any) -> Path:
    return write_clip(
        folder / "cutout.mov",
        [CUTOUT] * count,
        codec="prores_ks",
        pix_fmt="yuva444p10le",
        source="rgba",
        **options,
    )


def vp9(folder: Path) -> Path:
    return write_clip(
        folder / "cutout.webm",
        [CUTOUT] * 8,
        codec="libvpx-vp9",
        pix_fmt="yuva420p",
        source="rgba",
        options={"crf": "10", "b": "0"},
    )


def pngs(folder: Path) -> Path:
    (folder / "cutout").mkdir()
    for index in range(8):
        Image.fromarray(CUTOUT).save(folder / "cutout" / f"frame_{index}.png")
    return folder / "cutout"


def shown(frame: Any) -> NDArray[np.uint8]:
    return frame.to_ndarray(format="rgb24")


@pytest.mark.parametrize("made", [prores, vp9, pngs])
def test_every_cutout_lies_on_a_clip(tmp_path: Path, made: Callable[[Path], Path]) -> None:
    cutout = made(tmp_path)
    behind = write_clip(tmp_path / "behind.mkv", [still(9)] * 8)
    plain, out = tmp_path / "plain.mkv", tmp_path / "out.mkv"
    assert video(cutout, "--on", behind, "-o", plain, "--codec", "ffv1", "--strength", 0) == 0
    assert video(cutout, "--on", behind, "-o", out, "--codec", "ffv1") == 0
    far = np.ones_like(MASK)
    far[16:80, 32:96] = False  # what lossy alpha may reach
    expected, _ = compose(Image.fromarray(CUTOUT), Image.fromarray(shown(frames_of(behind)[0])))
    for before, pasted, after in zip(*map(frames_of, (behind, plain, out)), strict=True):
        assert after.format.name == "yuv420p"
        for one, other in zip(planes(before), planes(after), strict=True):
            outside = far[:: HEIGHT // one.shape[0], :: WIDTH // one.shape[1]]
            np.testing.assert_array_equal(one[outside], other[outside])
        np.testing.assert_allclose(shown(pasted)[MASK].mean(0), np.asarray(expected)[MASK].mean(0),
                                   atol=2)  # fmt: skip
        assert np.abs(shown(after).astype(int) - shown(pasted))[MASK].mean() > 1


def test_a_picture_stands_still_behind_a_clip_whose_timing_and_sound_stay(tmp_path: Path) -> None:
    times = [0, 1, 3, 4, 8, 9, 20]
    cutout = prores(tmp_path, len(times), times=[one * TICKS for one in times], audio="aac")
    Image.fromarray(np.kron(still(9), np.ones((2, 2, 1), np.uint8))[:191]).save(tmp_path / "b.png")
    out = tmp_path / "out.mp4"
    assert video(cutout, "--on", tmp_path / "b.png", "-o", out, "--quality", 0) == 0
    frames = frames_of(out)
    assert {(one.width, one.height) for one in frames} == {(256, 190)}  # even, as H.264 has it
    assert [one.time for one in frames] == [one.time for one in frames_of(cutout)]
    assert packets(out, "audio") == packets(cutout, "audio") != []
    outside = np.ones((190, 256), bool)
    outside[60:130, 90:166] = False
    for one in frames[1:]:
        np.testing.assert_array_equal(planes(one)[0][outside], planes(frames[0])[0][outside])
    assert np.abs(shown(frames[0])[0, 0].astype(int) - still(9)[0, 0]).max() <= 3


@pytest.mark.parametrize("begin", [0, 6])
def test_the_background_is_what_is_shown_at_each_time(begin: int, tmp_path: Path) -> None:
    """Since the clip began, whose first frame need not be at 0."""
    behind = write_clip(  # half as many frames a second, and a longer clip
        tmp_path / "behind.mkv",
        [np.full_like(still(), 20 * index) for index in range(1, 9)],
        times=[index * 2 * TICKS for index in range(8)],
    )
    out = tmp_path / "out.mkv"
    cutout = prores(tmp_path, times=[(begin + index) * TICKS for index in range(8)])
    assert frames_of(cutout)[0].time == pytest.approx(begin / 25)
    assert video(cutout, "--on", behind, "-o", out, "--codec", "ffv1") == 0
    found = [int(shown(one)[0, 0, 0]) for one in frames_of(out)]
    np.testing.assert_allclose(found, [20, 20, 40, 40, 60, 60, 80, 80], atol=2)


def test_position_and_scale_are_those_of_compose(tmp_path: Path) -> None:
    Image.fromarray(still(9)).save(tmp_path / "b.png")
    for options, place in (
        ((), {}),
        (("--at", -20, 10), {"position": (-20, 10)}),
        (("--at", 30, 10, "--scale", 0.5), {"position": (30, 10), "scale": 0.5}),
        (("--scale", 1.5), {"scale": 1.5}),
    ):
        out = tmp_path / "out.mkv"
        assert video(prores(tmp_path, 2), "--on", tmp_path / "b.png", *options, "-o", out,
                     "--codec", "ffv1", "--strength", 0, "--force") == 0  # fmt: skip
        expected, mask = compose(Image.fromarray(CUTOUT), Image.fromarray(still(9)), **place)
        apart = np.abs(shown(frames_of(out)[0]).astype(int) - np.asarray(expected)).max(axis=2)
        assert apart.mean() < 2.5
        assert apart[np.asarray(mask) == 255].mean() < 5
        changed = np.abs(np.asarray(expected).astype(int) - still(9)).max(axis=2)
        assert changed[np.asarray(mask) == 255].mean() > 20


def test_rotated_clips_lie_upright(tmp_path: Path) -> None:
    behind = write_clip(tmp_path / "b.mp4", [still(9)] * 3, codec="libx264", rotation=90)
    out = tmp_path / "out.mp4"
    assert video(prores(tmp_path, 3), "--on", behind, "-o", out, "--quality", 0,
                 "--strength", 0) == 0  # fmt: skip
    (frame, *_) = frames_of(out)
    assert frame.rotation == frames_of(behind)[0].rotation == 90
    upright = Image.fromarray(np.rot90(shown(frames_of(behind)[0])))
    expected, _ = compose(Image.fromarray(CUTOUT), upright)
    found = np.rot90(shown(frame)).astype(int)
    changed = (np.asarray(expected) != np.asarray(upright)).any(axis=2)
    assert np.abs(found - np.asarray(expected)).mean() < 1
    assert np.abs(found - np.asarray(upright))[changed].mean() > 5


def test_masks_cut_an_opaque_clip_out(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 4)
    masks = mask_video(tmp_path / "masks.mkv", [MASK] * 4, codec="ffv1")
    Image.fromarray(still(9)).save(tmp_path / "b.png")
    out = tmp_path / "out.mkv"
    assert video(clip, masks, "--on", tmp_path / "b.png", "-o", out, "--codec", "ffv1",
                 "--strength", 0) == 0  # fmt: skip
    apart = np.abs(shown(frames_of(out)[0]).astype(int) - np.where(MASK[..., None], still(),
                                                                   still(9)))  # fmt: skip
    assert apart.mean() < 2.5


def test_what_does_not_go_together_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cutout = prores(tmp_path)
    Image.fromarray(CUTOUT).save(tmp_path / "clear.png")
    opaque = write_clip(tmp_path / "opaque.mkv", [still()] * 2)
    (tmp_path / "mixed").mkdir()
    for ending in ("png", "jpg"):
        Image.fromarray(still()).save(tmp_path / "mixed" / f"a.{ending}")
    out = tmp_path / "out.mkv"
    for arguments, message in (
        ((cutout, "--on", tmp_path / "clear.png"), "transparent pixels"),
        ((cutout, "--on", cutout), "has to be opaque"),
        ((opaque, "--on", opaque), "no alpha channel"),
        ((tmp_path / "mixed", "--on", opaque), "PNG or JPEG, all alike"),
        ((cutout, "--on", opaque, "--at", 500, 500), "nothing of the cut-out"),
    ):
        assert video(*arguments, "-o", out) == 1
        assert message in error_line(capsys)
        assert not out.exists()
    with pytest.raises(SystemExit, match="2"):
        video(cutout, "--at", 1, 1, "-o", out)
    capsys.readouterr()
    assert video(cutout, "--on", opaque, "-o", out) == 1
    assert "opaque.mkv ends at 0.08 s" in error_line(capsys)
    assert len(frames_of(out)) == 2
