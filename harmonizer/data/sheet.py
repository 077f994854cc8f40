"""Draw what training data looks like."""

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.data.triplets import TrainingData, Triplet
from harmonizer.errors import InputError
from harmonizer.imaging.drawing import lay_out

_GAP = 6  # pixels between two triplets


def contact_sheet(
    data: TrainingData, count: int = 24, columns: int = 3, *, side: int = 160, epoch: int = 0
) -> NDArray[np.uint8]:
    """Draw samples and lay them out, each as composite, mask and real image.

    Args:
        data: What to draw from; the samples are spread over its length.
        count: How many samples.
        columns: How many stand in a row.
        side: Each picture's side on the sheet, in pixels.
        epoch: Which epoch's samples.

    Returns:
        The sheet, (H, W, 3), uint8, RGB. Above each sample stand its name and, after "fMSE", the
        composite's mean squared error in the foreground.

    Raises:
        InputError: `count`, `columns` or `side` is below 1.
    """
    if min(count, columns, side) < 1:
        raise InputError(
            f"count, columns and side are at least 1; got {count}, {columns} and {side}"
        )
    strips: list[NDArray[np.uint8]] = []
    titles: list[str] = []
    for number in range(count):
        index = number * len(data) // count if count <= len(data) else number % len(data)
        triplet = data.draw(index, epoch + number // len(data))
        planes = (triplet.composite, np.rint(triplet.mask * 255).astype(np.uint8), triplet.real)
        small = [cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA) for one in planes]
        strips.append(lay_out([one.astype(np.uint8, copy=False) for one in small], 3))
        titles.append(f"{triplet.name}  fMSE {_foreground_error(triplet):.0f}")
    return lay_out(strips, min(columns, count), titles=titles, gap=_GAP)


def _foreground_error(triplet: Triplet) -> float:
    difference = triplet.composite.astype(np.float32) - triplet.real
    errors = (difference * difference).mean(axis=2)
    return float((errors * triplet.mask).sum() / max(float(triplet.mask.sum()), 1e-6))
