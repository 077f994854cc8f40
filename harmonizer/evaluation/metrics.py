"""How far an answer is from the real picture.

Published figures differ by protocol more than by method: whether the background counts, what the
peak of PSNR is, whether the answer was rounded. So each function here says which of these it takes;
`harmonizer.evaluation.protocols` has the combinations that papers use.
"""

import math
from typing import Any, TypeAlias, cast, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.preprocessing import RANGE_TOLERANCE

Array: TypeAlias = NDArray[Any]

# The released evaluation adds this to denominators; it keeps a perfect answer's PSNR finite.
EPSILON = 1e-6
_BEYOND = 255 * RANGE_TOLERANCE

# SSIM's constants, as in its paper: a Gaussian window, and the two that stabilise its quotients.
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SSIM_C1 = (0.01 * 255) ** 2
SSIM_C2 = (0.03 * 255) ** 2


def mse(prediction: Array, target: Array, *, mask: Array | None = None) -> float:
    """Mean squared error over all pixels and channels.

    Args:
        prediction: (H, W, 3), from 0 to 255.
        target: (H, W, 3), from 0 to 255.
        mask: (H, W), in [0, 1]. If it is given, the background is left out: errors are weighted by
            the mask, and the sum still divided by all pixels, as DCCF and PCT-Net do.

    Raises:
        InputError: Shapes or range are not as described here.
    """
    mask = _checked(prediction, target, mask)
    errors = squared_errors(prediction, target)
    return float((errors if mask is None else errors * mask).mean())


def fmse(prediction: Array, target: Array, mask: Array) -> float:
    """Mean squared error over the foreground, each pixel weighted by the mask (paper, section 4.3).

    Args:
        prediction: (H, W, 3), from 0 to 255.
        target: (H, W, 3), from 0 to 255.
        mask: (H, W), in [0, 1]; soft values count in part. An empty one gives 0.

    Raises:
        InputError: Shapes or range are not as described here.
    """
    mask = _checked(prediction, target, mask)
    return foreground_mean(squared_errors(prediction, target), mask, prediction.shape[2])


def psnr(
    prediction: Array, target: Array, *, peak: float | None = None, mask: Array | None = None
) -> float:
    """Peak signal-to-noise ratio over all pixels, in decibels.

    Args:
        prediction: (H, W, 3), from 0 to 255.
        target: (H, W, 3), from 0 to 255.
        peak: The signal's peak. None is the target's own maximum, as the paper's authors have it;
            most others take 255.
        mask: As for `mse`.

    Raises:
        InputError: Shapes or range are not as described here.
    """
    error = mse(prediction, target, mask=mask)
    return decibels(error, float(target.max()) if peak is None else peak)


def fpsnr(prediction: Array, target: Array, mask: Array, *, peak: float | None = None) -> float:
    """Peak signal-to-noise ratio over the foreground, in decibels.

    Args:
        prediction: (H, W, 3), from 0 to 255.
        target: (H, W, 3), from 0 to 255.
        mask: (H, W), in [0, 1].
        peak: As for `psnr`.

    Raises:
        InputError: Shapes or range are not as described here.
    """
    error = fmse(prediction, target, mask)
    return decibels(error, float(target.max()) if peak is None else peak)


def ssim(prediction: Array, target: Array) -> float:
    """Structural similarity: the mean of `ssim_map` where the window lies inside the picture.

    Args:
        prediction: (H, W, 3), from 0 to 255, at least 11 x 11.
        target: (H, W, 3), from 0 to 255.

    Raises:
        InputError: The pictures are smaller than the window, or not as described here.
    """
    _checked(prediction, target, None)
    return inner_mean(ssim_map(prediction, target))


def fssim(prediction: Array, target: Array, mask: Array) -> float:
    """Structural similarity over the foreground: the mean of `ssim_map`, weighted by the mask.

    Args:
        prediction: (H, W, 3), from 0 to 255, at least 11 x 11.
        target: (H, W, 3), from 0 to 255.
        mask: (H, W), in [0, 1]. An empty one gives 1: nothing differs in it.

    Raises:
        InputError: The pictures are smaller than the window; or shapes or range are not as
            described here.
    """
    mask = _checked(prediction, target, mask)
    return weighted_similarity(ssim_map(prediction, target), mask)


def ssim_map(prediction: Array, target: Array) -> NDArray[np.float32]:
    """Structural similarity around each pixel.

    Wang, Bovik, Sheikh, Simoncelli: Image quality assessment: from error visibility to structural
    similarity. IEEE TIP, 2004: an 11 x 11 Gaussian window of standard deviation 1.5, K1 = 0.01,
    K2 = 0.03, data range 255, each channel by itself; DCCF and PCT-Net measure with the same.

    Args:
        prediction: (H, W, 3), from 0 to 255, at least 11 x 11.
        target: (H, W, 3), from 0 to 255.

    Returns:
        (H, W), the mean over the channels. Within 5 pixels of the border the window reaches out of
        the picture, which is mirrored there.

    Raises:
        InputError: The pictures are smaller than the window.
    """
    height, width, channels = target.shape
    if min(height, width) < SSIM_WINDOW:
        raise InputError(
            f"SSIM needs pictures of at least {SSIM_WINDOW} x {SSIM_WINDOW}; got {width} x {height}"
        )
    total = np.zeros((height, width), np.float32)
    for k in range(channels):
        x = prediction[..., k].astype(np.float32)
        y = target[..., k].astype(np.float32)
        # With sum s and difference d of the two, variances and covariance come out of those of s
        # and d: 2 cov = (var s - var d) / 2, and so on. That is a blur less, and where nothing
        # differs the result is 1 exactly. Grey is taken off for the sake of rounding.
        s: NDArray[np.float32] = x + y - np.float32(255)
        d: NDArray[np.float32] = x - y
        mean_s, mean_d = _blur(s), _blur(d)
        var_s, var_d = _blur(s * s) - mean_s**2, _blur(d * d) - mean_d**2
        mean_s = (mean_s + 255) ** 2
        mean_d = mean_d**2
        similar = (mean_s - mean_d + 2 * SSIM_C1) * (var_s - var_d + 2 * SSIM_C2)
        total += similar / ((mean_s + mean_d + 2 * SSIM_C1) * (var_s + var_d + 2 * SSIM_C2))
    return total / np.float32(channels)


def squared_errors(prediction: Array, target: Array) -> NDArray[np.float64]:
    """The squared error of each pixel, the mean over its channels: (H, W)."""
    total = np.zeros(target.shape[:2])
    for k in range(target.shape[2]):  # one by one: a photograph's planes are large
        difference = prediction[..., k].astype(np.float64) - target[..., k]
        difference *= difference
        total += difference
    total /= target.shape[2]
    return total


def foreground_mean(errors: NDArray[np.float64], mask: Array, channels: int = 3) -> float:
    """The mean of `squared_errors` weighted by a mask, as the released evaluation divides it."""
    weight = channels * mask.sum(dtype=np.float64)
    return float(channels * (errors * mask).sum() / (weight + EPSILON))


def decibels(error: float, peak: float) -> float:
    """The PSNR of a mean squared error.

    Raises:
        InputError: The peak is 0, or no number.
    """
    if not 0 < peak < math.inf:
        raise InputError(
            f"the peak of PSNR must be above 0; got {peak:g}: is the picture of one colour alone?"
        )
    return float(10 * np.log10(peak**2 / (error + EPSILON)))


def inner_mean(similarity: NDArray[np.float32]) -> float:
    """The mean of `ssim_map` where its window lies inside the picture."""
    edge = SSIM_WINDOW // 2
    return float(similarity[edge:-edge, edge:-edge].mean(dtype=np.float64))


def weighted_similarity(similarity: NDArray[np.float32], mask: Array) -> float:
    """The mean of `ssim_map` weighted by a mask; 1 if the mask is empty."""
    weight = float(mask.sum(dtype=np.float64))
    return float((similarity * mask).sum(dtype=np.float64) / weight) if weight else 1.0


@overload
def _checked(prediction: Array, target: Array, mask: Array) -> Array: ...
@overload
def _checked(prediction: Array, target: Array, mask: None) -> None: ...
@overload
def _checked(prediction: Array, target: Array, mask: Array | None) -> Array | None: ...
def _checked(prediction: Array, target: Array, mask: Array | None) -> Array | None:
    """Return the mask as (H, W), and refuse what would give a figure of nothing."""
    for name, picture in (("prediction", prediction), ("target", target)):
        _check_array(name, picture, "if", "uint8 or float, from 0 to 255")
    if target.ndim != 3 or prediction.shape != target.shape or target.shape[2] != 3:
        raise InputError(
            "prediction and target must be of one shape, (H, W, 3); got "
            f"{prediction.shape} and {target.shape}"
        )
    for name, picture in (("prediction", prediction), ("target", target)):
        if not picture.size:
            raise InputError(f"the {name} must have pixels; got the shape {picture.shape}")
        low, high = float(picture.min()), float(picture.max())
        if not (low >= -_BEYOND and high <= 255 + _BEYOND):  # NaN is neither
            raise InputError(
                f"the {name} must be from 0 to 255; got {low:g} to {high:g}: clip it, or bring "
                "white to 255"
            )
    if mask is None:
        return None
    _check_array("mask", mask, "buif", "bool or in [0, 1]")
    if mask.shape == (*target.shape[:2], 1):
        mask = mask[..., 0]
    if mask.shape != target.shape[:2]:
        raise InputError(f"the mask must be {target.shape[:2]}, as the pictures; got {mask.shape}")
    if mask.size and not (mask.min() >= 0 and mask.max() <= 1):
        raise InputError(
            f"the mask must be in [0, 1]; got {mask.min():g} to {mask.max():g}: divide it by its "
            "largest value, 255 say"
        )
    return mask


def _check_array(name: str, given: object, kinds: str, wanted: str) -> None:
    """Refuse what is no array of these kinds of dtype, or of uint8.

    Integers with a sign come of arithmetic; those without have a white of their own.
    """
    dtype = cast(Array, given).dtype if isinstance(given, np.ndarray) else None
    if dtype is None or (dtype != np.uint8 and dtype.kind not in kinds):
        found = dtype or type(cast(object, given)).__name__
        raise InputError(f"the {name} must be a numpy array, {wanted}; got {found}")


def _blur(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    size = (SSIM_WINDOW, SSIM_WINDOW)
    blurred = cv2.GaussianBlur(plane, size, SSIM_SIGMA, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.float32)
