"""How much of a change of colours is taken: of its light, and of the rest."""

from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.preprocessing import full_scale

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # ITU-R BT.709
_PIECE_ROWS = 256


@dataclass(frozen=True)
class Strength:
    """Shares of a change, in place of one number for all of it.

    Attributes:
        light: Of the change of lightness (BT.709 luma), from 0 (none) to 1.
        color: Of what else changes, hue and saturation, from 0 (none) to 1.

    Raises:
        InputError: One of them is not from 0 to 1.
    """

    light: float = 1.0
    color: float = 1.0

    def __post_init__(self) -> None:
        """Check both."""
        for name in (one.name for one in fields(self)):
            _check(getattr(self, name), name)

    @property
    def is_one_number(self) -> bool:
        """Whether as much is taken of both."""
        return self.light == self.color

    @property
    def is_nothing(self) -> bool:
        """Whether nothing changes."""
        return self.light == self.color == 0

    @property
    def is_all(self) -> bool:
        """Whether everything changes."""
        return self.light == self.color == 1

    def reduce(self, change: NDArray[Any], colours: NDArray[Any], scale: float) -> None:
        """Leave the shares of a change of colours, in place.

        Args:
            change: (3, N), RGB: what is added to the colours; with all of it they are within the
                range.
            colours: (3, N), from 0 to `scale`.
            scale: What white is.
        """
        if self.is_all:
            return
        if self.is_one_number:
            change *= float(self.light)
            return
        luma = LUMA @ change
        change *= float(self.color)
        change += float(self.light - self.color) * luma
        np.clip(change, -colours, scale - colours, out=change)


def as_strength(strength: float | Strength) -> Strength:
    """Return the shares that a number, or a `Strength`, means.

    Raises:
        InputError: It is not from 0 to 1.
    """
    if isinstance(strength, Strength):
        return strength
    _check(strength, "strength")
    return Strength(strength, strength)


def apply_strength(
    before: NDArray[Any], after: NDArray[Any], strength: float | Strength
) -> NDArray[Any]:
    """Go a part of the way from a picture to another one.

    Args:
        before: (H, W, 3), RGB: uint8, uint16, or floating point in [0, 1].
        after: The same shape and dtype.
        strength: From 0, `before`, to 1, `after`; or a `Strength`.

    Returns:
        The same shape and dtype, within the range, rounded once.

    Raises:
        InputError: The strength is not from 0 to 1.
    """
    shares = as_strength(strength)
    if shares.is_all:
        return after
    if not shares.is_one_number:
        return _between(before, after, shares)
    share = float(shares.light)  # OpenCV takes no other library's
    if before.dtype.kind == "u":
        return cv2.addWeighted(before, 1 - share, after, share, 0)
    return (before + np.float32(share) * (after - before)).astype(before.dtype, copy=False)


def _between(before: NDArray[Any], after: NDArray[Any], shares: Strength) -> NDArray[Any]:
    mixed = np.empty_like(before)
    scale = full_scale(before.dtype)
    for top in range(0, before.shape[0], _PIECE_ROWS):
        rows = slice(top, top + _PIECE_ROWS)
        colours = before[rows].reshape(-1, 3).T.astype(np.float32)
        change = after[rows].reshape(-1, 3).T - colours
        shares.reduce(change, colours, scale)
        changed = (colours + change).T.reshape(before[rows].shape)
        mixed[rows] = np.rint(changed) if before.dtype.kind == "u" else changed
    return mixed


def _check(value: Any, name: str) -> None:  # noqa: ANN401 - a caller's mistake
    numbers = int | float | np.integer | np.floating
    if not isinstance(value, numbers) or not 0 <= value <= 1:
        raise InputError(
            f"{name} is a number from 0 (no change) to 1 (the full change); got {value!r}"
        )
