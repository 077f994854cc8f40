"""Models that are small enough to be saved, served and loaded many times; and processes."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harmonizer import Harmonizer, model_info
from harmonizer.networks import build_network
from harmonizer.zoo.manifest import ModelInfo

# Where the server has the authors' file of iDIH.
URL = "/releases/idih256.pth"
Released = Callable[..., ModelInfo]


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def tiny_model(seed: int = 0) -> Harmonizer:
    torch.manual_seed(seed)
    info = replace(
        model_info("idih"),
        name="tiny",
        arguments={"width": 2},
        parameters=sum(p.numel() for p in build_network("idih", width=2).parameters()),
        sources=(),
        status="unpublished",
    )
    return Harmonizer(build_network("idih", width=2), info, device="cpu")


def as_pth(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def run_python(program: str, *arguments: object, **environment: str) -> Any:
    """Run a program in a process of its own, with nothing of this user's cache or login."""
    keep = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=keep | environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
