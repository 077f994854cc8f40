"""What a run starts from, a model or a backbone, and with what it does not start at all."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from runs import SmallRun, losses, rows, same_state
from safetensors.torch import load_file, save_file

from harmonizer import Harmonizer, model_info
from harmonizer.errors import InputError, WeightsCorruptedError
from harmonizer.networks import build_network
from harmonizer.training import DataConfig, ModelConfig, TrainConfig, train
from harmonizer.training import trainer as trainer_module
from harmonizer.training.build import build_model, settle
from harmonizer.training.team import Team
from harmonizer.zoo.publish import save_model


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


def test_a_batch_that_cannot_be_shared_is_refused(small_run: SmallRun) -> None:
    """As `torchrun` starts them; what one process cannot do the configuration says itself."""
    config, team = small_run(accumulate=2), Team(size=3)
    with pytest.raises(InputError, match="a batch of 4 cannot be shared by 3 processes in 2 parts"):
        trainer_module._Run(config, torch.device("cpu"), team, resume=False)


def test_an_environment_of_a_scheduler_is_minded(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert train(small_run(steps=1, validation=DataConfig())).finished
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"2 processes .* do not find each other by RANK"):
        train(small_run(output=small_run().output + "2"))
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(InputError, match="from 0 to below WORLD_SIZE, 2; got 2"):
        train(small_run(output=small_run().output + "2"))
    monkeypatch.setenv("RANK", "x")
    with pytest.raises(InputError, match=r"are numbers; got \['x', '2', '0'\]"):
        train(small_run(output=small_run().output + "2"))


def test_without_tensorboard_a_run_that_wants_it_says_so(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    with pytest.raises(InputError, match=r"image-harmonizer\[train\]"):
        train(small_run(tensorboard=True))


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
