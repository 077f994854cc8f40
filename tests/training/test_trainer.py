"""Runs: they learn, stop, go on bit for bit, and never lose what was there."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from harmonizer import Harmonizer, model_info
from harmonizer.errors import InputError, TrainingError, WeightsCorruptedError
from harmonizer.networks import build_network
from harmonizer.training import DataConfig, ModelConfig, TrainConfig, train
from harmonizer.training import trainer as trainer_module
from harmonizer.training.build import build_model, settle
from harmonizer.training.run_folder import load_checkpoint, only_run_in
from harmonizer.training.team import Team
from harmonizer.zoo.publish import save_model

SmallRun = Callable[..., TrainConfig]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def losses(folder: str) -> list[float]:
    return [float(row["loss"]) for row in rows(Path(folder) / "log.csv")]


def same_state(first: Any, second: Any) -> bool:
    """Whether two checkpoints hold the same, bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same_state(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return all(same_state(a, b) for a, b in zip(first, second, strict=True))
    return first == second


def weights(folder: Path | str) -> dict[str, Any]:
    state = load_checkpoint(Path(folder))
    return {key: state[key] for key in ("step", "network", "average", "optimizer", "random")}


def test_a_run_learns_and_leaves_what_it_promises(small_run: SmallRun) -> None:
    result = train(small_run(steps=60, learning_rate=5e-3, validate_every=20))
    folder = result.model.parent
    assert result.finished
    assert np.mean(losses(str(folder))[-10:]) < 0.6 * np.mean(losses(str(folder))[:5])
    assert [row["step"] for row in rows(folder / "validation.csv")] == ["20", "40", "60"]
    assert sorted(p.name for p in (folder / "panels").iterdir())[-1] == "step_00000060.png"
    assert Image.open(folder / "panels" / "step_00000060.png").size == (4 * 32, 2 * 32)
    wanted = small_run(steps=60, learning_rate=5e-3, validate_every=20)
    assert TrainConfig.from_toml(folder / "config.toml") == settle(wanted)
    for name in ("model", "best"):
        loaded = Harmonizer.from_pretrained(folder / name, device="cpu")
        assert loaded.info.preprocessing.input_size == (32, 32)
        picture = np.full((40, 50, 3), 100, np.uint8)
        mask = np.zeros((40, 50), bool)
        mask[10:30, 10:30] = True
        assert loaded(picture, mask).shape == picture.shape
    best = json.loads((folder / "best" / "config.json").read_text())
    lowest = min(float(row["fmse"]) for row in rows(folder / "validation.csv"))
    assert best["metrics"][0]["values"]["validation"]["fmse"] == lowest


def test_the_same_seed_gives_the_same_losses(small_run: SmallRun, tmp_path: Path) -> None:
    for name in ("a", "b"):
        train(small_run(output=str(tmp_path / name)))
    train(small_run(output=str(tmp_path / "c"), seed=1))
    assert losses(str(tmp_path / "a")) == losses(str(tmp_path / "b"))
    assert losses(str(tmp_path / "a")) != losses(str(tmp_path / "c"))


def test_it_is_the_same_run_whatever_device_tensors_are_made_on_elsewhere(
    small_run: SmallRun, tmp_path: Path
) -> None:
    train(small_run(output=str(tmp_path / "a"), steps=2))
    torch.set_default_device("meta")
    try:
        train(small_run(output=str(tmp_path / "b"), steps=2))
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)
    assert losses(str(tmp_path / "a")) == losses(str(tmp_path / "b"))


def test_tensorboard_has_what_the_tables_have(small_run: SmallRun) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = train(small_run(steps=4, validate_every=2, tensorboard=True)).model.parent
    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    for name, column in (("log", "loss"), ("validation", "fmse")):
        expected = {int(row["step"]): float(row[column]) for row in rows(folder / f"{name}.csv")}
        found = {event.step: event.value for event in board.Scalars(f"{name}/{column}")}
        assert found == pytest.approx(expected, rel=1e-6)


def test_workers_change_nothing(small_run: SmallRun, tmp_path: Path) -> None:
    train(small_run(output=str(tmp_path / "a"), steps=4))
    train(small_run(output=str(tmp_path / "b"), steps=4, workers=2))
    assert losses(str(tmp_path / "a")) == losses(str(tmp_path / "b"))


RUN = """
import sys, torch
from pathlib import Path
from harmonizer.training import TrainConfig, train
torch.set_num_threads(1)
result = train(TrainConfig.from_toml(Path(sys.argv[1])), resume=len(sys.argv) > 2)
print(result.finished)
"""


@contextmanager
def started(
    config: TrainConfig, tmp_path: Path, *arguments: str
) -> Generator[subprocess.Popen[str]]:
    """Train in another process, which does not outlive the test."""
    path = tmp_path / f"{Path(config.output).name}.toml"
    path.write_text(config.to_toml())
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(path: Path, process: subprocess.Popen[str], step: int) -> None:
    deadline = time.monotonic() + 120
    while not (path.is_file() and len(path.read_text().splitlines()) > step):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_anywhere_and_resumed_it_is_the_same_run(
    how: signal.Signals, small_run: SmallRun, tmp_path: Path
) -> None:
    whole = small_run(output=str(tmp_path / "whole"), steps=60, checkpoint_every=7)
    train(whole)
    broken = replace(whole, output=str(tmp_path / "broken"))
    with started(broken, tmp_path) as process:
        wait_for(Path(broken.output) / "log.csv", process, 20)
        process.send_signal(how)
        output, errors = process.communicate(timeout=60)
    if how == signal.SIGTERM:
        assert output == "False\n", errors
    stopped_at = load_checkpoint(Path(broken.output))["step"]
    assert 14 <= stopped_at < 60
    with started(broken, tmp_path, "--resume") as again:
        output, errors = again.communicate(timeout=120)
    assert output == "True\n", errors
    assert same_state(weights(broken.output), weights(whole.output))
    assert losses(broken.output) == losses(whole.output)
    first, second = (Path(c.output) / "model" / "model.safetensors" for c in (whole, broken))
    assert first.read_bytes() == second.read_bytes()


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


def test_two_processes_learn_what_one_does(small_run: SmallRun, tmp_path: Path) -> None:
    """Under torchrun, two processes share each batch as one process accumulates its parts."""
    one = small_run(output=str(tmp_path / "one"), batch_size=8, accumulate=4, ema=0.0)
    train(one)
    two = replace(one, output=str(tmp_path / "two"), accumulate=2)
    (tmp_path / "two.toml").write_text(two.to_toml())
    (tmp_path / "team.py").write_text(RUN)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(tmp_path / "team.py"), str(tmp_path / "two.toml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    # Gradients are summed in another order, and what that rounds grows with every update.
    assert losses(two.output) == pytest.approx(losses(one.output), rel=1e-3)


def test_a_run_is_not_started_over_another(small_run: SmallRun) -> None:
    config = small_run(steps=4)
    train(config)
    with pytest.raises(InputError, match="holds a run already"):
        train(config)
    with pytest.raises(InputError, match="another batch_size, learning_rate"):
        train(replace(config, learning_rate=1.0, batch_size=8), resume=True)
    assert train(replace(config, workers=1), resume=True).finished


@pytest.mark.parametrize("resume", [False, True])
def test_two_runs_are_never_in_one_folder(resume: bool, small_run: SmallRun) -> None:
    """Before the first checkpoint nothing but its lock says that one is under way."""
    config = small_run(steps=4)
    if resume:
        train(config)
    folder = Path(config.output)
    before = sorted(folder.glob("[!.]*"))
    folder.mkdir(exist_ok=True)
    with (
        only_run_in(folder),
        pytest.raises(InputError, match="another run is writing into"),
    ):
        train(config, resume=resume)
    assert sorted(folder.glob("[!.]*")) == before
    assert train(config, resume=resume).finished


def test_a_run_of_an_earlier_version_goes_on(small_run: SmallRun) -> None:
    """Its checkpoint does not name the keys that came since; they have their defaults."""
    config = small_run(steps=4)
    train(config)
    path = Path(config.output) / "checkpoint.pth"
    saved = torch.load(path, weights_only=True)
    lines = saved["config"].splitlines(keepends=True)
    saved["config"] = "".join(line for line in lines if not line.startswith("harm_weight"))
    assert saved["config"] != "".join(lines)
    torch.save(saved, path)
    assert train(config, resume=True).finished


def test_resuming_nothing_is_refused(small_run: SmallRun) -> None:
    with pytest.raises(InputError, match="there is no checkpoint"):
        train(small_run(), resume=True)


class Touch:
    """What leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def test_a_damaged_checkpoint_is_refused_and_code_in_it_not_run(
    small_run: SmallRun, tmp_path: Path
) -> None:
    config = small_run(steps=4)
    train(config)
    path = Path(config.output) / "checkpoint.pth"
    cut = path.read_bytes()[:1000]
    torch.save({"step": 1, "x": Touch(tmp_path / "trace")}, path)
    for content in (path.read_bytes(), cut):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            train(config, resume=True)
    assert not (tmp_path / "trace").exists()


def test_a_checkpoint_with_something_else_in_it_is_refused(small_run: SmallRun) -> None:
    config = small_run(steps=1, validation=DataConfig())
    train(config)
    path = Path(config.output) / "checkpoint.pth"
    state = load_checkpoint(path.parent)
    wrong = {
        "step": (None, "2", 1.5, -1, [], torch.zeros(3)),
        "best": (None, "x", [], torch.zeros(3)),
        "metrics": (None, "x", 1, [], {"fmse": 1.0}, {"fmse": "x"}),
    }
    for key, values in wrong.items():
        for value in values:
            torch.save({**state, key: value}, path)
            with pytest.raises(InputError, match="is damaged"):
                train(config, resume=True)


@pytest.mark.parametrize("which", ["network", "average"])
def test_a_checkpoint_whose_weights_are_no_numbers_is_refused(
    which: str, small_run: SmallRun
) -> None:
    config = small_run(steps=1, ema=0.9, validation=DataConfig())
    train(config)
    path = Path(config.output) / "checkpoint.pth"
    state = load_checkpoint(path.parent)
    for name in state[which]:  # weights and batch norm's statistics
        broken = {**state[which], name: state[which][name] * nan}
        if not broken[name].is_floating_point() or name.endswith("tracked"):
            continue
        torch.save({**state, which: broken}, path)
        with pytest.raises(InputError, match=rf"is damaged: .*\({which}\) are NaN"):
            train(config, resume=True)


def test_moments_of_other_weights_are_refused_and_settings_of_others_not_taken(
    small_run: SmallRun,
) -> None:
    config = small_run(steps=1, validation=DataConfig())
    train(config)
    path = Path(config.output) / "checkpoint.pth"
    state = load_checkpoint(path.parent)
    for key, kept in state["optimizer"]["state"][0].items():
        for value in (None, "x", [], torch.zeros(2, 3), kept * nan):
            moments = deepcopy(state["optimizer"])
            moments["state"][0][key] = value
            torch.save({**state, "optimizer": moments}, path)
            with pytest.raises(InputError, match="is damaged"):
                train(config, resume=True)
    for key in ("lr", "betas", "multiplier", "amsgrad", "capturable", "fused"):
        moments = deepcopy(state["optimizer"])
        moments["param_groups"][0][key] = "x"
        torch.save({**state, "step": 0, "optimizer": moments}, path)
        assert train(config, resume=True).finished


@pytest.mark.parametrize("changes", [{"batch_size": 1}, {"batch_size": 4, "accumulate": 4}])
def test_single_pictures_are_refused_where_a_batch_is_needed(
    changes: dict[str, int], small_run: SmallRun
) -> None:
    config = small_run(
        steps=1, validation=DataConfig(), **changes
    )  # of 32 x 32 pixels its encoder makes one
    with pytest.raises(InputError, match="batch_size be 2 or more"):
        train(config)
    assert not Path(config.output).exists()
    assert train(replace(config, batch_size=2 * config.accumulate)).finished
    assert train(replace(config, size=64, output=f"{config.output}2")).finished


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


def test_too_few_pictures(small_run: SmallRun) -> None:
    with pytest.raises(InputError, match="fewer than a batch"):
        train(small_run(batch_size=16))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (ModelConfig(freeze=("backbone.*",)), r"no parameter is named 'backbone\.\*'"),
        (ModelConfig(freeze=("*",)), "nothing to train"),
        (ModelConfig(start="imagenet"), "needs backbone_weights"),
        (ModelConfig(start="imagenet", backbone_weights="no.safetensors"), "there is no file"),
        (ModelConfig(network="is2am", start="colormap-lite0-open"), "make them agree"),
    ],
)
def test_impossible_starts_are_refused(
    model: ModelConfig, reason: str, small_run: SmallRun
) -> None:
    config = small_run(model=model, size=256)
    with pytest.raises(InputError, match=reason):
        train(config)
    assert not Path(config.output).exists()


def test_a_size_at_which_the_network_does_not_work_is_refused(small_run: SmallRun) -> None:
    config = small_run(size=40)
    with pytest.raises(InputError, match=r"idih works at heights .* multiples of 16.*size = 40"):
        train(config)
    assert not Path(config.output).exists()


def test_fine_tuning_starts_from_a_model(small_run: SmallRun) -> None:
    base = train(small_run(steps=30, learning_rate=5e-3))
    tuned = train(
        small_run(
            model=ModelConfig(start=str(base.model), name="tuned"),
            output=str(base.model.parent) + "-tuned",
            steps=1,
            learning_rate=1e-9,
            ema=0.0,
        )
    )
    loaded = Harmonizer.from_pretrained(tuned.model, device="cpu")
    assert loaded.info.name == "tuned"
    assert loaded.info.arguments == {"width": 4, "depth": 4}
    assert tuned.metrics["fmse"] == pytest.approx(base.metrics["fmse"], rel=0.2)


def test_fine_tuning_is_measured_from_its_start(small_run: SmallRun, tmp_path: Path) -> None:
    base = train(small_run(steps=150, learning_rate=5e-3))
    model = ModelConfig(start=str(base.model), name="tuned")
    config = small_run(model=model, output=str(tmp_path / "tuned"), steps=6, learning_rate=0.5)
    train(config)
    found = rows(tmp_path / "tuned" / "validation.csv")
    assert [row["step"] for row in found] == ["0", "6"]
    assert float(found[0]["fmse"]) == pytest.approx(base.metrics["fmse"], rel=1e-5)
    # So high a learning rate only spoils it: the best is the start.
    assert float(found[1]["fmse"]) > float(found[0]["fmse"])
    start, best = (
        load_file(f / "model.safetensors") for f in (base.model, tmp_path / "tuned/best")
    )
    assert same_state(start, best)
    card = json.loads((tmp_path / "tuned/best/config.json").read_text())
    assert card["trained_on"] == json.loads((base.model / "config.json").read_text())["trained_on"]

    train(config, resume=True)
    assert rows(tmp_path / "tuned" / "validation.csv") == found
    unmeasured = replace(config, output=str(tmp_path / "unmeasured"), validation=DataConfig())
    train(unmeasured)
    assert losses(unmeasured.output) == losses(config.output)


def test_a_run_that_is_of_no_use_ends_with_a_warning(
    small_run: SmallRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from harmonizer.cli import main

    for name, steps, rate in (("bad", 2, 1e-9), ("good", 120, 5e-3)):
        config = small_run(output=str(tmp_path / name), steps=steps, learning_rate=rate)
        path = tmp_path / f"{name}.toml"
        path.write_text(config.to_toml())
        assert main(["train", "--config", str(path)]) == 0
        last = rows(tmp_path / name / "validation.csv")[-1]
        useless = float(last["fmse"]) >= float(last["composite_fmse"])
        assert useless == (name == "bad")
        said = capsys.readouterr().err
        assert ("a lower learning_rate or for more steps" in said) == useless


def test_a_model_is_fine_tuned_at_its_own_size_and_resampled_as_it_was(
    small_run: SmallRun,
) -> None:
    base = train(small_run(steps=1, resampler="opencv-nearest"))
    model = ModelConfig(start=str(base.model))
    for changes, expected in (
        ({}, "opencv-nearest"),
        ({"resampler": "opencv-linear"}, "opencv-linear"),
    ):
        output = f"{base.model.parent}-{len(changes)}"
        tuned = train(small_run(model=model, size=0, steps=1, output=output, **changes))
        preprocessing = Harmonizer.from_pretrained(tuned.model, device="cpu").info.preprocessing
        assert preprocessing.input_size == (32, 32)
        assert preprocessing.resampler == expected
    assert settle(TrainConfig()).size == 256


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bfloat16"},
        {"channels_last": False},
    ],
)
def test_options_run(changes: dict[str, Any], small_run: SmallRun) -> None:
    result = train(small_run(steps=4, **changes))
    assert result.finished
    assert all(np.isfinite(losses(str(result.model.parent))))


def test_the_command_line(
    small_run: SmallRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from harmonizer.cli import main

    path = tmp_path / "run.toml"
    path.write_text(small_run(steps=2).to_toml())
    assert main(["train", "--config", str(path)]) == 0
    assert capsys.readouterr().out.strip().endswith("model")
    assert main(["train", "--config", str(path)]) == 1
    assert "holds a run already" in capsys.readouterr().err
    assert main(["train", "--config", str(path), "--sheet", str(tmp_path / "sheet.png")]) == 0
    assert Image.open(tmp_path / "sheet.png").width > 3 * 3 * 32
    assert main(["train", "--config", str(path), "--sheet", str(tmp_path / "sheet.png")]) == 1
    for ignored in (["--force"], ["--sheet", str(tmp_path / "other.png"), "--resume"]):
        with pytest.raises(SystemExit, match="2"):
            main(["train", "--config", str(path), *ignored])
    assert "add --force" in capsys.readouterr().err
    assert main(["train", "--print-recipe"]) == 0
    listed = capsys.readouterr().out
    assert main(["train", "--print-recipe", "list"]) == 0
    assert capsys.readouterr().out == listed
    assert "idih-hrnet-w18" in listed.split()
    assert main(["train", "--print-recipe", "idih"]) == 0
    assert 'network = "idih"' in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["train"])
    assert caught.value.code == 2


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


def test_a_batch_that_cannot_be_shared_is_refused(small_run: SmallRun) -> None:
    """As `torchrun` starts them; what one process cannot do the configuration says itself."""
    config, team = small_run(accumulate=2), Team(size=3)
    with pytest.raises(InputError, match="a batch of 4 cannot be shared by 3 processes in 2 parts"):
        trainer_module._Run(config, torch.device("cpu"), team, resume=False)


def test_without_tensorboard_a_run_that_wants_it_says_so(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    with pytest.raises(InputError, match=r"image-harmonizer\[train\]"):
        train(small_run(tensorboard=True))


def test_a_stopped_run_exits_with_1(
    small_run: SmallRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from harmonizer.cli import main

    def ctrl_c(self: Any, step_network: Any, batch: Any) -> torch.Tensor:
        if self.step == 7:  # the validation was after 6
            signal.raise_signal(signal.SIGINT)
        return update(self, step_network, batch)

    update = trainer_module._Run._update
    monkeypatch.setattr(trainer_module._Run, "_update", ctrl_c)
    path = tmp_path / "run.toml"
    config = small_run()
    path.write_text(config.to_toml())
    card = Path(config.output) / "model" / "README.md"
    assert main(["train", "--config", str(path)]) == 1
    assert "stopped at step 8; go on with --resume" in capsys.readouterr().err
    assert "None measured" in card.read_text()  # not what other weights gave
    monkeypatch.undo()
    assert main(["train", "--config", str(path), "--resume"]) == 0
    assert "validation pictures of the run" in card.read_text()


def test_a_start_whose_input_is_no_square_needs_a_size(small_run: SmallRun, tmp_path: Path) -> None:
    network = build_network("idih", width=4, depth=4)
    known = model_info("idih")
    wide = replace(
        known,
        arguments={"width": 4, "depth": 4},
        preprocessing=replace(known.preprocessing, input_size=(32, 48)),
    )
    save_model(network, wide, tmp_path / "wide")
    model = ModelConfig(start=str(tmp_path / "wide"))
    with pytest.raises(InputError, match="an input of 48 x 32 pixels; say which size to train at"):
        settle(small_run(model=model, size=0))
    assert settle(small_run(model=model)).size == 32


def test_a_backbone_is_started_from_its_own_weights(small_run: SmallRun, tmp_path: Path) -> None:
    place = tmp_path / "backbone.safetensors"
    model = ModelConfig("idih-hrnet-w18s", start="imagenet", backbone_weights=str(place))
    config = small_run(model=replace(model, arguments={}), size=256)
    given, _ = build_model(replace(config, model=replace(model, start="random"), seed=1))
    state = given.get_submodule("backbone.hrnet").state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, place)
    network, info = build_model(config)
    found = network.get_submodule("backbone.hrnet").state_dict()
    assert same_state(found, state)
    assert info.note == "Started from imagenet."
    place.write_bytes(b"no weights")
    with pytest.raises(WeightsCorruptedError, match="no sound safetensors file"):
        build_model(config)
