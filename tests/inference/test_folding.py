"""Batch norm folded into convolutions: the same answers with fewer steps."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harmonizer.inference.folding import fold_batch_norm
from harmonizer.networks import build_network, list_networks


def with_statistics(network: nn.Module) -> nn.Module:
    """Give batch norms the statistics of a trained network, which are not those it starts with."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.5, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, -0.3, 0.3, generator=generator)
    return network


@pytest.mark.parametrize("name", list_networks())
def test_answers_stay(name: str) -> None:
    network = with_statistics(build_network(name)).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    folded = fold_batch_norm(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(1, 3, 256, 256, generator=generator)
    mask = (torch.rand(1, 1, 256, 256, generator=generator) > 0.5).float()
    with torch.inference_mode():
        # Random networks answer with values up to 14, where real answers stay within 3.
        torch.testing.assert_close(folded(image, mask), network(image, mask), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


class Own(nn.Module):
    """Somebody's own network: what a module names in a row is not computed in a row."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8, **options)
        self.out = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 3, 1))
        self.other = nn.Sequential(nn.Conv2d(8, 3, 1), nn.BatchNorm2d(3, **options))

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.norm(F.relu(self.conv(torch.cat([image, mask], dim=1))))
        return self.out(x) + self.other(x)


class Unlike(Own):
    """One whose next batch norm is of another width."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.norm_2 = nn.Conv2d(8, 3, 1), nn.BatchNorm2d(8)

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return super().forward(image, mask) + self.norm_2(image.repeat(1, 3, 1, 1)[:, :8])[:, :3]


def _parametrized() -> nn.Module:
    network = Own()
    nn.utils.parametrizations.weight_norm(network.other[0])
    return network


@pytest.mark.parametrize(
    "make", [Own, Unlike, lambda: Own(track_running_stats=False), _parametrized]
)
def test_networks_of_others_answer_as_they_did(make: Any) -> None:
    torch.manual_seed(0)
    network = make().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            with_statistics(module)
    folded = fold_batch_norm(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.out)
    image, mask = torch.randn(2, 3, 32, 32), torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(folded(image, mask), network(image, mask), rtol=1e-4, atol=1e-4)
