"""Define what every network has: a configuration that builds it, and image sizes it works at."""

import re
from collections.abc import Sequence
from dataclasses import Field, dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import torch
from torch import nn

from harmonizer.errors import InputError

# (pattern of our name, what stands there in the released name); the first that matches counts.
Renames: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class InputSizes:
    """The heights and widths a network works at: multiples of `multiple`, from `minimum` on."""

    multiple: int
    minimum: int

    def __str__(self) -> str:
        """Say it the way an error message needs it."""
        return f"heights and widths that are multiples of {self.multiple}, from {self.minimum}"

    def accepts(self, height: int, width: int) -> bool:
        """Return whether the network works on images of this size."""
        return all(side >= self.minimum and side % self.multiple == 0 for side in (height, width))

    def check(self, image: torch.Tensor, mask: torch.Tensor) -> None:
        """Refuse what the network cannot work with, and say which sizes work.

        Every condition is a comparison of sizes, so `torch.export` and `torch.compile` decide
        it while tracing and leave nothing of it in the graph.
        """
        if image.ndim != 4 or image.shape[1] != 3:
            raise InputError(f"expected an image of shape (N, 3, H, W), got {tuple(image.shape)}")
        if mask.ndim != 4 or mask.shape[1] != 1:
            raise InputError(f"expected a mask of shape (N, 1, H, W), got {tuple(mask.shape)}")
        if image.shape[0] != mask.shape[0] or image.shape[2:] != mask.shape[2:]:
            raise InputError(
                "image and mask must agree in batch, height and width: "
                f"got {tuple(image.shape)} and {tuple(mask.shape)}"
            )
        if not (image.is_floating_point() and mask.is_floating_point()):
            raise InputError(
                "image and mask must be floating point (the image normalised, the mask in [0, 1]): "
                f"got {image.dtype} and {mask.dtype}"
            )
        if not self.accepts(image.shape[2], image.shape[3]):
            raise InputError(
                f"this network works at {self}; got {image.shape[2]} x {image.shape[3]}: "
                "resize image and mask first"
            )


class Network(nn.Module):
    """A network that harmonizes.

    Its `forward(image, mask)` takes an image (N, 3, H, W), normalised as its preprocessing says,
    and a mask (N, 1, H, W) in [0, 1], 1 = foreground; H and W as in `input_sizes`. It gives (N, 3,
    H, W) in the normalised space of the image. One that a backbone guides also takes `features`, a
    tensor for each entry of its `feature_channels`, the i-th of shape (N, C_i, H / 2**(i + 2), W /
    2**(i + 2)).
    """

    input_sizes: InputSizes


class NetworkConfig(Protocol):
    """What distinguishes a network from others: a frozen dataclass of typed fields."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def initial_gain(self) -> float:
        """Gain of the released initialisation."""
        ...

    def build(self) -> Network:
        """Build the network."""
        ...

    def released_name(self, name: str) -> str:
        """Return what one of the network's tensors is called in the authors' state dicts."""
        ...


class GuidedConfig(NetworkConfig, Protocol):
    """One of a network that takes the features of a semantic backbone."""

    def build(self, feature_channels: Sequence[int] = ()) -> Network:
        """Build the network for features of these channels."""
        ...


def rename(name: str, renames: Renames) -> str:
    """Return the released name of a tensor, by the first pattern that its own begins with."""
    for pattern, replacement in renames:
        renamed, count = re.subn(f"^{pattern}", replacement, name)
        if count:
            return renamed
    raise LookupError(f"no released name is known for {name}")
