"""Leave a picture alone where the answer is too close to it to be told from the network's error."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def share_of_answer(
    before: Array, after: Array, mask: Array, least_change: tuple[float, float]
) -> float:
    """Tell how much of an answer to take.

    Args:
        before: (h, w, 3), from 0 to 1: what the network saw.
        after: (h, w, 3): what it answered.
        mask: (h, w), in [0, 1]; 1 is the foreground.
        least_change: Of the foreground, root mean square, in grey levels of 255: up to the first
            nothing of the answer is taken, from the second on all of it.

    Returns:
        From 0 to 1.
    """
    total = float(mask.sum(dtype=np.float64))
    if total == 0:  # an object of less than a pixel: nothing is known of the change
        return 1.0
    squares = np.square(after - before, dtype=np.float64).mean(axis=2)
    change = 255 * float(np.sqrt((squares * mask).sum() / total))
    least, whole = least_change
    return float(np.interp(change, (least, whole), (0.0, 1.0)))
