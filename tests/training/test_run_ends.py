"""However a run ends, its workers end with it, and nothing but what is told is lost."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import SmallRun, started, wait_for

import harmonizer.training.trainer as trainer_module
from harmonizer.data import Triplet
from harmonizer.errors import InputError, TrainingError
from harmonizer.files.tables import RowTable
from harmonizer.preprocessing import Preprocessing
from harmonizer.training import train
from harmonizer.training.batches import batches, lost_workers_explained
from harmonizer.training.run_folder import load_checkpoint

RAISING = """
import sys
from pathlib import Path
import harmonizer.training.trainer as trainer
from harmonizer.training import TrainConfig, train

def broken(self, *_):
    raise ZeroDivisionError("on purpose")

trainer._Run._update = broken
train(TrainConfig.from_toml(Path(sys.argv[1])))
"""


def test_a_process_ends_after_an_exception(small_run: SmallRun, tmp_path: Path) -> None:
    """The traceback refers to the loop, and so to the workers, until the interpreter ends."""
    path = tmp_path / "run.toml"
    path.write_text(small_run(workers=2).to_toml())
    done = subprocess.run(
        [sys.executable, "-c", RAISING, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: on purpose\n")


def test_no_worker_is_left_when_a_run_fails(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(trainer_module._Run, "_update", broken)
    before = set(multiprocessing.active_children())
    with pytest.raises(ZeroDivisionError):
        train(small_run(workers=2))
    assert set(multiprocessing.active_children()) <= before


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing kills like SIGKILL here")
def test_a_killed_worker_ends_the_run_with_its_checkpoint(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel does where memory runs out."""
    config = small_run(workers=2, steps=10_000, checkpoint_every=4, validate_every=0)
    before = set(multiprocessing.active_children())

    def kill_one(self: Any, *arguments: Any) -> Any:
        if self.step == 9:
            worker, *_ = set(multiprocessing.active_children()) - before
            os.kill(worker.pid or 0, signal.SIGKILL)
        return update(self, *arguments)

    update = trainer_module._Run._update
    monkeypatch.setattr(trainer_module._Run, "_update", kill_one)
    with pytest.raises(TrainingError, match="with fewer workers"):
        train(config)
    assert set(multiprocessing.active_children()) <= before
    assert load_checkpoint(Path(config.output))["step"] >= 8


def test_an_error_in_a_worker_is_the_one_it_would_be_without(
    small_run: SmallRun, photographs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for path in photographs.iterdir():
        (folder / path.name).write_bytes(
            path.read_bytes()[: 400 if path.name == "p3.png" else None]
        )
    messages: list[str] = []
    for workers in (0, 1):
        config = small_run(workers=workers, output=str(tmp_path / str(workers)))
        config = replace(config, train=replace(config.train, root=str(folder)))
        with pytest.raises(InputError) as caught:
            train(replace(config, validation=replace(config.validation, root="")))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "p3.png" in messages[0]


class Stuck:
    """Pictures on a disk that answers no more."""

    def __len__(self) -> int:
        return 8

    def draw(self, index: int, epoch: int) -> Triplet:
        del index, epoch
        time.sleep(600)
        raise AssertionError


def test_a_worker_that_waits_for_its_disk_is_ended() -> None:
    before = set(multiprocessing.active_children())
    preprocessing = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3, "opencv-linear")
    loading = batches(Stuck(), preprocessing, batch_size=4, steps=range(9), seed=0, workers=1)

    def kill_when_started() -> None:
        while not (started := set(multiprocessing.active_children()) - before):
            time.sleep(0.05)
        time.sleep(1)
        os.kill(started.pop().pid or 0, signal.SIGTERM)  # which it does not mind
        os.kill(os.getpid(), signal.SIGUSR1)

    class StopError(Exception):
        pass

    def stop(*_: Any) -> None:
        raise StopError

    handler = signal.signal(signal.SIGUSR1, stop)
    try:
        threading.Thread(target=kill_when_started, daemon=True).start()
        start = time.monotonic()
        with pytest.raises(StopError):
            next(loading)
        assert time.monotonic() - start < 60
    finally:
        signal.signal(signal.SIGUSR1, handler)
    assert set(multiprocessing.active_children()) <= before


class Unsendable:
    """Pictures for which there is no shared memory, once they are made."""

    def __len__(self) -> int:
        return 8

    def draw(self, index: int, epoch: int) -> Triplet:
        del index, epoch

        def no_memory(*_: Any) -> Any:
            raise RuntimeError("unable to mmap: Cannot allocate memory")

        for way in ("_share_fd_cpu_", "_share_filename_cpu_"):
            setattr(torch.UntypedStorage, way, no_memory)
        pixels = np.zeros((8, 8, 3), np.uint8)
        return Triplet(pixels, np.ones((8, 8), np.float32), pixels, "a")


def test_a_batch_that_cannot_be_sent_is_not_waited_for() -> None:
    preprocessing = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3, "opencv-linear")
    loading = batches(Unsendable(), preprocessing, batch_size=4, steps=range(9), seed=0, workers=1)
    start = time.monotonic()
    with pytest.raises(TrainingError, match="Perhaps memory ran out"), lost_workers_explained():
        next(loading)
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), EOFError()])
def test_a_worker_lost_while_it_sends_is_explained_too(error: Exception) -> None:
    with pytest.raises(TrainingError, match="with fewer workers"), lost_workers_explained():
        raise error


KILLED = """
import multiprocessing
import os
import sys
import threading
from pathlib import Path
from harmonizer.training import TrainConfig, train

def end_with_the_tests():
    os.read(0, 1)
    os._exit(1)

if __name__ == "__main__":
    threading.Thread(target=end_with_the_tests, daemon=True).start()
    multiprocessing.set_start_method(sys.argv[2])
    train(TrainConfig.from_toml(Path(sys.argv[1])))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("start", ["fork", "forkserver", "spawn"])
def test_no_worker_outlives_a_run_that_is_killed(
    start: str, small_run: SmallRun, tmp_path: Path
) -> None:
    """However the workers are started; Python chooses differently from version to version."""
    (tmp_path / "killed.py").write_text(KILLED)
    path = tmp_path / "run.toml"
    config = small_run(workers=2, steps=100_000, validate_every=0)
    path.write_text(config.to_toml())
    command = [sys.executable, str(tmp_path / "killed.py"), str(path), start]
    run = subprocess.Popen(
        command, start_new_session=True, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        log = Path(config.output) / "log.csv"
        _wait_until(lambda: log.exists() and log.read_text().count("\n") > 3)
        assert len(_running(run.pid)) >= 3
    finally:
        run.kill()
        run.wait()
    _wait_until(lambda: not _running(run.pid))


def _running(session: int) -> list[str]:
    """What runs in a session; what has ended and waits to be asked for is not counted."""
    stats: list[list[str]] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stats.append(path.read_text().rpartition(")")[2].split())
        except OSError:  # it has ended
            continue
    return [stat[1] for stat in stats if stat[0] != "Z" and int(stat[3]) == session]


def _wait_until(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_disk_that_is_full_for_a_while_costs_lines_and_not_the_run(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    append, save_image, save_model = (
        RowTable.append,
        trainer_module.save_image,
        trainer_module.save_model,
    )
    attempts: list[str] = []

    def full_at_first(name: str, work: Callable[..., Any], most: int) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            attempts.append(name)
            if attempts.count(name) <= most:
                raise OSError(errno.ENOSPC, "No space left on device")
            return work(*arguments, **options)

        return call

    monkeypatch.setattr(RowTable, "append", full_at_first("row", append, 3))
    monkeypatch.setattr(trainer_module, "save_image", full_at_first("panel", save_image, 1))
    monkeypatch.setattr(trainer_module, "save_model", full_at_first("model", save_model, 1))
    config = small_run(steps=12, validate_every=6)
    assert train(config).finished
    folder = Path(config.output)
    steps = [row[0] for row in RowTable(folder / "log.csv", ["step", *"abcd"]).read()][1:]
    assert steps == [str(step) for step in range(4, 13)]
    assert [path.name for path in (folder / "panels").iterdir()] == ["step_00000012.png"]
    assert (folder / "best" / "config.json").is_file()  # written at the next validation
    assert "no line of the log at step 1: [Errno 28] No space left" in caplog.text


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_workers_too_ends_with_a_checkpoint(
    how: signal.Signals, small_run: SmallRun, tmp_path: Path
) -> None:
    """As Ctrl-C in a terminal has it, and as a scheduler ends a job."""
    config = small_run(output=str(tmp_path / "run"), steps=5000, checkpoint_every=5000, workers=1)
    with started(config, tmp_path) as process:
        wait_for(Path(config.output) / "log.csv", process, 5)
        os.killpg(process.pid, how)
        output, errors = process.communicate(timeout=60)
    assert output == "False\n", errors
    assert 5 <= load_checkpoint(Path(config.output))["step"] < 5000


def test_a_loss_that_is_no_number_stops_with_the_last_checkpoint(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_run(steps=12, checkpoint_every=4)

    def broken(self: Any, step_network: Any, batch: Any) -> torch.Tensor:
        loss = update(self, step_network, batch)
        return loss * float("nan") if self.step == 9 else loss

    update = trainer_module._Run._update
    monkeypatch.setattr(trainer_module._Run, "_update", broken)
    with pytest.raises(TrainingError, match="the loss became nan before step 10"):
        train(config)
    assert load_checkpoint(Path(config.output))["step"] == 8
    monkeypatch.undo()
    assert train(config, resume=True).finished


def test_a_full_disk_at_a_checkpoint_is_survived_but_not_at_the_end(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_run(steps=12, checkpoint_every=4)
    full: list[bool] = []
    save = trainer_module.save_checkpoint

    def save_unless_full(folder: Path, state: Any) -> None:
        if state["step"] == 8 or full:
            raise OSError(28, "No space left on device")
        save(folder, state)

    monkeypatch.setattr(trainer_module, "save_checkpoint", save_unless_full)
    assert train(config).finished
    full.append(True)
    other = replace(config, output=config.output + "2")
    with pytest.raises(OSError, match="No space"):
        train(other)


def test_a_run_in_a_thread_leaves_signals_alone(small_run: SmallRun) -> None:
    """Notebooks and servers run what takes long in a thread, where no signal can be handled."""
    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, small_run(steps=1)).result().finished
    assert signal.getsignal(signal.SIGINT) is before


def test_until_all_is_read_signals_end_a_run_as_any_program(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: list[Any] = []
    begin, update = trainer_module._Run.__init__, trainer_module._Run._update

    def noted(self: Any, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        handlers.append(signal.getsignal(signal.SIGINT))

    def noted_too(self: Any, *arguments: Any) -> Any:
        handlers.append(signal.getsignal(signal.SIGINT))
        return update(self, *arguments)

    monkeypatch.setattr(trainer_module._Run, "__init__", noted)
    monkeypatch.setattr(trainer_module._Run, "_update", noted_too)
    before = signal.getsignal(signal.SIGINT)
    train(small_run(steps=1))
    assert handlers[0] is before
    assert handlers[1] is not before


def test_weights_that_are_no_numbers_are_not_kept(small_run: SmallRun) -> None:
    config = small_run(learning_rate=1e30, log_every=12, checkpoint_every=3, validate_every=0)
    with pytest.raises(TrainingError, match="the weights became NaN or infinite before step 3"):
        train(config)
    assert not (Path(config.output) / "checkpoint.pth").exists()
