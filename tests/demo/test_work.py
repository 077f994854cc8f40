"""What the page does, without the page."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXAMPLES, box_mask
from PIL import Image
from profiles import from_srgb, rgb_profile

from harmonizer import Harmonizer
from harmonizer.demo import callbacks, gate, work
from harmonizer.demo.shelf import Kept
from harmonizer.errors import InputError
from harmonizer.imaging.image import open_image
from harmonizer.imaging.saving import encode_image, save_image

COMPOSITE, MASK = str(EXAMPLES / "composite.png"), str(EXAMPLES / "mask.png")


@pytest.mark.parametrize("strength", [0, 0.37, 1])
def test_every_strength_is_the_librarys_without_the_network(
    strength: float, tmp_path: Path, model: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = work.harmonize_layers(work.open_composite(COMPOSITE, MASK), None, "cpu")
    monkeypatch.setattr(work, "harmonize", None)  # it must not be needed again
    path = outcome.save(tmp_path, ".png", strength)
    assert path.name == "composite_harmonized.png"
    expected = np.asarray(model(COMPOSITE, MASK, strength=strength))
    assert np.array_equal(expected, np.asarray(Image.open(COMPOSITE))) == (strength == 0)
    saved = np.asarray(Image.open(path))
    # The page mixes two rounded pictures; the library rounds once.
    assert np.abs(saved.astype(int) - expected).max() <= (strength not in (0, 1))
    assert np.array_equal(outcome.shown(strength), saved)  # small enough to be shown as it is


def test_full_size_depth_and_metadata_are_kept(tmp_path: Path, noise: Any) -> None:
    pixels = noise(60, 2000).astype(np.uint16) * 257
    save_image(pixels, tmp_path / "deep.tif", {"icc_profile": b"a profile"})
    Image.fromarray(box_mask(30, 1000)).save(tmp_path / "mask.png")  # half the size is enough
    layers = work.open_composite(str(tmp_path / "deep.tif"), str(tmp_path / "mask.png"))
    outcome = work.harmonize_layers(layers, None, "cpu")
    assert outcome.shown(1).shape == (38, 1280, 3)
    back = open_image(outcome.save(tmp_path, ".png", 1))
    assert back.pixels.dtype == np.uint16
    assert back.pixels.shape == (60, 2000, 3)
    assert back.info["icc_profile"] == b"a profile"
    with pytest.raises(InputError, match="16 bits"):
        outcome.save(tmp_path, ".jpg", 1)
    with Image.open(outcome.save(tmp_path, ".jpg", 1, eight_bits=True)) as small:
        assert (small.size, small.mode) == ((2000, 60), "RGB")


def test_a_cut_out_is_placed_by_its_centre(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 10), (9, 9, 9, 255)).save(tmp_path / "cutout.png")
    background = Image.new("RGB", (200, 400), "white")
    background.info["dpi"] = (300, 300)
    background.save(tmp_path / "background.png", dpi=(300, 300))
    files = str(tmp_path / "cutout.png"), str(tmp_path / "background.png")
    place = work.Placement(x=0.5, y=0.25, size=0.5)  # 100 x 50 around (100, 100)
    layers = work.paste(*files, place)
    assert np.array_equal(np.argwhere(layers.mask == 1)[[0, -1]], [[75, 50], [124, 149]])
    assert (layers.picture.pixels[75:125, 50:150] == 9).all()
    assert layers.picture.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    assert layers.origin.name == "background_harmonized"
    with pytest.raises(InputError, match="nothing of the cut-out"):
        work.paste(*files, work.Placement(9, 9, 1))


def test_a_painted_mask_is_brought_to_full_size(tmp_path: Path, noise: Any) -> None:
    Image.fromarray(noise(1000, 2560)).save(tmp_path / "large.png")
    path = str(tmp_path / "large.png")
    assert work.show_file(path).shape == (500, 1280, 3)
    painted = np.zeros((500, 1280, 4), np.uint8)
    painted[100:200, 300:600] = 255
    layers = work.open_painted(path, as_png(painted))
    assert layers.mask.shape == (1000, 2560)
    assert (layers.mask[210:390, 610:1190] == 1).all()
    assert layers.mask.sum() == pytest.approx(200 * 600, rel=0.02)
    with pytest.raises(InputError, match="nothing is painted"):
        work.open_painted(path, as_png(painted & 0))
    with pytest.raises(InputError, match="up to 1280 pixels"):
        work.open_painted(path, as_png(np.zeros((1, 20_000, 4), np.uint8)))
    with pytest.raises(InputError, match="more than 8 bits"):
        work.open_painted(path, encode_image(np.zeros((5, 5, 3), np.uint16), "PNG", {}))


@pytest.mark.parametrize("name", ["Display P3", "Adobe RGB"])
def test_what_is_shown_is_srgb(name: str, tmp_path: Path) -> None:
    """Pictures on the page have no profile, and so browsers take them for sRGB."""
    plain = Image.open(COMPOSITE).convert("RGB")
    wide = Image.fromarray(np.rint(from_srgb(np.asarray(plain) / 255, name) * 255).astype(np.uint8))
    wide.save(tmp_path / "wide.png", icc_profile=rgb_profile(name))
    path = str(tmp_path / "wide.png")
    seen, expected = [
        [
            work.show_file(one),
            work.show_layer(one)[..., :3],
            *map(work.harmonize_layers(work.open_composite(one, MASK), None, "cpu").shown, (0, 1)),
        ]
        for one in (path, COMPOSITE)
    ]
    for found, wanted in zip(seen, expected, strict=True):
        assert found.dtype == np.uint8
        assert np.abs(found.astype(int) - wanted).mean() < 1
        assert (
            np.abs(wanted.astype(int) - np.asarray(wide.resize(wanted.shape[1::-1]))).mean() > 2
        )  # the file's own numbers are others


def as_png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_what_is_too_large_or_no_picture_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match=r"text\.png cannot be read"):
        work.open_composite(str(tmp_path / "text.png"), MASK)
    (tmp_path / "page.svg").write_text("<svg/>")
    with pytest.raises(InputError, match="ends in none of"):
        work.open_composite(str(tmp_path / "page.svg"), MASK)
    monkeypatch.setattr(work, "_LARGEST_PIXELS", 1000)
    for call in (work.show_file, lambda path: work.open_composite(path, MASK)):
        with pytest.raises(InputError, match="640 x 427 pixels"):
            call(COMPOSITE)


@pytest.mark.parametrize("channels", [3, 4])
def test_tiff_that_pillow_does_not_know_is_taken(
    channels: int, tmp_path: Path, noise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = noise(40, 50, channels).astype(np.float32) / 255
    path, mask = str(tmp_path / "floats.tif"), str(tmp_path / "mask.png")
    save_image(pixels, Path(path))
    Image.fromarray(box_mask(40, 50)).save(mask)
    assert work.size_of(path) == (40, 50)
    assert work.show_file(path).shape == (40, 50, 3)
    assert "50 x 40" in callbacks.show_thumbnail(None, path)
    outcome = work.harmonize_layers(work.open_composite(path, mask), None, "cpu")
    saved = open_image(outcome.save(tmp_path, ".tif", 1)).pixels
    assert saved.dtype == np.float32
    assert np.array_equal(saved[~box_mask(40, 50)], pixels[~box_mask(40, 50)][:, :3])
    monkeypatch.setattr(work, "_LARGEST_PIXELS", 1999)
    with pytest.raises(InputError, match="50 x 40 pixels"):
        work.show_file(path)


@pytest.mark.parametrize("number", [1, 2])
def test_the_page_that_is_named_is_the_one_that_is_measured(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: Any
) -> None:
    pages = [Image.fromarray(noise(*size)) for size in ((40, 50), (80, 100))]
    path, mask = str(tmp_path / "two.tif"), str(tmp_path / "mask.png")
    pages[0].save(path, save_all=True, append_images=pages[1:])
    Image.fromarray(box_mask(40, 50)).save(mask)
    layers = work.open_composite(path, mask, page=number)
    assert layers.mask.shape == (40 * number, 50 * number)
    with pytest.raises(InputError, match="has no page 3"):
        work.open_composite(path, mask, page=3)
    monkeypatch.setattr(work, "_LARGEST_PIXELS", 4000)
    if number == 2:
        with pytest.raises(InputError, match="100 x 80 pixels"):
            work.open_composite(path, mask, page=2)


def test_an_upload_that_can_be_no_cutout_or_no_background_is_told(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 10), (9, 9, 9, 128)).save(cutout := str(tmp_path / "cutout.png"))
    Image.new("RGBA", (20, 10), (9, 9, 9, 255)).save(opaque := str(tmp_path / "opaque.png"))
    for path, clear in ((cutout, True), (opaque, False), (COMPOSITE, False)):
        as_cutout, as_background, as_either = (
            callbacks.show_thumbnail(kind, path) for kind in (False, True, None)
        )
        assert ("cut the object out first" in as_cutout) != clear
        assert ("is it the cut-out?" in as_background) == clear
        assert "alert" not in as_either


def test_before_there_is_anything_to_work_on() -> None:
    assert callbacks.show_placed(None, COMPOSITE, 50, 50, 50) == ""
    assert callbacks.load_editor(None) is None
    assert callbacks.show_strength(None, 50, 50) is None
    assert callbacks.show_thumbnail(None, None) == ""
    assert callbacks.describe(None, 100, 100, "PNG", False) == ("", "", "")
    with pytest.raises(InputError, match="nothing is painted"):
        callbacks.harmonize_painted("cpu", COMPOSITE, None, "", 100, 100)
    with pytest.raises(InputError, match="there is no picture to download; harmonize one first"):
        callbacks.write_file(EXAMPLES, None, 100, 100, "PNG", False)


def test_results_that_waited_are_written_while_there_is_room(
    model: Harmonizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many may be asked for at once: what lies there then says nothing of what will."""
    layers = work.open_composite(COMPOSITE, MASK)
    kept = Kept(work.harmonize_layers(layers, model.info.name, "cpu"))
    asked = tmp_path, kept, 100, 100, "PNG", False
    callbacks.write_file(*asked)
    size = gate.tidy(tmp_path)
    monkeypatch.setattr(gate, "_QUOTA", 2 * size)
    callbacks.write_file(*asked)
    callbacks.write_file(*asked)  # the last for which there was room when it began
    with pytest.raises(InputError, match="no room for more pictures"):
        callbacks.write_file(*asked)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -1e308, None, "1; background: url(//x.example)", [1]]
)
def test_what_no_slider_gives_is_refused_in_words(value: Any, tmp_path: Path) -> None:
    Image.new("RGBA", (20, 10), "red").save(tmp_path / "cutout.png")
    cutout, unit = str(tmp_path / "cutout.png"), (50.0, 50.0, 50.0)
    for x, y, size in ((value, 50.0, 50.0), (50.0, value, 50.0), (50.0, 50.0, value)):
        with pytest.raises(InputError, match=r"(x|y|size) is a number"):
            callbacks.show_placed(cutout, COMPOSITE, x, y, size)
        with pytest.raises(InputError, match=r"(x|y|size) is a number"):
            callbacks.harmonize_cutout("cpu", cutout, COMPOSITE, x, y, size, "idih", 100, 100)
    for light, color in ((value, 100), (100, value)):
        with pytest.raises(InputError, match=r"(light|colour) is a number"):
            callbacks.harmonize_cutout("cpu", cutout, COMPOSITE, *unit, "idih", light, color)
    if value is not None:
        with pytest.raises(InputError, match="page is a number"):
            callbacks.harmonize_composite("cpu", COMPOSITE, MASK, False, False, value, "x", 1, 1)
