"""Batch norm folded into convolutions: the same answers with fewer steps."""

import pytest
import torch
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
