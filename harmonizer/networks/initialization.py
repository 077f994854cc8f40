"""Draw initial weights and set learning rates as for the released networks."""

import math

from torch import nn

from harmonizer.networks.backbone import pretrained_parts


def initialize(network: nn.Module, gain: float) -> None:
    """Draw new weights in place: Gaussian Xavier, biases 0, batch norm 1 and 0.

    Weights of convolutions and linear layers get a standard deviation of
    `sqrt(gain / ((fan_in + fan_out) / 2))`. The part of a backbone that is meant to hold ImageNet
    weights is left as it is, as are buffers (the blurring kernel of S2AM) and the scale of the mask
    features.
    """
    # A network on the meta device has no values to draw; asking for them anyway would make torch
    # import its compiler, which takes as long as everything else in loading a model.
    if any(parameter.is_meta for parameter in network.parameters()):
        return
    left_out = {module for part in pretrained_parts(network) for module in part.modules()}
    for module in network.modules():
        if module in left_out:
            continue
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            # PyTorch's gain multiplies the standard deviation, the paper's code the variance.
            nn.init.xavier_normal_(module.weight, gain=math.sqrt(gain))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def learning_rate_multipliers(network: nn.Module, pretrained: float = 0.1) -> dict[str, float]:
    """Return by how much the learning rate of each parameter is multiplied (section 4.2).

    Args:
        network: Any network of this package.
        pretrained: The multiplier of the part that starts from ImageNet weights. All other
            parameters, those of the backbone's head and of the mask features included, have 1.

    Returns:
        A multiplier for each name of `network.named_parameters()`, in that order.
    """
    slow = {parameter for part in pretrained_parts(network) for parameter in part.parameters()}
    return {
        name: pretrained if parameter in slow else 1.0
        for name, parameter in network.named_parameters()
    }
