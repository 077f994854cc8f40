"""Runs of which tests look at the tables and checkpoints, here or in a process of their own."""

import csv
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from harmonizer.training import TrainConfig
from harmonizer.training.run_folder import load_checkpoint

SmallRun = Callable[..., TrainConfig]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def losses(folder: str) -> list[float]:
    return [float(row["loss"]) for row in rows(Path(folder) / "log.csv")]


def same_state(first: Any, second: Any) -> bool:
    """Whether two checkpoints hold the same, bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same_state(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return all(same_state(a, b) for a, b in zip(first, second, strict=True))
    return first == second


def weights(folder: Path | str) -> dict[str, Any]:
    state = load_checkpoint(Path(folder))
    return {key: state[key] for key in ("step", "network", "average", "optimizer", "random")}


RUN = """
import sys, torch
from pathlib import Path
from harmonizer.training import TrainConfig, train
torch.set_num_threads(1)
result = train(TrainConfig.from_toml(Path(sys.argv[1])), resume=len(sys.argv) > 2)
print(result.finished)
"""


@contextmanager
def started(
    config: TrainConfig, tmp_path: Path, *arguments: str
) -> Generator[subprocess.Popen[str]]:
    """Train in another process, which does not outlive the test."""
    path = tmp_path / f"{Path(config.output).name}.toml"
    path.write_text(config.to_toml())
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(path: Path, process: subprocess.Popen[str], step: int) -> None:
    deadline = time.monotonic() + 120
    while not (path.is_file() and len(path.read_text().splitlines()) > step):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
