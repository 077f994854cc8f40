"""Weights of others: converted strictly, and every complaint in one error."""

from typing import Any

import numpy as np
import pytest
import torch
from by_rule import released_weights
from safetensors.torch import save

from harmonizer.errors import InputError, UnknownModelError, WeightsCorruptedError
from harmonizer.networks import build_network
from harmonizer.networks.backbone import pretrained_parts
from harmonizer.zoo import convert_state_dict, load_backbone_weights


@pytest.fixture
def released() -> dict[str, Any]:
    return {key: torch.as_tensor(value) for key, value in released_weights("idih", 1).items()}


def test_every_problem_is_listed_in_one_error(released: dict[str, Any]) -> None:
    del released["decoder.to_rgb.bias"]
    del released["encoder.block0.block.0.weight"]
    released["decoder.to_alpha.bias"] = torch.zeros(1)
    released["decoder.conv_attention.weight"] = torch.zeros(3, 32, 1, 1)
    released["decoder.conv_attention.bias"] = [0.0]
    with pytest.raises(WeightsCorruptedError) as caught:
        convert_state_dict("idih", released)
    message = str(caught.value)
    assert "'idih'" in message
    assert "2 missing: encoder.block0.block.0.weight, decoder.to_rgb.bias" in message
    assert "1 unexpected: decoder.to_alpha.bias" in message
    assert "decoder.conv_attention.weight ((3, 32, 1, 1) instead of (1, 32, 1, 1))" in message
    assert "decoder.conv_attention.bias (a list instead of a tensor)" in message
    assert "\n" not in message


def test_weights_of_another_network_are_refused(released: dict[str, Any]) -> None:
    with pytest.raises(WeightsCorruptedError, match=r"'dih'; 10 missing: .*; 2 unexpected: "):
        convert_state_dict("dih", released)


def test_counters_of_batch_norm_are_not_optional(released: dict[str, Any]) -> None:
    counters = [key for key in released if key.endswith("num_batches_tracked")]
    for key in counters:
        del released[key]
    with pytest.raises(WeightsCorruptedError, match=f"{len(counters)} missing"):
        convert_state_dict("idih", released)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.float32])
def test_any_dtype_becomes_float32(dtype: type[np.floating[Any]]) -> None:
    """Arrays as well as tensors; counters stay whole numbers even from an all-float file."""
    arrays = {key: value.astype(dtype) for key, value in released_weights("idih", 1).items()}
    converted = convert_state_dict("idih", arrays)
    for key, value in converted.items():
        whole = key.endswith("num_batches_tracked")
        assert value.dtype == (torch.int64 if whole else torch.float32)
    rgb = arrays["decoder.to_rgb.weight"].astype(np.float32)
    np.testing.assert_array_equal(converted["head.rgb.weight"].numpy(), rgb)


def test_data_parallel_prefixes_are_taken_off(released: dict[str, Any]) -> None:
    prefixed = {f"module.{key}": value for key, value in released.items()}
    plain, unwrapped = (convert_state_dict("idih", state) for state in (released, prefixed))
    assert plain.keys() == unwrapped.keys()
    assert all(torch.equal(plain[key], unwrapped[key]) for key in plain)


def test_a_state_dict_within_a_checkpoint_is_found(released: dict[str, Any]) -> None:
    inner = {f"module.{key}": value for key, value in released.items()}
    converted = convert_state_dict("idih", {"state_dict": inner, "epoch": 3})
    assert converted.keys() == convert_state_dict("idih", released).keys()


@pytest.mark.parametrize(
    "given", [None, {1: 2}, [("a", 1)], {"state_dict": 5}, {"state_dict": [1]}]
)
def test_what_is_no_state_dict_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match="a state dict has tensors by their names"):
        convert_state_dict("idih", given)


def test_the_result_has_memory_of_its_own(released: dict[str, Any]) -> None:
    """Tensors that share memory, or lie in it in another order, cannot be saved."""
    key = "encoder.block1.block.0.weight"
    released[key] = released[key].to(memory_format=torch.channels_last)
    released["encoder.block1.block.0.bias"] = released["encoder.block0.block.0.bias"]
    converted = convert_state_dict("idih", released)
    save(converted)
    before = released["decoder.to_rgb.bias"].clone()
    converted["head.rgb.bias"].zero_()
    assert torch.equal(released["decoder.to_rgb.bias"], before)
    assert list(converted) == list(build_network("idih").state_dict())


def test_overrides_reach_the_network(released: dict[str, Any]) -> None:
    with pytest.raises(WeightsCorruptedError, match=r"\(64,\) instead of \(32,\)"):
        convert_state_dict("idih", released, width=32)
    with pytest.raises(InputError, match="no widht"):
        convert_state_dict("idih", released, widht=32)
    with pytest.raises(UnknownModelError):
        convert_state_dict("idhi", released)


def test_an_empty_state_dict_is_refused() -> None:
    with pytest.raises(WeightsCorruptedError, match="92 missing"):
        convert_state_dict("idih", {})


CLASSIFIERS = {
    "idih-hrnet-w18s": ["incre_modules.0.0.conv1.weight", "downsamp_modules.0.0.weight"],
    "is2am-hrnet-w18s": ["final_layer.0.weight", "classifier.weight", "classifier.bias"],
    "idih-deeplabv3p-r34": ["fc.weight", "fc.bias"],
}


def imagenet_weights(name: str) -> dict[str, torch.Tensor]:
    """A checkpoint such as timm's: the backbone's keys without prefix, and a classifier."""
    prefix = "backbone.deeplab.backbone." if "deeplab" in name else "backbone.hrnet."
    backbone = {
        key.removeprefix(prefix): torch.as_tensor(value)
        for key, value in released_weights(name, 1).items()
        if key.startswith(prefix) and "ocr" not in key
    }
    return backbone | {key: torch.zeros(10) for key in CLASSIFIERS[name]}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_imagenet_weights_initialise_the_backbone_alone(name: str) -> None:
    network = build_network(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    weights = imagenet_weights(name)
    load_backbone_weights(network, weights)
    for key, value in network.state_dict().items():
        if key.startswith(("backbone.hrnet.", "backbone.resnet.")):
            assert torch.equal(value, weights.pop(key.split(".", 2)[2])), key
        else:
            assert torch.equal(value, before[key]), key
    assert list(weights) == CLASSIFIERS[name]


def test_imagenet_weights_must_fit() -> None:
    network = build_network("idih-hrnet-w18s")
    before = pretrained_parts(network)[0].state_dict()["conv1.weight"].clone()
    weights = imagenet_weights("idih-hrnet-w18s")
    del weights["bn1.bias"]
    weights["conv2.weight"] = torch.zeros(64, 64, 1, 1)
    weights["conv9.weight"] = torch.zeros(1)
    with pytest.raises(WeightsCorruptedError) as caught:
        load_backbone_weights(network, weights)
    message = str(caught.value)
    assert "backbone HRNet; 1 missing: bn1.bias; 1 unexpected: conv9.weight" in message
    assert "1 misshapen: conv2.weight ((64, 64, 1, 1) instead of (64, 64, 3, 3))" in message
    assert torch.equal(pretrained_parts(network)[0].state_dict()["conv1.weight"], before)
    with pytest.raises(
        WeightsCorruptedError, match=r"HRNet; \d{3} missing: conv1\.weight, .*, \.\.\.;"
    ) as caught:
        load_backbone_weights(network, {f"a{number}": torch.zeros(1) for number in range(9999)})
    assert len(str(caught.value)) < 2000


def test_a_network_without_a_backbone_takes_no_imagenet_weights() -> None:
    with pytest.raises(InputError, match="EncoderDecoder has no backbone"):
        load_backbone_weights(build_network("idih"), {})
