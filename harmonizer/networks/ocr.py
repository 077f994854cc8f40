"""HRNet with object-contextual representations (OCR), the paper's main backbone (fig. 3).

Yuan et al., "Object-Contextual Representations for Semantic Segmentation" (ECCV 2020). There, the
regions are what a classifier takes for each class. Here they are given: the foreground mask and its
complement.
"""

from dataclasses import dataclass

import torch
from torch import nn

from harmonizer.errors import InputError
from harmonizer.networks.backbone import SemanticBackbone
from harmonizer.networks.hrnet import STEM_CHANNELS, HRNet
from harmonizer.networks.layers import conv_norm_relu, resize_like
from harmonizer.networks.network import Renames, rename

MID_CHANNELS = 128
KEY_CHANNELS = 64

_HEAD = "hrnet.ocr_distri_head"
_OBJECT_CONTEXT = f"{_HEAD}.object_context_block"
_RELEASED: Renames = (
    (r"hrnet\.", "hrnet."),
    (r"ocr\.reduce\.", "hrnet.conv3x3_ocr."),
    (r"ocr\.query\.0\.0\.", f"{_OBJECT_CONTEXT}.f_pixel.0."),
    (r"ocr\.query\.0\.1\.", f"{_OBJECT_CONTEXT}.f_pixel.1.0."),
    (r"ocr\.query\.1\.0\.", f"{_OBJECT_CONTEXT}.f_pixel.2."),
    (r"ocr\.query\.1\.1\.", f"{_OBJECT_CONTEXT}.f_pixel.3.0."),
    (r"ocr\.key\.0\.0\.", f"{_OBJECT_CONTEXT}.f_object.0."),
    (r"ocr\.key\.0\.1\.", f"{_OBJECT_CONTEXT}.f_object.1.0."),
    (r"ocr\.key\.1\.0\.", f"{_OBJECT_CONTEXT}.f_object.2."),
    (r"ocr\.key\.1\.1\.", f"{_OBJECT_CONTEXT}.f_object.3.0."),
    (r"ocr\.value\.0\.", f"{_OBJECT_CONTEXT}.f_down.0."),
    (r"ocr\.value\.1\.", f"{_OBJECT_CONTEXT}.f_down.1.0."),
    (r"ocr\.context\.0\.", f"{_OBJECT_CONTEXT}.f_up.0."),
    (r"ocr\.context\.1\.", f"{_OBJECT_CONTEXT}.f_up.1.0."),
    (r"ocr\.merge\.0\.", f"{_HEAD}.conv_bn_dropout.0."),
    (r"ocr\.merge\.1\.", f"{_HEAD}.conv_bn_dropout.1.0."),
)


@dataclass(frozen=True)
class HRNetConfig:
    """What distinguishes one HRNet with OCR from another.

    Attributes:
        width: Channels of the branch of highest resolution; each next branch has twice as many.
        modules: Number of modules in stages 2, 3 and 4.
        blocks: Number of residual blocks in the first stage and in each branch of each module.
    """

    width: int = 18
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4

    def __post_init__(self) -> None:
        """Refuse values that no network can be built from."""
        if min(self.width, self.blocks, *self.modules) < 1 or len(self.modules) != 3:
            raise InputError(
                "an HRNet needs a width and a number of blocks of at least 1, and three numbers of "
                f"modules of at least 1; got {self}"
            )

    def build(self) -> "HRNetOCR":
        """Build the backbone."""
        return HRNetOCR(self)

    def released_name(self, name: str) -> str:
        """Return what a tensor is called in released weights."""
        return rename(name, _RELEASED)


def gather_regions(features: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """Average the features (N, C, H, W) of each region (N, R, H, W), in [0, 1]: (N, C, R, 1).

    The weights are a softmax over space of the region maps, so a region that is nowhere is the mean
    of all pixels and nothing is ever divided by zero.
    """
    weights = torch.softmax(regions.flatten(2), dim=2)
    return torch.matmul(features.flatten(2), weights.transpose(1, 2)).unsqueeze(3)


class ObjectContext(nn.Module):
    """Tell every pixel about the region it resembles."""

    def __init__(self, in_channels: int) -> None:
        """Build the head for backbone features of `in_channels` channels."""
        super().__init__()
        self.reduce = conv_norm_relu(in_channels, MID_CHANNELS, 3, bias=True)
        self.query = nn.Sequential(
            conv_norm_relu(MID_CHANNELS, KEY_CHANNELS), conv_norm_relu(KEY_CHANNELS, KEY_CHANNELS)
        )
        self.key = nn.Sequential(
            conv_norm_relu(MID_CHANNELS, KEY_CHANNELS), conv_norm_relu(KEY_CHANNELS, KEY_CHANNELS)
        )
        self.value = conv_norm_relu(MID_CHANNELS, KEY_CHANNELS)
        self.context = conv_norm_relu(KEY_CHANNELS, MID_CHANNELS)
        self.merge = conv_norm_relu(2 * MID_CHANNELS, MID_CHANNELS)
        self.dropout = nn.Dropout2d(0.05)

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Add the context of foreground and background: features (N, C, h, w) to (N, 128, h, w)."""
        pixels: torch.Tensor = self.reduce(features)
        mask = resize_like(mask, pixels)
        regions = gather_regions(pixels, torch.cat([mask, 1.0 - mask], dim=1))

        query: torch.Tensor = self.query(pixels).flatten(2)
        key: torch.Tensor = self.key(regions).flatten(2)
        value: torch.Tensor = self.value(regions).flatten(2)
        similarity = torch.matmul(query.transpose(1, 2), key) * KEY_CHANNELS**-0.5
        attended = torch.matmul(value, torch.softmax(similarity, dim=2).transpose(1, 2))
        context = self.context(attended.unflatten(2, pixels.shape[2:]))
        return self.dropout(self.merge(torch.cat([context, pixels], dim=1)))


class HRNetOCR(SemanticBackbone):
    """HRNetV2 and, on top of it, OCR with the given foreground and background as regions."""

    out_channels = MID_CHANNELS
    mask_channels = STEM_CHANNELS

    def __init__(self, config: HRNetConfig) -> None:
        """Build the backbone on this HRNet."""
        super().__init__()
        self.hrnet = HRNet(config.width, config.modules, config.blocks)
        self.ocr = ObjectContext(self.hrnet.out_channels)

    @property
    def pretrained(self) -> HRNet:
        """The HRNet."""
        return self.hrnet

    def forward(
        self, image: torch.Tensor, mask: torch.Tensor, mask_features: torch.Tensor | None
    ) -> torch.Tensor:
        """Extract (N, 128, H / 4, W / 4); see `SemanticBackbone`."""
        return self.ocr(self.hrnet(image, mask_features), mask)
