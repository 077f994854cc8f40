"""Measure how well, how fast and in how much memory a correction is lifted to full resolution.

    python benchmarks/lifting.py [FOLDER] [--crops DIRECTORY]

FOLDER holds triples ``ID_composite.*``, ``ID_mask.*``, ``ID_real.*``, in folders inside it too.
Without it the pictures are synthetic. A network's answer is stood in for by the real picture at
256 x 256, as it is (a perfect answer) and in three degrees blurred and noisy. The figure is the
mean squared error over the foreground at full size, against the real picture, on a scale of 0 to
255.
"""

import argparse
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.lifting import LiftingMethod, lift

METHODS: tuple[LiftingMethod, ...] = ("resize", "residual", "fitted")
LOW_RES = (256, 256)
# Of the answer: sigma of its Gaussian blur in low-resolution pixels, sigma of its white noise.
DEGREES = {"perfect": (0.0, 0.0), "mild": (0.4, 2.5), "medium": (0.5, 5.0), "strong": (0.7, 7.5)}
CROP = 256


class Triple(NamedTuple):
    """A composite, the mask of its foreground, and the real picture: uint8, float32, uint8."""

    name: str
    composite: NDArray[np.uint8]
    mask: NDArray[np.float32]
    real: NDArray[np.uint8]


def read_triples(folder: Path) -> Iterator[Triple]:
    """Read the triples of a folder and of the folders inside it."""
    for path in sorted(folder.rglob("*_composite.*")):
        name = path.name.split("_composite.")[0]
        mask, real = (next(path.parent.glob(f"{name}_{kind}.*")) for kind in ("mask", "real"))
        grey = _read(mask).max(axis=2)
        yield Triple(
            name,
            _read(path),
            (grey > 0.5 * grey.max()).astype(np.float32),
            _read(real),
        )


def _read(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path))
    if picture is None:
        raise SystemExit(f"{path} is not a picture that OpenCV reads.")
    return cast(NDArray[np.uint8], cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def synthetic_triples(count: int = 6) -> Iterator[Triple]:
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
        yield Triple(f"synthetic-{index}", _to_uint8(composite), mask, _to_uint8(picture))


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


def foreground_error(picture: NDArray[np.uint8], triple: Triple) -> NDArray[np.float32]:
    """Squared error of each foreground pixel and channel."""
    inside = triple.mask > 0.5
    return np.square(picture[inside].astype(np.float32) - triple.real[inside])


def worst_crop(picture: NDArray[np.uint8], triple: Triple) -> NDArray[np.uint8]:
    """The square of the largest error: composite, picture and real side by side, at 100 %."""
    error = np.square(picture.astype(np.float32) - triple.real).mean(axis=2) * triple.mask
    size = min(CROP, *error.shape)
    row, column = np.unravel_index(int(cv2.blur(error, (size, size)).argmax()), error.shape)
    top = int(np.clip(row - size // 2, 0, error.shape[0] - size))
    left = int(np.clip(column - size // 2, 0, error.shape[1] - size))
    piece = np.s_[top : top + size, left : left + size]
    return np.hstack([triple.composite[piece], picture[piece], triple.real[piece]])


def measure_errors(triples: Iterator[Triple], crops: Path | None) -> None:
    """Print the table of methods, and write the crops where they are wanted."""
    errors: dict[tuple[str, str], list[float]] = {}
    for triple in triples:
        low = cv2.resize(triple.composite, LOW_RES).astype(np.float32)
        composite_error = float(foreground_error(triple.composite, triple).mean())
        errors.setdefault(("composite", ""), []).append(composite_error)
        for degree in DEGREES:
            low_answer = answer(triple.real, degree)
            for method in METHODS:
                lifted = lift(triple.composite, triple.mask, low, low_answer, method=method)
                error = float(foreground_error(lifted, triple).mean())
                errors.setdefault((method, degree), []).append(error)
                if crops:
                    path = crops / f"{triple.name}_{degree}_{method}.png"
                    crop = worst_crop(lifted, triple)
                    cv2.imwrite(str(path), cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))
    untouched = errors[("composite", "")]
    print(f"{len(untouched)} pictures; foreground MSE of the composites {np.mean(untouched):.0f}\n")
    print("| mean (median) | " + " | ".join(DEGREES) + " |\n|---|" + "--:|" * len(DEGREES))
    for method in METHODS:
        cells = (errors[(method, degree)] for degree in DEGREES)
        row = " | ".join(f"{np.mean(values):.1f} ({np.median(values):.1f})" for values in cells)
        print(f"| {method} | {row} |")


def _large_picture(height: int, width: int) -> Triple:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (height // 10, width // 10, 3), dtype=np.uint8)
    picture = cv2.resize(small, (width, height))
    mask = np.zeros((height, width), np.float32)
    mask[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = 1
    return Triple("large", picture, mask, picture)


def _cost(task: str, triple: Triple) -> tuple[float, float]:
    """Best time of seven in seconds, and peak memory beyond input and output in MB."""
    height, width = triple.mask.shape
    low = cv2.resize(triple.composite, LOW_RES).astype(np.float32)
    low_answer = answer(triple.real, "medium")

    def work() -> NDArray[Any]:
        if task == "cv2.resize":
            return cv2.resize(low_answer, (width, height))
        return lift(
            triple.composite, triple.mask, low, low_answer, method=cast(LiftingMethod, task)
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
    triple = _large_picture(height, width)
    baseline = 0.0
    for task in ("cv2.resize", *METHODS):
        seconds, memory = _cost(task, triple)
        baseline = baseline or seconds
        rate = 1000 * seconds / megapixels
        print(f"| {task} | {seconds:.3f} | {rate:.1f} | {seconds / baseline:.1f} | {memory:.0f} |")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Measure the lifting of corrections.")
    parser.add_argument("folder", nargs="?", type=Path, help="triples (default: synthetic ones)")
    parser.add_argument("--crops", type=Path, help="write the worst crop of each result there")
    arguments = parser.parse_args()
    if arguments.crops:
        arguments.crops.mkdir(parents=True, exist_ok=True)
    triples = read_triples(arguments.folder) if arguments.folder else synthetic_triples()
    measure_errors(triples, arguments.crops)
    measure_costs(3000, 4000)


if __name__ == "__main__":
    main()
