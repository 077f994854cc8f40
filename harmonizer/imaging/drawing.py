"""Draw small pictures, rows of them, and text beside them."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.imaging.depth import eight_bits
from harmonizer.preprocessing import Array

LINE_HEIGHT = 18  # pixels
PAPER, INK = 245, 30


def write_line(line: NDArray[np.uint8], text: str) -> None:
    """Write a line of text into a picture.

    Args:
        line: (`LINE_HEIGHT`, W, 3), uint8; written to in place. What does not fit is cut off.
        text: Letters outside ASCII become question marks: OpenCV's own font has no others.
    """
    drawn = np.ascontiguousarray(line)  # OpenCV draws on no other
    text = text.encode("ascii", "replace").decode()
    place, ink = (2, LINE_HEIGHT - 5), (INK, INK, INK)
    cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, ink, 1, cv2.LINE_AA)
    line[:] = drawn


def lay_out(
    pictures: Sequence[NDArray[np.uint8]],
    columns: int,
    *,
    titles: Sequence[str] = (),
    gap: int = 0,
) -> NDArray[np.uint8]:
    """Lay pictures out in rows.

    Args:
        pictures: At least one; (H, W, 3), RGB, or (H, W), grey. Each has a cell as large as the
            largest of them.
        columns: How many stand in a row.
        titles: A line above each picture; empty is none.
        gap: Between two cells, in pixels.

    Returns:
        The sheet, (H, W, 3), RGB.
    """
    height, width = (max(one.shape[axis] for one in pictures) for axis in (0, 1))
    above = LINE_HEIGHT if titles else 0
    tall, wide = above + height + gap, width + gap
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * tall - gap, columns * wide - gap, 3), PAPER, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        cell = sheet[row * tall :, column * wide :][: above + height, :width]
        if titles:
            write_line(cell[:above], titles[number])
        colours = picture if picture.ndim == 3 else picture[..., None]
        cell[above:][: picture.shape[0], : picture.shape[1]] = colours
    return sheet


def preview(values: Array, width: int, height: int | None = None) -> NDArray[np.uint8]:
    """Make a small 8-bit copy of a picture or mask, never larger than it, of at most a size."""
    values = eight_bits(values)
    ratio = min(1.0, width / values.shape[1], (height or values.shape[0]) / values.shape[0])
    if ratio == 1:
        return values
    size = (max(1, round(values.shape[1] * ratio)), max(1, round(values.shape[0] * ratio)))
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
