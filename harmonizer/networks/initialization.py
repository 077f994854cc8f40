"""The initialisation that the released networks were trained from."""

import math

from torch import nn


def initialize(network: nn.Module, gain: float) -> None:
    """Draw new weights in place: Gaussian Xavier, biases 0, batch norm 1 and 0.

    Weights of convolutions and linear layers get a standard deviation of
    ``sqrt(gain / ((fan_in + fan_out) / 2))``. Buffers (the blurring kernel of S2AM) and the scale
    of the mask features keep the values they were built with.

    Args:
        network: any network of this package, or a part of one.
        gain: 2 for all released networks but those on iS2AM, which used 1.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            # PyTorch's own formula has an extra factor gain**2 * 2 / 2.
            nn.init.xavier_normal_(module.weight, gain=math.sqrt(gain))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
