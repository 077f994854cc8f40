"""Turn images of up to 256 colours (Pillow's mode P) into RGB and back."""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.imaging.color import color_space
from harmonizer.imaging.picture import Picture
from harmonizer.preprocessing import Array


def palette_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return the colours of an image of mode P: (256, 3), RGB; entries that it lacks are black."""
    stored = cast(list[int], image.getpalette("RGB"))  # a loaded image of this mode has one
    colours = np.zeros((256, 3), np.uint8)
    count = min(len(stored) // 3, 256)
    colours[:count] = np.array(stored[: 3 * count], np.uint8).reshape(-1, 3)
    return colours


def from_palette(image: Image.Image) -> Picture:
    """Open an image of mode P."""
    pixels = palette_of(image)[np.asarray(image)]

    def restore(pixels: Array, mask: Array) -> Image.Image:
        return _to_palette(image, pixels, mask)

    space = color_space(image.info.get("icc_profile"), ("RGB",))
    return Picture(np.ascontiguousarray(pixels), restore, dict(image.info), space)


def _to_palette(image: Image.Image, pixels: Array, mask: Array) -> Image.Image:
    """Write the changed pixels into a palette image.

    Entries that the background uses stay where they are, so its indices need not change. The
    others are given to the new colours of the foreground (median cut).
    """
    indices = np.asarray(image).copy()
    changed = mask > 0
    transparent = _transparent_entries(image)
    changed &= ~np.isin(indices, transparent)
    colours = palette_of(image)
    kept = np.zeros(256, bool)
    kept[np.unique(indices[~changed])] = True
    kept[transparent] = True
    # Colours are sorted as one number each, which is much faster than as rows.
    red, green, blue = pixels[changed].T.astype(np.int32)
    codes, positions = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
    new = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    if len(new):
        free = np.flatnonzero(~kept)
        if len(free):
            strip = Image.fromarray(pixels[changed][None])
            quantised = strip.quantize(
                len(free), Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
            )
            found = np.array(quantised.getpalette("RGB"), np.uint8).reshape(-1, 3)[: len(free)]
            colours[free[: len(found)]] = found
            kept[free[: len(found)]] = True
        kept[transparent] = False  # a foreground pixel must not turn transparent
        choices = np.flatnonzero(kept)
        if len(choices):
            indices[changed] = choices[_nearest(new, colours[choices])][positions.reshape(-1)]
    result = image_like(image, indices)
    result.putpalette(colours.tobytes(), "RGB")
    return result


def _transparent_entries(image: Image.Image) -> Array:
    transparency = image.info.get("transparency")
    if isinstance(transparency, int):
        return np.array([transparency])
    if isinstance(transparency, bytes):
        return np.flatnonzero(np.frombuffer(transparency, np.uint8) == 0)
    return np.array([], int)


def _nearest(colours: Array, choices: Array) -> Array:
    """Index of the nearest choice (squared distance in RGB) for each colour; in small blocks."""
    reference = choices.astype(np.int32)
    blocks = [
        ((block[:, None].astype(np.int32) - reference) ** 2).sum(axis=2).argmin(axis=1)
        for block in np.array_split(colours, max(1, len(colours) // 8192))
    ]
    return np.concatenate(blocks)


def image_like(image: Image.Image, array: Array) -> Image.Image:
    """Build an image of the same mode, palette and metadata from its raw array (H, W, ...)."""
    size = (array.shape[1], array.shape[0])
    raw = np.ascontiguousarray(array)
    result = Image.frombuffer(image.mode, size, raw, "raw", image.mode, 0, 1)
    result.info = dict(image.info)
    return result
