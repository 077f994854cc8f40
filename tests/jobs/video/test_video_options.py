"""No option of `harmonizer video` is ignored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import error_line
from made_clips import frames_of, mask_video, object_mask, planes, still, video, write_clip
from numpy.typing import NDArray
from PIL import Image

from harmonizer import Harmonizer, Strength
from harmonizer.imaging.mask import open_mask
from harmonizer.imaging.video_codecs import CODECS

MASK = object_mask()


def written(clip: Path, mask: Path, *options: object) -> list[NDArray[np.float64]]:
    """Harmonize a clip without loss; return its frames' brightness."""
    out = clip.with_name("out.mkv")
    assert video(clip, mask, "-o", out, "--codec", "ffv1", "--force", *options) == 0
    return [planes(frame)[0].astype(float) for frame in frames_of(out)]


@pytest.mark.parametrize(
    ("options", "strength"),
    [
        (["--strength", 0.4], 0.4),
        (["--light", 0.2], Strength(light=0.2)),
        (["--color", 0, "--strength", 0.6], Strength(light=0.6, color=0)),
    ],
)
def test_strength_light_and_colour_reach_frames_and_table(
    options: list[object], strength: float | Strength, tmp_path: Path, mask: Path, model: Any
) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 2, pix_fmt="yuv444p16le")
    shown = frames_of(clip)[0].to_ndarray(format="rgb48le")
    change = model.color_transform(shown, MASK)
    table, expected = tmp_path / "c.cube", tmp_path / "expected.cube"
    written(clip, mask, *options, "--lut", table)
    found = frames_of(tmp_path / "out.mkv")[0].to_ndarray(format="rgb48le").astype(int)
    near, full = (one.apply(shown, MASK).astype(int) for one in (change.at(strength), change))
    assert np.abs(found - near)[MASK].mean() < 0.2 * np.abs(full - near)[MASK].mean()
    change.at(strength).to_cube(expected)
    rows = [np.loadtxt(one, skiprows=4) for one in (table, expected)]
    assert np.abs(rows[0] - rows[1]).max() < 0.02
    change.to_cube(expected)
    assert np.abs(rows[0] - np.loadtxt(expected, skiprows=4)).max() > 0.02


def test_the_mask_counts_within_its_box_too(tmp_path: Path, model: Any) -> None:
    plane = MASK.astype(np.uint8) * 255
    plane[24:48, 40:64] = 0
    plane[48:72, 64:88] = 128
    Image.fromarray(plane).save(tmp_path / "soft.png")
    clip = write_clip(tmp_path / "in.mkv", [still()] * 2, pix_fmt="yuv444p16le")
    shown = frames_of(clip)[0].to_ndarray(format="rgb48le")
    soft = plane / np.float32(255)
    written(clip, tmp_path / "soft.png")
    found = frames_of(tmp_path / "out.mkv")[0].to_ndarray(format="rgb48le").astype(int)
    change = model.color_transform(shown, soft)
    expected, hard = (change.apply(shown, one).astype(int) for one in (soft, MASK))
    assert np.array_equal(found[plane == 0], shown[plane == 0])
    half = plane == 128
    off = np.abs(found - expected)[half].mean()
    assert off < 0.2 * np.abs(hard - expected)[half].mean()


def test_window_and_cut_decide_what_is_averaged(tmp_path: Path, mask: Path) -> None:
    darker = (still() * 0.7).astype(np.uint8)
    darker[MASK] = still()[MASK]  # the object is too bright there, and not before
    clip = write_clip(tmp_path / "in.mkv", [still()] * 10 + [darker] * 10, pix_fmt="yuv444p")
    alone = written(clip, mask, "--window", 0)
    one_scene, two_scenes = (written(clip, mask, "--cut", cut)[10] for cut in (1, 0.01))
    assert np.abs(two_scenes - alone[10])[MASK].max() <= 1
    assert np.abs(one_scene - alone[10])[MASK].max() > 2


def test_model_and_device_reach_what_is_loaded(
    tmp_path: Path, mask: Path, brighten: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def load(name: Any = None, **options: Any) -> Harmonizer:
        calls.append((name, options))
        return brighten

    monkeypatch.setattr(Harmonizer, "from_pretrained", load)
    clip = write_clip(tmp_path / "in.mkv", [still()] * 2)
    written(clip, mask, "--model", "a model", "--device", "cuda:1")
    assert calls == [("a model", {"device": "cuda:1"})]


def test_a_rate_for_a_clip_that_has_one_is_refused(
    tmp_path: Path, mask: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 2)
    with pytest.raises(SystemExit, match="2"):
        video(clip, mask, "-o", tmp_path / "out.mkv", "--fps", "12")
    assert "--fps is for a CLIP that is a folder" in capsys.readouterr().err


def mask_source(kind: str, folder: Path, mask: NDArray[np.bool_], count: int) -> Path:
    """Masks as one picture, as a folder of pictures, or as a video."""
    if kind == "video":
        return mask_video(folder / "masks.mkv", [mask] * count, codec="ffv1")
    masks = folder / "masks"
    masks.mkdir()
    for index in range(count):
        Image.fromarray(mask).save(masks / f"{index}.png")
    return masks if kind == "folder" else masks / "0.png"


def resized(path: Path, mask: NDArray[np.bool_]) -> Path:
    """Write a mask as it is resized, soft at its edges, which a network minds."""
    plane = open_mask(mask, MASK.shape, resize="stretch")
    Image.fromarray(np.rint(plane * 255).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("kind", ["picture", "folder", "video"])
def test_masks_of_another_size_are_resized_where_it_is_asked_for(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 3)
    expected = written(clip, resized(tmp_path / "mask.png", MASK[::2, ::2]))
    small = mask_source(kind, tmp_path, MASK[::2, ::2], 3)
    out = tmp_path / "none.mkv"
    capsys.readouterr()
    assert video(clip, small, "-o", out) == 1
    said = error_line(capsys)
    name = {"picture": "0.png", "folder": "0.png", "video": "mask 0 of masks.mkv"}[kind]
    assert f"error: {name}: image and mask must have the same size: the image is 128 x 96" in said
    assert "--resize-mask" in said
    for one, other in zip(written(clip, small, "--resize-mask"), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1)


def test_masks_of_another_shape_are_stretched_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 3)
    expected = written(clip, resized(tmp_path / "mask.png", MASK[:, ::2]))
    narrow = mask_source("picture", tmp_path, MASK[:, ::2], 1)
    capsys.readouterr()
    assert video(clip, narrow, "-o", tmp_path / "none.mkv", "--resize-mask") == 1
    assert "--resize-mask stretch" in error_line(capsys)
    for one, other in zip(written(clip, narrow, "--resize-mask", "stretch"), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1)


@pytest.mark.parametrize("kind", ["picture", "folder", "video"])
def test_an_inverted_mask_is_hinted_at_and_minded(
    kind: str, tmp_path: Path, mask: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 3)
    expected = written(clip, mask)
    inverted = mask_source(kind, tmp_path, ~MASK, 3)
    capsys.readouterr()
    written(clip, inverted)
    assert "or --invert-mask" in capsys.readouterr().err
    np.testing.assert_array_equal(written(clip, inverted, "--invert-mask"), expected)


def test_options_of_masks_need_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 2)
    for option in ("--resize-mask", "--invert-mask"):
        with pytest.raises(SystemExit, match="2"):
            video(clip, option, "-o", tmp_path / "out.mkv")
        assert "are for MASKS, and none are named" in capsys.readouterr().err


@pytest.mark.parametrize(("codec", "usual"), [("h264", 40), ("hevc", 20), ("vp9", 25)])
def test_encoders_look_less_far_ahead_through_large_frames(codec: str, usual: int) -> None:
    def ahead(width: int, height: int) -> int:
        lookahead = CODECS[codec].lookahead
        assert lookahead
        _, name, value = lookahead
        told = CODECS[codec].options_for(width, height, None)[name]
        assert told.startswith(value[:-2])
        return int(told.removeprefix(value[:-2]))

    assert ahead(128, 96) == ahead(3840, 2160) == usual
    assert ahead(7680, 4320) == 10  # of 33 megapixels each
    assert ahead(16000, 16000) == 5


def test_what_is_left_in_empty_masks_of_a_folder_counts_little(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mkv", [still()] * 11)
    last: list[NDArray[np.float64]] = []
    for residue in (0, 1):
        folder = tmp_path / f"masks{residue}"
        folder.mkdir()
        for index in range(11):
            plane = np.zeros(MASK.shape, np.uint8)
            plane[:20] = residue
            if index == 10:
                plane = MASK.astype(np.uint8) * 255
                plane[0, 0] = 128  # masks without any values between are hard ones
            Image.fromarray(plane).save(folder / f"{index}.png")
        last.append(written(clip, folder)[-1][MASK])
    np.testing.assert_allclose(last[1], last[0], rtol=0, atol=1)
