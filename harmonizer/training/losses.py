"""What training minimises."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import nn

from harmonizer.errors import InputError

LossName: TypeAlias = Literal["fn-mse", "fn-rmse", "no-harm", "mse"]
# Of prediction, target, mask and composite, as `NoHarmLoss` takes them.
Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


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

    def of_each(
        self, prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss of each image, (N,)."""
        # Without the addend a perfect answer would have an infinite gradient; it is a root mean
        # squared error of about two grey levels of 255.
        return (super().of_each(prediction, target, mask) + 1e-3).sqrt()


class NoHarmLoss(nn.Module):
    """`FNRMSELoss`, and once more what goes beyond that of the composite; not in the paper.

    An answer that is further off than the composite was is worse than none. Where a network cannot
    know which way to go, this makes it go less far.
    """

    def __init__(self, min_area: float = 100.0, weight: float = 1.0) -> None:
        """Set what it weighs by.

        Args:
            min_area: As for `FNMSELoss`.
            weight: Of what goes beyond the composite's loss; 0 leaves `FNRMSELoss`.

        Raises:
            InputError: `min_area` is not positive, or `weight` is negative.
        """
        super().__init__()
        if not weight >= 0:
            raise InputError(f"harm_weight is a number of at least 0; got {weight}")
        self.distance = FNRMSELoss(min_area)
        self.weight = weight

    def forward(
        self,
        prediction: torch.Tensor,
        target: torch.Tensor,
        mask: torch.Tensor,
        composite: torch.Tensor,
    ) -> torch.Tensor:
        """Return the mean over the batch.

        Args:
            prediction: (N, 3, H, W), normalised.
            target: (N, 3, H, W), normalised.
            mask: (N, 1, H, W), in [0, 1].
            composite: (N, 3, H, W), normalised: what was to be harmonized.

        Returns:
            A scalar.
        """
        after = self.distance.of_each(prediction, target, mask)
        before = self.distance.of_each(composite, target, mask)
        return (after + self.weight * (after - before).relu()).mean()


class MSELoss(nn.Module):
    """Mean squared error over all pixels, as DIH and S2AM are trained; the mask plays no part."""

    def forward(
        self, prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean over the batch; the arguments are those of `FNMSELoss`."""
        del mask
        return nn.functional.mse_loss(prediction, target)


def build_loss(name: LossName, min_area: float, harm_weight: float) -> Loss:
    """Return the loss of a configuration; the numbers are of the losses that have them."""
    match name:
        case "no-harm":
            return NoHarmLoss(min_area, harm_weight)
        case "fn-mse":
            loss = FNMSELoss(min_area)
        case "fn-rmse":
            loss = FNRMSELoss(min_area)
        case "mse":
            loss = MSELoss()
    return lambda prediction, target, mask, composite: loss(prediction, target, mask)
