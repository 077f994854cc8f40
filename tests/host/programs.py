"""Run a small program in a process of its own, as somebody else's that uses the library."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

# What every program begins with: a picture, its mask, and a bundled model, run by torch, in `load`.
_BEGIN = """
import os
import numpy as np
import torch
from harmonizer import Harmonizer, harmonize

def load(name="colormap-lite0-open", backend="torch"):
    return Harmonizer.from_pretrained(name, device="cpu", backend=backend)

image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
mask = np.zeros((96, 128), bool)
mask[20:70, 30:90] = True
"""


def program(
    code: str, *arguments: str, begin: str = _BEGIN, timeout: float = 120, **environment: str
) -> str:
    """Run Python code after `begin`; return what it printed. It has to end well, and in time."""
    done = subprocess.run(
        [sys.executable, *arguments, "-c", begin + textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
