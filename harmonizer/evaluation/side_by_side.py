"""The same picture through several models, on one sheet."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from harmonizer.data import Triplet
from harmonizer.errors import InputError
from harmonizer.evaluation.methods import Method
from harmonizer.evaluation.metrics import Array
from harmonizer.evaluation.protocols import FULL_RESOLUTION
from harmonizer.imaging.drawing import lay_out, preview

_GAP = 8
_LEAST_SIDE = 16
# How its methods are opened: pictures at their own size, as a user gets them.
SHOWN = replace(FULL_RESOLUTION, rounded=True)


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
        methods: What harmonizes, opened by the protocol `SHOWN`.
        side: Longest side of each picture on the sheet, in pixels; none is enlarged.

    Returns:
        The sheet, (H, W, 3), uint8, RGB: composite and mask, then the methods, each with its name.

    Raises:
        InputError: `side` is below 16, or a method gives no picture of the composite's size.
    """
    if side < _LEAST_SIDE:
        raise InputError(f"the side of a picture is at least {_LEAST_SIDE} pixels; got {side}")
    triplet = Triplet(composite, mask, composite, "")  # there is no real picture
    pictures: dict[str, Array] = {"composite": composite, "mask": mask}
    for method in methods:
        pictures[method.label] = np.rint(method.harmonize(triplet)).astype(np.uint8)
    cells = [preview(picture, side, side) for picture in pictures.values()]
    # The sheet becomes half as wide again as it is high, as screens are.
    height, width = cells[0].shape[:2]
    columns = max(1, round(math.sqrt(1.5 * len(cells) * height / width)))
    return lay_out(cells, min(columns, len(cells)), titles=list(pictures), gap=_GAP)
