"""Masks that do not quite fit what was pasted, as those that people and programs make."""

import cv2
import numpy as np
from numpy.typing import NDArray

# Pixels of the drawn size, whose four at 256 x 256 are a picture's of 1,024: how far a rim is moved
# outwards (programs rather leave some of the object out), and how wide it is on either side.
_MEAN_SHIFT, _SHIFT, _SHIFTS = -0.25, 0.8, (-2.2, 1.8)
_SOFTNESS = (0.3, 1.0)
_LEAST_AREA = 0.5  # of the mask's own; a thin object would vanish


def loosened(mask: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a mask that is a little tighter or wider, with a rim of another softness.

    Args:
        mask: (H, W), float32 in [0, 1].
        generator: Draws how far the rim is moved and how soft it is.

    Returns:
        As `mask`; the same where nothing of it, or hardly half, would be left.
    """
    shift = float(np.clip(generator.normal(_MEAN_SHIFT, _SHIFT), *_SHIFTS))
    softness = float(generator.uniform(*_SOFTNESS))
    inside = (mask > 0.5).astype(np.uint8)
    if inside.all() or not inside.any():
        return mask
    # From the centres of pixels; the rim itself is half a pixel nearer.
    within, beyond = (cv2.distanceTransform(one, cv2.DIST_L2, 5) for one in (inside, 1 - inside))
    distance = np.where(inside > 0, within - 0.5, 0.5 - beyond)
    loose = np.clip((distance + shift) / (2 * softness) + 0.5, 0, 1).astype(np.float32)
    return loose if loose.sum() > _LEAST_AREA * mask.sum() else mask
