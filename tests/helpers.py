"""What several test files share."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from harmonizer import Harmonizer, model_info
from harmonizer.cli import main
from harmonizer.networks import build_network

EXAMPLES = Path(__file__).parents[1] / "examples"


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


def box_mask(height: int, width: int) -> NDArray[np.bool_]:
    """A foreground in the middle, a quarter of the picture."""
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return mask


def turned(array: Any, orientation: int) -> NDArray[Any]:
    """What EXIF 2.3, table 6, and TIFF 6.0 say each orientation means."""
    views = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[:, ::-1],
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: a.swapaxes(0, 1)[::-1],
    }
    return np.ascontiguousarray(views[orientation](array))


def run(*arguments: object) -> int:
    """Run `harmonizer run` in this process; return its exit code."""
    return main(["run", *map(str, arguments)])


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on stderr; nothing else may be there, and no traceback."""
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("harmonizer: error: ")
    return lines[0]
