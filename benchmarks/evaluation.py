"""How long an evaluation takes against its network alone, and how much memory many pictures need.

    python benchmarks/evaluation.py [--network idih [--width 32]] [--count 200] [--size 640x480]
        [--memory]

Pictures of noise, made here: JPEG composites and real pictures, PNG masks, and a full evaluation
by the `paper` protocol, with the bundled model or with a network of random weights. The network
alone is given as many arrays in the same batches; `harmonize_batch` as many pictures of 256 x 256
in memory. They take turns; given are medians and ratios, of wall-clock time and of CPU time over
all threads. Compare numbers of one run only. With `--memory`: the peak of resident memory of
evaluations of 74 and of 7,404 pictures, each in a process of its own.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from harmonizer import Harmonizer, model_info
from harmonizer.data import TripletDataset, TripletFiles
from harmonizer.evaluation import evaluate
from harmonizer.evaluation.protocols import PAPER
from harmonizer.networks import build_network
from harmonizer.threads import count_cores

DISTINCT = 20  # pictures on disk; a dataset repeats them
SMALL, LARGE = 74, 7404


def make_pictures(folder: Path, width: int, height: int) -> list[TripletFiles]:
    """Write triplets of coarse noise in many colours, with an ellipse as the foreground."""
    rows, columns = np.mgrid[:height, :width]
    files: list[TripletFiles] = []
    for number in range(DISTINCT):
        generator = np.random.default_rng(number)
        small = generator.integers(0, 256, (12, 16, 3), np.uint8)
        real = np.asarray(
            Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC), np.float32
        )
        real = real + generator.normal(0, 6, real.shape)
        radius = generator.uniform(0.1, 0.4)
        inside = ((rows / height - 0.5) / radius) ** 2 + ((columns / width - 0.5) / radius) ** 2 < 1
        composite = np.where(inside[..., None], real * 0.7 + 20, real)
        paths = [folder / f"{number}_{name}" for name in ("composite.jpg", "mask.png", "real.jpg")]
        for path, array in zip(paths, (composite, inside * 255, real), strict=True):
            Image.fromarray(array.clip(0, 255).astype(np.uint8)).save(path, quality=92)
        files.append(TripletFiles(*paths, name=str(number)))
    return files


def repeated(files: list[TripletFiles], count: int) -> TripletDataset:
    """A dataset of as many triplets as wanted."""
    return TripletDataset([files[number % len(files)] for number in range(count)])


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a call."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def compare_times(
    name: str | None,
    width: int | None,
    files: list[TripletFiles],
    count: int,
    batch_size: int,
    device: str,
) -> None:
    """Print the times of an evaluation and of its parts, and their ratios."""
    if name is None:
        harmonizer = Harmonizer.from_pretrained(device=device)
    else:
        network = build_network(name, **({} if width is None else {"width": width}))
        harmonizer = Harmonizer(network, model_info(name), device=device)
    dataset = repeated(files, count)
    generator = np.random.default_rng(0)
    size = harmonizer.info.preprocessing.input_size
    images = generator.random((batch_size, 3, *size), np.float32)
    masks = generator.random((batch_size, 1, *size), np.float32)
    run = harmonizer._run  # pyright: ignore[reportPrivateUsage] - it alone is measured

    def alone() -> None:
        for start in range(0, count, batch_size):
            some = min(batch_size, count - start)
            run(images[:some], masks[:some])

    pictures = [PAPER.prepare(triplet) for triplet in repeated(files, count)]

    def in_memory() -> None:
        composites, shapes = [one.composite for one in pictures], [one.mask for one in pictures]
        for _ in harmonizer.harmonize_batch(composites, shapes, batch_size=batch_size):
            pass

    works: dict[str, Callable[[], object]] = {
        "network alone": alone,
        "harmonize_batch": in_memory,
        "evaluation": lambda: evaluate(harmonizer, dataset, batch_size=batch_size),
    }
    times: dict[str, list[tuple[float, float]]] = {label: [] for label in works}
    for turn in range(6):
        for label, work in works.items():
            spent = measure(work)
            if turn:  # the first one warms up
                times[label].append(spent)
    medians = {
        label: [statistics.median(one[k] for one in spent) for k in (0, 1)]
        for label, spent in times.items()
    }
    print(
        f"{harmonizer.info.name}, {count} pictures on {harmonizer.device}, {count_cores()} cores; "
        "milliseconds a picture, and times the network"
    )
    print(f"{'':18}{'wall':>18}{'CPU':>18}")
    for label, spent in medians.items():
        print(f"{label:18}", end="")
        for one, network in zip(spent, medians["network alone"], strict=True):
            print(f"{one / count * 1000:9.1f}{one / network:8.2f}x", end="")
        print()


def print_peak(files: list[TripletFiles], count: int) -> None:
    """Evaluate in this process, and print how much memory it took at most."""
    evaluate(None, repeated(files, count), device="cpu")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{count:6,} pictures: {peak / 1024:.0f} MiB at most")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--network", help="a name of list_networks(), with random weights; else the bundled model"
    )
    parser.add_argument("--width", type=int, help="of that network: an iDIH, narrower than its own")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak-of", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        files = make_pictures(Path(folder), width, height)
        if chosen.peak_of is not None:
            print_peak(files, chosen.peak_of)
        elif chosen.memory:
            for count in (SMALL, LARGE):
                command = [sys.executable, __file__, "--size", chosen.size, "--peak-of", str(count)]
                subprocess.run(command, check=True)
        else:
            compare_times(
                chosen.network, chosen.width, files, chosen.count, chosen.batch_size, chosen.device
            )


if __name__ == "__main__":
    main()
