"""Add what a quadratic map of colours changes to pixels as they lie in memory.

Their channels are beside each other, and OpenCV multiplies them so by a small matrix. A product of
two channels is half the square of their sum, less half of their own squares, so that all that is to
be made of pixels are two squares. In planes, with a row for each term, it takes a third longer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.lifting.correction import Floats, add_weighted, pieces
from harmonizer.lifting.strength import LUMA, Strength
from harmonizer.preprocessing import Range

_PIECE = 1 << 14  # pixels, or a row: their four arrays stay in a core's cache
_STRIP = 1 << 15  # pixels whose rows are cut to the foreground together
_SUMS = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]], np.float32)  # of r, g, b: r + g, r + b, g + b


@dataclass(frozen=True)
class PixelMap:
    """A quadratic map of colours in [0, 1], and how much of its change is taken.

    OpenCV takes a matrix for diagonal where nothing beside the diagonal is above 1e-7, so the
    colours must not be on the scale of 16 bits, for which factors are as small.

    Attributes:
        linear: (3, 4): factors of r, g, b and 1.
        squares: (3, 3): factors of rr, gg and bb.
        squared_sums: (3, 3): factors of the squares of r + g, r + b and g + b.
        scale: What white is in a picture, whose pixels are brought to [0, 1] and back.
        shares: (3, 3), by which a change of r, g and b is multiplied; None leaves all of it.
    """

    linear: Floats
    squares: Floats
    squared_sums: Floats
    scale: float
    shares: Floats | None

    @classmethod
    def of(cls, coefficients: NDArray[np.float64], strength: Strength, scale: float) -> Self:
        """Take the coefficients of a `ColorTransform`."""
        constant, linear = coefficients[:, :1], coefficients[:, 1:4]
        own, mixed = coefficients[:, 4:7], coefficients[:, 7:] / 2
        shares = strength.color * np.eye(3) + (strength.light - strength.color) * LUMA
        return cls(
            np.hstack([linear, constant]).astype(np.float32),
            (own - mixed @ _SUMS).astype(np.float32),
            mixed.astype(np.float32),
            scale,
            None if strength.is_all else shares.astype(np.float32),
        )

    def add_to(self, pixels: NDArray[Any], mask: Floats, box: tuple[Range, Range]) -> None:
        """Change the pixels of a box in place, as much as the mask says.

        Args:
            pixels: (H, W, 3): uint8, uint16, or floating point in [0, 1].
            mask: (H, W), in [0, 1]; where it is 0 the pixels stay as they are, bit for bit.
            box: Half-open ranges of rows and columns.
        """
        size = max(_PIECE, box[1][1] - box[1][0])
        room = np.empty((4, size, 3), np.float32)
        for piece in _within(mask, box):
            shape = mask[piece].shape
            arrays = room[:, : shape[0] * shape[1]].reshape(4, *shape, 3)
            self._add(pixels[piece], mask[piece], *arrays)

    def _add(
        self,
        pixels: NDArray[Any],
        mask: Floats,
        colours: Floats,
        changed: Floats,
        squares: Floats,
        terms: Floats,
    ) -> None:
        colours[...] = pixels
        if self.scale != 1:
            colours *= np.float32(1 / self.scale)
        cv2.transform(colours, self.linear, dst=changed)
        cv2.multiply(colours, colours, dst=squares)
        cv2.add(changed, cv2.transform(squares, self.squares, dst=terms), dst=changed)
        cv2.transform(colours, _SUMS, dst=squares)
        cv2.multiply(squares, squares, dst=squares)
        cv2.add(changed, cv2.transform(squares, self.squared_sums, dst=terms), dst=changed)
        changed.clip(0, 1, out=changed)
        cv2.subtract(changed, colours, dst=changed)
        if self.shares is not None:
            cv2.add(cv2.transform(changed, self.shares, dst=terms), colours, dst=changed)
            changed.clip(0, 1, out=changed)
            cv2.subtract(changed, colours, dst=changed)
        weight = cv2.merge((mask, mask, mask), dst=squares)
        add_weighted(pixels, mask, cv2.multiply(changed, weight, dst=changed, scale=self.scale))


def _within(mask: Floats, box: tuple[Range, Range]) -> Iterator[tuple[slice, slice]]:
    """Cut a box into pieces, each no wider than the foreground in its rows and some around."""
    (top, bottom), (left, right) = box
    for strip in pieces(top, bottom, max(1, _STRIP // (right - left))):
        inside = mask[strip, left:right].max(axis=0).nonzero()[0]
        if len(inside):
            columns = slice(left + int(inside[0]), left + int(inside[-1]) + 1)
            size = max(1, _PIECE // (columns.stop - columns.start))
            yield from ((rows, columns) for rows in pieces(strip.start, strip.stop, size))
