"""The metrics of `harmonizer.evaluation.metrics` for batches of tensors, on any device.

The definitions are the same; a value comes out for each picture of the batch. Sums are in float64
where the device has it.
"""

import torch
from torch.nn import functional as F

from harmonizer.errors import InputError
from harmonizer.evaluation.metrics import EPSILON, SSIM_C1, SSIM_C2, SSIM_SIGMA, SSIM_WINDOW


def mse(
    prediction: torch.Tensor, target: torch.Tensor, *, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean squared error over all pixels and channels.

    Args:
        prediction: (N, 3, H, W), from 0 to 255.
        target: (N, 3, H, W), from 0 to 255.
        mask: (N, 1, H, W), in [0, 1]. If it is given, the background is left out: errors are
            weighted by the mask, and the sum still divided by all pixels.

    Returns:
        (N,).
    """
    errors = _squared_errors(prediction, target)
    return (errors if mask is None else errors * mask).mean(dim=(1, 2, 3))


def fmse(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean squared error over the foreground, each pixel weighted by the mask.

    Args:
        prediction: (N, 3, H, W), from 0 to 255.
        target: (N, 3, H, W), from 0 to 255.
        mask: (N, 1, H, W), in [0, 1]. An empty one gives 0.

    Returns:
        (N,).
    """
    weighted = (_squared_errors(prediction, target) * mask).sum(dim=(1, 2, 3))
    area = _wide(mask).sum(dim=(1, 2, 3))
    return weighted / (prediction.shape[1] * area + EPSILON)


def psnr(
    prediction: torch.Tensor,
    target: torch.Tensor,
    *,
    peak: float | None = None,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Peak signal-to-noise ratio over all pixels, in decibels.

    Args:
        prediction: (N, 3, H, W), from 0 to 255.
        target: (N, 3, H, W), from 0 to 255.
        peak: The signal's peak. None is each target's own maximum, as the paper's authors have it;
            most others take 255.
        mask: As for `mse`.

    Returns:
        (N,).
    """
    return _decibels(mse(prediction, target, mask=mask), target, peak)


def fpsnr(
    prediction: torch.Tensor,
    target: torch.Tensor,
    mask: torch.Tensor,
    *,
    peak: float | None = None,
) -> torch.Tensor:
    """Peak signal-to-noise ratio over the foreground, in decibels.

    Args:
        prediction: (N, 3, H, W), from 0 to 255.
        target: (N, 3, H, W), from 0 to 255.
        mask: (N, 1, H, W), in [0, 1].
        peak: As for `psnr`.

    Returns:
        (N,).
    """
    return _decibels(fmse(prediction, target, mask), target, peak)


def ssim(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Structural similarity, as `harmonizer.evaluation.metrics.ssim` defines it.

    Args:
        prediction: (N, 3, H, W), from 0 to 255, at least 11 x 11.
        target: (N, 3, H, W), from 0 to 255.

    Returns:
        (N,).

    Raises:
        InputError: The pictures are smaller than the window.
    """
    edge = SSIM_WINDOW // 2
    return ssim_map(prediction, target)[:, edge:-edge, edge:-edge].mean(dim=(1, 2))


def fssim(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Structural similarity over the foreground: the mean of `ssim_map`, weighted by the mask.

    Args:
        prediction: (N, 3, H, W), from 0 to 255, at least 11 x 11.
        target: (N, 3, H, W), from 0 to 255.
        mask: (N, 1, H, W), in [0, 1]. An empty one gives 1.

    Returns:
        (N,).

    Raises:
        InputError: The pictures are smaller than the window.
    """
    weights = _wide(mask[:, 0])
    area = weights.sum(dim=(1, 2))
    weighted = (ssim_map(prediction, target) * weights).sum(dim=(1, 2))
    return torch.where(area > 0, weighted / area.clamp(min=EPSILON), torch.ones_like(area))


def ssim_map(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Structural similarity around each pixel, as `harmonizer.evaluation.metrics.ssim_map`.

    Args:
        prediction: (N, 3, H, W), from 0 to 255, at least 11 x 11.
        target: (N, 3, H, W), from 0 to 255.

    Returns:
        (N, H, W), the mean over the channels.

    Raises:
        InputError: The pictures are smaller than the window.
    """
    height, width = target.shape[2:]
    if min(height, width) < SSIM_WINDOW:
        raise InputError(
            f"SSIM needs pictures of at least {SSIM_WINDOW} x {SSIM_WINDOW}; got {width} x {height}"
        )
    x, y = _wide(prediction), _wide(target)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    similar = (2 * mean_x * mean_y + SSIM_C1) * (2 * covariance + SSIM_C2)
    scale = (mean_x**2 + mean_y**2 + SSIM_C1) * (var_x + var_y + SSIM_C2)
    return (similar / scale).mean(dim=1)


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    """In float64, which Apple's GPUs do not have."""
    return tensor.float() if tensor.device.type == "mps" else tensor.double()


def _squared_errors(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (_wide(prediction) - _wide(target)).square()


def _decibels(error: torch.Tensor, target: torch.Tensor, peak: float | None) -> torch.Tensor:
    highest = _wide(target.amax(dim=(1, 2, 3))) if peak is None else torch.full_like(error, peak)
    return 10 * torch.log10(highest.square() / (error + EPSILON))


def _blur(planes: torch.Tensor) -> torch.Tensor:
    channels, edge = planes.shape[1], SSIM_WINDOW // 2
    positions = torch.arange(SSIM_WINDOW, dtype=planes.dtype, device=planes.device) - edge
    window = torch.exp(-positions.square() / (2 * SSIM_SIGMA**2))
    window = (window / window.sum()).expand(channels, 1, 1, -1)
    padded = F.pad(planes, (edge, edge, edge, edge), mode="reflect")
    return F.conv2d(
        F.conv2d(padded, window, groups=channels), window.transpose(2, 3), groups=channels
    )
