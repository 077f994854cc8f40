"""What training minimises."""

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
        error = (prediction - target).square().sum(dim=(1, 2, 3))
        area = mask.sum(dim=(1, 2, 3)).clamp(min=self.min_area)
        return (error / (prediction.shape[1] * area)).mean()


class MSELoss(nn.Module):
    """Mean squared error over all pixels, as DIH and S2AM are trained; the mask plays no part."""

    def forward(
        self, prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean over the batch; the arguments are those of `FNMSELoss`."""
        del mask
        return nn.functional.mse_loss(prediction, target)
