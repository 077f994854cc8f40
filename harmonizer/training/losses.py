"""What training minimises."""

from typing import Literal

import torch
from torch import nn

from harmonizer.errors import InputError


class FNMSELoss(nn.Module):
    """Foreground-normalised mean squared error (paper, section 3.4, eq. 2).

    The squared error of an image is divided by the area of its foreground instead of by the number
    of pixels, so that small objects count as much as large ones. As released, and unlike the
    paper's equation, it is also divided by the three channels.
    """

    def __init__(self, min_area: float = 100.0) -> None:
        """Set the area below which a foreground counts as this large.

        Args:
            min_area: A_min, in pixels. Released: 100; 1000 for iS2AM.

        Raises:
            InputError: It is not positive.
        """
        super().__init__()
        if not min_area > 0:
            raise InputError(f"min_area is a positive number of pixels; got {min_area}")
        self.min_area = min_area

    def forward(
        self, prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean over the batch.

        Args:
            prediction: (N, 3, H, W), normalised.
            target: (N, 3, H, W), normalised.
            mask: (N, 1, H, W), in [0, 1].

        Returns:
            A scalar.
        """
        return self.of_each(prediction, target, mask).mean()

    def of_each(
        self, prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss of each image, (N,)."""
        error = (prediction - target).square().sum(dim=(1, 2, 3))
        area = mask.sum(dim=(1, 2, 3)).clamp(min=self.min_area)
        return error / (prediction.shape[1] * area)


class FNRMSELoss(FNMSELoss):
    """Mean over the batch of the square root of each image's `FNMSELoss`; not in the paper.

    The mean squared error of a batch is that of its worst images. The root gives those that are
    nearly right already a greater say, so that fewer of them are made worse.
    """

    def forward(
        self, prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean over the batch; the arguments are those of `FNMSELoss`."""
        # Without the addend a perfect answer would have an infinite gradient; it is a root mean
        # squared error of about two grey levels of 255.
        return (self.of_each(prediction, target, mask) + 1e-3).sqrt().mean()


class MSELoss(nn.Module):
    """Mean squared error over all pixels, as DIH and S2AM are trained; the mask plays no part."""

    def forward(
        self, prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean over the batch; the arguments are those of `FNMSELoss`."""
        del mask
        return nn.functional.mse_loss(prediction, target)


def build_loss(name: Literal["fn-mse", "fn-rmse", "mse"], min_area: float) -> nn.Module:
    """Return the loss of a configuration.

    Args:
        name: Which.
        min_area: A_min of those that have one, in pixels.
    """
    match name:
        case "fn-mse":
            return FNMSELoss(min_area)
        case "fn-rmse":
            return FNRMSELoss(min_area)
        case "mse":
            return MSELoss()
