"""Paste a cut-out into a background: the step before harmonizing.

Everybody writes it by hand, and mostly with a dark or bright rim: the colours of transparent pixels
mean nothing (most programs store black), so a cut-out must be multiplied by its alpha before it is
resized (Porter and Duff, *Compositing digital images*, 1984).
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.imaging.color import convert
from harmonizer.imaging.image import ImageLike, open_background, open_image, open_layer
from harmonizer.imaging.mask import mask_like
from harmonizer.imaging.picture import Picture
from harmonizer.lifting.correction import PIECE_PIXELS, pieces
from harmonizer.preprocessing import Array, Range, bounding_box, full_scale

# Less than half a level of 8 bits is no foreground.
_LEAST_ALPHA = 1 / 510
_LARGEST_SIDE = 32767  # of OpenCV


def compose(
    foreground: ImageLike,
    background: ImageLike,
    position: tuple[int, int] | None = None,
    scale: float | None = None,
) -> tuple[Any, Any]:
    """Paste a cut-out into a background.

    Args:
        foreground: The cut-out: an image of any kind that `harmonizer.harmonize` takes, with an
            alpha channel, which marks what to paste. Colours are not multiplied by alpha (but for
            Pillow's mode RGBa, which says so).
        background: An opaque image of any kind; its own kind, dtype and depth may be others.
        position: Where the upper left corner of the scaled cut-out goes: x and y in pixels of the
            background, x to the right, y down. It may be negative; what lies outside is cut off.
            None is the middle.
        scale: How many pixels of the background one of the cut-out takes, above 0. None is 1, or
            less where there is no position and the cut-out would not fit.

    Returns:
        The composite, of the same kind, dtype, size and mode as `background` (a file gives a
        `PIL.Image.Image`, or an array for RGB of 16 bits or floats), and its mask, which is
        the cut-out's alpha: a `PIL.Image.Image` of mode L with a `PIL.Image.Image`, a float32
        tensor (1, H, W) with a tensor, else a float32 array (H, W); both from 0 to 1. They are what
        `harmonize` takes. Where the mask is 0 the composite is the background, bit for bit.
        The cut-out's colours are converted from its profile to that of the background. Values are
        mixed as they are stored, as picture editors do, not as linear light.

    Raises:
        InputError: The foreground has no alpha channel, the background is not opaque, the scale or
            the position is not as described, or the cut-out lies wholly outside the background.
    """
    pasted = paste(foreground, background, position, scale)
    composite = pasted.background.restore(pasted.pixels, pasted.mask)
    return composite, mask_like(pasted.mask, composite)


@dataclass(frozen=True)
class Pasted:
    """A cut-out over its background.

    Attributes:
        background: The background.
        pixels: Those of the background, with the cut-out over them.
        mask: (H, W), in [0, 1]: how much of the cut-out covers each pixel.
    """

    background: Picture
    pixels: Array
    mask: NDArray[np.float32]

    def joined(self) -> tuple[Picture, NDArray[np.float32]]:
        """Return the composite, opened as what `compose` returns, and its mask."""
        below = self.background
        composite = open_image(below.restore(self.pixels, self.mask))
        return replace(composite, info=below.info, space=below.space), self.mask


@np.errstate(all="ignore")  # whatever the program around asks for
def paste(
    foreground: ImageLike,
    background: ImageLike,
    position: tuple[int, int] | None = None,
    scale: float | None = None,
) -> Pasted:
    """Paste a cut-out into a background as `compose` does, for what comes after it."""
    cutout, alpha = open_layer(foreground)
    if alpha is None:
        raise InputError(
            "the cut-out has no alpha channel, which has to mark what to paste. Are cut-out and "
            "background swapped? If not, save it with transparency (PNG, WebP or TIFF); in Python "
            "cutout.putalpha(mask) gives it its mask"
        )
    picture = open_background(background)
    colours = cutout.pixels.astype(np.float32)
    colours /= np.float32(full_scale(cutout.pixels.dtype))
    colours = convert(colours, cutout.space, picture.space)
    layer, target = place(colours, alpha, picture.size, position, scale)
    del cutout, colours, alpha  # of 100 megapixels they are gigabytes

    mask = np.zeros(picture.size, np.float32)
    mask[target] = covered(layer)
    pixels = picture.pixels.copy()
    white = np.float32(full_scale(pixels.dtype))
    below = pixels[target]
    for rows in pieces(0, len(layer), max(1, PIECE_PIXELS // (layer.shape[1] or 1))):
        part = layer[rows]
        mixed = part[..., :3] * white + (1 - part[..., 3:]) * below[rows]
        below[rows] = np.rint(mixed) if pixels.dtype.kind == "u" else mixed
    return Pasted(picture, pixels, mask)


def place(
    colours: Array,
    alpha: NDArray[np.float32],
    room: tuple[int, int],
    position: tuple[int, int] | None = None,
    scale: float | None = None,
) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
    """Scale a cut-out, (H, W, 3) and (H, W) in [0, 1], and find where it lies in `room`.

    That is the background's height and width; position and scale are those of `compose`.

    Returns:
        What of the cut-out shows: (h, w, 4), RGB multiplied by alpha, and alpha; and the rows and
        columns of the background that it covers. Both are empty where all of it is transparent.
    """
    (height, width), (room_height, room_width) = alpha.shape, room
    if scale is None:
        fitting = min(room_height / height, room_width / width)
        scale = min(1.0, fitting) if position is None else 1.0
    size = _scaled_size(alpha.shape, scale)
    if position is None:
        position = ((room_width - size[1]) // 2, (room_height - size[0]) // 2)
    source, target = _common_part(size, room, position)
    if size == alpha.shape:
        box = bounding_box(alpha[source]) or ((0, 0), (0, 0))
        inner = (slice(*box[0]), slice(*box[1]))
        target = (_part_of(target[0], box[0]), _part_of(target[1], box[1]))
        return _multiplied(colours[source][inner], alpha[source][inner]), target
    layer = _multiplied(colours, alpha).astype(np.float32, copy=False)
    shown = target[0].stop - target[0].start, target[1].stop - target[1].start
    if scale < 1 or shown == size:
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(layer, size[::-1], interpolation=method)
        return np.asarray(resized[source], np.float32), target
    for axis in (0, 1):  # all of it may take gigabytes, of which little shows
        layer = _enlarged(layer, axis, size[axis], source[axis])
    return layer, target


def covered(layer: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much of each pixel a layer of `place` covers: (h, w), in [0, 1]."""
    return np.where(layer[..., 3] < _LEAST_ALPHA, np.float32(0), layer[..., 3])


def _multiplied(colours: Array, alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    layer = np.empty((*alpha.shape, 4), np.result_type(colours, alpha))
    np.multiply(colours, alpha[..., None], out=layer[..., :3])
    layer[..., 3] = alpha
    return layer


def _enlarged(layer: Array, axis: int, length: int, part: slice) -> NDArray[np.float32]:
    """Enlarge a layer along an axis as OpenCV's linear resizing does, and make a part alone."""
    last = layer.shape[axis] - 1
    centres = np.arange(part.start, part.stop, dtype=np.float64) + 0.5
    places: NDArray[np.float64] = (centres * ((last + 1) / length) - 0.5).clip(0, last)
    first = places.astype(np.intp)
    share = (places - first).astype(np.float32).reshape((-1, 1) if axis else (-1, 1, 1))
    before, after = layer.take(first, axis), layer.take(np.minimum(first + 1, last), axis)
    return before + share * (after - before)


def _part_of(span: slice, part: Range) -> slice:
    return slice(span.start + part[0], span.start + part[1])


def _scaled_size(size: tuple[int, ...], scale: float) -> tuple[int, int]:
    if not isinstance(scale, int | float | np.number) or not 0 < scale < np.inf:
        raise InputError(f"the scale is a number above 0, such as 0.5 for half; got {scale!r}")
    height, width = (max(1, round(side * float(scale))) for side in size)
    if max(height, width) > _LARGEST_SIDE:
        raise InputError(
            f"scaled by {scale:g} the cut-out would be {width:g} x {height:g}, more than "
            f"{_LARGEST_SIDE} on a side; use a smaller scale"
        )
    return height, width


def _common_part(
    layer: tuple[int, ...], background: tuple[int, int], position: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return which part of the cut-out shows, and where: rows and columns of each."""
    left, top = _whole(position)
    source: list[slice] = []
    target: list[slice] = []
    for start, length, limit in zip((top, left), layer, background, strict=False):
        first, last = max(start, 0), min(start + length, limit)
        if first >= last:
            raise InputError(
                f"nothing of the cut-out, {layer[1]} x {layer[0]} at {(left, top)}, lies "
                f"within the background of {background[1]} x {background[0]}"
            )
        source.append(slice(first - start, last - start))
        target.append(slice(first, last))
    return (source[0], source[1]), (target[0], target[1])


def _whole(position: tuple[int, int]) -> tuple[int, int]:
    try:
        left, top = position
        if left == int(left) and top == int(top):
            return int(left), int(top)
    except (TypeError, ValueError, OverflowError):
        pass  # the same advice for all that is no pair of whole numbers
    raise InputError(f"the position is (x, y) in whole pixels; got {position!r}")
