"""Keep a picture on its way through a network, and take a part of its change."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.imaging.picture import Picture
from harmonizer.preprocessing import Array, full_scale


@dataclass(frozen=True)
class Composite:
    """One picture and its mask, ready for the network.

    Attributes:
        picture: The composite.
        mask: (H, W), in [0, 1]; 1 is the foreground to change.
        low_res: The picture at the size of the network's input, in its own dtype.
        low_res_mask: The mask at that size.
        changes: Whether there is anything to harmonize.
    """

    picture: Picture
    mask: NDArray[np.float32]
    low_res: Array
    low_res_mask: NDArray[np.float32]
    changes: bool = True

    @property
    def scale(self) -> float:
        """What white is: 255, 65535 or 1."""
        return full_scale(self.picture.pixels.dtype)


@np.errstate(all="ignore")  # whatever the program around asks for
def apply_strength(before: Array, after: Array, strength: float) -> Array:
    """Return `before + strength * (after - before)` of two pictures, rounded for integers."""
    if strength == 1:
        return after
    if before.dtype.kind == "u":
        return cv2.addWeighted(before, 1 - strength, after, strength, 0)
    return (before + np.float32(strength) * (after - before)).astype(before.dtype, copy=False)


def check_strength(strength: float) -> None:
    """Refuse a strength that is not from 0 to 1."""
    if not isinstance(strength, int | float | np.floating) or not 0 <= strength <= 1:
        raise InputError(
            f"strength is a number from 0 (no change) to 1 (the full change); got {strength!r}"
        )
