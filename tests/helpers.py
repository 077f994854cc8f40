"""What several test files share."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from harmonizer.cli import main

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
