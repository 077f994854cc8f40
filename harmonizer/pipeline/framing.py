"""Decide which part of a picture a network looks at, and from which side.

The same object is to get the same colours when a picture is cropped by a few pixels, which moves
the grid of the reduction, or mirrored. So the frame ends a whole number of steps away from the
object's own edges, and the object lies on the left of what the network sees.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.preprocessing import Range, bounding_box, mirrored_beyond

# A foreground of less than this share of the picture is looked at in a square of so many times its
# longer side.
_SMALL, _SURROUNDINGS = 0.03, 2
# A step is a power of two, of 3.5 to 7 % of the side. A side at which the power changes is none
# that cameras or screens have.
_STEP = 0.07
# What a mask holds of this or less is no foreground to frame, nor is this share of its weight.
_FAINT, _SPECK = 4 / 255, 1e-4
_MIDDLE = 1e-6  # nearer to it, as a share of the width, an object lies on neither side
_ROWS = 64  # at a time, which stay in a core's cache


@dataclass(frozen=True)
class Frame:
    """Half-open ranges of rows and columns; beyond the picture's borders it goes on mirrored."""

    rows: Range
    columns: Range

    @classmethod
    def whole(cls, values: NDArray[Any]) -> Self:
        """Return the frame of a whole picture or mask."""
        return cls((0, values.shape[0]), (0, values.shape[1]))

    @property
    def inside(self) -> tuple[slice, slice]:
        """The rows and columns of the picture that are in it."""
        return slice(max(self.rows[0], 0), self.rows[1]), slice(
            max(self.columns[0], 0), self.columns[1]
        )

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what it shows of a picture (H, W, 3) or a mask (H, W)."""
        height, width = values.shape[:2]
        top, left = self._beyond
        bottom, right = max(0, self.rows[1] - height), max(0, self.columns[1] - width)
        return mirrored_beyond(values[self.inside], top, bottom, left, right)

    def put(self, shown: NDArray[Any], values: NDArray[Any]) -> None:
        """Put what it shows back into the picture, in place."""
        part = values[self.inside]
        top, left = self._beyond
        part[...] = shown[top : top + part.shape[0], left : left + part.shape[1]]

    @property
    def _beyond(self) -> tuple[int, int]:
        """How far it reaches beyond the picture's top and left."""
        return max(0, -self.rows[0]), max(0, -self.columns[0])


def frame_around(mask: NDArray[np.float32], input_size: tuple[int, int]) -> Frame:
    """Return what a network of this input size looks at; the foreground, but for specks, is in it.

    Args:
        mask: (H, W), in [0, 1].
        input_size: Height and width.
    """
    found = _clear_part(mask)
    if found is None:
        return Frame.whole(mask)
    box, share = found
    ends = zip(box, mask.shape, strict=True)
    if share < _SMALL:
        side = max(_SURROUNDINGS * max(end - start for start, end in box), *input_size)
        return Frame(*(_window((start + end) // 2, side, length) for (start, end), length in ends))
    return Frame(*(_whole_steps(start, end, length) for (start, end), length in ends))


def lies_right(mask: NDArray[np.float32]) -> bool:
    """Whether the centre of a mask's weight lies in its right half."""
    columns = mask.sum(axis=0, dtype=np.float64)
    from_middle = np.arange(len(columns)) - (len(columns) - 1) / 2
    return float(columns @ from_middle) > _MIDDLE * len(columns) * float(columns.sum())


def _clear_part(mask: NDArray[np.float32]) -> tuple[tuple[Range, Range], float] | None:
    """Find the rows and columns of what is clearly foreground, but for specks.

    What a cut-out leaves behind, or JPEG in a mask, must not decide what is looked at.

    Returns:
        The two ranges, and the mean of what is clear over the whole mask; None if it is empty.
    """
    clear = np.empty((_ROWS, mask.shape[1]), np.float32)
    rows = np.empty((mask.shape[0], 1), np.float32)
    columns = np.zeros(mask.shape[1])
    for top in range(0, mask.shape[0], _ROWS):
        seen = mask[top : top + _ROWS]
        held = cv2.threshold(seen, _FAINT, 0, cv2.THRESH_TOZERO, dst=clear[: len(seen)])[1]
        cv2.reduce(held, 1, cv2.REDUCE_SUM, dst=rows[top : top + _ROWS])
        columns += cv2.reduce(held, 0, cv2.REDUCE_SUM)[0]
    weight = float(columns.sum())
    if weight:
        return (_most(rows[:, 0]), _most(columns)), weight / mask.size
    box = bounding_box(mask)
    return box and (box, 0.0)


def _most(weights: NDArray[Any]) -> Range:
    """Return the range of what has weight, without what lies apart and is but a speck."""
    held = np.flatnonzero(weights)
    starts = np.flatnonzero(np.diff(held, prepend=-2) > 1)  # of what lies apart, in `held`
    sums = np.add.reduceat(weights[held], starts, dtype=np.float64)
    heavy = np.flatnonzero(sums > _SPECK * sums.sum())
    first, last = (heavy[0], heavy[-1]) if len(heavy) else (0, len(starts) - 1)
    ends = np.append(starts[1:], len(held)) - 1
    return int(held[starts[first]]), int(held[ends[last]]) + 1


def _window(middle: int, side: int, length: int) -> Range:
    start = min(max(0, middle - side // 2), max(0, length - side))
    return start, min(start + side, length)


def _whole_steps(start: int, end: int, length: int) -> Range:
    """Go whole steps from an object's edges, as long as there is picture.

    An edge at the border is where the picture was cut, not where the object ends: steps to there
    are counted from the other edge, and go on beyond the border, for all of the object is to be
    seen. Where both are, the frame is so many steps long, which keeps the scale of the reduction.
    """
    if start == 0 and end == length:
        # Half as long: the less of what is mirrored is shown, the better.
        step = _power_of_two(_STEP / 2 * length)
        beyond = math.ceil(length / step) * step - length
        return -(beyond // 2), length + beyond - beyond // 2
    step = _power_of_two(_STEP * length)
    first = start % step if start else end - math.ceil(end / step) * step
    left = length - end
    last = length - left % step if left else start + math.ceil((length - start) / step) * step
    return first, last


def _power_of_two(most: float) -> int:
    return 2 ** max(0, math.floor(math.log2(most)))
