"""Turn images of up to 256 colours (Pillow's mode P) into RGB and back."""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.errors import InputError
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


def alphas_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return how opaque the colours of an image of mode P are: (256,); 255 is opaque."""
    alphas = np.full(256, 255, np.uint8)
    if image.palette and image.palette.mode == "RGBA":
        own = np.array(image.getpalette("RGBA"), np.uint8)[3::4][:256]
        alphas[: len(own)] = own
    transparency = image.info.get("transparency")  # what a file says, and Pillow goes by
    if isinstance(transparency, int):
        alphas[transparency] = 0
    elif isinstance(transparency, bytes):
        said = np.frombuffer(transparency, np.uint8)[:256]
        alphas[: len(said)] = said
    return alphas


def with_one_transparent(image: Image.Image) -> Image.Image:
    """Give all transparent pixels of an image of mode P one entry, as GIF needs it.

    Raises:
        InputError: There are half transparent ones.
    """
    indices, alphas = np.asarray(image), alphas_of(image)
    found = alphas[indices]
    if ((found > 0) & (found < 255)).any():
        raise InputError(
            "GIF has pixels that are opaque or transparent, and here are some between; write .png "
            "or .webp"
        )
    clear = found == 0
    entry = int(indices.max(initial=0, where=clear))
    result = image_like(image, np.where(clear, np.uint8(entry), indices))
    result.putpalette(palette_of(image).tobytes(), "RGB")
    result.info.pop("transparency", None)
    if clear.any():
        result.info["transparency"] = entry
    return result


def _to_palette(image: Image.Image, pixels: Array, mask: Array) -> Image.Image:
    """Write the changed pixels into a palette image.

    Entries that the background uses stay where they are, so its indices need not change. The
    others are given to the new colours of the foreground (median cut). Every pixel is given an
    entry as opaque as the one that it had.
    """
    indices = np.asarray(image).copy()
    changed = mask > 0
    alphas, colours = alphas_of(image), palette_of(image)
    opacity = alphas[indices]
    used = np.zeros(256, bool)
    used[np.unique(indices[~changed])] = True
    opacities = opacity[changed]
    order = np.argsort(opacities, kind="stable")
    places = np.flatnonzero(changed)[order]
    found, starts = np.unique(opacities[order], return_index=True)
    for alpha, these in zip(found, np.split(places, starts)[1:], strict=True):
        if alpha:  # what is transparent has no colour to change
            new = _entries(pixels.reshape(-1, 3)[these], colours, used, alphas == alpha)
            indices.reshape(-1)[these] = new
    result = image_like(image, indices)
    if image.palette and image.palette.mode == "RGBA":
        result.putpalette(np.column_stack([colours, alphas]).tobytes(), "RGBA")
    else:
        result.putpalette(colours.tobytes(), "RGB")
    return result


def _entries(
    pixels: Array, colours: Array, used: NDArray[np.bool_], allowed: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Choose an allowed entry of a palette for each of n pixels; unused ones get new colours."""
    # Colours are sorted as one number each, which is much faster than as rows.
    red, green, blue = pixels.T.astype(np.int32)
    codes, positions = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
    new = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    free = np.flatnonzero(allowed & ~used)
    found = np.zeros((0, 3), np.uint8)
    if len(free):
        quantised = Image.fromarray(pixels[None]).quantize(
            len(free), Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
        found = np.array(quantised.getpalette("RGB"), np.uint8).reshape(-1, 3)[: len(free)]
        colours[free[: len(found)]] = found
    choices = np.concatenate([free[: len(found)], np.flatnonzero(allowed & used)])
    return choices[_nearest(new, colours[choices])][positions.reshape(-1)]


def _nearest(colours: Array, choices: Array) -> Array:
    """Index of the nearest choice (squared distance in RGB) for each colour; in small blocks."""
    reference = choices.astype(np.int32)
    blocks = [
        ((block[:, None].astype(np.int32) - reference) ** 2).sum(axis=2).argmin(axis=1)
        for block in np.array_split(colours, max(1, len(colours) // 8192))
    ]
    return np.concatenate(blocks)


def image_like(image: Image.Image, array: Array) -> Image.Image:
    """Build an image of the same mode and metadata from its raw array (H, W, ...), of its dtype.

    One of mode P is then to be given its palette.
    """
    size = (array.shape[1], array.shape[0])
    raw = np.ascontiguousarray(array)
    result = Image.frombuffer(image.mode, size, raw, "raw", image.mode, 0, 1)
    result.info = dict(image.info)
    return result
