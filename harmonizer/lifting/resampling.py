"""Resample between the resolutions, and weigh which pixels of one speak for the other."""

import math
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.lifting.correction import Floats
from harmonizer.preprocessing import resample

# All colours are handled as fractions of the image's full scale.
GREY_LEVEL = 1 / 255
# How much of a low-resolution pixel has to be foreground, as a share of the best pixels', before it
# counts at all: at the rim it holds the background's colour too, and less of the change.
_LEAST_SHARE = 0.97
# Rows and columns along the picture's border that do not count: networks pad with zeros, and their
# answers are off there.
_BORDER = 2
# Whether an image was resized by sampling is seen on each so manieth row and column.
_EVERY = 8


def low_res_weight(image: NDArray[Any], mask: Floats, low: Floats, scale: float) -> Floats:
    """How far each low-resolution pixel (of h x w x 3) speaks for the foreground: h x w in [0, 1].

    A pixel at the rim holds the background's colour too, and less of the change, so only what shows
    next to nothing but foreground counts. Whether a pixel does depends on how the image was
    resized: by taking samples, as OpenCV's ``INTER_LINEAR``, or otherwise by averaging.
    """
    height, width = low.shape[:2]
    shown: Floats = resample(mask, (height, width), "opencv-linear")
    sampled = _sampled(image, height, width)
    sampling = np.abs(sampled / scale - low[::_EVERY, ::_EVERY]).max() < GREY_LEVEL
    if not sampling:
        shown = np.minimum(shown, resample(mask, (height, width), "opencv-area"))
    if shown.max() < 1e-3:  # no sample hit the object
        shown = resample(mask, (height, width), "opencv-area")
    # Thin objects are measured by their own best pixels.
    shown /= max(float(shown.max()), 1e-30)
    weight = np.square(np.maximum(0, (shown - _LEAST_SHARE) / (1 - _LEAST_SHARE)))
    # Networks pad with zeros: along the picture's border their answers are off, and would frame it.
    inner = np.zeros_like(weight)
    inside = (slice(_BORDER, -_BORDER),) * 2
    inner[inside] = weight[inside]
    return inner if inner.any() else weight


def _sampled(image: NDArray[Any], height: int, width: int) -> Floats:
    """Resize by linear interpolation between the nearest pixels (H x W x C to h x w x C).

    Returned is each ``_EVERY``-th row and column of it.
    """
    ends: list[list[tuple[NDArray[np.intp], Floats]]] = []
    for size, low_size in zip(image.shape[:2], (height, width), strict=True):
        centres = (np.arange(0, low_size, _EVERY) + 0.5) * (size / low_size) - 0.5
        position = np.minimum(np.maximum(centres, 0), size - 1)
        first = position.astype(np.intp)
        share = (position - first).astype(np.float32)
        ends.append([(first, 1 - share), (np.minimum(first + 1, size - 1), share)])
    total = np.zeros((len(ends[0][0][0]), len(ends[1][0][0]), image.shape[2]), np.float32)
    for rows, row_share in ends[0]:
        for columns, column_share in ends[1]:
            share = np.outer(row_share, column_share)[..., None]
            total += (image[np.ix_(rows, columns)] * share).astype(np.float32)
    return total


def filled(planes: Floats, weight: Floats) -> Floats:
    """Keep values where they have weight, and fill the others from those around.

    Without it the bilinear stretch would mix the background's values in along the rim.

    Args:
        planes: 3 x h x w.
        weight: h x w.

    Returns:
        h x w x 3.
    """
    weighted = cv2.merge([*(plane * weight for plane in planes), weight])
    height, width = weight.shape
    total: Floats = np.array(cv2.mean(weighted), np.float32)[None, None]
    for factor in (32, 8, 2, 1):
        size = (max(1, width // factor), max(1, height // factor))
        coarser = cv2.resize(total, size, interpolation=cv2.INTER_LINEAR)
        own = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA)
        total = cast(Floats, cv2.scaleAdd(coarser, 1e-3, own))
    *sums, support = cast(list[Floats], cv2.split(total))
    np.maximum(support, 1e-30, out=support)
    return cast(Floats, cv2.merge([one / support for one in sums]))


def interpolation(pixels: slice, size: int, low_size: int) -> tuple[slice, Floats]:
    """Linear interpolation along one axis, from ``low_size`` pixels to a range of ``size``.

    Returns the k low-resolution pixels that the range needs, and the n x k weights of each.
    """
    centres = np.arange(pixels.start, pixels.stop, dtype=np.float64) + 0.5
    position = np.minimum(np.maximum(centres * (low_size / size) - 0.5, 0), low_size - 1)
    first, last = int(position[0]), math.ceil(float(position[-1]))
    distance = np.abs(position[:, None] - np.arange(first, last + 1))
    return slice(first, last + 1), np.maximum(0, 1 - distance).astype(np.float32)
