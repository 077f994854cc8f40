"""Tell a scene cut from movement, by how the colours of two frames are spread."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.preprocessing import Array

Histogram = NDArray[np.float32]
_BINS = 32
_SAMPLES = 20_000
# Bins are blurred: light that drifts over the edge of a bin is no cut.
_BLUR = 5


def histogram(planes: Sequence[Array], bits: int) -> Histogram:
    """Return how the values of each plane are spread.

    Args:
        planes: (H, W) each, unsigned integers; sizes may differ.
        bits: How many bits of a value are in use.

    Returns:
        (planes, bins); each row sums to 1.
    """
    rows: list[Histogram] = []
    for plane in planes:
        step = max(1, round((plane.size / _SAMPLES) ** 0.5))
        values = plane[::step, ::step] >> (bits - _BINS.bit_length() + 1)
        counts = np.bincount(values.ravel(), minlength=_BINS)[:_BINS]
        rows.append(counts.astype(np.float32) / np.float32(max(1, values.size)))
    blurred = cv2.blur(np.stack(rows), (_BLUR, 1), borderType=cv2.BORDER_REFLECT)
    return blurred.astype(np.float32, copy=False)


def difference(one: Histogram, other: Histogram) -> float:
    """Return the share of pixels, from 0 to 1, that would have to change their colour."""
    return float(np.abs(one - other).sum(axis=1).max()) / 2
