"""Networks that answer at once, for tests of what is around them.

They need torch, which most tests do not import: the bundled model runs without it.
"""

from dataclasses import replace

import torch
from torch import nn

from harmonizer import Harmonizer, model_info
from harmonizer.networks import build_network


class Brighten(nn.Module):
    """A stand-in for a network whose right answer is known: it adds a constant."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return image + 0.3 * mask


def small_idih(seed: int = 0) -> Harmonizer:
    """A small network with random weights that answers with a picture, 128 x 128."""
    torch.manual_seed(seed)
    network = build_network("idih", width=8, depth=6)
    known = model_info("idih")
    info = replace(
        known,
        name="small",
        arguments={"width": 8, "depth": 6},
        preprocessing=replace(known.preprocessing, input_size=(128, 128)),
    )
    return Harmonizer(network, info, device="cpu")
