"""`harmonizer run CUTOUT --on BACKGROUND`, and layers for an editor."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import box_mask, error_line, run
from PIL import Image, ImageCms

from harmonizer import Harmonizer, compose
from harmonizer.imaging.image import open_image

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def pasted(tmp_path: Path, noise: Any) -> tuple[Path, Path]:
    """A cut-out with soft edges, and a larger background with metadata."""
    alpha = np.clip(np.add.outer(np.arange(40), np.arange(60)) * 8, 0, 255)
    cutout, background = tmp_path / "cutout.png", tmp_path / "background.png"
    Image.fromarray(np.dstack([noise(40, 60), alpha.astype(np.uint8)])).save(cutout)
    Image.fromarray(noise(90, 120, seed=1)).save(background, icc_profile=PROFILE, dpi=(300, 300))
    return cutout, background


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ([], {}),
        (["--at", 5, -7], {"position": (5, -7)}),
        (["--scale", 0.5], {"scale": 0.5}),
        (["--at", 30, 20, "--scale", 1.4], {"position": (30, 20), "scale": 1.4}),
    ],
)
def test_a_cut_out_on_a_background(
    options: list[Any], place: dict[str, Any], pasted: tuple[Path, Path], model: Harmonizer
) -> None:
    cutout, background = pasted
    out = cutout.parent / "out.png"
    assert run(cutout, "--on", background, *options, "-o", out, "--device", "cpu") == 0
    composite, mask = compose(cutout, background, **place)
    assert not np.array_equal(np.asarray(composite), np.asarray(Image.open(out)))
    expected = np.asarray(model(composite, mask)).astype(int)
    assert np.abs(expected - np.asarray(Image.open(out))).max() <= 2  # the mask is not rounded here
    with Image.open(out) as written:
        assert written.info["icc_profile"] == PROFILE
        assert written.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_strength_0_is_the_composite(pasted: tuple[Path, Path]) -> None:
    cutout, background = pasted
    assert run(cutout, "--on", background, "--strength", 0) == 0
    written = Image.open(cutout.with_name("cutout_harmonized.png"))
    assert np.array_equal(written, compose(cutout, background)[0])


def test_a_folder_of_cut_outs_on_one_background(
    pasted: tuple[Path, Path], noise: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    cutout, background = pasted
    folder, out = cutout.parent / "cutouts", cutout.parent / "out"
    (folder / "inner").mkdir(parents=True)
    for name in ("a.png", "b.webp", "inner/c.png"):
        Image.open(cutout).save(folder / name)
    Image.fromarray(noise(10, 10)).save(folder / "no.png")
    assert run(folder, "--on", background, "-o", out, "-r") == 1
    errors = capsys.readouterr().err
    assert "no.png: the cut-out has no alpha channel" in errors
    assert "3 written, 1 failed, 0 skipped" in errors
    one = cutout.parent / "one.png"
    assert run(cutout, "--on", background, "-o", one) == 0
    for name in ("a.png", "inner/c.png"):
        assert np.array_equal(open_image(out / name).pixels, open_image(one).pixels)
    # Several files, named one by one.
    files = [folder / "a.png", folder / "b.webp"]
    assert run(*files, "--on", background, "-o", out / "two", "--format", "png") == 0
    assert sorted(path.name for path in (out / "two").iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("way", ["one", "folder"])
def test_the_cut_out_alone_lies_over_its_background(way: str, pasted: tuple[Path, Path]) -> None:
    cutout, background = pasted
    whole, layer = cutout.parent / "whole.png", cutout.parent / "layer" / "cutout.png"
    layer.parent.mkdir()
    assert run(cutout, "--on", background, "-o", whole) == 0
    if way == "one":
        assert run(cutout, "--on", background, "--cutout-only", "-o", layer) == 0
    else:
        (cutout.parent / "in").mkdir()
        cutout.rename(cutout.parent / "in" / "cutout.png")
        folder = cutout.parent / "in"
        assert run(folder, "--on", background, "--cutout-only", "-o", layer.parent) == 0
    with Image.open(layer) as written:
        assert (written.mode, written.size) == ("RGBA", (120, 90))
        over = Image.open(background).convert("RGBA")
        over.alpha_composite(written)
    expected = np.asarray(Image.open(whole)).astype(int)
    assert np.abs(np.asarray(over.convert("RGB")) - expected).max() <= 2


def test_the_foreground_of_a_composite_alone(tmp_path: Path, noise: Any) -> None:
    image, mask = tmp_path / "a.jpg", tmp_path / "a_mask.png"
    Image.fromarray(noise(40, 60)).save(image)
    Image.fromarray(box_mask(40, 60)).save(mask)
    assert run(image, mask, "--cutout-only") == 0
    assert run(image, mask, "-o", tmp_path / "whole.png") == 0
    layer = np.asarray(Image.open(tmp_path / "a_harmonized.png"))
    inside = box_mask(40, 60)
    assert np.array_equal(layer[..., 3], inside * np.uint8(255))
    whole = np.asarray(Image.open(tmp_path / "whole.png"))
    assert np.array_equal(layer[..., :3][inside], whole[inside])


def test_a_format_without_transparency_takes_no_layer(
    pasted: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    cutout, background = pasted
    out = cutout.parent / "out.jpg"
    assert run(cutout, "--on", background, "--cutout-only", "-o", out) == 1
    assert "JPEG has no transparency" in error_line(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["a.png"], "--on BACKGROUND"),
        (["a.png", "b.png", "--at", 1, 2], "--on"),
        (["a.png", "b.png", "--scale", 2], "--on"),
        (["a.png", "--on", "b.png", "--resize-mask"], "masks"),
        (["a.png", "--on", "b.png", "--invert-mask"], "masks"),
        (["a.png", "--on", "b.png", "--scale", 0], "above 0"),
        (["a.png", "--on", "b.png", "--at", 0.5, 1], "whole number"),
        (["a.png", "b.png", "--on", "c.png"], "-o FOLDER"),
        (["a.png", "mask.png", "--on", "c.png", "-o", "out.png"], "no MASK"),
    ],
)
def test_what_does_not_go_together(
    arguments: list[Any], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    assert stop.value.code == 2
    assert advice in capsys.readouterr().err


def test_a_background_is_never_replaced(
    pasted: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    cutout, background = pasted
    before = background.read_bytes()
    assert run(cutout, "--on", background, "-o", background, "--force") == 1
    assert "would replace" in error_line(capsys)
    folder = cutout.parent / "cutouts"
    folder.mkdir()
    cutout.rename(folder / background.name)
    assert run(folder, "--on", background, "-o", cutout.parent, "--force") == 1
    assert "would replace" in error_line(capsys)
    assert background.read_bytes() == before
