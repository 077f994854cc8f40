"""Define what every backend makes of a network."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# (N, 3, H, W) normalised and (N, 1, H, W) in [0, 1] to (N, 3, H, W) normalised; all float32. May be
# called by many threads at a time.
Run: TypeAlias = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
