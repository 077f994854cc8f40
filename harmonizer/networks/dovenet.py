"""The generator of DoveNet, the strongest method the paper compares with.

Cong et al., "DoveNet: Deep Image Harmonization via Domain Verification" (CVPR 2020): the U-Net of
pix2pix with gates on the three largest skip connections.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from harmonizer.errors import InputError
from harmonizer.networks.network import InputSizes, Network


@dataclass(frozen=True)
class DoveNetConfig:
    """What distinguishes one DoveNet generator from another.

    Attributes:
        depth: Number of halvings of the resolution; 8 brings 256 x 256 to a single pixel.
        width: Channels of the first level; they double up to 8 times as many.
        gates: Number of skip connections, from the largest on, that are gated.
        initial_gain: Gain of the released initialisation of the other networks.
    """

    depth: int = 8
    width: int = 64
    gates: int = 3
    initial_gain: float = 2.0

    def __post_init__(self) -> None:
        """Refuse values that no network can be built from."""
        if not 2 <= self.depth <= 12:
            raise InputError(f"a DoveNet generator needs a depth from 2 to 12, got {self.depth}")
        if self.width < 1:
            raise InputError(f"a DoveNet generator needs a positive width, got {self.width}")
        if not 0 <= self.gates < self.depth:
            raise InputError(f"gates must lie in [0, {self.depth - 1}], got {self.gates}")

    def build(self) -> "DoveNet":
        """Build the network."""
        return DoveNet(self)

    def released_name(self, name: str) -> str:
        """Name what the released network nests: every level is a child of the level around it."""
        kind, level_text, layer, *rest = name.split(".")
        level = int(level_text)
        if kind == "gates":
            # A gate stands at the connection between two levels and is named after the inner one.
            return ".".join([_released_level(level + 1), "attention.0", *rest])
        innermost = level == self.depth - 1
        if level == 0:
            position = {"down.conv": 0, "up.conv": 3}
        elif innermost:
            position = {"down.conv": 1, "up.conv": 3, "up.norm": 4}
        else:
            position = {"down.conv": 1, "down.norm": 2, "up.conv": 5, "up.norm": 6}
        return ".".join([_released_level(level), "model", str(position[f"{kind}.{layer}"]), *rest])


def _released_level(level: int) -> str:
    return "model" + ".model.1" * (level > 0) + ".model.3" * (level - 1)


class DownBlock(nn.Module):
    """Halve the resolution: 4 x 4 convolution without bias, batch norm or none."""

    def __init__(self, in_channels: int, out_channels: int, norm: bool) -> None:
        """Build the block, with batch norm where `norm` says so."""
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels) if norm else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', H / 2, W / 2)."""
        return self.norm(self.conv(x))


class UpBlock(nn.Module):
    """Double the resolution: ReLU, then 4 x 4 transposed convolution, with batch norm or a bias."""

    def __init__(self, in_channels: int, out_channels: int, norm: bool) -> None:
        """Build the block; where there is no batch norm the convolution has a bias."""
        super().__init__()
        self.conv = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=not norm
        )
        self.norm = nn.BatchNorm2d(out_channels) if norm else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', 2 H, 2 W)."""
        return self.norm(self.conv(F.relu(x)))


class SkipGate(nn.Module):
    """Weigh every value of a skip connection by a gate computed from all channels of its pixel."""

    def __init__(self, channels: int) -> None:
        """Build the gate for features of `channels` channels."""
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        return torch.sigmoid(self.conv(x)) * x


class DoveNet(Network):
    """The generator alone: the discriminators are only needed for its training."""

    def __init__(self, config: DoveNetConfig) -> None:
        """Build the network."""
        super().__init__()
        depth = config.depth
        self.input_sizes = InputSizes(multiple=2**depth, minimum=2**depth)

        widths = [config.width * min(2**i, 8) for i in range(depth)]
        self.down = nn.ModuleList(
            DownBlock(widths[i - 1] if i else 4, widths[i], norm=0 < i < depth - 1)
            for i in range(depth)
        )
        # The innermost block gets the bottleneck, every other one a skip beside what comes up.
        self.up = nn.ModuleList(
            UpBlock(
                widths[i] if i == depth - 1 else 2 * widths[i],
                widths[i - 1] if i else 3,
                norm=i > 0,
            )
            for i in range(depth)
        )
        self.gates = nn.ModuleList(SkipGate(2 * widths[i]) for i in range(config.gates))

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Harmonize a batch in [-1, 1] (mean 0.5, std 0.5); see `Network`."""
        self.input_sizes.check(image, mask)
        x = torch.cat([image, mask], dim=1)
        skips: list[torch.Tensor] = []
        for i, block in enumerate(self.down):
            if i:
                # What is passed over is the activated tensor: in the released network the
                # activation works in place, after which there is no other.
                x = F.leaky_relu(x, 0.2)
                skips.append(x)
            x = block(x)
        for i in range(len(self.up) - 1, 0, -1):
            x = torch.cat([skips[i - 1], self.up[i](x)], dim=1)
            if i <= len(self.gates):
                x = self.gates[i - 1](x)
        return torch.tanh(self.up[0](x))
