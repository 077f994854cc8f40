"""Build what several networks share."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial

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


def convolve(layer: nn.Conv2d | nn.ConvTranspose2d, x: torch.Tensor) -> torch.Tensor:
    """Apply a convolution; where training is compiled, its bias is a step of its own.

    On CPUs PyTorch spends more time on the gradient of a convolution's bias than on all others of
    the layer. The compiler makes an addition, and its gradient, part of the layer after it.
    """
    padding = layer.padding
    apart = layer.training and torch.compiler.is_compiling()
    if layer.bias is None or isinstance(padding, str) or not apart:
        return layer(x)
    function = F.conv2d
    if isinstance(layer, nn.ConvTranspose2d):
        function = partial(F.conv_transpose2d, output_padding=layer.output_padding)
    y = function(
        x,
        layer.weight,
        stride=layer.stride,
        padding=padding,
        groups=layer.groups,
        dilation=layer.dilation,
    )
    return y + layer.bias[:, None, None].to(y.dtype)


def resize_like(x: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Resize (N, C, h, w) bilinearly to the height and width of `reference`, corners aligned."""
    return F.interpolate(x, size=reference.shape[2:], mode="bilinear", align_corners=True)


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which autocast, where it is on, leaves what is computed as it is."""
    if device.type == "meta" or not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
