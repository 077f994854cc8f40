"""Every kind of bad or odd input, one row each.

A row says what happens: the call refuses the input with a message that holds `refused`; or it takes
it, perhaps with a warning, and then the result is of the input's kind and size and the background
has not changed.
"""

import io
import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from helpers import box_mask
from odd_pictures import (
    HEIGHT,
    MASK,
    PICTURE,
    PIXELS,
    PROFILE,
    U8,
    WIDTH,
    broken_exif,
    chunk,
    closed,
    cmyk,
    deep_file,
    encoded,
    flipped,
    flipped_palette,
    frames,
    grey_16_bit,
    key_colour,
    link,
    of_value,
    opened,
    palette,
    pipe,
    png,
    png_of,
    read_only,
    short_palette,
    tensor,
    turned,
    with_alpha,
    written,
)
from PIL import Image, ImageOps

from harmonizer import Harmonizer
from harmonizer.errors import InputError


class PathOfBytes:
    """What `os.fspath` takes, and `pathlib` does not."""

    def __fspath__(self) -> bytes:
        return b"/tmp"


@dataclass(frozen=True)
class Row:
    """One kind of input.

    Attributes:
        kind: What it is.
        make: Makes it, in an empty folder: the image, or the image and its mask.
        refused: Part of the error's message, if it is refused.
        warned: Part of the warning that it causes.
    """

    kind: str
    make: Callable[[Path], Any]
    refused: str = ""
    warned: str = ""


FILES = [
    Row("there is no file", lambda f: f / "none.png", refused="there is no file"),
    Row("an empty path", lambda _: "", refused="is empty"),
    Row("a path with a zero byte", lambda _: "a\0b", refused="is a path"),
    Row("a path of bytes", lambda f: PathOfBytes(), refused="is a path"),
    Row("a name that is too long", lambda f: f / ("x" * 300), refused="cannot be read"),
    Row("a folder", lambda f: f, refused="a folder or a device, not a file"),
    Row("a device", lambda _: "/dev/null", refused="a folder or a device, not a file"),
    Row("a named pipe", pipe, refused="a folder or a device, not a file"),
    Row("a link to a picture", lambda f: link(f, written(f, encoded(PICTURE, "PNG")).name)),
    Row("a link to nothing", lambda f: link(f, "none"), refused="there is no file"),
    Row("a link to itself", lambda f: link(f, "link.png"), refused="cannot be read"),
    Row("HEIC", lambda f: written(f, b"\0\0\0\x18ftypheic" + bytes(64)), refused="save it as JPEG"),
    Row("zero bytes", lambda f: written(f, b""), refused="begins like no format"),
    Row("a text", lambda f: written(f, b"no picture at all"), refused="begins like no format"),
    Row("a web page", lambda f: written(f, b"<!DOCTYPE html>"), refused="begins like no format"),
    Row("an SVG", lambda f: written(f, b"<svg></svg>", "a.svg"), refused="begins like no format"),
    Row(
        "PostScript (EPS), which Pillow would give to Ghostscript to run",
        lambda f: written(f, encoded(PICTURE, "EPS"), "a.eps"),
        refused="begins like no format",
    ),
    Row("the wrong ending", lambda f: written(f, encoded(PICTURE, "BMP"), "a.png")),
    Row("cut off", lambda f: written(f, encoded(PICTURE, "PNG")[:900]), refused="whole PNG, JPEG"),
    Row("cut off behind its last pixel", lambda f: written(f, encoded(PICTURE, "PNG")[:-14])),
    Row(
        "a header that promises more rows than follow",
        lambda _: (png_of(PIXELS[: HEIGHT // 2], height=HEIGHT), MASK),
    ),
    Row("a damaged checksum", lambda _: flipped(encoded(PICTURE, "PNG"), 60), refused="PNG, JPEG"),
    Row(
        "a decompression bomb: few bytes, 50,000 x 50,000",
        lambda _: png(50_000, 50_000, 8, 2, chunk(b"IDAT", zlib.compress(bytes(1000)))),
        refused="raise PIL.Image.MAX_IMAGE_PIXELS",
    ),
    Row("animated GIF", lambda _: frames("GIF"), refused="frames; open it with"),
    Row("animated WebP", lambda _: frames("WEBP"), refused="frames; open it with"),
    Row("animated PNG", lambda _: frames("PNG"), refused="frames; open it with"),
    Row("a TIFF of many pages", lambda _: frames("TIFF"), warned="several pictures"),
    Row("a phone's JPEG with a second picture (MPO)", lambda _: frames("MPO")),
    Row(
        "one pixel",
        lambda _: (np.full((1, 1, 3), 90, np.uint8), np.array([[1]], np.uint8)),
        warned="the mask covers the whole picture",
    ),
    Row("30,000 x 10", lambda _: (np.full((10, 30_000, 3), 90, np.uint8), box_mask(10, 30_000))),
    Row("10 x 30,000", lambda _: (np.full((30_000, 10, 3), 90, np.uint8), box_mask(30_000, 10))),
]

COLOURS = [
    Row("a palette with a transparent entry", lambda _: palette()),
    Row("a palette with fewer entries than are used", lambda _: short_palette()),
    Row(
        "a palette that is missing",
        lambda _: png(
            *(WIDTH, HEIGHT, 8, 3), chunk(b"IDAT", zlib.compress(bytes(HEIGHT * (WIDTH + 1))))
        ),
        refused="but it has no palette",
    ),
    Row(
        "a colour that is transparent (PNG's tRNS), RGB",
        lambda _: encoded(key_colour("RGB"), "PNG"),
    ),
    Row("the same, grey", lambda _: encoded(key_colour("L"), "PNG")),
    Row(
        "the same, RGB of 16 bits",
        lambda _: png_of(PIXELS.astype(np.uint16), chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))),
    ),
    Row("alpha", lambda _: with_alpha()),
    Row("CMYK without a profile", lambda _: cmyk(None)),
    Row("CMYK with a profile for RGB", lambda _: cmyk(PROFILE), warned="taken as sRGB"),
    Row(
        "an ICC profile that is none",
        lambda _: encoded(PICTURE, "PNG", icc_profile=b"x" * 200),
        warned="taken as sRGB",
    ),
    Row("16-bit grey", lambda _: grey_16_bit()),
    Row("16-bit RGB", lambda f: deep_file(f)),
    Row(
        "floats beyond [0, 1] in a file (TIFF)",
        lambda _: encoded(Image.fromarray(np.float32(PIXELS[..., 0])), "TIFF"),
        refused="has values in [0, 1]; got",
    ),
    Row(
        "whole numbers beyond 65535 (mode I)",
        lambda _: Image.new("I", (WIDTH, HEIGHT), 70_000),
        refused="has values from 0 to 65535",
    ),
    Row("black and white (mode 1)", lambda _: PICTURE.convert("1"), refused="cannot be harmonized"),
    Row(
        "a palette and an alpha channel (mode PA)",
        lambda _: PICTURE.quantize(32).convert("PA"),
        refused="cannot be harmonized",
    ),
    Row("LAB", lambda _: encoded(PICTURE.convert("LAB"), "TIFF")),
    Row("EXIF that turns the picture", lambda _: (turned(6), U8.T.copy())),
    Row(
        "EXIF that turns the picture, a mask that is not turned",
        lambda _: (turned(6), U8),
        refused="one of them was turned",
    ),
    Row("EXIF with an orientation that does not exist", lambda _: turned(99)),
    Row(
        "EXIF that cannot be parsed",
        lambda _: broken_exif(),
        warned="the image's EXIF is broken and was ignored",
    ),
]

ARRAYS = [
    Row("None", lambda _: None, refused="an image is a PIL.Image"),
    Row("a file opened in binary mode", opened),
    Row(
        "a file opened as text",
        lambda _: io.TextIOWrapper(io.BytesIO(encoded(PICTURE, "PNG")), "latin-1"),
        refused="open it with mode 'rb'",
    ),
    Row("a file that was closed", closed, refused="cannot be read"),
    Row("a list", lambda _: PIXELS.tolist(), refused="an image is a PIL.Image"),
    Row("NaN", lambda _: of_value(np.nan), refused="holds NaN or infinite values"),
    Row("infinity", lambda _: of_value(-np.inf), refused="holds NaN or infinite values"),
    Row("floats from 0 to 255", lambda _: PIXELS.astype(float), refused="(divide the image by 255"),
    Row("negative floats", lambda _: of_value(-1.0), refused="has values in [0, 1]; got"),
    Row("floats that overshoot by less than 0.001", lambda _: of_value(1.0005)),
    Row("negative strides", lambda _: PIXELS[::-1, ::-1]),
    Row("Fortran order", lambda _: np.asfortranarray(PIXELS)),
    Row("read-only", lambda _: read_only()),
    Row("big-endian", lambda _: (PIXELS * np.uint16(257)).astype(">u2")),
    Row("float16", lambda _: (PIXELS / 255).astype(np.float16)),
    Row(
        "whole numbers of 64 bits", lambda _: PIXELS.astype(int), refused="an array image is uint8"
    ),
    Row("bool", lambda _: PIXELS > 99, refused="an array image is uint8"),
    Row("complex numbers", lambda _: PIXELS + 0j, refused="an array image is uint8"),
    Row("objects", lambda _: PIXELS.astype(object), refused="an array image is uint8"),
    Row(
        "channels first",
        lambda _: PIXELS.transpose(2, 0, 1),
        refused="channels come last in arrays",
    ),
    Row("two channels", lambda _: PIXELS[..., :2], refused="an array image has the shape"),
    Row("a batch", lambda _: PIXELS[None], refused="an array image has the shape"),
    Row("no pixels", lambda _: PIXELS[:0], refused="the image has no pixels"),
    Row("a masked array", lambda _: np.ma.masked_array(PIXELS)),
    Row("a tensor that needs gradients", lambda _: tensor().requires_grad_()),
    Row("a tensor of bfloat16", lambda _: tensor().bfloat16()),
    Row("a tensor of one axis", lambda _: torch.zeros(8), refused="a tensor image has the shape"),
    Row("a tensor without storage (meta)", lambda _: tensor().to("meta"), refused="dense tensor"),
    Row("a sparse tensor", lambda _: tensor().to_sparse(), refused="dense tensor"),
    Row("a tensor of whole numbers", lambda _: (tensor() * 255).int(), refused="a tensor image is"),
    Row(
        "a tensor with channels last",
        lambda _: tensor().permute(1, 2, 0),
        refused="channels come first in tensors",
    ),
]


def over_picture(mask: Any) -> Callable[[Path], Any]:
    return lambda _: (PIXELS, mask)


MASKS = [
    Row("None", over_picture(None), refused="a mask is needed to know what to change"),
    Row("empty", over_picture(U8 * 0), warned="the mask is empty"),
    Row("full", over_picture(np.full_like(U8, 255)), warned="the mask covers the whole picture"),
    Row("soft", over_picture((U8 / 510).astype(np.float32))),
    Row("inverted by mistake", over_picture(255 - U8), warned="invert the mask"),
    Row("values 0 and 1", over_picture(MASK.astype(np.uint8))),
    Row("values 0 and 255", over_picture(U8)),
    Row("16 bits", over_picture(U8.astype(np.uint16) * 257)),
    Row("bool", over_picture(MASK)),
    Row("big-endian", over_picture(U8.astype(">i4"))),
    Row("three equal channels", over_picture(np.dstack([U8] * 3))),
    Row("three channels that differ", over_picture(PIXELS), refused="so it looks like a picture"),
    Row(
        "an alpha channel that varies",
        over_picture(np.dstack([255 - U8, 255 - U8, 255 - U8, U8])),
        refused="so it is unclear which one marks the",
    ),
    Row("an alpha channel that says the same", over_picture(np.dstack([U8] * 4))),
    Row("a label map", over_picture(MASK * np.uint8(3)), refused="so it looks like a label map"),
    Row("negative", over_picture(-MASK.astype(int)), refused="mask values are bool"),
    Row("floats beyond 1", over_picture(U8 * 0.5), refused="mask values are bool"),
    Row("NaN", over_picture(np.where(MASK, np.nan, 0)), refused="holds NaN or infinite values"),
    Row("complex numbers", over_picture(MASK + 0j), refused="a mask is bool, integer or float"),
    Row(
        "complex numbers, conjugated",
        over_picture(torch.from_numpy(MASK + 0j).conj()),
        refused="a mask is bool, integer or float",
    ),
    Row("wrong size", over_picture(U8[:-1]), refused="image and mask must have the same size"),
    Row("turned", over_picture(U8.T), refused="one of them was turned"),
    Row("no pixels", over_picture(U8[:0]), refused="a mask has the shape (H, W) and one channel"),
    Row("cut off", over_picture(encoded(PICTURE, "PNG")[:900]), refused="whole PNG, JPEG"),
    Row("animated", over_picture(frames("GIF")), refused="frames; open it with"),
    Row(
        "a decompression bomb",
        over_picture(png(50_000, 50_000, 8, 0, chunk(b"IDAT", zlib.compress(b"")))),
        refused="raise PIL.Image.MAX_IMAGE_PIXELS",
    ),
    Row("JPEG, whose edges ring", over_picture(encoded(Image.fromarray(U8), "JPEG", quality=60))),
    Row("a palette with fewer entries than are used", over_picture(flipped_palette())),
    Row(
        "a file opened in binary mode",
        over_picture(io.BytesIO(encoded(Image.fromarray(U8), "PNG"))),
    ),
    Row(
        "a file whose header promises a huge mask for a small picture",
        over_picture(png(6000, 9000, 8, 0, chunk(b"IDAT", zlib.compress(b"")))),
        refused="the image is 36 x 24, the mask 6000 x 9000",
    ),
    Row(
        "a huge mask for a small picture",
        over_picture(box_mask(6000, 9000)),
        refused="image and mask must have the same size",
    ),
]

TABLES = {"Files": FILES, "Colours": COLOURS, "Arrays and tensors": ARRAYS, "Masks": MASKS}


def values(image: Any) -> Any:
    """What an image holds, whatever its kind: (H, W) or (H, W, C)."""
    if isinstance(image, torch.Tensor):
        return image.detach().float().permute(1, 2, 0).numpy()
    return np.asarray(image)


def as_given(image: Any) -> Any:
    """What a result is compared with: the image itself, or what Pillow or OpenCV reads."""
    if isinstance(image, io.IOBase):
        with image as file:  # was left open
            file.seek(0)
            image = file.read()
    if not isinstance(image, str | os.PathLike | bytes):
        return image
    content = image if isinstance(image, bytes) else Path(image).read_bytes()
    with Image.open(io.BytesIO(content)) as file:
        if any(";16B" in str(tile[3]) and file.mode == "RGB" for tile in file.tile):
            deep: Any = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
            return deep[..., [2, 1, 0, 3][: deep.shape[2]]]
        file.load()
        file.seek(0)
        return ImageOps.exif_transpose(file) if file.format == "JPEG" else file.copy()


EVERY = [
    pytest.param(row, id=f"{table}: {row.kind}") for table, rows in TABLES.items() for row in rows
]


@pytest.mark.parametrize("row", EVERY)
def test_bad_input(row: Row, brighten: Harmonizer, tmp_path: Path) -> None:
    made = row.make(tmp_path)
    image, mask = made if isinstance(made, tuple) else (made, MASK)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if row.refused:
            with pytest.raises(InputError, match=re.escape(row.refused)):
                brighten(image, mask)
            return
        result = brighten(image, mask)
    told = [str(one.message) for one in caught]
    assert {one.filename for one in caught} <= {__file__}  # the caller's line, not the library's
    assert any(row.warned in text for text in told) if row.warned else told == []
    given = as_given(image)
    before, after = values(given), values(result)
    assert (after.shape, after.dtype) == (before.shape, before.dtype)
    hard = mask if isinstance(mask, np.ndarray) and mask.ndim == 2 else None
    if hard is not None:
        assert np.array_equal(after[hard == 0], before[hard == 0])
        some = (hard > 0).any() and (hard == 0).any()
        assert np.array_equal(after, before) != some
    assert np.isfinite(after.astype(float)).all()
    if after.ndim == 3 and after.shape[2] == 4 and getattr(given, "mode", "RGBA") == "RGBA":
        assert np.array_equal(after[..., 3], before[..., 3])
    if isinstance(result, Image.Image):
        assert result.info.get("icc_profile") == given.info.get("icc_profile")
