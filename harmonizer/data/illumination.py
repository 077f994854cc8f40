"""Changes of light as they were measured: the same colours under many illuminations."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.files.tables import read_table
from harmonizer.lifting import ColorTransform
from harmonizer.lifting.color_transform import quadratic_terms

# Mean squared differences of two charts; less is too alike, and more too far apart.
_LEAST, _MOST = 150.0, 4500.0
# What squared coefficients cost, against squared errors in [0, 1] summed over the patches: towards
# no change, so that colours the chart does not have stay sane. By term: 1, linear, products.
_RIDGE = 0.02 * np.repeat([0.1, 0.3, 1.0], [1, 3, 6])


class Illuminations:
    """What a colour chart looked like in many real scenes.

    Two scenes give the change of colours from one light (and camera) to the other; an object that
    went through it looks as if it had been photographed elsewhere. ccHarmony's pairs are made so
    (Niu et al., 2022).

    Args:
        patches: (scenes, patches, 3), RGB, from 0 to 255.

    Raises:
        InputError: No two scenes are within the bounds.
    """

    def __init__(self, patches: NDArray[np.floating]) -> None:
        """Look for pairs within the bounds."""
        self._patches = np.asarray(patches, np.float64) / 255
        flat = self._patches.reshape(len(patches), -1)
        squares = (flat**2).sum(axis=1)
        distance = (squares[:, None] + squares - 2 * flat @ flat.T) / flat.shape[1] * 255**2
        self._pairs = np.argwhere((distance >= _LEAST) & (distance <= _MOST))
        if not len(self._pairs):
            raise InputError(f"no two illuminations differ by {_LEAST:g} to {_MOST:g}")

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
        patches = np.array(values).reshape(len(rows), count, 3)
        if not ((patches >= 0) & (patches <= 255)).all():  # NaN, too
            raise InputError(f"{path} holds numbers outside 0 to 255")
        return cls(patches)

    def draw(self, generator: np.random.Generator) -> ColorTransform:
        """Draw a change of light."""
        first, second = self._pairs[generator.integers(len(self._pairs))]
        terms = quadratic_terms(self._patches[first].T)
        wanted = self._patches[second] - self._patches[first]
        change = np.linalg.solve(terms @ terms.T + np.diag(_RIDGE), terms @ wanted).T
        change[:, 1:4] += np.eye(3)
        return ColorTransform(change.astype(np.float64))
