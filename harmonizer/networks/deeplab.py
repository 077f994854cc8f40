"""DeepLabV3+ on a ResNet-34, the paper's second backbone (section 3.3, table 3).

Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation"
(ECCV 2018), without the classifier.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from harmonizer.networks.backbone import SemanticBackbone
from harmonizer.networks.layers import conv_norm_relu, resize_like
from harmonizer.networks.network import Renames, rename
from harmonizer.networks.residual import ResNet34

_RELEASED: Renames = (
    (r"resnet\.", "deeplab.backbone."),
    (r"aspp\.branches\.(\d)\.", r"deeplab.aspp.concurent.\1."),
    (r"aspp\.image_level\.0\.", "deeplab.aspp.concurent.4.gap.1."),
    (r"aspp\.image_level\.1\.", "deeplab.aspp.concurent.4.gap.2."),
    (r"aspp\.project\.", "deeplab.aspp.project."),
    (r"skip\.", "deeplab.skip_project.skip_project."),
    (r"head\.([01])\.", r"deeplab.head.block.\1.body."),
    (r"head\.2\.", "deeplab.head.block.2."),
)


@dataclass(frozen=True)
class DeepLabConfig:
    """What distinguishes one DeepLabV3+ from another.

    Attributes:
        channels: Channels of the features it puts out, and of every ASPP branch.
        skip_channels: Channels that the early features are reduced to.
        dilations: Dilations of the three 3 x 3 ASPP branches.
    """

    channels: int = 256
    skip_channels: int = 32
    dilations: tuple[int, int, int] = (12, 24, 36)

    def build(self) -> "DeepLabV3Plus":
        """Build the backbone."""
        return DeepLabV3Plus(self)

    def released_name(self, name: str) -> str:
        """Return what a tensor is called in released weights."""
        return rename(name, _RELEASED)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: look at every pixel's surroundings at several scales.

    In training, the image-level branch normalises one value per image and channel: a batch needs at
    least two images.
    """

    def __init__(self, in_channels: int, config: DeepLabConfig) -> None:
        """Build the module for features of `in_channels` channels."""
        super().__init__()
        self.branches = nn.ModuleList(
            [
                conv_norm_relu(in_channels, config.channels),
                *(
                    conv_norm_relu(in_channels, config.channels, 3, dilation=dilation)
                    for dilation in config.dilations
                ),
            ]
        )
        self.image_level = conv_norm_relu(in_channels, config.channels)
        scales = len(self.branches) + 1
        self.project = conv_norm_relu(scales * config.channels, config.channels)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, channels, H, W)."""
        scales: list[torch.Tensor] = [branch(x) for branch in self.branches]
        image_level: torch.Tensor = self.image_level(F.adaptive_avg_pool2d(x, 1))
        scales.append(image_level.expand(-1, -1, *x.shape[2:]))
        return self.dropout(self.project(torch.cat(scales, dim=1)))


def separable_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Build a 3 x 3 convolution of each channel, a 1 x 1 convolution, batch norm, ReLU."""
    depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
    return nn.Sequential(depthwise, *conv_norm_relu(in_channels, out_channels))


class DeepLabV3Plus(SemanticBackbone):
    """ResNet-34 at output stride 8, ASPP, and a head that brings both to a quarter resolution."""

    mask_channels = 64

    def __init__(self, config: DeepLabConfig) -> None:
        """Build the backbone."""
        super().__init__()
        self.out_channels = config.channels
        self.resnet = ResNet34()
        self.aspp = ASPP(512, config)
        self.skip = conv_norm_relu(64, config.skip_channels)
        self.head = nn.Sequential(
            separable_conv(config.channels + config.skip_channels, config.channels),
            separable_conv(config.channels, config.channels),
            nn.Conv2d(config.channels, config.channels, kernel_size=1),
        )

    @property
    def pretrained(self) -> ResNet34:
        """The ResNet-34."""
        return self.resnet

    def forward(
        self, image: torch.Tensor, mask: torch.Tensor, mask_features: torch.Tensor | None
    ) -> torch.Tensor:
        """Extract (N, channels, H / 4, W / 4); see `SemanticBackbone`.

        The mask itself is not looked at: unlike OCR, ASPP knows no regions.
        """
        del mask
        low, high = self.resnet(image, mask_features)
        skip: torch.Tensor = self.skip(low)
        return self.head(torch.cat([resize_like(self.aspp(high), skip), skip], dim=1))
