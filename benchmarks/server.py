"""What a request costs on a server, with the bundled network.

    python benchmarks/server.py [--megapixels 0.3 1 12] [--workers 2] [--rounds 9]

A process loads the model and forks workers, as `gunicorn --preload` does. Each harmonizes the same
picture several times, from the bytes of a JPEG file and its PNG mask to those of a PNG or a JPEG
file. Given are the least processor time, which other programs disturb less than the time that
passes; how many times that of merely reading and writing the same files it is; how many
requests that makes for each core and second; and the most memory of a worker's own. Linux only.
"""

import argparse
import io
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from made_up import sides, write_picture
from PIL import Image

from harmonizer import Harmonizer
from harmonizer.imaging.saving import encode_image
from harmonizer.jobs.folder import harmonize_file

FORK = multiprocessing.get_context("fork")


def memory(what: str) -> float:
    """A line of this process's /proc/self/status, such as VmRSS, in MiB."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def milliseconds(call: Callable[[], object]) -> float:
    """The processor time of a call."""
    start = time.process_time()
    call()
    return 1000 * (time.process_time() - start)


def work(model: Harmonizer, folder: Path, output: str, rounds: int, found: Connection) -> None:
    """Be a worker: send its milliseconds, those without harmonizing, and its own MiB at most."""
    before = memory("VmRSS")
    image, mask = ((folder / name).read_bytes() for name in ("a.jpg", "a.png"))

    def harmonize() -> None:
        harmonize_file(model, image, mask, output)

    def copy() -> None:
        Image.open(io.BytesIO(mask)).load()
        encode_image(Image.open(io.BytesIO(image)), output, {})

    harmonize()
    own = memory("VmHWM") - before
    copy()
    spent = [(milliseconds(harmonize), milliseconds(copy)) for _ in range(rounds)]
    found.send((*map(min, zip(*spent, strict=True)), own))


def main() -> None:
    """Measure, and print a line for each size and format."""
    parser = argparse.ArgumentParser(description="Measure what a request costs.")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.3, 1, 12])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    model = Harmonizer.from_pretrained(device="cpu")
    print(f"{memory('VmRSS'):.0f} MiB of the process that has loaded the model, which they share")
    print("megapixels  output  milliseconds  times a copy  a core and second  MiB a worker")
    for megapixels in chosen.megapixels:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files = (folder / "a.jpg", folder / "a.png", *sides(megapixels))
            making = FORK.Process(target=write_picture, args=files)  # whose memory goes with it
            making.start()
            making.join()
            for output in ("PNG", "JPEG"):
                pipes = [FORK.Pipe(duplex=False) for _ in range(chosen.workers)]
                workers = [
                    FORK.Process(target=work, args=(model, folder, output, chosen.rounds, end))
                    for _, end in pipes
                ]
                for one in workers:
                    one.start()
                found = [start.recv() for start, _ in pipes]
                spent, copying = (min(one[number] for one in found) for number in (0, 1))
                own = max(one[2] for one in found)
                print(
                    f"{megapixels:10g}  {output:6}  {spent:12.1f}  {spent / copying:12.2f}"
                    f"  {1000 / spent:17.1f}  {own:12.0f}"
                )


if __name__ == "__main__":
    main()
