"""How fast the backends run networks: ratios against plain eager torch in the same run.

    python benchmarks/backends.py [--networks idih idih-hrnet-w18] [--batch-size 8] [--seconds 3]

Plain is what research code does: float32, NCHW, batch norm on its own, `eval()` and
`inference_mode()`. Networks have random weights. The ways take turns, so that a busy machine
disturbs all of them alike; printed is the median. Compare numbers of one run only.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from harmonizer.backends import Backend, Run, open_backend
from harmonizer.errors import InputError
from harmonizer.networks import build_network

SIZE = (256, 256)
WAYS: tuple[tuple[Backend, torch.dtype], ...] = (
    ("torch", torch.float32),
    ("torch", torch.bfloat16),
    ("onnx", torch.float32),
    ("openvino", torch.float32),
    ("openvino", torch.bfloat16),
)
Inputs = tuple[NDArray[np.float32], NDArray[np.float32]]


def plain(network: torch.nn.Module) -> Run:
    """The network as it is."""

    def run(images: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return network(torch.from_numpy(images), torch.from_numpy(masks)).numpy()

    return run


def milliseconds(ways: dict[str, Run], inputs: Inputs, seconds: float) -> dict[str, float]:
    """Median time of a picture, each way given about so many seconds."""
    spent: dict[str, list[float]] = {label: [] for label in ways}

    def once(run: Callable[[], object]) -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    for run in ways.values():
        run(*inputs)
    while sum(spent["plain"]) < seconds or len(spent["plain"]) < 3:
        for label, run in ways.items():
            spent[label].append(once(lambda run=run: run(*inputs)))
    return {label: statistics.median(t) / len(inputs[0]) * 1000 for label, t in spent.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["idih", "idih-hrnet-w18"])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3)
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads of torch")
    for name in chosen.networks:
        network = build_network(name).eval()
        ways: dict[str, Run] = {"plain": plain(network)}
        for backend, dtype in WAYS:
            label = f"{backend}, {str(dtype).removeprefix('torch.')}"
            try:
                ways[label] = open_backend(backend, network, SIZE, torch.device("cpu"), dtype)
            except InputError as error:
                print(f"{label}: left out: {error}")
        for count in (1, chosen.batch_size):
            generator = np.random.default_rng(0)
            images = generator.standard_normal((count, 3, *SIZE), np.float32)
            masks = (generator.random((count, 1, *SIZE)) > 0.7).astype(np.float32)
            times = milliseconds(ways, (images, masks), chosen.seconds)
            print(f"{name}, {count} at a time; milliseconds a picture, and times as fast as plain")
            for label, spent in times.items():
                print(f"  {label:20}{spent:9.1f}{times['plain'] / spent:8.2f}x")


if __name__ == "__main__":
    main()
