"""A run learns, and leaves what it promises."""

import json
import os
import socket
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from runs import RUN, SmallRun, losses, rows, same_state, weights

from harmonizer import Harmonizer
from harmonizer.training import DataConfig, TrainConfig, train
from harmonizer.training.build import settle


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


def test_it_is_the_same_run_whatever_floats_are_made_elsewhere(
    small_run: SmallRun, tmp_path: Path
) -> None:
    first = small_run(steps=3, validate_every=2)
    second = replace(first, output=str(tmp_path / "other"))
    result = train(first)
    torch.set_default_dtype(torch.float64)
    try:
        again = train(second)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert again.metrics == result.metrics
    assert same_state(weights(first.output), weights(second.output))
    assert losses(first.output) == losses(second.output)


@pytest.mark.parametrize(
    "around",
    [torch.no_grad, torch.inference_mode, partial(torch.autocast, "cpu", torch.bfloat16)],
    ids=["no gradients", "inference", "autocast"],
)
def test_it_is_the_same_run_whatever_is_done_with_tensors_elsewhere(
    around: Any, small_run: SmallRun, tmp_path: Path
) -> None:
    first = small_run(steps=3, validate_every=2)
    second = replace(first, output=str(tmp_path / "other"))
    result = train(first)
    with around():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        again = train(second)
        assert before == (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    assert result.metrics
    assert again.metrics == result.metrics
    assert same_state(weights(first.output), weights(second.output))


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


LEFT_ALONE = """
import os, sys
from pathlib import Path
from harmonizer.errors import TrainingError
from harmonizer.training import TrainConfig, train, trainer

update = trainer._Run._update

def update_twice(run, *given):
    if run.step == 2 and run.team.rank == 1:
        os._exit(3)
    return update(run, *given)

trainer._Run._update = update_twice
try:
    train(TrainConfig.from_toml(Path(sys.argv[1])))
except TrainingError as error:
    print(error)
"""


def test_a_process_whose_fellow_has_died_says_so(small_run: SmallRun, tmp_path: Path) -> None:
    config = small_run(steps=4, validation=DataConfig(), device="cpu")
    (tmp_path / "run.toml").write_text(config.to_toml())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", LEFT_ALONE, str(tmp_path / "run.toml")],
            env={**os.environ, **together, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    (said, _), _ = (one.communicate(timeout=120) for one in both)
    assert [one.returncode for one in both] == [0, 3]
    assert "another process of this run has ended" in said


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


@pytest.mark.parametrize(
    "around",
    [nullcontext, partial(torch.autocast, "cpu", torch.bfloat16)],
    ids=["alone", "within autocast"],
)
def test_fewer_bits_learn_what_all_do(around: Any, small_run: SmallRun, tmp_path: Path) -> None:
    """What is computed with are the weights of now, not those that were rounded at first."""
    exact = small_run(steps=40, learning_rate=5e-3, validate_every=40, ema=0.0)
    reduced = replace(exact, output=str(tmp_path / "reduced"), precision="bfloat16")
    wanted = train(exact)
    with around():
        found = train(reduced)
    assert losses(reduced.output) != losses(exact.output)
    assert losses(reduced.output) == pytest.approx(losses(exact.output), rel=0.2)
    assert found.metrics["fmse"] == pytest.approx(wanted.metrics["fmse"], rel=0.1)


def test_another_order_in_memory_learns_the_same(small_run: SmallRun, tmp_path: Path) -> None:
    other = small_run(output=str(tmp_path / "other"), steps=4, channels_last=False)
    train(small_run(output=str(tmp_path / "usual"), steps=4))
    train(other)
    assert losses(other.output) == pytest.approx(losses(str(tmp_path / "usual")), rel=1e-3)


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
