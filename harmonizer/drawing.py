"""Pictures for a screen, and text beside them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.preprocessing import Array, full_scale

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


def preview(values: Array, width: int, height: int | None = None) -> NDArray[np.uint8]:
    """Make a small 8-bit copy of a picture or a mask.

    Args:
        values: (H, W, 3) or (H, W); uint8, uint16, or float in [0, 1].
        width: The copy is at most so wide, in pixels. It is never enlarged.
        height: And at most so high; None is no limit.

    Returns:
        The copy, of the same aspect to a pixel.
    """
    white = full_scale(values.dtype)
    if white != 255:
        values = np.rint(values * (255 / white)).astype(np.uint8)
    ratio = min(1.0, width / values.shape[1], (height or values.shape[0]) / values.shape[0])
    if ratio == 1:
        return values
    size = (max(1, round(values.shape[1] * ratio)), max(1, round(values.shape[0] * ratio)))
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
