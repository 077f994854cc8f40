"""DIH and iDIH: an encoder-decoder with additive skip connections (section 3.1).

DIH is the network of Tsai et al. (CVPR 2017) without its fully connected bottleneck and without its
segmentation branch. iDIH adds the blending head of eq. (1) and leaves batch norm out of the first
two encoder blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from harmonizer.errors import InputError
from harmonizer.networks.heads import HEAD_NAMES, build_head
from harmonizer.networks.layers import convolve
from harmonizer.networks.network import InputSizes, Network, Renames, rename

# This block sees a quarter of the resolution, which is where semantic features stand.
FIRST_FEATURE_BLOCK = 2

_RELEASED: Renames = (
    (r"encoder\.([01])\.conv\.", r"encoder.block\1.block.0."),
    (r"encoder\.([01])\.norm\.", r"encoder.block\1.block.1."),
    (r"encoder\.(\d+)\.conv\.", r"encoder.blocks_connected.block\1.block.0."),
    (r"encoder\.(\d+)\.norm\.", r"encoder.blocks_connected.block\1.block.1."),
    (r"decoder\.(\d+)\.conv\.", r"decoder.deconv_blocks.\1.block.0."),
    (r"decoder\.(\d+)\.norm\.", r"decoder.deconv_blocks.\1.block.1."),
    *HEAD_NAMES,
)


@dataclass(frozen=True)
class EncoderDecoderConfig:
    """What distinguishes one encoder-decoder from another.

    Attributes:
        depth: Number of encoder blocks, and of decoder blocks; each halves the resolution. 7 is
            made for 256 x 256 images, 8 for 512 x 512.
        width: Channels of the first encoder block. Even.
        doubling: Blocks after which the channels double: 2 as released; 1 moves the capacity to the
            low resolutions, where a channel costs a quarter as much.
        batchnorm_from: The first encoder block with batch norm.
        blend: Whether the network keeps the background by blending (eq. 1) or predicts every pixel.
        initial_gain: Gain of the released initialisation.
    """

    depth: int = 7
    width: int = 64
    doubling: int = 2
    batchnorm_from: int = 2
    blend: bool = True
    initial_gain: float = 2.0

    def __post_init__(self) -> None:
        """Refuse values that no network can be built from."""
        if not 2 <= self.depth <= 12:
            raise InputError(f"an encoder-decoder needs a depth from 2 to 12, got {self.depth}")
        if self.width < 2 or self.width % 2:
            raise InputError(f"an encoder-decoder needs an even, positive width, got {self.width}")
        if self.doubling < 1:
            raise InputError(f"channels double after 1 block or more, got {self.doubling}")

    def build(self, feature_channels: Sequence[int] = ()) -> "EncoderDecoder":
        """Build the network."""
        return EncoderDecoder(self, feature_channels)

    def released_name(self, name: str) -> str:
        """Return what a tensor is called in released weights."""
        return rename(name, _RELEASED)


class EncoderBlock(nn.Module):
    """Halve the resolution: 4 x 4 convolution, batch norm or none, ELU."""

    def __init__(self, in_channels: int, out_channels: int, padding: int, norm: bool) -> None:
        """Build the block; `padding` 0 shrinks the last 4 x 4 map to a single pixel."""
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=4, stride=2, padding=padding)
        self.norm = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        self.activation = nn.ELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', H / 2, W / 2)."""
        return self.activation(self.norm(convolve(self.conv, x)))


class DecoderBlock(nn.Module):
    """Double the resolution: 4 x 4 transposed convolution, batch norm, ELU."""

    def __init__(self, in_channels: int, out_channels: int, padding: int) -> None:
        """Build the block; `padding` 0 undoes the last encoder block."""
        super().__init__()
        self.conv = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size=4, stride=2, padding=padding
        )
        self.norm = nn.BatchNorm2d(out_channels)
        self.activation = nn.ELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C', 2 H, 2 W)."""
        return self.activation(self.norm(convolve(self.conv, x)))


class EncoderDecoder(Network):
    """DIH or iDIH, alone or with the features of a semantic backbone.

    In training, the last encoder block's batch norm sees 1 x 1 maps at the smallest input size:
    a batch then needs at least two images.
    """

    def __init__(self, config: EncoderDecoderConfig, feature_channels: Sequence[int] = ()) -> None:
        """Build the network.

        Semantic features of these channels are concatenated to the inputs of encoder blocks 2, 3,
        ...
        """
        super().__init__()
        depth = config.depth
        if len(feature_channels) > depth - FIRST_FEATURE_BLOCK:
            raise InputError(
                f"an encoder-decoder of depth {depth} has room for at most "
                f"{depth - FIRST_FEATURE_BLOCK} levels of features, got {len(feature_channels)}"
            )
        self.input_sizes = InputSizes(multiple=2**depth, minimum=2 ** (depth + 1))

        widths = [config.width * 2 ** (i // config.doubling) for i in range(depth)]
        extra = dict(enumerate(feature_channels, start=FIRST_FEATURE_BLOCK))
        self.encoder = nn.ModuleList(
            EncoderBlock(
                in_channels=(widths[i - 1] if i else 4) + extra.get(i, 0),
                out_channels=widths[i],
                padding=0 if i == depth - 1 else 1,
                norm=i >= config.batchnorm_from,
            )
            for i in range(depth)
        )
        # Each decoder block but the last ends at the width of the encoder block it is added to.
        decoder_widths = [*reversed(widths), config.width // 2]
        self.decoder = nn.ModuleList(
            DecoderBlock(decoder_widths[i], decoder_widths[i + 1], padding=0 if i == 0 else 1)
            for i in range(depth)
        )
        self.head = build_head(decoder_widths[-1], config.blend)

    def forward(
        self, image: torch.Tensor, mask: torch.Tensor, features: Sequence[torch.Tensor] = ()
    ) -> torch.Tensor:
        """Harmonize a batch; see `Network`."""
        self.input_sizes.check(image, mask)
        extra = dict(enumerate(features, start=FIRST_FEATURE_BLOCK))
        x = torch.cat([image, mask], dim=1)
        skips: list[torch.Tensor] = []
        for i, block in enumerate(self.encoder):
            if i in extra:
                x = torch.cat([x, extra[i]], dim=1)
            x = block(x)
            skips.append(x)
        skips.pop()
        for block in self.decoder:
            x = block(x)
            if skips:
                x = x + skips.pop()
        return self.head(x, image)
