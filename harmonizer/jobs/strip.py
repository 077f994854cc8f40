"""Draw one picture at several strengths, to choose from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harmonizer.imaging.drawing import lay_out, preview
from harmonizer.imaging.picture import Picture
from harmonizer.lifting import Strength, apply_strength
from harmonizer.pipeline import Harmonizer

_GAP = 8
_SIDE = 640  # pixels; the longest side of each picture


def strength_strip(
    harmonizer: Harmonizer,
    picture: Picture,
    mask: NDArray[np.float32],
    strengths: Sequence[float | Strength],
) -> NDArray[np.uint8]:
    """Harmonize a picture once, and draw it at several strengths.

    Returns:
        (H, W, 3), uint8, RGB: the composite and each strength, with titles; none is enlarged.
    """
    full = harmonizer(picture.as_pixels(), mask)
    shown = {"composite": picture.pixels}
    for strength in strengths:
        shown[_title(strength)] = apply_strength(picture.pixels, full, strength)
    cells = [preview(one, _SIDE, _SIDE) for one in shown.values()]
    return lay_out(cells, len(cells), titles=list(shown), gap=_GAP)


def _title(strength: float | Strength) -> str:
    if isinstance(strength, Strength):
        return f"light {strength.light:g}, colour {strength.color:g}"
    return f"strength {strength:g}"
