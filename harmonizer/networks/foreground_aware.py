"""The paper's contribution: a pretrained network, made aware of the foreground, guides the base.

Section 3.2 shows the mask to a network that was trained on plain images; section 3.3 hands its
features to the encoder of a harmonization network. Backbone and base are whatever the configuration
says.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from harmonizer.errors import InputError
from harmonizer.networks.backbone import BackboneConfig
from harmonizer.networks.network import GuidedConfig, Network, Renames, rename

PYRAMID_CHANNELS = 256

_RELEASED: Renames = (
    (r"mask_features\.conv\.", "mask_conv.0."),
    (r"mask_features\.scale$", "mask_conv.1.scale"),
    (r"pyramid\.reduce\.", "backbone.downsize.reduce_conv.block."),
    (r"pyramid\.levels\.(\d)\.", r"backbone.downsize.convs.\1.block."),
)


@dataclass(frozen=True)
class ForegroundAwareConfig:
    """Which backbone guides which base, and how.

    Attributes:
        backbone: The network with the semantic features; an HRNet always carries OCR.
        base: The network that harmonizes.
        mask_features: Whether the ImageNet part of the backbone sees the mask (section 3.2); if
            not, this is the "non foreground-aware" row of table 3.
        pyramid_levels: Number of levels of the feature pyramid (section 3.3, the "v2p" networks),
            or 0 to hand the features over at one position, as they are.
    """

    backbone: BackboneConfig
    base: GuidedConfig
    mask_features: bool = True
    pyramid_levels: int = 0

    def __post_init__(self) -> None:
        """Refuse what could not be built, or only after hours."""
        if not 0 <= self.pyramid_levels <= 12:
            raise InputError(f"a pyramid has from 0 to 12 levels, got {self.pyramid_levels}")

    @property
    def initial_gain(self) -> float:
        """Gain of the released initialisation: that of the base."""
        return self.base.initial_gain

    def build(self) -> "ForegroundAware":
        """Build the network."""
        return ForegroundAware(self)

    def released_name(self, name: str) -> str:
        """Return what a tensor is called in released weights."""
        part, _, rest = name.partition(".")
        if part == "base":
            return f"model.{self.base.released_name(rest)}"
        if part == "backbone":
            return f"backbone.{self.backbone.released_name(rest)}"
        return rename(name, _RELEASED)


class MaskFeatures(nn.Module):
    """Turn the mask into something that can be added to a pretrained network's features.

    The scale is learned and starts small, so the pretrained weights are not disturbed at first.
    """

    def __init__(self, out_channels: int) -> None:
        """Build the module; it puts out `out_channels` channels."""
        super().__init__()
        self.conv = nn.Conv2d(1, out_channels, kernel_size=3, stride=2, padding=1)
        self.scale = nn.Parameter(torch.full((1,), 0.1))

    def forward(self, mask: torch.Tensor) -> torch.Tensor:
        """Map (N, 1, H, W) to (N, C, H / 2, W / 2)."""
        return self.conv(mask) * self.scale.abs()


class FeaturePyramid(nn.Module):
    """Features of falling resolution from those of one resolution, as in HRNetV2p (section 3.3)."""

    def __init__(self, in_channels: int, levels: int) -> None:
        """Build the pyramid; every level has 256 channels."""
        super().__init__()
        self.reduce = _conv_norm_elu(in_channels, PYRAMID_CHANNELS, kernel_size=1)
        self.levels = nn.ModuleList(
            _conv_norm_elu(PYRAMID_CHANNELS, PYRAMID_CHANNELS, kernel_size=3) for _ in range(levels)
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Map (N, C, H, W) to a list whose i-th entry is (N, 256, H / 2**i, W / 2**i)."""
        x = self.reduce(x)
        outputs: list[torch.Tensor] = []
        for i, level in enumerate(self.levels):
            # What goes on to the next level is pooled but not convolved.
            if i:
                x = F.max_pool2d(x, 2)
            outputs.append(level(x))
        return outputs


def _conv_norm_elu(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2),
        nn.BatchNorm2d(out_channels),
        nn.ELU(),
    )


class ForegroundAware(Network):
    """A harmonization network guided by a foreground-aware semantic backbone."""

    def __init__(self, config: ForegroundAwareConfig) -> None:
        """Build backbone, base and what lies between them."""
        super().__init__()
        self.backbone = config.backbone.build()
        self.mask_features = (
            MaskFeatures(self.backbone.mask_channels) if config.mask_features else None
        )
        if config.pyramid_levels:
            self.pyramid = FeaturePyramid(self.backbone.out_channels, config.pyramid_levels)
            feature_channels = [PYRAMID_CHANNELS] * config.pyramid_levels
        else:
            self.pyramid = None
            feature_channels = [self.backbone.out_channels]
        self.base = config.base.build(feature_channels)
        self.input_sizes = self.base.input_sizes

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Harmonize a batch; see `Network`."""
        self.input_sizes.check(image, mask)
        mask_features = None if self.mask_features is None else self.mask_features(mask)
        semantics: torch.Tensor = self.backbone(image, mask, mask_features)
        features = [semantics] if self.pyramid is None else self.pyramid(semantics)
        return self.base(image, mask, features)
