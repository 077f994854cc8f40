"""Define a change of colour: a cubic polynomial of the colour, and a field over the picture."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_DEPTHS = {np.dtype(np.uint8): cv2.CV_8U, np.dtype(np.uint16): cv2.CV_16U}
# How far out the curve is followed, in standard deviations of the colours of its fit.
_CURVE_RANGE = 5.0
# Small enough for the planes of a piece, of which the monomials are twenty, to stay in a core's
# cache.
PIECE_PIXELS = 1 << 14
# Small enough that OpenBLAS computes the product on the calling thread: waking its own for so
# little takes longer.
PRODUCT_PIXELS = 3072


@dataclass(frozen=True)
class Curve:
    """The curved part of a change of colour, held within the bounds that its fit found."""

    coefficients: Floats  # 4 x 20, of the monomials; the last row is 0: by fours is faster
    lowest: Floats  # 3 x 1
    highest: Floats  # 3 x 1

    def __call__(self, whitened: Floats) -> Floats:
        """Whitened colours (3 x n) to changes (3 x n)."""
        monomials = cubic_monomials(whitened)
        change = np.empty((4, whitened.shape[1]), np.float32)
        for piece in pieces(0, whitened.shape[1], PRODUCT_PIXELS):
            np.matmul(self.coefficients, monomials[:, piece], out=change[:, piece])
        return np.clip(change[:3], self.lowest, self.highest, out=change[:3])


@dataclass(frozen=True)
class Correction:
    """A change of colour: ``linear @ whitened + curve(whitened) + field(position)``."""

    whitening: Floats  # 3 x 4: whitened = whitening @ (r, g, b, 1)
    linear: Floats  # 3 x 3
    curve: Curve | None
    field: Floats  # h x w x 3, stretched bilinearly over the image

    @classmethod
    def of_field(cls, field: Floats, *, keep: float) -> "Correction":
        """Return a correction that adds a field to ``keep`` times the colour."""
        linear = np.diag(np.full(3, keep - 1, np.float32))
        return cls(np.eye(3, 4, dtype=np.float32), linear, None, field)

    def on_scale(self, scale: float) -> "Correction":
        """The same correction for colours from 0 to ``scale``; nothing then has to be divided."""
        factor = np.float32(scale)
        curve = self.curve and Curve(
            self.curve.coefficients * factor,
            self.curve.lowest * factor,
            self.curve.highest * factor,
        )
        whitening = self.whitening / np.array([scale, scale, scale, 1], np.float32)
        return Correction(whitening, self.linear * factor, curve, self.field * factor)

    def of_colours(self, colours: Floats) -> Floats:
        """Return the part of the change that depends on the colour: 3 x n to 3 x n."""
        whitened = self.whitening[:, :3] @ colours
        whitened += self.whitening[:, 3:]
        change = self.linear @ whitened
        if self.curve:
            change += self.curve(whitened)
        return cast(Floats, change)


def cubic_monomials(whitened: NDArray[Any]) -> NDArray[Any]:
    """The 20 monomials up to degree 3 of 3 x n coordinates within the curve's range: 20 x n."""
    out = np.empty((20, whitened.shape[1]), whitened.dtype)
    out[0] = 1
    x = out[1:4]
    np.clip(whitened, -_CURVE_RANGE, _CURVE_RANGE, out=x)
    np.multiply(x, x, out=out[4:7])  # aa bb cc
    np.multiply(x[:2], x[1:], out=out[7:9])  # ab bc
    np.multiply(x[0], x[2], out=out[9])  # ac
    np.multiply(x, out[4:7], out=out[10:13])  # aaa bbb ccc
    np.multiply(x[:2], out[5:7], out=out[13:15])  # abb bcc
    np.multiply(x[1:], out[4:6], out=out[15:17])  # baa cbb
    np.multiply(x[0], out[6], out=out[17])  # acc
    np.multiply(x[2], out[4], out=out[18])  # caa
    np.multiply(x[0], out[8], out=out[19])  # abc
    return out


def pieces(start: int, stop: int, size: int) -> Iterator[slice]:
    """Cut a range into slices of at most `size`."""
    return (slice(first, min(first + size, stop)) for first in range(start, stop, size))


def add_change(pixels: NDArray[Any], mask: Floats, change: Callable[[Floats], Floats]) -> None:
    """Change the colours of a part of an image in place, by as much as the mask says.

    Args:
        pixels: n x m x 3: uint8, uint16, or floating point in [0, 1].
        mask: n x m, in [0, 1]; where it is 0 the pixels stay as they are, bit for bit.
        change: Colours (3 x k) on the image's own scale to what is added to them.
    """
    colours: Floats = np.empty((3, *mask.shape), np.float32)
    for plane, values in zip(colours, cv2.split(pixels), strict=True):
        plane[...] = values
    added: Floats = change(colours.reshape(3, -1)).reshape(colours.shape)
    added *= mask
    add_weighted(pixels, mask, cv2.merge(tuple(added)))


def add_weighted(pixels: NDArray[Any], mask: Floats, added: NDArray[Any]) -> None:
    """Add to the colours of a part of an image in place, rounded once.

    Args:
        pixels: n x m x 3: uint8, uint16, or floating point in [0, 1].
        mask: n x m, in [0, 1]; where it is 0 floating point pixels stay as they are.
        added: n x m x 3, on the image's own scale, already times the mask.
    """
    if pixels.dtype.kind == "u":
        # Added, rounded and clipped in one step. An integer that changes by 0 comes back as itself:
        # the background needs no further care.
        cv2.add(pixels, added, dst=pixels, dtype=_DEPTHS[pixels.dtype])
    else:
        precise = np.float64 if pixels.dtype == np.float64 else np.float32
        changed = np.clip(pixels.astype(precise) + added, 0, 1)
        np.copyto(pixels, changed, where=mask[..., None] > 0, casting="same_kind")
