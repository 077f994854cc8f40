"""EfficientNet-Lite0, a small ImageNet network made of operators that run everywhere.

Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019), in
the variant without squeeze-and-excitation. Module names are those of timm's checkpoints
(`timm/tf_efficientnet_lite0.in1k`), which load without renaming.
"""

import torch
import torch.nn.functional as F
from torch import nn

from harmonizer.networks.layers import full_precision

# Repeats, kernel size, stride of the first block, expansion, output channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32


class SameConv2d(nn.Conv2d):
    """A convolution whose padding is TensorFlow's: the odd pixel right and below."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        """Build the layer; it puts out a size divided by `stride`."""
        total = kernel_size - stride
        even = total % 2 == 0
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=total // 2 if even else 0,
            groups=groups,
        )
        self.border = None if even else (total // 2, total - total // 2) * 2

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        x = input if self.border is None else F.pad(input, self.border)
        if self.groups > 1 and x.device.type == "cpu":
            # On CPUs, depthwise convolutions are slower in bfloat16 than in float32.
            with full_precision(x.device):
                return super().forward(x.to(self.weight.dtype))
        return super().forward(x)


class DepthwiseSeparable(nn.Module):
    """A depthwise and a 1 x 1 convolution: the first stage, which expands nothing."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        """Build the block."""
        super().__init__()
        self.conv_dw = SameConv2d(in_channels, in_channels, kernel_size, stride, in_channels)
        self.conv_pw = SameConv2d(in_channels, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        return self.conv_pw(F.relu6(self.conv_dw(x)))


class InvertedResidual(nn.Module):
    """Widen by a 1 x 1 convolution, look around by a depthwise one, narrow by a 1 x 1 one."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, expansion: int
    ) -> None:
        """Build the block; it has a shortcut where size and channels stay."""
        super().__init__()
        middle = in_channels * expansion
        self.conv_pw = SameConv2d(in_channels, middle)
        self.conv_dw = SameConv2d(middle, middle, kernel_size, stride, middle)
        self.conv_pwl = SameConv2d(middle, out_channels)
        self.shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        wide = F.relu6(self.conv_pw(x))
        narrow = self.conv_pwl(F.relu6(self.conv_dw(wide)))
        return x + narrow if self.shortcut else narrow


class EfficientNetLite0(nn.Module):
    """The convolutional part of EfficientNet-Lite0, up to its last stage."""

    def __init__(self) -> None:
        """Build the stem and the seven stages."""
        super().__init__()
        self.conv_stem = SameConv2d(3, STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.ModuleList()
        channels = STEM_CHANNELS
        for repeats, kernel_size, stride, expansion, out_channels in STAGES:
            stage = nn.Sequential()
            for i in range(repeats):
                first = stride if i == 0 else 1
                stage.append(
                    DepthwiseSeparable(channels, out_channels, kernel_size, first)
                    if expansion == 1
                    else InvertedResidual(channels, out_channels, kernel_size, first, expansion)
                )
                channels = out_channels
            self.blocks.append(stage)

    def stem(self, image: torch.Tensor) -> torch.Tensor:
        """Map an image (N, 3, H, W), (x - 127) / 128 of 0 to 255, to (N, 32, H / 2, W / 2)."""
        return F.relu6(self.conv_stem(image))
