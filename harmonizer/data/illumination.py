"""Changes of light as they were measured: the same colours under many illuminations."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harmonizer.data.files import read_table
from harmonizer.errors import InputError

_RIDGE = 0.02  # what a coefficient costs, against squared errors in [0, 1] summed over the patches
_ATTEMPTS = 20


class Illuminations:
    """What a colour chart looked like in many real scenes.

    Two scenes give the change of colours from one light (and camera) to the other; an object that
    went through it looks as if it had been photographed elsewhere. ccHarmony's pairs are made so
    (Niu et al., 2022).

    Args:
        patches: (scenes, patches, 3), RGB, from 0 to 255.
        least: Mean squared difference of two charts (0 to 65025) below which a pair is too alike.
        most: The same, above which it is too far apart.

    Raises:
        InputError: No two scenes are within these bounds.
    """

    def __init__(
        self, patches: NDArray[np.floating], *, least: float = 150.0, most: float = 4500.0
    ) -> None:
        """Look for pairs within the bounds."""
        self._patches = np.asarray(patches, np.float64) / 255
        flat = self._patches.reshape(len(patches), -1)
        squares = (flat**2).sum(axis=1)
        distance = (squares[:, None] + squares - 2 * flat @ flat.T) / flat.shape[1] * 255**2
        self._pairs = np.argwhere((distance >= least) & (distance <= most))
        if not len(self._pairs):
            raise InputError(f"no two illuminations differ by {least:g} to {most:g}")

    @classmethod
    def from_csv(cls, path: Path | str) -> "Illuminations":
        """Read a table with a row for each scene and columns r0, g0, b0, r1, ... of 0 to 255.

        Raises:
            InputError: The table cannot be read, or a column is missing.
        """
        columns, rows = read_table(Path(path))
        names = [name for name in columns if name[:1] in "rgb" and name[1:].isdigit()]
        count = len(names) // 3
        wanted = [f"{channel}{i}" for i in range(count) for channel in "rgb"]
        if count < 10 or sorted(names) != sorted(wanted):
            raise InputError(f"{path} needs columns r0, g0, b0, r1, ... of 10 patches or more")
        try:
            values = [[float(row[name]) for name in wanted] for row in rows]
        except ValueError as error:
            raise InputError(f"{path} holds something that is no number: {error}") from error
        return cls(np.array(values).reshape(len(rows), count, 3))

    def draw(self, generator: np.random.Generator) -> NDArray[np.float32]:
        """Draw a change of light.

        Returns:
            (3, 10): for each channel the coefficients of 1, r, g, b, rr, gg, bb, rg, rb, gb, of
            colours in [0, 1].
        """
        first, second = self._pairs[generator.integers(len(self._pairs))]
        terms = _terms(self._patches[first])
        # Towards no change, so that colours the chart does not have stay sane.
        wanted = self._patches[second] - self._patches[first]
        normal = terms.T @ terms + _RIDGE * np.diag([0.1] + [0.3] * 3 + [1.0] * 6)
        change = np.linalg.solve(normal, terms.T @ wanted).T
        change[:, 1:4] += np.eye(3)
        return change.astype(np.float32)


def _terms(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    r, g, b = colours.T
    return np.stack([np.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b], axis=1)


def apply_polynomial(
    coefficients: NDArray[np.float32], colours: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Map colours (N, 3) of 0 to 255 by what `Illuminations.draw` gave; clipped to that range."""
    r, g, b = (colours / np.float32(255)).T
    terms = np.stack([np.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b])
    return ((coefficients @ terms).T * np.float32(255)).clip(0, 255).astype(np.float32, copy=False)
