"""How fast the library is: ratios against plain eager torch in the same run.

    python benchmarks/speed.py [--parts network picture batch] [--device cpu | cuda]
        [--models MODEL ...] [--megapixels 0.3 1 12] [--batch-size 8] [--seconds 3]

Plain is what research code does: float32, NCHW, batch norm on its own, `eval()` and
`inference_mode()`. Everything around the network is the same for all. Models without weights on
this machine get random ones. Each way has a process of its own, which keeps memory as the commands
do, the plain one excepted. They take turns, so that a busy machine disturbs all of them alike;
printed is the median. Compare numbers of one run only.

network: the network alone, at its own input size, one picture and a batch.
picture: one picture, pixels to pixels, by its size; what users wait for.
batch: `harmonize_batch` on pictures of a megapixel, against one plain picture after the other.
"""

import argparse
import multiprocessing
import os
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from multiprocessing.connection import Connection
from typing import Self, TypeAlias, cast

import numpy as np
import torch
from made_up import make_picture, sides
from numpy.typing import NDArray
from one_picture import load_network

from harmonizer import Harmonizer
from harmonizer.cli.process import freed_memory_kept
from harmonizer.errors import InputError
from harmonizer.inference.backends import Backend
from harmonizer.inference.backends.run import Run
from harmonizer.pipeline.running import Running
from harmonizer.threads import count_cores

PARTS = ("network", "picture", "batch")
PLAIN = "plain"
BATCHES = 3  # of `harmonize_batch` in one measurement
WAYS: dict[str, tuple[Backend, str]] = {
    PLAIN: ("torch", "float32"),
    "torch": ("torch", "float32"),
    "torch, bfloat16": ("torch", "bfloat16"),
    "torch, float16": ("torch", "float16"),
    "onnx": ("onnx", "float32"),
    "openvino": ("openvino", "float32"),
    "openvino, bfloat16": ("openvino", "bfloat16"),
}
# Makes the work of a harmonizer.
Prepare: TypeAlias = Callable[[Harmonizer], Callable[[], object]]


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
        run = plain(self._network, torch.device(device))
        self._running = Running(run, "torch", str(device), "float32")
        return self


def open_way(model: str, way: str, device: str) -> Harmonizer:
    """A harmonizer whose network runs in one of the ways."""
    network, info = load_network(model)
    if way == PLAIN:
        return PlainHarmonizer(network, info, device=device)
    backend, dtype = WAYS[way]
    return Harmonizer(network, info, device=device, backend=backend, dtype=dtype)


def work_network(harmonizer: Harmonizer, count: int) -> Callable[[], object]:
    """The network alone, on so many pictures at once."""
    height, width = harmonizer.info.preprocessing.input_size
    generator = np.random.default_rng(0)
    images = generator.standard_normal((count, 3, height, width), np.float32)
    masks = (generator.random((count, 1, height, width)) > 0.7).astype(np.float32)
    run = harmonizer._running.run  # pyright: ignore[reportPrivateUsage] - it alone is measured
    return lambda: run(images, masks)


def work_picture(harmonizer: Harmonizer, megapixels: float) -> Callable[[], object]:
    """One picture, pixels to pixels."""
    image, mask = make_picture(*sides(megapixels))
    return lambda: harmonizer(image, mask)


def work_batch(harmonizer: Harmonizer, batch_size: int, overlap: bool) -> Callable[[], object]:
    """Many pictures, by `harmonize_batch` or one after the other."""
    count = BATCHES * batch_size
    images, masks = zip(*(make_picture(*sides(1), seed) for seed in range(count)), strict=True)

    def work() -> None:
        if overlap:
            for _ in harmonizer.harmonize_batch(images, masks, batch_size=batch_size):
                pass
        else:
            for image, mask in zip(images, masks, strict=True):
                harmonizer(image, mask)

    return work


def serve(connection: Connection, model: str, way: str, device: str, prepare: Prepare) -> None:
    """In a process of its own: do the work whenever asked, and say how long it took."""
    warnings.simplefilter("ignore")  # of the packages that translate networks
    try:
        work = prepare(open_way(model, way, device))
    except InputError as error:
        connection.send(str(error))
        return
    with nullcontext() if way == PLAIN else freed_memory_kept():
        work()
        connection.send(None)
        while connection.recv():
            work()  # the other processes have had the caches since
            start = time.perf_counter()
            work()
            connection.send(time.perf_counter() - start)


class Worker:
    """A process that does the work of one way."""

    def __init__(self, model: str, way: str, device: str, prepare: Prepare) -> None:
        """Start it; `problem` says why it cannot work."""
        # A started copy of this process would share its threads' locks: a fresh one.
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        arguments = (other, model, way, device, prepare)
        self.process = context.Process(target=serve, args=arguments, daemon=True)
        self.process.start()
        other.close()
        self.problem = cast(str | None, self.connection.recv())

    def __call__(self) -> float:
        """Do the work once; return the seconds."""
        self.connection.send(True)
        return cast(float, self.connection.recv())

    def close(self) -> None:
        """End it."""
        if self.problem is None:
            self.connection.send(False)
        self.process.join()


def take_turns(
    title: str,
    model: str,
    device: str,
    prepare: Mapping[str, tuple[str, Prepare]],
    seconds: float,
    pictures: int = 1,
) -> None:
    """Measure the ways in turn, and print milliseconds a picture and the ratio to the first.

    Args:
        title: Of the table.
        model: A network.
        device: Where it runs.
        prepare: By the row's name: a way, and what makes its work.
        seconds: About how long the first one shall work.
        pictures: How many pictures are done at once.
    """
    print(f"\n{title}; milliseconds a picture, times as fast as {PLAIN}")
    workers = {name: Worker(model, way, device, make) for name, (way, make) in prepare.items()}
    spent: dict[str, list[float]] = {name: [] for name, one in workers.items() if not one.problem}
    while sum(spent[PLAIN]) < seconds or len(spent[PLAIN]) < 3:
        for name, times in spent.items():
            times.append(workers[name]())
    for name, worker in workers.items():
        worker.close()
        if worker.problem:
            print(f"  {name:20}left out: {worker.problem}")
            continue
        median = statistics.median(spent[name])
        ratio = statistics.median(spent[PLAIN]) / median
        print(f"  {name:20}{1000 * median / pictures:9.1f}{ratio:8.2f}x", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure how fast the library is.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--models", nargs="+", default=["colormap-lite0-open", "idih-hrnet-w18"])
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.3, 1, 12])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=3, help="for each way of each table")
    chosen = parser.parse_args()
    print(f"{count_cores()} of {os.cpu_count()} cores, {torch.get_num_threads()} threads of torch")
    # float16 is made for GPUs: on processors it is slower than float32.
    ways = [way for way in WAYS if not (way == "torch, float16" and chosen.device == "cpu")]
    size = chosen.batch_size
    for model in chosen.models:
        measured = partial(take_turns, model=model, device=chosen.device, seconds=chosen.seconds)
        if "network" in chosen.parts:
            for count in (1, size):
                work = partial(work_network, count=count)
                title = f"{model}, the network alone, {count} at a time"
                measured(title, prepare={way: (way, work) for way in ways}, pictures=count)
        if "picture" in chosen.parts:
            for megapixels in chosen.megapixels:
                work = partial(work_picture, megapixels=megapixels)
                title = f"{model}, a picture of {megapixels:g} megapixels"
                measured(title, prepare={way: (way, work) for way in ways})
        if "batch" in chosen.parts:
            single = partial(work_batch, batch_size=size, overlap=False)
            many = partial(work_batch, batch_size=size, overlap=True)
            rows = {PLAIN: (PLAIN, single), f"{PLAIN}, overlapping": (PLAIN, many)}
            rows |= {way: (way, many) for way in ways if way != PLAIN}
            title = f"{model}, {BATCHES * size} pictures of 1 megapixel in batches of {size}"
            measured(title, prepare=rows, pictures=BATCHES * size)


if __name__ == "__main__":
    main()
