"""The documented sizes of the networks are those that a command counts."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harmonizer.networks import build_network, list_networks

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def network_table() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "tables.py"))


def test_the_documented_table_is_what_the_command_counts(network_table: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    for name in ("s2am", "dovenet", "idih-hrnet-w18s-v2p", "idih-deeplabv3p-r34"):
        assert network_table["network_row"](name) in page
    assert all(f"| `{name}` |" in page for name in list_networks())


def test_the_command_counts_what_the_layers_do(network_table: dict[str, Any]) -> None:
    """Counted by hand: every weight of a convolution is used once for each pixel it works at."""
    network = build_network("idih").eval()
    multiply_adds = 0

    def add(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal multiply_adds
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        pixels = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        multiply_adds += module.weight.numel() * pixels.shape[2] * pixels.shape[3]

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(add)
    with torch.inference_mode():
        network(torch.zeros(1, 3, 256, 256), torch.zeros(1, 1, 256, 256))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    counted = (parameters / 1e6, 0, multiply_adds / 1e9)
    assert network_table["count"]("idih", (256, 256)) == pytest.approx(counted, rel=1e-12)
