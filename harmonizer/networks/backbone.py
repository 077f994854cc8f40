"""Define what a semantic backbone promises, whatever it is made of."""

from abc import ABC, abstractmethod
from typing import Protocol

import torch
from torch import nn


class StartsFromImageNet(ABC):
    """What has a part that starts from ImageNet weights."""

    @property
    @abstractmethod
    def pretrained(self) -> nn.Module:
        """The part that starts from ImageNet weights and learns more slowly than the rest."""


class SemanticBackbone(nn.Module, StartsFromImageNet):
    """An ImageNet network with a segmentation head that knows where the foreground is.

    Attributes:
        out_channels: Channels of the features.
        mask_channels: Channels that mask features must have to be added inside.
    """

    out_channels: int
    mask_channels: int

    @abstractmethod
    def forward(
        self, image: torch.Tensor, mask: torch.Tensor, mask_features: torch.Tensor | None
    ) -> torch.Tensor:
        """Extract semantic features (N, out_channels, H / 4, W / 4).

        The image is normalised as for ImageNet, the mask in [0, 1]. Mask features, (N,
        mask_channels, H / 2, W / 2), are added after the first convolution; None leaves the
        ImageNet part without them.
        """


class BackboneConfig(Protocol):
    """What distinguishes a backbone from others: a frozen dataclass of typed fields."""

    def build(self) -> SemanticBackbone:
        """Build the backbone."""
        ...

    def released_name(self, name: str) -> str:
        """Return what one of its tensors is called in the authors' state dicts."""
        ...


def pretrained_parts(network: nn.Module) -> list[nn.Module]:
    """Return the parts of a network that start from ImageNet weights; empty without a backbone."""
    return [
        module.pretrained for module in network.modules() if isinstance(module, StartsFromImageNet)
    ]
