"""How fast a step of training is: plain eager float32 against the recipe's own way.

    python benchmarks/training.py [--recipe idih-open-1] [--width 32 --size 256] [--same-batch]

Trains the network of a recipe on pictures that it makes itself, in one process, once for each way;
the speed is the median of the last two thirds of the steps. Data are made in between, by the same
process; with `--same-batch` only once, so that the step alone is measured. The first way is that of
a loop as one would write it, with memory as the C library manages it. Compare the ratios of one run
only.
"""

import argparse
import csv
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from made_up import write_picture

from harmonizer.cli.process import freed_memory_kept
from harmonizer.training import DataConfig, ModelConfig, TrainConfig, train
from harmonizer.training.batches import Batch, batches
from harmonizer.training.recipes import read_recipe

PLAIN = "eager, NCHW, float32"
WAYS = {
    PLAIN: {},
    "the same, freed memory kept": {},
    "eager, channels_last, float32": {"channels_last": True},
    "eager, channels_last, bfloat16": {"channels_last": True, "precision": "bfloat16"},
    "compiled, channels_last, float32": {"channels_last": True, "compile": True},
    "compiled, channels_last, bfloat16": {
        "channels_last": True,
        "compile": True,
        "precision": "bfloat16",
    },
}
BATCHES = "harmonizer.training.trainer.batches"


def same_batch(
    *arguments: Any,  # noqa: ANN401
    steps: range,
    **options: Any,  # noqa: ANN401
) -> Iterator[Batch]:
    """The first batch again and again, in the place of `batches`."""
    return repeat(next(iter(batches(*arguments, steps=steps, **options))), len(steps))


def images_per_second(config: TrainConfig) -> float:
    """Train, and return the speed once it is steady."""
    train(config)
    with (Path(config.output) / "log.csv").open(newline="") as file:
        speeds = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    return float(np.median(speeds[len(speeds) // 3 :]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="idih-open-1", help="of --print-recipe list")
    parser.add_argument("--width", type=int, help="another network than the recipe's: an iDIH")
    parser.add_argument("--size", type=int, help="of its input, in place of the recipe's")
    parser.add_argument("--same-batch", action="store_true", help="leave out making the data")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for i in range(64):
            write_picture(Path(folder) / f"p{i}.jpg", Path(folder) / f"p{i}_mask.png", 288, 384, i)
        recipe = TrainConfig.parse_toml(read_recipe(chosen.recipe))
        if chosen.width:
            recipe = replace(
                recipe, model=ModelConfig(network="idih", arguments={"width": chosen.width})
            )
        base = replace(
            recipe,
            size=chosen.size or recipe.size,
            train=DataConfig(kind="photos", root=folder, in_memory=True),
            validation=DataConfig(),
            steps=chosen.steps,
            precision="float32",
            channels_last=False,
            compile=False,
            device=chosen.device,
            workers=0,
            log_every=1,
        )
        print(
            f"{chosen.recipe}: {base.size} x {base.size}, batches of {recipe.batch_size}, "
            f"{os.cpu_count()} cores"
        )
        first = 0.0
        for number, (label, changes) in enumerate(WAYS.items()):
            config = replace(base, output=str(Path(folder) / f"run{number}"), **changes)
            with ExitStack() as patches:
                if label != PLAIN:
                    patches.enter_context(freed_memory_kept())
                if chosen.same_batch:
                    patches.enter_context(patch(BATCHES, same_batch))
                speed = images_per_second(config)
            first = first or speed
            print(f"{label:36}{speed:8.1f} images/s{speed / first:7.2f}x", flush=True)


if __name__ == "__main__":
    main()
