"""Odd input for which a row of `test_bad_input.py` has no room."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from odd_pictures import HEIGHT, MASK, PICTURE, PIXELS, WIDTH, encoded, link
from PIL import Image

from harmonizer import Harmonizer, model_info
from harmonizer.errors import HarmonizerError, InputError
from harmonizer.imaging.image import open_image, open_layer
from harmonizer.imaging.mask import open_mask
from harmonizer.imaging.saving import encode_image, save_image
from harmonizer.lifting import ColorTransform


def not_read_yet(mode: str, *, turned_by_exif: bool = False) -> Image.Image:
    """What Pillow has opened of a file that ends in the middle."""
    exif = Image.Exif()
    if turned_by_exif:
        exif[0x0112] = 6
    content = encoded(PICTURE.convert(mode), "PNG", exif=exif.tobytes())
    return Image.open(io.BytesIO(content[: len(content) * 2 // 3]))


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("turned_by_exif", [False, True])
def test_an_image_that_pillow_has_not_read_yet_is_refused(mode: str, turned_by_exif: bool) -> None:
    for opener in (open_image, open_layer, partial(open_mask, size=(HEIGHT, WIDTH))):
        with pytest.raises(InputError, match="cannot be decoded"):
            opener(not_read_yet(mode, turned_by_exif=turned_by_exif))


@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
def test_a_transparent_colour_stays_and_no_other_becomes_it(mode: str) -> None:
    grey = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 256)
    image = grey if mode == "I;16" else PICTURE.convert(mode)
    spot = (WIDTH // 2, HEIGHT // 2)
    key = image.getpixel(spot)
    image = Image.open(io.BytesIO(encoded(image, "PNG", transparency=key)))
    picture = open_image(encoded(image, "PNG", transparency=key))
    # Every pixel wants to become the key colour.
    wanted = np.broadcast_to(picture.pixels[spot[1], spot[0]], picture.pixels.shape).copy()
    result = picture.restore(wanted, np.ones(picture.size, np.float32))
    before, after = np.asarray(image), np.asarray(result)
    was, now = (one == np.array(key) for one in (before, after))
    was, now = (one.all(axis=2) if one.ndim == 3 else one for one in (was, now))
    assert np.array_equal(was, now)
    assert np.abs(after.astype(int) - np.array(key)).max() == 1
    assert Image.open(io.BytesIO(encoded(result, "PNG"))).info["transparency"] == key


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
@pytest.mark.parametrize("name", ["TIFF", "WEBP", "PNG", "JPEG2000"])
def test_a_transparent_colour_is_still_transparent_in_another_format(mode: str, name: str) -> None:
    image = PICTURE.convert(mode)
    image.info["transparency"] = image.getpixel((3, 4))
    back = Image.open(io.BytesIO(encode_image(image, name, {})))
    assert np.array_equal(
        np.asarray(back.convert("RGBA").getchannel("A")),
        np.asarray(image.convert("RGBA").getchannel("A")),
    )
    with pytest.raises(InputError, match="JPEG cannot hold this picture"):
        encode_image(image, "JPEG", {})


def test_a_link_to_itself_is_no_place_to_write_to(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="symbolic links"):
        save_image(PICTURE, link(tmp_path, "link.png"), {})
    assert [path.name for path in tmp_path.iterdir()] == ["link.png"]


def test_a_large_palette_picture_is_read_by_its_colours() -> None:
    """Its colours are sorted as numbers, which gives the same answer as rows, sooner."""
    indices = np.tile(np.arange(256, dtype=np.uint8), (1500, 4))
    image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    image.putpalette(list(np.random.default_rng(0).integers(0, 256, 768)))
    picture = open_image(image)
    result = picture.restore(255 - picture.pixels, np.ones(picture.size, np.float32))
    found = np.asarray(result.convert("RGB")).astype(int)
    # 255 - colour of 256 colours are 256 colours again: the palette has room for each.
    assert np.abs(found - (255 - picture.pixels)).max() <= 40


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda _: model_info(None), "called by a text; got None"),
        (lambda _: ColorTransform([[1.0]]), r"shape \(3, 10\); got list"),
        (lambda _: ColorTransform(np.full((3, 10), None)), "finite numbers"),
        (lambda _: ColorTransform.identity().to_cube(None), "is a path.*got None"),
        (lambda _: Harmonizer.from_pretrained(cache_dir=5), "cache_dir is a path.*got 5"),
        (lambda model: model.save_pretrained("a\0b"), "save_directory is a path"),
    ],
)
def test_odd_arguments_are_named(
    call: Callable[[Any], Any], said: str, brighten: Harmonizer
) -> None:
    with pytest.raises(HarmonizerError, match=said):
        call(brighten)


def test_what_pillow_says_of_an_image_may_be_anything(brighten: Harmonizer) -> None:
    image = PICTURE.copy()
    image.info |= {"transparency": b"abc", "chromaticity": 5, "gamma": "x"}
    assert brighten(image, MASK).size == image.size
    assert open_layer(image)[1] is None


def test_what_a_key_colour_makes_transparent_stays(brighten: Harmonizer) -> None:
    key = (7, 80, 200)
    image = PICTURE.convert("RGB")
    rows, columns = np.nonzero(MASK)
    image.putpixel((int(columns[0]), int(rows[0])), key)
    image.info["transparency"] = key
    result = brighten(image, MASK)
    assert result.getpixel((int(columns[0]), int(rows[0]))) == key
    assert not np.array_equal(np.asarray(result), np.asarray(image))
    assert result.info["transparency"] == key


def test_a_tensor_may_be_a_view_that_turns_signs(brighten: Harmonizer) -> None:
    light = torch.rand(3, HEIGHT, WIDTH)
    turned = torch.complex(torch.zeros_like(light), -light).conj().imag
    assert turned.is_neg()
    assert torch.equal(brighten(turned, MASK), brighten(light, MASK))
