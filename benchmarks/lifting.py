"""Measure how well, how fast and in how much memory a correction is lifted to full resolution.

    python benchmarks/lifting.py [FOLDER]

FOLDER holds triplets, in any layout of `TripletDataset.open`; without it, they are synthetic.
A network's answer is stood in for by the real picture at 256 x 256, as it is (a perfect answer) and
in three degrees blurred and noisy. The figure is the mean squared error over the foreground at full
size, against the real picture, on a scale of 0 to 255.
"""

import argparse
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from made_up import make_picture
from numpy.typing import NDArray

from harmonizer.data import Triplet, TripletDataset
from harmonizer.lifting import LiftingMethod, lift

METHODS: tuple[LiftingMethod, ...] = ("resize", "residual", "fitted")
LOW_RES = (256, 256)
# Of the answer: sigma of its Gaussian blur in low-resolution pixels, sigma of its white noise.
DEGREES = {"perfect": (0.0, 0.0), "mild": (0.4, 2.5), "medium": (0.5, 5.0), "strong": (0.7, 7.5)}


def synthetic_triplets(count: int = 6) -> Iterator[Triplet]:
    """Make pictures with detail at every scale, edited by a curve, a cast and a gradient."""
    for index in range(count):
        rng = np.random.default_rng(index)
        height, width = rng.integers(700, 1600, 2)
        picture = np.full((height, width, 3), 0.45, np.float32)
        for octave in range(2, 10):
            cells = rng.normal(0, 0.5 / octave, (2**octave, 2**octave, 3)).astype(np.float32)
            cells += cells.mean(axis=2, keepdims=True)  # mostly light, a little colour
            picture += cv2.resize(cells, (int(width), int(height)), interpolation=cv2.INTER_CUBIC)
        picture = np.clip(picture, 0, 1)
        mask = np.zeros((height, width), np.float32)
        centre = (int(width * rng.uniform(0.3, 0.7)), int(height * rng.uniform(0.3, 0.7)))
        axes = (int(width * rng.uniform(0.1, 0.3)), int(height * rng.uniform(0.1, 0.3)))
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
        edited = picture ** rng.uniform(0.7, 1.4) * rng.uniform(0.8, 1.2, 3).astype(np.float32)
        edited *= 1 + rng.uniform(-0.3, 0.3) * np.linspace(-1, 1, width, dtype=np.float32)[:, None]
        composite = np.where(mask[..., None] > 0, np.clip(edited, 0, 1), picture)
        yield Triplet(_to_uint8(composite), mask, _to_uint8(picture), f"synthetic-{index}")


def _to_uint8(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(picture * 255).astype(np.uint8)


def answer(real: NDArray[np.uint8], degree: str) -> NDArray[np.float32]:
    """Stand in for a network: the real picture at low resolution, blurred and noisy by degrees."""
    low = cv2.resize(real, LOW_RES).astype(np.float32)
    blur, noise = DEGREES[degree]
    if blur:
        low = cv2.GaussianBlur(low, (0, 0), blur)
        low += np.random.default_rng(0).normal(0, noise, low.shape).astype(np.float32)
    return np.clip(low, 0, 255)


def foreground_error(picture: NDArray[np.uint8], triplet: Triplet) -> NDArray[np.float32]:
    """Squared error of each foreground pixel and channel."""
    inside = triplet.mask > 0.5
    return np.square(picture[inside].astype(np.float32) - triplet.real[inside])


def measure_errors(triplets: Iterable[Triplet]) -> None:
    """Print the table of methods."""
    errors: dict[tuple[str, str], list[float]] = {}
    for triplet in triplets:
        low = cv2.resize(triplet.composite, LOW_RES).astype(np.float32)
        composite_error = float(foreground_error(triplet.composite, triplet).mean())
        errors.setdefault(("composite", ""), []).append(composite_error)
        for degree in DEGREES:
            low_answer = answer(triplet.real, degree)
            for method in METHODS:
                lifted = lift(triplet.composite, triplet.mask, low, low_answer, method=method)
                error = float(foreground_error(lifted, triplet).mean())
                errors.setdefault((method, degree), []).append(error)
    untouched = errors[("composite", "")]
    print(f"{len(untouched)} pictures; foreground MSE of the composites {np.mean(untouched):.0f}\n")
    print("| mean (median) | " + " | ".join(DEGREES) + " |\n|---|" + "--:|" * len(DEGREES))
    for method in METHODS:
        cells = (errors[(method, degree)] for degree in DEGREES)
        row = " | ".join(f"{np.mean(values):.1f} ({np.median(values):.1f})" for values in cells)
        print(f"| {method} | {row} |")


def _cost(task: str, triplet: Triplet) -> tuple[float, float]:
    """Best time of seven in seconds, and peak memory beyond input and output in MB."""
    height, width = triplet.mask.shape
    low = cv2.resize(triplet.composite, LOW_RES).astype(np.float32)
    low_answer = answer(triplet.real, "medium")

    def work() -> NDArray[Any]:
        if task == "cv2.resize":
            return cv2.resize(low_answer, (width, height))
        return lift(
            triplet.composite, triplet.mask, low, low_answer, method=cast(LiftingMethod, task)
        )

    times: list[float] = []
    for _ in range(7):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    tracemalloc.start()  # sees NumPy's arrays, and OpenCV's results are such
    output = work().nbytes
    peak = tracemalloc.get_traced_memory()[1] - output
    tracemalloc.stop()
    return min(times), peak / 1e6


def measure_costs(height: int, width: int) -> None:
    """Print time and memory of each method beside cv2.resize of a float picture of that size."""
    megapixels = height * width / 1e6
    print(f"\n{megapixels:.0f} megapixels, a quarter foreground, {cv2.getNumThreads()} threads\n")
    print("| method | s | ms/megapixel | x cv2.resize | MB beyond input and output |")
    print("|---|--:|--:|--:|--:|")
    picture, _ = make_picture(height, width)
    mask = np.zeros((height, width), np.float32)
    mask[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = 1
    triplet = Triplet(picture, mask, picture, "large")
    baseline = 0.0
    for task in ("cv2.resize", *METHODS):
        seconds, memory = _cost(task, triplet)
        baseline = baseline or seconds
        rate = 1000 * seconds / megapixels
        print(f"| {task} | {seconds:.3f} | {rate:.1f} | {seconds / baseline:.1f} | {memory:.0f} |")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Measure the lifting of corrections.")
    parser.add_argument("folder", nargs="?", type=Path, help="triplets (default: synthetic ones)")
    arguments = parser.parse_args()
    found = TripletDataset.open(arguments.folder) if arguments.folder else synthetic_triplets()
    measure_errors(one._replace(mask=(one.mask > 0.5).astype(np.float32)) for one in found)
    measure_costs(3000, 4000)


if __name__ == "__main__":
    main()
