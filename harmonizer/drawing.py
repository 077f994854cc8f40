"""Text beside pictures."""

import cv2
import numpy as np
from numpy.typing import NDArray

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
