"""Turn Pillow's images, of each mode, into RGB and back."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.errors import InputError
from harmonizer.imaging.arrays import to_working_dtype
from harmonizer.imaging.color import ColorSpace, apply, color_space
from harmonizer.imaging.palette import from_palette, image_like
from harmonizer.imaging.picture import (
    Picture,
    changed_part,
    check_not_empty,
    from_rgb,
    keep_background,
    to_rgb,
)
from harmonizer.preprocessing import Array

_AS_STORED = ("L", "LA", "RGB", "RGBA", "RGBX", "I;16", "I;16L", "I;16B", "I;16N", "F")
_BY_PILLOW = ("YCbCr", "HSV", "LAB")
_PREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}
# Changed RGB pixels of a part (rows, columns) of an image to the channels of its own mode.
_ToMode: TypeAlias = Callable[[Array, tuple[slice, slice]], Array]


def from_pil(image: Image.Image, *, in_place: bool = False) -> Picture:
    """Open an image that Pillow has loaded; `in_place` lets `restore` change it."""
    check_not_empty(image.height, image.width)
    if image.mode == "P":
        return from_palette(image)
    stored = np.asarray(image)
    pixels, to_mode = _mode_codec(image, stored)

    def restore(pixels: Array, mask: Array) -> Image.Image:
        result = image if in_place else image.copy()
        part = changed_part(mask)
        if part is not None:
            before, weight = stored[part], mask[part]
            changed = to_mode(pixels[part], part)
            transparent = _has_key_colour(image, before)
            if transparent is not None:
                weight = np.where(transparent, 0, weight)
                changed = _without_key_colour(image, changed)
            changed = keep_background(before, changed, weight)
            result.paste(image_like(image, changed), (part[1].start, part[0].start))
        return result

    whole = image.mode == "RGB" and "transparency" not in image.info
    rebuild = partial(image_like, image) if whole else None
    pixels = np.ascontiguousarray(pixels)
    return Picture(pixels, restore, dict(image.info), _space_of(image), rebuild)


def _space_of(image: Image.Image) -> ColorSpace | None:
    """Return what the numbers of an image's RGB pixels mean."""
    if image.mode in (*_BY_PILLOW, "CMYK"):  # they become sRGB
        return None
    grey = image.mode[0] in "LIF"
    return color_space(image.info.get("icc_profile"), ("L", "RGB") if grey else ("RGB",))


def _mode_codec(image: Image.Image, stored: Array) -> tuple[Array, _ToMode]:
    """Return RGB pixels of an image, and the way back from RGB to its mode's colour channels."""
    mode = image.mode
    if mode in _AS_STORED:
        return to_rgb(to_working_dtype(stored)), lambda pixels, _: from_rgb(pixels, stored)
    if mode in _BY_PILLOW:
        return (
            np.asarray(image.convert("RGB")),
            lambda pixels, _: np.asarray(Image.fromarray(pixels).convert(mode)),
        )
    if mode in _PREMULTIPLIED:
        plain = image.convert(_PREMULTIPLIED[mode])
        straight = np.asarray(plain)

        def premultiply(pixels: Array, part: tuple[slice, slice]) -> Array:
            everywhere = np.ones(pixels.shape[:2], bool)
            changed = keep_background(straight[part], from_rgb(pixels, straight), everywhere)
            return np.asarray(image_like(plain, changed).convert(mode))

        return to_rgb(straight), premultiply
    if mode == "CMYK" and (space := color_space(image.info.get("icc_profile"), ("CMYK",))):
        return apply(stored, space, None), lambda pixels, _: apply(pixels, None, space)
    if mode == "CMYK":
        return (
            _cmyk_to_rgb(stored),
            lambda pixels, part: _rgb_to_cmyk(pixels, stored[part][..., 3]),
        )
    if mode == "I":
        low, high = int(stored.min()), int(stored.max())
        if low < 0 or high > 65535:
            raise InputError(
                f"an image of mode I has values from 0 to 65535; got {low} to {high}: rescale it"
            )
        return to_rgb(stored.astype(np.uint16)), lambda pixels, _: from_rgb(pixels, stored)
    raise InputError(
        f"an image of mode {mode} cannot be harmonized; convert it, e.g. image.convert('RGB')"
    )


def _has_key_colour(image: Image.Image, values: Array) -> NDArray[np.bool_] | None:
    """Where values, stored as the image's own, are the colour that PNG's tRNS calls transparent.

    None if the image has no such colour. (With a palette, it is an entry that is transparent.)
    """
    key: Any = image.info.get("transparency")
    if values.ndim == 2 and isinstance(key, int):
        return values == key
    if (
        values.ndim == 3
        and isinstance(key, tuple)
        and len(cast(tuple[Any, ...], key)) == values.shape[2]
    ):
        return (values == np.array(cast(tuple[Any, ...], key))).all(axis=2)
    return None


def _without_key_colour(image: Image.Image, changed: Array) -> Array:
    """Keep changed pixels opaque: what came out as the key colour moves by one step of it."""
    transparent = _has_key_colour(image, changed)
    if transparent is None or not transparent.any():
        return changed
    moved = changed.copy()
    plane = moved if moved.ndim == 2 else moved[..., 2]
    plane[transparent] ^= 1
    return moved


def _cmyk_to_rgb(cmyk: Array) -> Array:
    ink = 255 - cmyk.astype(np.uint16)
    return ((ink[..., :3] * ink[..., 3:] + 127) // 255).astype(np.uint8)


def _rgb_to_cmyk(pixels: Array, black: Array) -> Array:
    """Invert `_cmyk_to_rgb`, keeping the original black wherever the new colour allows it."""
    brightest = pixels.max(axis=2)
    black = np.minimum(black, 255 - brightest)
    light = np.maximum(255 - black, 1).astype(np.float32)[..., None]
    colour = 255 - np.clip(np.rint(pixels * (255 / light)), 0, 255)
    return np.dstack([colour.astype(np.uint8), black])
