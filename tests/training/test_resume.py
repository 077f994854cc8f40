"""Runs that were stopped go on bit for bit; what cannot be gone on with is refused."""

import json
import signal
from copy import deepcopy
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import SmallRun, losses, same_state, started, wait_for, weights

from harmonizer.errors import InputError
from harmonizer.training import DataConfig, train
from harmonizer.training import trainer as trainer_module
from harmonizer.training.run_folder import load_checkpoint, only_run_in


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


def test_with_other_validation_the_best_model_is_sought_anew(small_run: SmallRun) -> None:
    first = small_run(steps=8, validate_every=4)
    best = Path(first.output) / "best" / "config.json"
    train(first)
    path = Path(first.output) / "checkpoint.pth"
    saved = torch.load(path, weights_only=True)
    torch.save({**saved, "step": 4, "best": 1e-3}, path)  # as on far easier pictures
    before = best.read_bytes()
    assert train(first, resume=True).finished
    assert best.read_bytes() == before
    torch.save({**saved, "step": 4, "best": 1e-3}, path)
    other = replace(first, validation=replace(first.validation, limit=3))
    with pytest.warns(UserWarning, match="the best model is sought anew"):
        assert train(other, resume=True).finished
    assert best.read_bytes() != before
    assert json.loads(best.read_text())["metrics"][0]["data"].startswith("3 validation")


def test_a_run_that_had_ended_is_measured_by_other_validation(small_run: SmallRun) -> None:
    first = small_run(steps=4, validate_every=4)
    model = Path(first.output) / "model"
    train(first)
    weights_before = (model / "model.safetensors").read_bytes()
    other = replace(first, validation=replace(first.validation, limit=3))
    with pytest.warns(UserWarning, match="the best model is sought anew"):
        result = train(other, resume=True)
    described = json.loads((model / "config.json").read_text())["metrics"][0]
    assert described["data"].startswith("3 validation")
    assert described["values"]["validation"] == result.metrics
    assert result.metrics["fmse"] > 0
    assert (model / "model.safetensors").read_bytes() == weights_before


def test_resuming_nothing_is_refused(small_run: SmallRun) -> None:
    with pytest.raises(InputError, match="there is no checkpoint"):
        train(small_run(), resume=True)
    config = small_run()
    folder = Path(config.output) / "checkpoint.pth"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match=r"checkpoint\.pth is no file; remove it"):
        train(config, resume=True)


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
        "step": (None, "2", 1.5, -1, 2, [], torch.zeros(3)),  # it has one step
        "best": (None, "x", nan, -1.0, [], torch.zeros(3)),
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
        below = [] if key == "exp_avg" else [kept - 1e9]
        for value in (None, "x", [], torch.zeros(2, 3), kept * nan, *below):
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
