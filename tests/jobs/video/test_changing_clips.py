"""Clips whose frames are not all alike, and what pictures that are clips bring along."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import error_line, turned
from made_clips import HEIGHT, WIDTH, frames_of, object_mask, planes, still, video, write_clip
from PIL import Image, ImageCms

MASK = object_mask()


def folder_of(path: Path, *pictures: Image.Image, ending: str = ".png", **options: Any) -> Path:
    """A clip that is a folder."""
    path.mkdir()
    for index, picture in enumerate(pictures):
        picture.save(path / f"{index:03}{ending}", **options)
    return path


def test_pictures_with_colour_profiles_are_clips(mask: Path, tmp_path: Path) -> None:
    """PyAV frees their names twice, if it is asked: the process would be gone."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    clip = folder_of(tmp_path / "clip", *[Image.fromarray(still())] * 60, icc_profile=profile)
    out = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "harmonizer", "video", str(clip), str(mask), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert len(frames_of(out)) == 60


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x010F], found[0x0112] = "a camera", orientation
    return found


@pytest.mark.parametrize("ending", [".jpg", ".png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_exif_says_or_refused(
    orientation: int, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = Image.fromarray(still())
    clip = folder_of(tmp_path / "clip", *[picture] * 3, ending=ending, exif=exif(orientation))
    Image.fromarray(turned(MASK, orientation)).save(tmp_path / "mask.png")
    out = tmp_path / "out.mp4"
    code = video(clip, tmp_path / "mask.png", "-o", out, "--quality", 0)
    if orientation in (2, 4, 5, 7):
        assert code == 1
        assert "is to be shown mirrored" in error_line(capsys)
        assert not out.exists()
        return
    assert code == 0
    first = frames_of(out)[0]
    np.testing.assert_array_equal(
        np.rot90(MASK, round(first.rotation / 90)), turned(MASK, orientation)
    )
    plain = folder_of(tmp_path / "plain", picture, ending=ending)
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    assert video(plain, tmp_path / "mask.png", "-o", tmp_path / "plain.mp4", "--strength", 0,
                 "--quality", 0) == 0  # fmt: skip
    apart = np.abs(planes(first)[0].astype(int) - planes(frames_of(tmp_path / "plain.mp4")[0])[0])
    assert apart[MASK].mean() > 1
    assert apart[~MASK].max() == 0


@pytest.mark.parametrize(("orientation", "said"), [(4, "mirrored"), (3, "rotation of frame 2")])
def test_a_picture_that_lies_otherwise_than_those_before_is_refused(
    orientation: int, said: str, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = folder_of(tmp_path / "clip", *[Image.fromarray(still())] * 2)
    Image.fromarray(still()).save(clip / "002.png", exif=exif(orientation))
    assert video(clip, mask, "-o", tmp_path / "out.mp4") == 1
    assert said in error_line(capsys)
    assert len(frames_of(tmp_path / "out.mp4")) == 2


LIMITED = {"color_range": 1, "colorspace": 1, "color_primaries": 1, "color_trc": 1}
SAYING_NOTHING = {"color_range": 0, "colorspace": 2, "color_primaries": 2, "color_trc": 2}


@pytest.mark.parametrize(
    ("first", "changed", "said"),
    [
        (LIMITED, {"color_range": 2}, "the colour range of frame 30 of .* is full"),
        (LIMITED | {"color_range": 2}, {"color_range": 1}, "the colour range .* is limited"),
        (LIMITED, {"colorspace": 9}, "the colour matrix .* is number 9 of ITU-T H.273"),
        (LIMITED, {"color_primaries": 9}, "the colour primaries .* is number 9"),
        (LIMITED, {"color_trc": 8}, "the colour transfer .* is number 8"),
        (LIMITED, {"color_trc": 16}, "is HDR, PQ"),
        (SAYING_NOTHING, {"color_trc": 18}, "is HDR, HLG"),
        (SAYING_NOTHING, {"colorspace": 1}, "the colour matrix .* is number 1"),
        (SAYING_NOTHING, {"colorspace": 6, "color_range": 1}, None),  # as it was taken for
    ],
)
def test_colours_that_change_their_meaning_are_refused(
    first: dict[str, int],
    changed: dict[str, int],
    said: str | None,
    mask: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parts = [
        write_clip(
            tmp_path / f"{index}.h264",
            [still()] * 30,  # of fewer FFmpeg has read all before it decodes the first
            codec="libx264",
            options={"x264-params": "bframes=0"},
            tags=tags,
        ).read_bytes()
        for index, tags in enumerate((first, first | changed))
    ]
    clip, out = tmp_path / "clip.h264", tmp_path / "out.mkv"
    clip.write_bytes(b"".join(parts))
    assert video(clip, mask, "-o", out) == (0 if said is None else 1)
    if said is not None:
        assert re.search(said, error_line(capsys))
    count = len(frames_of(out))
    # A frame that says nothing may have the colours of one that is decoded beside it.
    assert count == 60 if said is None else 20 < count <= 30


def rgb_of(frame: Any) -> Any:
    return frame.to_ndarray(format="rgb24").astype(int)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("mode", "ending", "others"),
    [
        ("L", ".png", "RGB"),
        ("P", ".png", "RGB"),
        ("1", ".png", "RGB"),
        ("I;16", ".png", "RGB"),
        ("L", ".png", "P"),
        ("L", ".jpg", "RGB"),
    ],
)
def test_pictures_may_be_grey_or_of_a_palette(
    mode: str, ending: str, others: str, order: int, mask: Path, tmp_path: Path
) -> None:
    grey = Image.new("L", (WIDTH, HEIGHT), 0)
    grey.paste(255, (0, 0, 64, HEIGHT))
    grey = grey if mode == "1" else grey.point(lambda value: 40 + value * 0.6)
    shown = np.asarray(grey.convert("RGB"))
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    one = wide if mode == "I;16" else grey.convert(mode)
    clip = folder_of(tmp_path / "clip", *[one, grey.convert(others)][::order], ending=ending)
    out = tmp_path / "out.mkv"
    assert video(clip, mask, "-o", out, "--codec", "ffv1") == 0
    frames = frames_of(out)
    assert len(frames) == 2
    for frame in frames:
        assert int(frame.color_range) == int(frames[0].color_range)
        assert np.abs(rgb_of(frame) - shown)[~MASK].max() <= 4


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_grey_pictures_keep_their_alpha_channel(mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray(still()).convert("L").convert(mode)
    picture.putalpha(Image.fromarray(MASK.astype(np.uint8) * 255))
    clip, out = folder_of(tmp_path / "clip", picture, picture), tmp_path / "out.mkv"
    assert video(clip, "-o", out) == 0
    np.testing.assert_array_equal(planes(frames_of(out)[0])[3] > 0, MASK)


@pytest.mark.parametrize("later", ["RGBA", "LA"])
def test_an_alpha_channel_that_comes_later_is_refused(
    later: str, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = Image.fromarray(still())
    clip, out = folder_of(tmp_path / "clip", picture, picture.convert(later)), tmp_path / "out.mp4"
    assert video(clip, mask, "-o", out) == 1
    assert "frame 1 of " in (said := error_line(capsys))
    assert "has an alpha channel, and those before have none" in said
    assert len(frames_of(out)) == 1


def test_opaque_pictures_may_come_later_without_an_alpha_channel(tmp_path: Path) -> None:
    """As programs write those that are opaque all over."""
    picture = Image.fromarray(still())
    cutout = picture.copy()
    cutout.putalpha(Image.fromarray(MASK.astype(np.uint8) * 255))
    clip, out = folder_of(tmp_path / "clip", cutout, picture), tmp_path / "out.mkv"
    assert video(clip, "-o", out) == 0
    assert planes(frames_of(out)[1])[3].min() == 255


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_what_stands_behind_a_picture_is_no_frame(ending: str, mask: Path, tmp_path: Path) -> None:
    """Phones put gain maps and previews there, JPEG files of their own."""
    clip = folder_of(tmp_path / "clip", *[Image.fromarray(still())] * 3, ending=ending)
    plain, out = tmp_path / "plain.mp4", tmp_path / "out.mp4"
    assert video(clip, mask, "-o", plain) == 0
    for path in clip.iterdir():
        path.write_bytes(path.read_bytes() * 2 + b"and more")
    assert video(clip, mask, "-o", out) == 0
    assert len(frames_of(plain)) == 3
    assert out.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("index", [0, 2])
@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_file_without_a_picture_is_named(
    content: bytes, index: int, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frames that were left out would get the masks of others."""
    clip = folder_of(tmp_path / "clip", *[Image.fromarray(still())] * 4, ending=".jpg")
    broken = clip / f"{index:03}.jpg"
    broken.write_bytes(content)
    assert video(clip, mask, "-o", tmp_path / "out.mp4") == 1
    assert f"{broken} is no JPEG file" in capsys.readouterr().err


def test_a_truncated_picture_is_named(
    mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """FFmpeg takes it, and makes up the rest."""
    clip = folder_of(tmp_path / "clip", *[Image.fromarray(still())] * 4, ending=".jpg")
    broken = clip / "001.jpg"
    broken.write_bytes(broken.read_bytes()[:-200])
    assert video(clip, mask, "-o", tmp_path / "out.mp4") == 1
    assert f"{broken} is truncated" in capsys.readouterr().err
