"""What several test files share."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

EXAMPLES = Path(__file__).parents[1] / "examples"


class Brighten(nn.Module):
    """A stand-in for a network whose right answer is known: it adds a constant."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return image + 0.3 * mask


def box_mask(height: int, width: int) -> NDArray[np.bool_]:
    """A foreground in the middle, a quarter of the picture."""
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return mask
