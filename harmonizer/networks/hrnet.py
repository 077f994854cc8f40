"""HRNetV2: a backbone that keeps a high resolution throughout.

Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition" (TPAMI 2019).
Module names are those of the usual ImageNet checkpoints, which load without renaming.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from harmonizer.networks.layers import conv_norm_relu, resize_like
from harmonizer.networks.residual import BasicBlock, Bottleneck

STEM_CHANNELS = 64


class Fusion(nn.ModuleList):
    """What one branch receives from all branches, itself included."""

    def __init__(self, widths: Sequence[int], target: int) -> None:
        """Build the paths from branches of these channels, high to low, to the `target`-th."""
        super().__init__(_fusion_path(widths, source, target) for source in range(len(widths)))
        self.target = target

    def forward(self, branches: list[torch.Tensor]) -> torch.Tensor:
        """Map branches, (N, C_i, H / 2**i, W / 2**i) each, to the shape of the target branch."""
        target = branches[self.target]
        parts: list[torch.Tensor] = [
            path(branch) for path, branch in zip(self, branches, strict=True)
        ]
        parts[self.target + 1 :] = [resize_like(low, target) for low in parts[self.target + 1 :]]
        return F.relu(sum(parts[1:], start=parts[0]))


def _fusion_path(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """Build what brings one branch to the channels of another and, downwards, to its size."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(widths[source], widths[target], kernel_size=1, bias=False),
            nn.BatchNorm2d(widths[target]),
        )
    halvings = [
        conv_norm_relu(widths[source], widths[source], 3, stride=2)
        for _ in range(target - source - 1)
    ]
    last = conv_norm_relu(widths[source], widths[target], 3, stride=2)
    return nn.Sequential(*halvings, last[:2])  # the ReLU comes after the sum


class HighResolutionModule(nn.Module):
    """Residual blocks in every branch, then every branch receives from all branches."""

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        """Build the module for branches of these channels, from high to low resolution."""
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width) for _ in range(blocks))) for width in widths
        )
        self.fuse_layers = nn.ModuleList(Fusion(widths, target) for target in range(len(widths)))

    def forward(self, x: list[torch.Tensor]) -> list[torch.Tensor]:
        """Map branches, (N, C_i, H / 2**i, W / 2**i) each, to branches of the same shapes."""
        x = [branch(branch_input) for branch, branch_input in zip(self.branches, x, strict=True)]
        return [fusion(x) for fusion in self.fuse_layers]


class HRNet(nn.Module):
    """HRNetV2 without its classifier: all four branches of the last stage."""

    def __init__(self, width: int, modules: tuple[int, int, int], blocks: int) -> None:
        """Build the network; see `harmonizer.networks.ocr.HRNetConfig`."""
        super().__init__()
        w = [width * 2**i for i in range(4)]
        self.out_channels = sum(w)
        self.conv1 = nn.Conv2d(3, STEM_CHANNELS, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        self.conv2 = nn.Conv2d(STEM_CHANNELS, STEM_CHANNELS, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(STEM_CHANNELS)
        planes = 64
        self.layer1 = nn.Sequential(
            Bottleneck(STEM_CHANNELS, planes),
            *(Bottleneck(4 * planes, planes) for _ in range(blocks - 1)),
        )
        self.transition1 = nn.ModuleList(
            [
                conv_norm_relu(4 * planes, w[0], 3),
                nn.Sequential(conv_norm_relu(4 * planes, w[1], 3, stride=2)),
            ]
        )
        self.stage2 = _stage(w[:2], modules[0], blocks)
        self.transition2 = _new_branch(w[1], w[2], kept=2)
        self.stage3 = _stage(w[:3], modules[1], blocks)
        self.transition3 = _new_branch(w[2], w[3], kept=3)
        self.stage4 = _stage(w, modules[2], blocks)

    def forward(self, image: torch.Tensor, mask_features: torch.Tensor | None) -> torch.Tensor:
        """Extract features (N, 15 * width, H / 4, W / 4) of an image normalised as for ImageNet.

        Mask features (N, 64, H / 2, W / 2) are added after the first convolution (section 3.2).
        """
        x = F.relu(self.bn1(self.conv1(image)))
        if mask_features is not None:
            x = x + mask_features
        x = F.relu(self.bn2(self.conv2(x)))
        x = self.layer1(x)
        branches: list[torch.Tensor] = self.stage2([new(x) for new in self.transition1])
        branches = self.stage3([*branches, self.transition2[-1](branches[-1])])
        branches = self.stage4([*branches, self.transition3[-1](branches[-1])])
        high = branches[0]
        return torch.cat([high, *(resize_like(low, high) for low in branches[1:])], dim=1)


def _stage(widths: Sequence[int], modules: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(HighResolutionModule(widths, blocks) for _ in range(modules)))


def _new_branch(in_channels: int, out_channels: int, kept: int) -> nn.ModuleList:
    """Build a transition that keeps its branches and adds one below the lowest of them."""
    new = nn.Sequential(conv_norm_relu(in_channels, out_channels, 3, stride=2))
    return nn.ModuleList([*(nn.Identity() for _ in range(kept)), new])
