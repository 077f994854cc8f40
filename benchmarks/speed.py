"""How fast the library is: ratios against plain eager torch in the same run.

    python benchmarks/speed.py [--parts network picture batch start steps] [--device cpu | cuda]
        [--models idih-open idih-hrnet-w18] [--megapixels 0.3 1 12] [--batch-size 8] [--seconds 3]

Plain is what research code does: float32, NCHW, batch norm on its own, `eval()` and
`inference_mode()`. Everything around the network is the same for all. Models without weights on
this machine get random ones. The ways take turns, so that a busy machine disturbs all of them
alike; printed is the median. Compare numbers of one run only.

network: the network alone, at its own input size, one picture and a batch.
picture: one picture, pixels to pixels, by its size; what users wait for.
batch: `harmonize_batch` on pictures of a megapixel, against one plain picture after the other.
start: processes of their own, from their start to their first picture, and their peak memory.
steps: what `benchmarks/one_picture.py` prints, for the backend torch.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Self, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from one_picture import load_network, measure

from harmonizer import Harmonizer
from harmonizer.backends import Backend, Run
from harmonizer.errors import InputError
from harmonizer.overlap import count_cores

PARTS = ("network", "picture", "batch", "start", "steps")
PLAIN = "plain"
WAYS: dict[str, tuple[Backend, str]] = {
    PLAIN: ("torch", "float32"),
    "torch": ("torch", "float32"),
    "torch, bfloat16": ("torch", "bfloat16"),
    "torch, float16": ("torch", "float16"),
    "onnx": ("onnx", "float32"),
    "openvino": ("openvino", "float32"),
    "openvino, bfloat16": ("openvino", "bfloat16"),
}
Picture = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def plain(network: torch.nn.Module, device: torch.device) -> Run:
    """The network as it is."""
    network = network.to(device)

    def run(images: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            inputs = (torch.from_numpy(array).to(device) for array in (images, masks))
            return network(*inputs).cpu().numpy()

    return run


class PlainHarmonizer(Harmonizer):
    """One whose network is left as it is."""

    def to(self, device: str | torch.device) -> Self:
        """Move the network."""
        self.device, self.dtype = torch.device(device), torch.float32
        self._run = plain(self._network, self.device)
        return self


def open_way(model: str, way: str, device: str) -> Harmonizer:
    """A harmonizer whose network runs in one of the ways."""
    network, info = load_network(model)
    if way == PLAIN:
        return PlainHarmonizer(network, info, device=device)
    backend, dtype = WAYS[way]
    return Harmonizer(network, info, device=device, backend=backend, dtype=dtype)


def open_ways(model: str, device: str) -> dict[str, Harmonizer]:
    """All ways that this machine has."""
    # float16 is made for GPUs: on processors it is slower than float32.
    tried = [way for way in WAYS if not (way == "torch, float16" and device == "cpu")]
    found: dict[str, Harmonizer] = {}
    for way in tried:
        try:
            found[way] = open_way(model, way, device)
        except InputError as error:
            print(f"{way}: left out: {error}")
    return found


def take_turns(ways: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Median time of each way in milliseconds, each given about so many seconds."""
    spent: dict[str, list[float]] = {label: [] for label in ways}
    for work in ways.values():
        work()
    while sum(spent[PLAIN]) < seconds or len(spent[PLAIN]) < 3:
        for label, work in ways.items():
            start = time.perf_counter()
            work()
            spent[label].append(time.perf_counter() - start)
    return {label: 1000 * statistics.median(times) for label, times in spent.items()}


def show(title: str, times: Mapping[str, float], pictures: int = 1) -> None:
    """Print a table: milliseconds a picture, and how many times as fast as plain."""
    print(f"\n{title}; milliseconds a picture, times as fast as plain")
    for label, spent in times.items():
        print(f"  {label:20}{spent / pictures:9.1f}{times[PLAIN] / spent:8.2f}x")


def make_picture(megapixels: float, seed: int = 0) -> Picture:
    """A made-up picture, and a mask of a quarter of it."""
    generator = np.random.default_rng(seed)
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    height = round(width * 3 / 4)
    small = generator.integers(0, 256, (height // 10, width // 10, 3), np.uint8)
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = True
    return cast(NDArray[np.uint8], cv2.resize(small, (width, height))), mask


def measure_network(
    model: str, ways: Mapping[str, Harmonizer], batch_size: int, seconds: float
) -> None:
    """The network alone."""
    height, width = ways[PLAIN].info.preprocessing.input_size
    for count in (1, batch_size):
        generator = np.random.default_rng(0)
        images = generator.standard_normal((count, 3, height, width), np.float32)
        masks = (generator.random((count, 1, height, width)) > 0.7).astype(np.float32)
        runs = {way: partial(one._run, images, masks) for way, one in ways.items()}
        title = f"{model}, the network alone at {width} x {height}, {count} at a time"
        show(title, take_turns(runs, seconds), count)


def measure_picture(
    model: str, ways: Mapping[str, Harmonizer], megapixels: float, seconds: float
) -> None:
    """One picture, pixels to pixels."""
    image, mask = make_picture(megapixels)
    works = {way: lambda one=one: one(image, mask) for way, one in ways.items()}
    show(f"{model}, a picture of {megapixels:g} megapixels", take_turns(works, seconds))


def measure_batch(
    model: str, ways: Mapping[str, Harmonizer], batch_size: int, seconds: float
) -> None:
    """Many pictures."""
    images, masks = zip(*(make_picture(1, seed) for seed in range(3 * batch_size)), strict=True)

    def one_by_one(harmonizer: Harmonizer) -> None:
        for image, mask in zip(images, masks, strict=True):
            harmonizer(image, mask)

    def batches(harmonizer: Harmonizer) -> None:
        for _ in harmonizer.harmonize_batch(images, masks, batch_size=batch_size):
            pass

    works: dict[str, Callable[[], None]] = {PLAIN: lambda: one_by_one(ways[PLAIN])}
    for way, harmonizer in ways.items():
        label = "plain, overlapping" if way == PLAIN else way
        works[label] = lambda harmonizer=harmonizer: batches(harmonizer)
    title = f"{model}, {len(images)} pictures of 1 megapixel in batches of {batch_size}"
    show(title, take_turns(works, seconds), len(images))


def measure_start(model: str, ways: Mapping[str, Harmonizer], device: str) -> None:
    """Whole processes."""
    print(f"\n{model}, a process for one picture of 1 megapixel; times as much as plain")
    print(f"  {'':20}{'seconds':>9}{'':8}{'peak MB':>9}")
    found: dict[str, tuple[float, float]] = {}
    for way in ways:
        start = time.perf_counter()
        command = [sys.executable, "-W", "ignore", __file__, "--child", model, way, device]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        found[way] = (time.perf_counter() - start, json.loads(done.stdout))
        shares = [value / of for value, of in zip(found[way], found[PLAIN], strict=True)]
        seconds, memory = found[way]
        print(f"  {way:20}{seconds:9.2f}{shares[0]:7.2f}x{memory:9.0f}{shares[1]:7.2f}x")


def child(model: str, way: str, device: str) -> None:
    """What a process of `measure_start` does."""
    open_way(model, way, device)(*make_picture(1))
    # Linux counts the parent's memory in getrusage; here, what the process itself had at its peak.
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        print(int(line.split()[1]) * 1024 / 1e6)
    else:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure how fast the library is.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--models", nargs="+", default=["idih-open", "idih-hrnet-w18"])
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.3, 1, 12])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=3, help="for each way of each table")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(*chosen.child)
        return
    warnings.simplefilter("ignore")  # of the packages that translate networks
    print(f"{count_cores()} of {os.cpu_count()} cores, {torch.get_num_threads()} threads of torch")
    for model in chosen.models:
        ways = open_ways(model, chosen.device)
        if "network" in chosen.parts:
            measure_network(model, ways, chosen.batch_size, chosen.seconds)
        if "picture" in chosen.parts:
            for megapixels in chosen.megapixels:
                measure_picture(model, ways, megapixels, chosen.seconds)
        if "batch" in chosen.parts:
            measure_batch(model, ways, chosen.batch_size, chosen.seconds)
        if "start" in chosen.parts:
            measure_start(model, ways, chosen.device)
    if "steps" in chosen.parts:
        print("\nWhere the time of one picture goes")
        measure(chosen.models, chosen.megapixels, 7, "elapsed", chosen.device)


if __name__ == "__main__":
    main()
