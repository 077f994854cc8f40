"""The same picture through several models, on one sheet."""

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.data import Triplet
from harmonizer.drawing import LINE_HEIGHT, PAPER, write_line
from harmonizer.errors import InputError
from harmonizer.evaluation.methods import Method
from harmonizer.evaluation.protocols import FULL_RESOLUTION

_GAP = 8
_LEAST_SIDE = 16
# Pictures at their own size, as a user gets them.
_SHOWN = replace(FULL_RESOLUTION, rounded=True)


def comparison_sheet(
    composite: NDArray[np.uint8],
    mask: NDArray[np.float32],
    methods: Sequence[Method],
    *,
    side: int = 480,
) -> NDArray[np.uint8]:
    """Harmonize a picture with each method, and lay the results out.

    Args:
        composite: (H, W, 3), uint8, RGB.
        mask: (H, W), in [0, 1]; 1 is the foreground.
        methods: What harmonizes, at full resolution.
        side: Longest side of each picture on the sheet, in pixels; none is enlarged.

    Returns:
        The sheet, (H, W, 3), uint8, RGB: composite and mask, then the methods, each with its name.

    Raises:
        InputError: `side` is below 16, or a method gives no picture of the composite's size.
    """
    if side < _LEAST_SIDE:
        raise InputError(f"the side of a picture is at least {_LEAST_SIDE} pixels; got {side}")
    grey = np.rint(mask * 255).astype(np.uint8)
    pictures = {
        "composite": composite,
        "mask": np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8),
    }
    triplet = Triplet(composite, mask, composite, "")  # there is no real picture
    for method in methods:
        answer = method.harmonize(triplet, _SHOWN)
        pictures[method.label] = np.rint(answer).astype(np.uint8)
    return _lay_out(pictures, side)


def _lay_out(pictures: dict[str, NDArray[np.uint8]], side: int) -> NDArray[np.uint8]:
    height, width = next(iter(pictures.values())).shape[:2]
    scale = min(1.0, side / max(height, width))
    cell_height, cell_width = max(1, round(height * scale)), max(1, round(width * scale))
    # The sheet becomes half as wide again as it is high, as screens are.
    columns = max(1, round(math.sqrt(1.5 * len(pictures) * height / width)))
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    tall, wide = LINE_HEIGHT + cell_height + _GAP, cell_width + _GAP
    sheet = np.full((rows * tall + _GAP, columns * wide + _GAP, 3), PAPER, np.uint8)
    for number, (label, picture) in enumerate(pictures.items()):
        row, column = divmod(number, columns)
        top, left = _GAP + row * tall, _GAP + column * wide
        cell = sheet[top : top + LINE_HEIGHT + cell_height, left : left + cell_width]
        write_line(cell[:LINE_HEIGHT], label)
        size = (cell_width, cell_height)
        cell[LINE_HEIGHT:] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return sheet
