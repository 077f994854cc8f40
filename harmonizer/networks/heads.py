"""Turn decoder features into the harmonized image."""

import torch
from torch import nn

from harmonizer.networks.layers import convolve
from harmonizer.networks.network import Renames

HEAD_NAMES: Renames = (
    (r"head\.rgb\.", "decoder.to_rgb."),
    (r"head\.attention\.", "decoder.conv_attention."),
)


class RGBHead(nn.Module):
    """Predict every pixel, background included, as the DIH and S2AM baselines do (section 3.1)."""

    def __init__(self, in_channels: int) -> None:
        """Take decoder features of `in_channels` channels."""
        super().__init__()
        self.rgb = nn.Conv2d(in_channels, 3, kernel_size=1)

    def forward(self, features: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Map features (N, C, H, W) to an image (N, 3, H, W); the input image is not looked at."""
        del image
        return convolve(self.rgb, features)


class BlendingHead(nn.Module):
    """Predict an image and how much of the input image to keep (section 3.1, eq. 1).

    The released networks differ from the paper's equation in two ways, and their weights only mean
    something with both: the attention map weighs the *input image* instead of the prediction, and
    its logits are multiplied by 3 before the sigmoid.
    """

    def __init__(self, in_channels: int) -> None:
        """Take decoder features of `in_channels` channels."""
        super().__init__()
        self.rgb = nn.Conv2d(in_channels, 3, kernel_size=1)
        self.attention = nn.Conv2d(in_channels, 1, kernel_size=1)

    def forward(self, features: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Blend what the features (N, C, H, W) predict into the input image (N, 3, H, W)."""
        keep = torch.sigmoid(3.0 * convolve(self.attention, features))
        return keep * image + (1.0 - keep) * convolve(self.rgb, features)


def build_head(in_channels: int, blend: bool) -> RGBHead | BlendingHead:
    """Build the blending head of the improved networks, or the plain one of the baselines."""
    return BlendingHead(in_channels) if blend else RGBHead(in_channels)
