"""S2AM and iS2AM: a U-Net whose last decoder block attends to foreground and background apart.

The spatial-separated attention module is that of Cun and Pun, "Improving the Harmony of the
Composite Image by Spatial-Separated Attention Module" (TIP 2020). iS2AM halves the width and has
the blending head of eq. (1) (section 3.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from harmonizer.errors import InputError
from harmonizer.networks.heads import HEAD_NAMES, build_head
from harmonizer.networks.layers import conv_norm_relu, resize_like
from harmonizer.networks.network import InputSizes, Network, Renames, rename

# This block sees a quarter of the resolution, which is where semantic features stand.
FIRST_FEATURE_BLOCK = 2

_ATTENTION = r"decoder.up_blocks.\1.attention"
_RELEASED: Renames = (
    (r"encoder\.([01])\.(\d)\.conv\.", r"encoder.block\1.convs.block.\2.block.0."),
    (r"encoder\.([01])\.(\d)\.norm\.", r"encoder.block\1.convs.block.\2.block.1."),
    (r"encoder\.(\d+)\.(\d)\.conv\.", r"encoder.blocks_connected.block\1.convs.block.\2.block.0."),
    (r"encoder\.(\d+)\.(\d)\.norm\.", r"encoder.blocks_connected.block\1.convs.block.\2.block.1."),
    (r"decoder\.(\d+)\.up\.conv\.", r"decoder.up_blocks.\1.upconv.1.block.0."),
    (r"decoder\.(\d+)\.convs\.(\d)\.conv\.", r"decoder.up_blocks.\1.convs.block.\2.block.0."),
    (r"decoder\.(\d+)\.convs\.(\d)\.norm\.", r"decoder.up_blocks.\1.convs.block.\2.block.1."),
    (r"decoder\.(\d+)\.attention\.learn\.(\d)\.", rf"{_ATTENTION}.learning_block.\2.block."),
    (r"decoder\.(\d+)\.attention\.blur_kernel$", rf"{_ATTENTION}.mask_blurring.weight"),
    (r"decoder\.(\d+)\.attention\.(\w+)\.squeeze\.", rf"{_ATTENTION}.\2.attention_transform.0."),
    (r"decoder\.(\d+)\.attention\.(\w+)\.excite\.", rf"{_ATTENTION}.\2.attention_transform.2."),
    *HEAD_NAMES,
)


@dataclass(frozen=True)
class UNetConfig:
    """What distinguishes one U-Net from another.

    Attributes:
        depth: Number of encoder blocks; every one but the last halves the resolution.
        width: Channels of the first encoder block; they double with every block.
        batchnorm_from: The first encoder block with batch norm.
        attention_from: The first decoder block with spatial-separated attention.
        attention_expansion: Channels in the middle of the attention's learned branch, as a multiple
            of those that go in.
        blend: Whether the network keeps the background by blending (eq. 1) or predicts every pixel.
        initial_gain: Gain of the released initialisation.
    """

    depth: int = 4
    width: int = 32
    batchnorm_from: int = 2
    attention_from: int = 2
    attention_expansion: float = 0.5
    blend: bool = True
    initial_gain: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that no network can be built from."""
        if not 2 <= self.depth <= 12:
            raise InputError(f"a U-Net needs a depth from 2 to 12, got {self.depth}")
        if self.width < 1:
            raise InputError(f"a U-Net needs a positive width, got {self.width}")
        if self.attention_expansion <= 0:
            raise InputError(f"attention_expansion must be above 0, got {self.attention_expansion}")

    def build(self, feature_channels: Sequence[int] = ()) -> "UNet":
        """Build the network."""
        return UNet(self, feature_channels)

    def released_name(self, name: str) -> str:
        """Return what a tensor is called in released weights."""
        return rename(name, _RELEASED)


class ConvReLU(nn.Module):
    """3 x 3 convolution with bias, batch norm or none, ReLU; the size stays the same."""

    def __init__(self, in_channels: int, out_channels: int, norm: bool) -> None:
        """Build the layer, with batch norm where `norm` says so."""
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        self.norm = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', H, W)."""
        return self.activation(self.norm(self.conv(x)))


def double_conv(in_channels: int, out_channels: int, norm: bool) -> nn.Sequential:
    """Build the two convolutions of a U-Net block."""
    return nn.Sequential(
        ConvReLU(in_channels, out_channels, norm), ConvReLU(out_channels, out_channels, norm)
    )


class ChannelAttention(nn.Module):
    """Weigh each channel by a gate computed from its mean and its maximum."""

    def __init__(self, channels: int) -> None:
        """Build the gate for features of `channels` channels."""
        super().__init__()
        middle = max(channels // 16, 8)
        self.squeeze = nn.Linear(2 * channels, middle)
        self.excite = nn.Linear(middle, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        mean = F.adaptive_avg_pool2d(x, 1)
        maximum = F.adaptive_max_pool2d(x, 1)
        pooled = torch.cat([mean, maximum], dim=1).flatten(1)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(pooled))))
        return x * gate[:, :, None, None]


def gaussian_kernel() -> torch.Tensor:
    """Return a normalised Gaussian of standard deviation 1: (1, 1, 7, 7), float32."""
    offsets = torch.arange(-3, 4, dtype=torch.float32)
    profile = torch.exp(-(offsets**2) / 2)
    kernel = profile[:, None] * profile[None, :]
    return (kernel / kernel.sum())[None, None]


class SpatialSeparatedAttention(nn.Module):
    """Treat foreground and background differently, with a soft border between them.

    The blurring kernel is part of the state dict because the released weights do not hold a
    Gaussian there (their initialiser overwrote it with noise) and only work with what they hold.
    """

    blur_kernel: torch.Tensor

    def __init__(self, channels: int, expansion: float) -> None:
        """Build the module for features of `channels` channels."""
        super().__init__()
        middle = int(channels * expansion)
        self.background_gate = ChannelAttention(channels)
        self.foreground_gate = ChannelAttention(channels)
        self.mix_gate = ChannelAttention(channels)
        self.learn = nn.Sequential(
            conv_norm_relu(channels, middle, 3), conv_norm_relu(middle, channels, 3)
        )
        self.register_buffer("blur_kernel", gaussian_kernel())

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Attend: x (N, C, H, W), mask (N, 1, H', W') in [0, 1], to (N, C, H, W)."""
        border = self.blur_kernel.shape[-1] // 2
        mask = F.conv2d(resize_like(mask, x), self.blur_kernel, padding=border)
        background = self.background_gate(x)
        foreground = self.learn(self.foreground_gate(x)) + self.mix_gate(x)
        return mask * foreground + (1.0 - mask) * background


class UpBlock(nn.Module):
    """Double the resolution and merge with the encoder features of that resolution."""

    def __init__(
        self, in_channels: int, out_channels: int, attention: SpatialSeparatedAttention | None
    ) -> None:
        """Build the block; `attention` acts on 2 * `out_channels` channels."""
        super().__init__()
        self.up = ConvReLU(in_channels, out_channels, norm=False)
        self.attention = attention
        self.convs = double_conv(2 * out_channels, out_channels, norm=True)

    def forward(self, x: torch.Tensor, skip: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map x (N, C, H, W) and skip (N, C', 2 H, 2 W) to (N, C', 2 H, 2 W)."""
        merged = torch.cat([skip, self.up(resize_like(x, skip))], dim=1)
        if self.attention is not None:
            merged = self.attention(merged, mask)
        return self.convs(merged)


class UNet(Network):
    """S2AM or iS2AM, alone or with the features of a semantic backbone."""

    def __init__(self, config: UNetConfig, feature_channels: Sequence[int] = ()) -> None:
        """Build the network.

        Semantic features of these channels are concatenated to the inputs of encoder blocks 2, 3,
        ...
        """
        super().__init__()
        depth = config.depth
        if len(feature_channels) > depth - FIRST_FEATURE_BLOCK:
            raise InputError(
                f"a U-Net of depth {depth} has room for at most {depth - FIRST_FEATURE_BLOCK} "
                f"levels of features, got {len(feature_channels)}"
            )
        self.input_sizes = InputSizes(multiple=2 ** (depth - 1), minimum=2 ** (depth - 1))

        widths = [config.width * 2**i for i in range(depth)]
        extra = dict(enumerate(feature_channels, start=FIRST_FEATURE_BLOCK))
        self.encoder = nn.ModuleList(
            double_conv(
                in_channels=(widths[i - 1] if i else 4) + extra.get(i, 0),
                out_channels=widths[i],
                norm=i >= config.batchnorm_from,
            )
            for i in range(depth)
        )
        upwards = list(reversed(widths))
        self.decoder = nn.ModuleList(
            UpBlock(
                upwards[i],
                upwards[i + 1],
                SpatialSeparatedAttention(2 * upwards[i + 1], config.attention_expansion)
                if i >= config.attention_from
                else None,
            )
            for i in range(depth - 1)
        )
        self.head = build_head(widths[0], config.blend)

    def forward(
        self, image: torch.Tensor, mask: torch.Tensor, features: Sequence[torch.Tensor] = ()
    ) -> torch.Tensor:
        """Harmonize a batch; see `Network`."""
        self.input_sizes.check(image, mask)
        extra = dict(enumerate(features, start=FIRST_FEATURE_BLOCK))
        x = torch.cat([image, mask], dim=1)
        skips: list[torch.Tensor] = []
        for i, block in enumerate(self.encoder):
            if i:
                x = F.max_pool2d(x, 2)
            if i in extra:
                x = torch.cat([x, extra[i]], dim=1)
            x = block(x)
            skips.append(x)
        skips.pop()
        for block in self.decoder:
            x = block(x, skips.pop(), mask)
        return self.head(x, image)
