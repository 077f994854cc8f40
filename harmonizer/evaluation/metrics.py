"""How far an answer is from the real picture.

Published figures differ by protocol more than by method: whether the background counts, what the
peak of PSNR is, whether the answer was rounded. So each function here says which of these it takes.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

# The released evaluation adds this to denominators; it keeps a perfect answer's PSNR finite.
_EPSILON = 1e-6


def mse(prediction: Array, target: Array) -> float:
    """Mean squared error over all pixels and channels.

    Args:
        prediction: (H, W, 3), from 0 to 255.
        target: (H, W, 3), from 0 to 255.
    """
    return float(_squared_error(prediction, target).mean())


def fmse(prediction: Array, target: Array, mask: Array) -> float:
    """Mean squared error over the foreground, each pixel weighted by the mask (paper, section 4.3).

    Args:
        prediction: (H, W, 3), from 0 to 255.
        target: (H, W, 3), from 0 to 255.
        mask: (H, W), in [0, 1]; soft values count in part.
    """
    weighted = _squared_error(prediction, target) * mask[..., None]
    channels = prediction.shape[2]
    return float(weighted.sum() / (channels * mask.sum(dtype=np.float64) + _EPSILON))


def psnr(prediction: Array, target: Array, *, peak: float | None = None) -> float:
    """Peak signal-to-noise ratio over all pixels, in decibels.

    Args:
        prediction: (H, W, 3), from 0 to 255.
        target: (H, W, 3), from 0 to 255.
        peak: The signal's peak. None is the target's own maximum, as the paper's authors have it;
            most others take 255.
    """
    return _decibels(mse(prediction, target), target, peak)


def fpsnr(prediction: Array, target: Array, mask: Array, *, peak: float | None = None) -> float:
    """Peak signal-to-noise ratio over the foreground, in decibels.

    Args:
        prediction: (H, W, 3), from 0 to 255.
        target: (H, W, 3), from 0 to 255.
        mask: (H, W), in [0, 1].
        peak: As for `psnr`.
    """
    return _decibels(fmse(prediction, target, mask), target, peak)


def _squared_error(prediction: Array, target: Array) -> NDArray[np.float64]:
    return np.square(prediction.astype(np.float64) - target.astype(np.float64))


def _decibels(error: float, target: Array, peak: float | None) -> float:
    highest = float(target.max()) if peak is None else peak
    return float(10 * np.log10(highest**2 / (error + _EPSILON)))
