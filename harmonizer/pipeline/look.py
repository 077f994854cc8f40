"""Decide which part of a picture a network looks at, and from which side.

The same object is to get the same colours when a picture is cropped by a few pixels, which moves
the grid of the reduction, or mirrored. So the part ends a whole number of steps away from the
object's own edges, and the object lies on the left of what the network sees.
"""

import math

import numpy as np
from numpy.typing import NDArray

from harmonizer.preprocessing import Range, bounding_box

# A foreground of less than this share of the picture is looked at in a square of so many times its
# longer side.
_SMALL, _SURROUNDINGS = 0.03, 2
# A step is a power of two, of 7 to 14 % of the longer side: less than one is left out at a border.
# A longer side at which the power changes is none that cameras or screens have.
_STEP = 0.14
_MIDDLE = 1e-6  # nearer to it, as a share of the width, an object lies on neither side


def part_to_show(mask: NDArray[np.float32], input_size: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns that a network of this input size looks at.

    They hold the whole foreground, and are no smaller than the input where the picture is not:
    nothing is enlarged to be looked at. Without a foreground they are all.

    Args:
        mask: (H, W), in [0, 1].
        input_size: Height and width.
    """
    box = bounding_box(mask)
    if box is None:
        return slice(None), slice(None)
    if float(mask.mean()) < _SMALL:
        side = max(_SURROUNDINGS * max(end - start for start, end in box), *input_size)
        ranges = [
            _window((start + end) // 2, side, length)
            for (start, end), length in zip(box, mask.shape, strict=True)
        ]
    else:
        step = 2 ** max(0, math.floor(math.log2(_STEP * max(mask.shape))))
        ranges = [
            _whole_steps(start, end, length, step, least)
            for (start, end), length, least in zip(box, mask.shape, input_size, strict=True)
        ]
    rows, columns = (slice(*one) for one in ranges)
    return rows, columns


def no_larger(size: tuple[int, ...], input_size: tuple[int, int]) -> bool:
    """Whether a picture of this height and width fits into a network's input as it is."""
    return size[0] <= input_size[0] and size[1] <= input_size[1]


def lies_right(mask: NDArray[np.float32]) -> bool:
    """Whether the centre of a mask's weight lies in its right half."""
    columns = mask.sum(axis=0, dtype=np.float64)
    from_middle = np.arange(len(columns)) - (len(columns) - 1) / 2
    return float(columns @ from_middle) > _MIDDLE * len(columns) * float(columns.sum())


def _window(middle: int, side: int, length: int) -> Range:
    start = min(max(0, middle - side // 2), max(0, length - side))
    return start, min(start + side, length)


def _whole_steps(start: int, end: int, length: int, step: int, least: int) -> Range:
    """Go whole steps from an object's edges towards the borders.

    An edge at the border is where the picture was cut, not where the object ends: there all is
    shown, and steps to the other border are counted from the edge that is left.
    """
    if start == 0 and end == length:
        return 0, length
    first = 0 if start == 0 else start % step
    last = length if end == length else length - (length - end) % step
    return (first, last) if last - first >= least else (0, length)
