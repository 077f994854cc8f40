"""What several test files share."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harmonizer.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"


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
