"""Thousands of calls from several threads: does memory grow, is a file left open, is a call lost?

    python benchmarks/soak.py --calls 10000 --threads 8
    python benchmarks/soak.py --calls 20000 --threads 8 --small
    python benchmarks/soak.py --calls 2000 --forks 4
    python benchmarks/soak.py --troubles 50

Pictures of mixed sizes and kinds (arrays, tensors, Pillow's, bytes of files, wrong ones) are
harmonized by one `Harmonizer`. Every answer is compared with the one that the same picture got
before the threads were started. Memory is the process's resident set; its medians over the fifth
and the last tenth of the calls are compared, because allocators keep what the first ones made them
take: an arena for each thread, with room for whatever size comes by. With `--forks`, processes that
are forked after loading answer in place of threads; each compares its own memory, the second tenth
with the last. With `--troubles`, a training is killed and starved so many times, of memory, disk
and workers. Linux alone: it reads /proc. The exit code is 1 if something is lost, wrong, grew or
hung.
"""

import argparse
import hashlib
import io
import itertools
import os
import resource
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from soak_training import soak_training

from harmonizer import Harmonizer
from harmonizer.errors import InputError

# Height and width; from one pixel to what a phone's screen shows.
SIZES = ((1, 3), (7, 5), (64, 96), (256, 256), (333, 217), (480, 640), (10, 900), (720, 405))
LARGEST_GROWTH = 0.05
LONGEST = 3600  # seconds; forked processes that take longer hang

Job = Callable[[Harmonizer], str]


def _digest(result: object) -> str:
    array = result.numpy() if isinstance(result, torch.Tensor) else np.asarray(result)
    return hashlib.sha256(array.tobytes()).hexdigest()


def _job(image: Any, mask: Any) -> Job:  # noqa: ANN401 - any kind of picture
    return lambda model: _digest(model(image, mask))


def _lazy(image: Path, mask_path: Path, mask: np.ndarray) -> Job:
    """A mask that Pillow has opened and not read yet, and that two threads decode at a time."""
    Image.fromarray(mask).save(mask_path)

    def call(model: Harmonizer) -> str:
        with Image.open(mask_path) as shared, ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda _: _digest(model(image, shared)), range(2))
        assert first == second
        return first

    return call


def _refused(image: Any, mask: Any) -> Job:  # noqa: ANN401
    def call(model: Harmonizer) -> str:
        try:
            model(image, mask)
        except InputError as error:
            return str(error)
        raise AssertionError("a wrong picture was taken")

    return call


def make_jobs(folder: Path, *, small: bool = False) -> list[Job]:
    """Every size in several kinds, and pictures that are refused; files lie in a folder."""
    generator = np.random.default_rng(0)
    jobs: list[Job] = []
    sizes = [size for size in SIZES if not small or size[0] * size[1] <= 64 * 96]
    for number, (height, width) in enumerate(sizes):
        image = generator.integers(0, 256, (height, width, 3), np.uint8)
        mask = np.zeros((height, width), np.uint8)
        mask[: height // 2 + 1, : width // 2 + 1] = 255
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        path = folder / f"{number}.png"
        path.write_bytes(buffer.getvalue())
        tensor = torch.from_numpy(image).permute(2, 0, 1)
        jobs += [
            _job(image, mask),
            _job(image.astype(np.float32) / 255, mask),
            _job(tensor, torch.from_numpy(mask)),
            _job(Image.fromarray(image).convert("RGBA"), Image.fromarray(mask)),
            _job(path, mask),
            _lazy(path, folder / f"{number}_mask.png", mask),
            _refused(image, mask[:, :-1]),
            _refused(buffer.getvalue()[: len(buffer.getvalue()) // 2], mask),
        ]
    return jobs


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def soak(calls: int, threads: int, folder: Path, *, small: bool) -> bool:
    """Run, print what was measured, and return whether all is well."""
    torch.set_num_threads(1)  # the calls themselves are what runs side by side
    model = Harmonizer.from_pretrained(device="cpu")
    jobs = make_jobs(folder, small=small)
    expected = [job(model) for job in jobs]
    descriptors = _descriptors()
    memory = np.zeros(calls, np.int64)
    wrong: list[int] = []
    count, lock = itertools.count(), threading.Lock()

    def call(number: int) -> None:
        index = number * 31 % len(jobs)  # a fixed order in which sizes follow one another
        if jobs[index](model) != expected[index]:
            wrong.append(number)
        with lock:
            memory[next(count)] = _resident()

    start = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(call, range(calls)):
            pass  # whatever a call raises is raised here
    minutes = (time.monotonic() - start) / 60
    tenths = [statistics.median(part) / 2**20 for part in np.array_split(memory, 10)]
    growth = tenths[-1] / tenths[4] - 1
    left_open = _descriptors() - descriptors
    done = next(count)
    print(f"{done:,} of {calls:,} calls from {threads} threads in {minutes:.1f} minutes")
    print(f"wrong answers: {len(wrong)}")
    print(f"memory, MiB: {' '.join(f'{one:.0f}' for one in tenths)}; since the fifth {growth:+.1%}")
    print(f"descriptors left open: {left_open}")
    return done == calls and not wrong and growth <= LARGEST_GROWTH and left_open <= 0


def soak_forks(calls: int, forks: int, folder: Path) -> bool:
    """Load a model, fork, and let each child answer its share; return whether all is well."""
    torch.set_num_threads(1)
    model = Harmonizer.from_pretrained(device="cpu")
    jobs = make_jobs(folder)
    expected = [job(model) for job in jobs]
    torch.set_num_threads(2)
    model(np.zeros((64, 64, 3), np.uint8), np.eye(64))  # with threads that no child will have
    start = time.monotonic()
    children = {
        _fork(lambda n=n: _share(model, jobs, expected, range(n, calls, forks))): n
        for n in range(forks)
    }
    good = 0
    while children and time.monotonic() - start < LONGEST:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child:
            del children[child]
            good += status == 0
        time.sleep(0.1)
    for child in children:
        os.kill(child, signal.SIGKILL)
    minutes = (time.monotonic() - start) / 60
    print(
        f"{good} of {forks} forked processes answered {calls:,} requests in {minutes:.1f} minutes"
    )
    print(f"hung: {len(children)}")
    return good == forks


def _fork(work: Callable[[], bool]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os._exit(0 if work() else 1)
    finally:
        os._exit(2)


def _share(model: Harmonizer, jobs: list[Job], expected: list[str], numbers: range) -> bool:
    memory: list[int] = []
    wrong = 0
    for number in numbers:
        index = number * 31 % len(jobs)
        wrong += jobs[index](model) != expected[index]
        memory.append(_resident())
    tenth = max(1, len(memory) // 10)
    first = statistics.median(memory[tenth : 2 * tenth])
    last = statistics.median(memory[-tenth:])
    print(
        f"a child: {len(memory)} answers, {wrong} wrong, {last / first - 1:+.1%} memory", flush=True
    )
    return not wrong and last / first - 1 <= LARGEST_GROWTH


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--small", action="store_true", help="small pictures alone")
    parser.add_argument("--forks", type=int, default=0)
    parser.add_argument("--troubles", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.troubles:
            return 0 if soak_training(chosen.troubles, Path(folder)) else 1
        if chosen.forks:
            return 0 if soak_forks(chosen.calls, chosen.forks, Path(folder)) else 1
        return 0 if soak(chosen.calls, chosen.threads, Path(folder), small=chosen.small) else 1


if __name__ == "__main__":
    sys.exit(main())
