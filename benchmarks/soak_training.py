"""A training that is killed and starved again and again: is anything lost, does it ever hang?

Part of `soak.py`. The run goes on from its checkpoint after each trouble, and has to end with the
very weights of one that nobody disturbed.
"""

import hashlib
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

from made_up import write_picture

from harmonizer.files.tables import RowTable
from harmonizer.training import DataConfig, ModelConfig, TrainConfig
from harmonizer.training.run_folder import load_checkpoint

KINDS = ("killed", "told to stop", "worker killed", "no disk", "no memory")
PATIENCE = 60  # seconds; a run that makes no step in this time hangs
STEPS_BETWEEN = 6  # at most, until there is trouble
STEPS = 12  # of the whole run, for each trouble
_processes = multiprocessing.get_context("forkserver")


def _train(config: str, *, resume: bool, workers: str) -> None:
    from harmonizer.cli import main

    os.setsid()
    multiprocessing.set_start_method(workers, force=True)
    output = os.open(f"{config}.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.exit(main(["train", "--config", config, *(["--resume"] if resume else [])]))


class _Run:
    """A training in a process of its own, seen from outside."""

    def __init__(self, config: TrainConfig) -> None:
        self.folder = Path(config.output)
        self.file = self.folder.with_suffix(".toml")
        self.file.write_text(config.to_toml())
        self.table = RowTable(
            self.folder / "log.csv", ("step", "epoch", "loss", "learning_rate", "images_per_second")
        )
        self._log_before: int | None = None

    def start(self, workers: str = "fork") -> BaseProcess:
        """Start it, or let it go on; workers are started by `fork` or `forkserver`."""
        resume = (self.folder / "checkpoint.pth").exists()
        self._log_before = self._log()
        options = {"resume": resume, "workers": workers}
        process = _processes.Process(target=_train, args=(str(self.file),), kwargs=options)
        process.start()
        return process

    def losses(self) -> dict[int, str]:
        """What the log says of each step; it may have no line of some."""
        return {int(row[0]): row[2] for row in self.table.read()}

    def step(self) -> int:
        """Where the run is that was started last; what one before it did is no step of it."""
        return max(self.losses(), default=0) if self._log() != self._log_before else 0

    def _log(self) -> int | None:
        path = self.table.path
        return path.stat().st_ino if path.exists() else None

    def checkpoint(self) -> int:
        """Where a run would go on from; fails if the checkpoint is not whole."""
        there = (self.folder / "checkpoint.pth").exists()
        return load_checkpoint(self.folder)["step"] if there else 0

    def weights(self) -> str:
        return hashlib.sha256(
            (self.folder / "model" / "model.safetensors").read_bytes()
        ).hexdigest()


def soak_training(troubles: int, folder: Path) -> bool:
    """Run, print what was measured, and return whether all is well."""
    _processes.set_forkserver_preload(["harmonizer.training", "harmonizer.cli"])
    os.environ["OMP_NUM_THREADS"] = "1"
    chance = random.Random(0)  # noqa: S311 - no secret
    for number in range(12):
        picture = folder / "pictures" / f"{number}.jpg"
        write_picture(picture, picture.with_name(f"{number}_mask.png"), 96, 128, number)
    plain, disturbed = (
        _Run(_config(folder, name, troubles * STEPS)) for name in ("plain", "disturbed")
    )
    start = time.monotonic()
    alone = plain.start()
    alone.join()
    assert alone.exitcode == 0
    done, codes = Counter[str](), Counter[str]()
    hung = left = lost = 0
    for number in range(troubles):
        kind = KINDS[number % len(KINDS)]
        before = disturbed.checkpoint()
        process = disturbed.start("forkserver" if number % 8 == 0 else "fork")
        seen = _wait_for_steps(disturbed, process, chance.randint(1, STEPS_BETWEEN))
        time.sleep(chance.uniform(0, 0.05))
        assert process.pid is not None
        if process.is_alive():
            _trouble(kind, process.pid, chance)
        hung += not _ends(disturbed, process)
        left += _end_all_of(process.pid)
        after = disturbed.checkpoint()
        if after < before or (kind == "told to stop" and after < seen):
            lost += 1
            print(f"{kind}: was at {before}, made step {seen}, went on from {after}")
        done[kind] += 1
        codes[f"{kind}: {process.exitcode}"] += 1
    last = disturbed.start()
    last.join()
    minutes = (time.monotonic() - start) / 60
    same = last.exitcode == 0 and plain.weights() == disturbed.weights()
    expected, found = plain.losses(), disturbed.losses()
    wrong = sum(expected.get(step) != loss for step, loss in found.items())
    print(f"{sum(done.values())} troubles in {minutes:.1f} minutes: {dict(done)}")
    print(f"exit codes: {dict(sorted(codes.items()))}")
    print(f"hung: {hung}; processes left behind: {left}; checkpoints lost: {lost}")
    print(f"lines of the log: {len(found)} of {len(expected)}, wrong ones: {wrong}")
    print(f"the weights are those of a run in peace: {same}")
    return same and not (hung or left or lost or wrong)


def _config(folder: Path, name: str, steps: int) -> TrainConfig:
    data = DataConfig(kind="photos", root=str(folder / "pictures"))
    return TrainConfig(
        model=ModelConfig(network="idih", arguments={"width": 4, "depth": 4}),
        train=data,
        output=str(folder / name),
        size=32,
        steps=steps,
        batch_size=4,
        ema=0.9,
        workers=2,
        device="cpu",
        checkpoint_every=3,
        validate_every=0,
        log_every=1,
    )


def _wait_for_steps(run: _Run, process: BaseProcess, count: int) -> int:
    """Wait until a run has made so many steps more than it goes on from; return where it is."""
    start, end = run.checkpoint(), time.monotonic() + PATIENCE
    while process.is_alive() and run.step() < start + count and time.monotonic() < end:
        time.sleep(0.01)
    return run.step()


def _trouble(kind: str, session: int, chance: random.Random) -> None:
    others = [pid for pid in _of_session(session) if pid != session]
    with suppress(ProcessLookupError, FileNotFoundError):
        if kind == "killed":
            os.kill(session, signal.SIGKILL)
        elif kind == "told to stop":
            os.kill(session, signal.SIGTERM)
        elif kind == "worker killed":
            os.kill(chance.choice(others or [session]), signal.SIGKILL)
        elif kind == "no disk":  # every write fails for a while; then there is room, or an end
            _limit(session, resource.RLIMIT_FSIZE, 1)
            time.sleep(chance.uniform(0, 1))
            if chance.random() < 0.5:
                _limit(session, resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)
                time.sleep(chance.uniform(0, 0.5))
            os.kill(session, signal.SIGKILL)
        elif kind == "no memory":
            starved = chance.choice([session, *others])
            pages = int(Path(f"/proc/{starved}/statm").read_text().split()[0])
            _limit(starved, resource.RLIMIT_AS, pages * resource.getpagesize())


def _limit(pid: int, what: int, most: int) -> None:
    resource.prlimit(pid, what, (most, resource.RLIM_INFINITY))


def _ends(run: _Run, process: BaseProcess) -> bool:
    """Wait until a run ends, and stop it if it goes on; return False if it did neither."""
    asked, step, since = time.monotonic() + 4, 0, time.monotonic()
    while process.is_alive():
        process.join(0.1)
        if run.step() != step:
            step, since = run.step(), time.monotonic()
        if time.monotonic() > max(asked, since + PATIENCE):
            process.kill()
            process.join()
            return False
        if time.monotonic() > asked:
            process.terminate()
            asked = time.monotonic() + PATIENCE
    return True


def _end_all_of(session: int) -> int:
    """Count the processes that a run has left behind, after a while to end in, and end them."""
    end = time.monotonic() + PATIENCE
    while (rest := _of_session(session)) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in rest:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(rest)


def _of_session(session: int) -> list[int]:
    """Return the processes of a session that run, or could."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, *numbers = path.read_text().rpartition(")")[2].split()
            if state != "Z" and int(numbers[2]) == session:
                found.append(int(path.parent.name))
    return found
