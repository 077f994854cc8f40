"""Small photographs, and runs that take seconds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from harmonizer.training import DataConfig, ModelConfig, TrainConfig


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Any:
    """Tiny networks are faster on one thread, and so are busy machines."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of coloured gradients with an elliptic object each."""
    folder = tmp_path_factory.mktemp("photographs")
    rows, columns = np.mgrid[:48, :64]
    for i in range(12):
        generator = np.random.default_rng(i)
        ends = generator.uniform(40, 220, (3, 3))
        picture = ends[0] + rows[..., None] / 48 * (ends[1] - ends[0])
        inside = ((rows - 24) / 14) ** 2 + ((columns - generator.uniform(24, 40)) / 14) ** 2 < 1
        picture[inside] = ends[2] + generator.normal(0, 12, (int(inside.sum()), 3))
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"p{i}.png")
        Image.fromarray(inside).save(folder / f"p{i}_mask.png")
    return folder


@pytest.fixture
def small_run(photographs: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    """A run of a network of a few thousand weights, at 32 x 32."""

    def make(**changes: Any) -> TrainConfig:
        config = TrainConfig(
            model=ModelConfig(network="idih", arguments={"width": 4, "depth": 4}),
            train=DataConfig(kind="photos", root=str(photographs)),
            validation=DataConfig(kind="photos", root=str(photographs), limit=4),
            output=str(tmp_path / "run"),
            size=32,
            steps=12,
            batch_size=4,
            ema=0.9,
            workers=0,
            device="cpu",
            checkpoint_every=4,
            validate_every=6,
            log_every=1,
            panel=2,
        )
        return replace(config, **changes)

    return make
