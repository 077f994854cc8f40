"""The two building blocks that several networks share."""

import torch
import torch.nn.functional as F
from torch import nn


def conv_norm_relu(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    *,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = False,
) -> nn.Sequential:
    """Build convolution, batch norm, ReLU; at stride 1 the size stays the same."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            bias=bias,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def resize_like(x: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Resize (N, C, h, w) bilinearly to the height and width of `reference`, corners aligned."""
    return F.interpolate(x, size=reference.shape[2:], mode="bilinear", align_corners=True)
