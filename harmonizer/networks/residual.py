"""Residual blocks and the ResNet-34 under DeepLabV3+.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016). Module names are those of the
usual ImageNet checkpoints, which load without renaming.
"""

import torch
import torch.nn.functional as F
from torch import nn


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        dilations: tuple[int, int] = (1, 1),
    ) -> None:
        """Build the block; the first convolution has the stride, both their own dilation."""
        super().__init__()
        first, second = dilations
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, 3, stride=stride, padding=first, dilation=first, bias=False
        )
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(
            out_channels, out_channels, 3, padding=second, dilation=second, bias=False
        )
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        residual = F.relu(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        return F.relu(residual + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut; the last widens fourfold."""

    def __init__(self, in_channels: int, planes: int) -> None:
        """Build the block; it puts out 4 * `planes` channels."""
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, planes, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.downsample = _shortcut(in_channels, 4 * planes, stride=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, 4 * planes, H, W)."""
        residual = F.relu(self.bn1(self.conv1(x)))
        residual = F.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        return F.relu(residual + (x if self.downsample is None else self.downsample(x)))


class ResNet34(nn.Module):
    """ResNet-34 at output stride 8: the last two stages dilate instead of shrinking."""

    def __init__(self) -> None:
        """Build the network."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = self._stage(64, 64, 3)
        self.layer2 = self._stage(64, 128, 4, stride=2)
        self.layer3 = self._stage(128, 256, 6, dilation=2)
        self.layer4 = self._stage(256, 512, 3, dilation=4)

    @staticmethod
    def _stage(
        in_channels: int, out_channels: int, blocks: int, stride: int = 1, dilation: int = 1
    ) -> nn.Sequential:
        # The first convolution still sees what the stage before put out, hence its dilation.
        first = BasicBlock(in_channels, out_channels, stride, (max(dilation // 2, 1), dilation))
        rest = (
            BasicBlock(out_channels, out_channels, dilations=(dilation, dilation))
            for _ in range(blocks - 1)
        )
        return nn.Sequential(first, *rest)

    def forward(
        self, image: torch.Tensor, mask_features: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Extract features of an image normalised as for ImageNet.

        Mask features (N, 64, H / 2, W / 2) are added after the first convolution (section 3.2).
        Returned are (N, 64, H / 4, W / 4), the first stage's, and (N, 512, H / 8, W / 8), the last
        stage's.
        """
        x = F.relu(self.bn1(self.conv1(image)))
        if mask_features is not None:
            x = x + mask_features
        x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        low = self.layer1(x)
        return low, self.layer4(self.layer3(self.layer2(low)))
