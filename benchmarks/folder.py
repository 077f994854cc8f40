"""How busy `harmonizer run` keeps the processor on a folder, and how fast it is.

    python benchmarks/folder.py [--pictures 200] [--megapixels 1] [-- OPTION...]

The pictures are made here: JPEG files of the usual size for their pixels, masks as PNG. What stands
behind `--` is handed on to `harmonizer run`, such as `-- --backend openvino --workers 4`. Busy is
processor time by elapsed time and cores, as the operating system counts it: of the whole command,
and without its start, which is that of a folder of one picture.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from made_up import sides, write_picture

from harmonizer.threads import count_cores

COMMAND = [sys.executable, "-c", "from harmonizer.cli import main; raise SystemExit(main())", "run"]


class Spent(NamedTuple):
    """What a command took, in seconds."""

    elapsed: float
    processor: float

    def busy(self) -> float:
        """Share of the time of all cores."""
        return self.processor / (self.elapsed * count_cores())


def run(folder: Path, options: list[str]) -> Spent:
    """Run the command as a process, and ask the operating system what it took."""
    command = [*COMMAND, *(str(folder / part) for part in ("images", "masks"))]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*command, "-o", str(folder / "out"), *options], check=True)
    elapsed = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure a folder.")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--megapixels", type=float, default=1.0)
    parser.add_argument("options", nargs="*", help="of `harmonizer run`, behind --")
    chosen = parser.parse_args()
    height, width = sides(chosen.megapixels)
    with tempfile.TemporaryDirectory() as name:
        one, many = Path(name) / "one", Path(name) / "many"
        for folder, count in ((one, 1), (many, chosen.pictures)):
            for index in range(count):
                paths = (folder / "images" / f"{index}.jpg", folder / "masks" / f"{index}.png")
                write_picture(*paths, height, width, index)
        started, spent = run(one, chosen.options), run(many, chosen.options)
    rest = Spent(*(all_of_it - start for all_of_it, start in zip(spent, started, strict=True)))
    print(f"{chosen.pictures} pictures of {width} x {height} on {count_cores()} cores")
    print(f"{'':24}{'seconds':>9}{'of processor':>14}{'busy':>7}")
    for label, each in (("a folder of one", started), ("all", spent), ("without the start", rest)):
        print(f"{label:24}{each.elapsed:9.2f}{each.processor:14.2f}{each.busy():7.0%}")
    print(f"{(chosen.pictures - 1) / rest.elapsed:.1f} pictures a second, the start left out")


if __name__ == "__main__":
    main()
