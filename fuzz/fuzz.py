"""Feed a reader of files with damaged ones, and keep those that it does not survive.

    python fuzz/fuzz.py pictures --minutes 10 --seed 0

The reader runs in a process of its own, so that a crash, a hang (more than `--limit` seconds for
one file) and a demand for more than `--memory` GiB are findings too. Each finding is written to
`fuzz/findings/TARGET-SEED-NUMBER`; `python fuzz/fuzz.py TARGET --replay FILE` reads it again.
"""

import argparse
import collections
import json
import random
import resource
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

FINDINGS = Path(__file__).parent / "findings"


def work(name: str, seed: int, seconds: float, memory: float, skip: int) -> None:
    """The process that reads: one line of JSON for each finding, and one at the end."""
    from targets import TARGETS, read_one, workplace

    target = TARGETS[name]
    limit = int(memory * 2**30) + _address_space()
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    outcomes: collections.Counter[str] = collections.Counter()
    deadline = time.monotonic() + seconds
    with workplace() as place:
        folder = Path(place)
        seeds = target.seeds(folder)
        count = skip
        while time.monotonic() < deadline:
            # Each file has a generator of its own, so that any of them can be made again.
            generator = random.Random(f"{name} {seed} {count}")  # noqa: S311 - reproducible
            data = target.mutate(generator.choice(seeds), generator)
            print(json.dumps({"trying": count}), flush=True)
            try:
                outcomes[read_one(target, data, folder) or "taken"] += 1
            except Exception as error:  # that is what is looked for
                last = traceback.extract_tb(error.__traceback__)
                ours = [frame for frame in last if "/harmonizer/" in frame.filename]
                where = f"{Path((ours or last)[-1].filename).name}:{(ours or last)[-1].lineno}"
                found = f"{type(error).__name__} at {where}: {str(error)[:200]}"
                print(json.dumps({"finding": found, "count": count}), flush=True)
                outcomes["finding"] += 1
            count += 1
        print(json.dumps({"count": count - skip, "outcomes": outcomes, "seeds": len(seeds)}))


def _address_space() -> int:
    """Bytes of addresses that the process has now: libraries reserve more than they use."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def make_again(name: str, seed: int, count: int) -> bytes:
    """The file with a number."""
    from targets import TARGETS, workplace

    with workplace() as place:
        seeds = TARGETS[name].seeds(Path(place))
    generator = random.Random(f"{name} {seed} {count}")  # noqa: S311
    return TARGETS[name].mutate(generator.choice(seeds), generator)


def fuzz(name: str, seed: int, minutes: float, limit: float, memory: float) -> int:
    """Run workers until the time is over; return how many different findings there were."""
    end = time.monotonic() + minutes * 60
    findings: dict[str, int] = {}
    outcomes: collections.Counter[str] = collections.Counter()
    trying, tried = -1, 0
    while (left := end - time.monotonic()) > 1:
        command = [sys.executable, __file__, name, "--work", str(left), "--seed", str(seed)]
        command += ["--memory", str(memory), "--skip", str(trying + 1)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        watch = _Watch(worker, limit)
        assert worker.stdout
        first = trying + 1
        for line in worker.stdout:
            watch.alive()
            said = json.loads(line)
            if "trying" in said:
                trying = said["trying"]
            elif "finding" in said:
                findings.setdefault(said["finding"], said["count"])
            else:
                outcomes.update(said["outcomes"])
        code = worker.wait()
        watch.stop()
        tried += trying + 1 - first
        if code != 0:
            why = "a hang" if watch.hung else f"the process ended with {code}"
            findings.setdefault(f"{why}, file {trying}", trying)
    print(f"{name}: {tried:,} files in {minutes:g} minutes, seed {seed}; {dict(outcomes)}")
    FINDINGS.mkdir(exist_ok=True)
    for found, count in findings.items():
        path = FINDINGS / f"{name}-{seed}-{count}"
        path.write_bytes(make_again(name, seed, count))
        print(f"  {path}: {found}")
    return len(findings)


class _Watch:
    """Ends a process that has said nothing for too long."""

    def __init__(self, process: subprocess.Popen[bytes], limit: float) -> None:
        self.hung = False
        self._process, self._limit = process, limit
        self._last = time.monotonic() + 60  # the first word comes after imports
        self._done = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def alive(self) -> None:
        self._last = time.monotonic()

    def stop(self) -> None:
        self._done.set()

    def _watch(self) -> None:
        while not self._done.wait(0.5):
            if time.monotonic() - self._last > self._limit:
                self.hung = True
                self._process.kill()
                return


def main() -> int:
    """Fuzz, replay, or be the process that reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=60, help="seconds for one file")
    parser.add_argument("--memory", type=float, default=4, help="GiB beyond what imports take")
    parser.add_argument("--replay", type=Path, help="read this file, and show what happens")
    parser.add_argument("--work", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--skip", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        work(chosen.target, chosen.seed, chosen.work, chosen.memory, chosen.skip)
        return 0
    if chosen.replay:
        from targets import TARGETS, read_one, workplace

        with workplace() as place:
            TARGETS[chosen.target].seeds(Path(place))
            print(read_one(TARGETS[chosen.target], chosen.replay.read_bytes(), Path(place)))
        return 0
    return 1 if fuzz(chosen.target, chosen.seed, chosen.minutes, chosen.limit, chosen.memory) else 0


if __name__ == "__main__":
    sys.exit(main())
