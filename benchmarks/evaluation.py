"""How long an evaluation takes against its network alone.

    python benchmarks/evaluation.py [--network idih [--width 32]] [--count 200] [--size 640x480]

Made-up pictures, JPEG composites and real pictures, PNG masks, and a full evaluation by the `paper`
protocol, with the bundled model or with a network of random weights. The network alone is given as
many arrays in the same batches; `harmonize_batch` as many pictures of 256 x 256 in memory. They
take turns; given are medians and ratios, of wall-clock time and of CPU time over all threads.
Compare numbers of one run only.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from made_up import write_picture

from harmonizer import Harmonizer, model_info
from harmonizer.data import TripletDataset, TripletFiles
from harmonizer.evaluation import evaluate
from harmonizer.evaluation.protocols import PAPER
from harmonizer.networks import build_network
from harmonizer.threads import count_cores

DISTINCT = 20  # pictures on disk; the dataset repeats them


def make_dataset(folder: Path, width: int, height: int, count: int) -> TripletDataset:
    """Triplets whose composite and real picture differ in their grain and in their colours."""
    files: list[TripletFiles] = []
    for number in range(DISTINCT):
        names = ("composite.jpg", "mask.png", "real.jpg")
        composite, mask, real = (folder / f"{number}_{name}" for name in names)
        write_picture(real, mask, height, width, number + DISTINCT)
        write_picture(composite, mask, height, width, number)
        files.append(TripletFiles(composite, mask, real, name=str(number)))
    return TripletDataset([files[number % len(files)] for number in range(count)])


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a call."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def compare_times(harmonizer: Harmonizer, dataset: TripletDataset, batch_size: int) -> None:
    """Print the times of an evaluation and of its parts, and their ratios."""
    count = len(dataset)
    generator = np.random.default_rng(0)
    size = harmonizer.info.preprocessing.input_size
    images = generator.random((batch_size, 3, *size), np.float32)
    masks = generator.random((batch_size, 1, *size), np.float32)
    run = harmonizer._running.run  # pyright: ignore[reportPrivateUsage] - it alone is measured
    pictures = [PAPER.prepare(dataset[index]) for index in range(count)]

    def alone() -> None:
        for start in range(0, count, batch_size):
            some = min(batch_size, count - start)
            run(images[:some], masks[:some])

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
    print(f"{harmonizer.info.name}, {count} pictures, {harmonizer.device}, {count_cores()} cores")
    print(f"{'milliseconds':18}{'wall':>18}{'CPU':>18}")
    for label, spent in medians.items():
        pairs = zip(spent, medians["network alone"], strict=True)
        cells = (f"{one / count * 1000:9.1f}{one / network:8.2f}x" for one, network in pairs)
        print(f"{label:18}{''.join(cells)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", help="with random weights; else the bundled model")
    parser.add_argument("--width", type=int, help="of that network: an iDIH, narrower than its own")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args()
    if chosen.network is None:
        harmonizer = Harmonizer.from_pretrained(device=chosen.device)
    else:
        arguments = {"width": chosen.width} if chosen.width else {}
        network = build_network(chosen.network, **arguments)
        harmonizer = Harmonizer(network, model_info(chosen.network), device=chosen.device)
    with tempfile.TemporaryDirectory() as folder:
        width, height = map(int, chosen.size.split("x"))
        dataset = make_dataset(Path(folder), width, height, chosen.count)
        compare_times(harmonizer, dataset, chosen.batch_size)


if __name__ == "__main__":
    main()
