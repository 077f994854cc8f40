"""Weights that say that they are what they are not, and models that nobody could load."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harmonizer import Harmonizer
from harmonizer.errors import InputError, WeightsCorruptedError
from harmonizer.networks import build_network, network_config
from harmonizer.zoo import convert_state_dict, load_backbone_weights
from harmonizer.zoo.manifest import model_info

NORM = [f"bn1.{part}" for part in ("weight", "bias", "running_mean", "running_var")]


def backbone(weight: object, count: int = 32) -> dict[str, object]:
    return {"conv_stem.weight": weight} | {key: torch.zeros(1).expand(count) for key in NORM}


@pytest.mark.parametrize(
    "weights",
    [
        backbone("text"),
        backbone(None),
        backbone(torch.zeros(7, 3, 3, 3)),
        backbone(torch.zeros(32, 3, 3, 3).to_sparse()),
        backbone(torch.zeros(1).expand(10**11, 1, 1, 1), 10**11),
        {key: torch.zeros(32) for key in NORM} | {"conv_stem.weight": torch.zeros(7, 3, 3, 3)},
    ],
    ids=["text", "none", "misfit", "sparse", "repeated", "another norm"],
)
def test_strange_imagenet_weights_are_refused(weights: dict[str, object]) -> None:
    with pytest.raises(WeightsCorruptedError):
        load_backbone_weights(build_network("colormap-lite0"), weights)


def test_a_few_bytes_that_say_that_they_are_many_are_no_tensor() -> None:
    released_name = network_config("idih", width=4).released_name
    ours = build_network("idih", width=4).state_dict()
    state = {released_name(key): tensor for key, tensor in ours.items()}
    key = next(key for key, tensor in state.items() if tensor.ndim == 4)
    state[key] = torch.zeros(1).expand(state[key].shape)
    with pytest.raises(WeightsCorruptedError, match="a repeated tensor instead of"):
        convert_state_dict("idih", state, width=4)


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    network = build_network("idih", width=4)
    info = replace(
        model_info("idih"), arguments={"width": 4}, description="two\nlines", status="unpublished"
    )
    with pytest.raises(InputError, match="cannot be saved"):
        Harmonizer(network, info).save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model" / "config.json").exists()


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path) -> None:
    network = build_network("idih", width=4)
    next(network.parameters()).data[0] = float("nan")
    info = replace(model_info("idih"), arguments={"width": 4}, status="unpublished")
    with pytest.raises(InputError, match=r"cannot be saved: NaN or infinity in encoder\."):
        Harmonizer(network, info).save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists() or not list((tmp_path / "model").iterdir())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("idih", {"width": 10**6}),
        ("idih", {"depth": 10**9}),
        ("is2am", {"width": 10**5}),
        ("dovenet", {"width": 10**5}),
        ("colormap-lite0", {"hidden": 10**6}),
    ],
)
def test_a_network_that_nobody_has_weights_of_is_not_built(
    name: str, arguments: dict[str, int]
) -> None:
    with pytest.raises(InputError, match=r"weights, more than|a depth from"):
        build_network(name, **arguments)
