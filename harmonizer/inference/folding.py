"""Fold batch norm into the convolution before it, for inference."""

from copy import deepcopy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_Network = TypeVar("_Network", bound=nn.Module)


def fold_batch_norm(network: _Network) -> _Network:
    """Return a copy, for inference, that gives the same answers with fewer steps.

    A batch norm that a module names right after a convolution belongs to it: all networks of this
    library are written so. The copy's weights have other names.
    """
    folded = deepcopy(network).eval().requires_grad_(False)
    for module in list(folded.modules()):
        before_name, before = "", None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and isinstance(
                before, nn.Conv2d | nn.ConvTranspose2d
            ):
                transposed = isinstance(before, nn.ConvTranspose2d)
                setattr(module, before_name, fuse_conv_bn_eval(before, child, transposed))
                setattr(module, name, nn.Identity())
            before_name, before = name, child
    return folded
