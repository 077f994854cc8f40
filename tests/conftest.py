"""What several test files share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from harmonizer import Harmonizer, model_info
from harmonizer.zoo.manifest import default_model

EXAMPLES = Path(__file__).parents[1] / "examples"


class Brighten(nn.Module):
    """A stand-in for a network whose right answer is known: it adds a constant."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return image + 0.3 * mask


@pytest.fixture(scope="session")
def model() -> Harmonizer:
    """The bundled default."""
    return Harmonizer.from_pretrained(device="cpu")


@pytest.fixture(scope="session")
def brighten() -> Harmonizer:
    return Harmonizer(Brighten(), model_info(default_model()), device="cpu")


@pytest.fixture
def noise() -> Callable[..., NDArray[np.uint8]]:
    """Pictures of smooth colours, so that no resizing hides anything."""

    def make(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
        generator = np.random.default_rng(seed)
        low, high = 40, 180
        rows = np.linspace(0, 1, height)[:, None, None]
        columns = np.linspace(0, 1, width)[None, :, None]
        ends = generator.uniform(low, high, (3, channels))
        smooth = ends[0] + rows * (ends[1] - ends[0]) + columns * (ends[2] - ends[0]) / 2
        return np.clip(smooth + generator.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)

    return make


def box_mask(height: int, width: int) -> NDArray[np.bool_]:
    """A foreground in the middle, a quarter of the picture."""
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return mask
