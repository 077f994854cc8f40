"""Where the time of one picture goes, from file to file.

    python benchmarks/one_picture.py [--megapixels 1 12] [--models MODEL ...]
        [--rounds 7] [--clock elapsed | processor] [--device cpu | cuda]

The picture is made here: a JPEG file of the usual size for its pixels, its mask a PNG file; a JPEG
file is written. To finish is to carry the change to full resolution and to keep the background.
Models without weights on this machine get random ones: that changes no time. Given is the median of
each step. The last column is what `harmonizer run` adds to network, decoding and encoding.
Processor time is less disturbed by what else runs on the machine; it counts all threads.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import torch
from made_up import sides, write_picture
from PIL import Image
from torch import nn

from harmonizer import Harmonizer, ModelInfo, model_info
from harmonizer.errors import WeightsUnavailableError
from harmonizer.imaging.image import open_image
from harmonizer.imaging.saving import encode_image
from harmonizer.networks import build_network
from harmonizer.zoo.loader import load_model
from harmonizer.zoo.options import FetchOptions

T = TypeVar("T")
CLOCKS = {"elapsed": time.perf_counter, "processor": time.process_time}
STEPS = ("decode", "prepare", "network", "finish", "encode")
# What any program that does the same has to do.
UNAVOIDABLE = ("decode", "network", "encode")


def load_network(name: str) -> tuple[nn.Module, ModelInfo]:
    """A model's network, with random weights if it has none here."""
    try:
        return load_model(name, None, FetchOptions(local_files_only=True))
    except WeightsUnavailableError:
        return build_network(name).eval(), model_info(name)


def steps(
    harmonizer: Harmonizer, image: bytes, mask: bytes, clock: Callable[[], float]
) -> dict[str, float]:
    """Harmonize once as `harmonizer.jobs.folder.harmonize_file` does; milliseconds of each step."""
    moments: list[float] = [clock()]

    def passed(result: T) -> T:
        moments.append(clock())
        return result

    # Decoding is what Pillow takes for both files. It is done again as a part of opening them, so
    # it is taken off there.
    for source in (image, mask):
        Image.open(io.BytesIO(source)).load()
    passed(None)
    composite = passed(harmonizer.prepare(open_image(image, once=True), mask))
    (answer,) = passed(harmonizer.answer([composite]))
    result = passed(harmonizer.finish(composite, answer))
    passed(encode_image(result, "JPEG", composite.picture.info))
    spent = [1000 * (end - start) for start, end in pairwise(moments)]
    found: dict[str, float] = dict(zip(STEPS, spent, strict=True))
    found["prepare"] -= found["decode"]
    return found


def main() -> None:
    """Measure, and print a line for each model and size."""
    parser = argparse.ArgumentParser(description="Measure where time goes.")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 12])
    parser.add_argument("--models", nargs="+", default=["colormap-lite0-open", "idih-hrnet-w18"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=CLOCKS, default="elapsed")
    chosen = parser.parse_args()
    clock = CLOCKS[chosen.clock]
    print(f"{chosen.clock} milliseconds, file to file; {torch.get_num_threads()} threads of torch")
    print(f"{'':16}{'megapixels':>11}{''.join(f'{step:>9}' for step in STEPS)}{'added':>8}")
    for name in chosen.models:
        harmonizer = Harmonizer(*load_network(name), device=chosen.device)
        for megapixels in chosen.megapixels:
            with tempfile.TemporaryDirectory() as folder:
                paths = (Path(folder) / "a.jpg", Path(folder) / "a.png")
                write_picture(*paths, *sides(megapixels))
                image, mask = (path.read_bytes() for path in paths)
            steps(harmonizer, image, mask, clock)
            found = [steps(harmonizer, image, mask, clock) for _ in range(chosen.rounds)]
            spent = {step: statistics.median(one[step] for one in found) for step in STEPS}
            added = 1 - sum(spent[step] for step in UNAVOIDABLE) / sum(spent.values())
            columns = "".join(f"{spent[step]:9.1f}" for step in STEPS)
            print(f"{name:16}{megapixels:11g}{columns}{added:8.0%}")


if __name__ == "__main__":
    main()
