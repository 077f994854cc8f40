"""A picture of what training data looks like."""

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.data.triplets import TrainingData, Triplet
from harmonizer.drawing import LINE_HEIGHT, PAPER, write_line
from harmonizer.errors import InputError

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
    columns = min(columns, count)
    rows = -(-count // columns)
    cell_height, cell_width = LINE_HEIGHT + side + _GAP, 3 * side + 2 * _GAP
    sheet = np.full((rows * cell_height, columns * cell_width, 3), PAPER, np.uint8)
    for number in range(count):
        index = number * len(data) // count if count <= len(data) else number % len(data)
        triplet = data.draw(index, epoch + number // len(data))
        row, column = divmod(number, columns)
        top, left = row * cell_height, column * cell_width + _GAP
        cell = sheet[top : top + LINE_HEIGHT + side, left : left + 3 * side]
        cell[LINE_HEIGHT:] = _strip(triplet, side)
        write_line(cell[:LINE_HEIGHT], f"{triplet.name}  fMSE {_foreground_error(triplet):.0f}")
    return sheet


def _strip(triplet: Triplet, side: int) -> NDArray[np.uint8]:
    """Composite, mask and real image side by side."""
    grey = np.rint(triplet.mask * 255).astype(np.uint8)
    planes = (triplet.composite, cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), triplet.real)
    shrunk = [cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in planes]
    return np.hstack(shrunk).astype(np.uint8, copy=False)


def _foreground_error(triplet: Triplet) -> float:
    difference = triplet.composite.astype(np.float32) - triplet.real
    errors = (difference * difference).mean(axis=2)
    return float((errors * triplet.mask).sum() / max(float(triplet.mask.sum()), 1e-6))
