"""How a network starts, and how fast each of its parts learns."""

import math

import pytest
import torch
from by_rule import gaussian_7x7, references, released_shapes
from torch import nn

from harmonizer.networks import (
    build_network,
    initialize,
    learning_rate_multipliers,
    list_networks,
    network_config,
)
from harmonizer.networks.backbone import pretrained_parts
from harmonizer.zoo import convert_state_dict


@pytest.mark.parametrize("name", references()["learning_rate_multipliers"])
def test_learning_rates_are_those_of_the_release(name: str) -> None:
    network = build_network(name)
    # Each released tensor gets its number as its value, so that it can be told after conversion.
    shapes = released_shapes(name)
    numbered = {key: torch.full(shape, i) for i, (key, shape) in enumerate(shapes.items())}
    converted = convert_state_dict(name, numbered)
    keys = list(shapes)

    actual: dict[float, list[str]] = {}
    for key, multiplier in learning_rate_multipliers(network).items():
        actual.setdefault(multiplier, []).append(keys[int(converted[key].flatten()[0])])

    expected = references()["learning_rate_multipliers"][name]
    assert {str(multiplier) for multiplier in actual} == set(expected)
    for multiplier, released_keys in actual.items():
        prefixes = {".".join(key.split(".")[:4]) for key in released_keys}
        assert sorted(prefixes) == expected[str(multiplier)]["prefixes"]
        assert len(released_keys) == expected[str(multiplier)]["count"]


@pytest.mark.parametrize("name", ["idih", "s2am", "is2am", "dovenet", "idih-deeplabv3p-r34"])
def test_weights_start_as_a_gaussian_of_the_released_spread(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name)
    gain = 1.0 if name == "is2am" else 2.0
    assert network_config(name).initial_gain == gain
    pretrained = {module for part in pretrained_parts(network) for module in part.modules()}
    for key, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            if module not in pretrained and module.weight.numel() >= 2**14:
                area = math.prod(module.weight.shape[2:])
                fans = (module.weight.shape[0] + module.weight.shape[1]) * area
                assert module.weight.std().item() == pytest.approx(
                    math.sqrt(gain / (fans / 2)), rel=0.05
                ), key
                kurtosis = (module.weight / module.weight.std()).pow(4).mean().item()
                assert kurtosis == pytest.approx(3.0, abs=0.3), key
            if module.bias is not None:
                assert (module.bias == 0).all(), key
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all(), key
            assert (module.bias == 0).all(), key


def test_the_networks_on_is2am_start_with_half_the_variance() -> None:
    gains = {name: network_config(name).initial_gain for name in list_networks()}
    assert {name for name, gain in gains.items() if gain == 1.0} == {
        *("is2am", "is2am-hrnet-w18s", "is2am-hrnet-w18")
    }
    assert set(gains.values()) == {1.0, 2.0}


def test_imagenet_weights_survive_an_initialisation() -> None:
    network = build_network("idih-hrnet-w18s")
    for parameter in network.parameters():
        nn.init.constant_(parameter, 7.0)
    initialize(network, gain=2.0)
    scale = "mask_features.scale"  # a number that is no layer's weight
    for key, parameter in network.named_parameters():
        touched = not key.startswith("backbone.hrnet.") and key != scale
        assert bool((parameter == 7.0).all()) is not touched, key


def test_the_scale_and_the_blurring_kernel_start_as_the_paper_says() -> None:
    network = build_network("is2am-hrnet-w18s").state_dict()
    assert network["mask_features.scale"].tolist() == pytest.approx([0.1])
    kernel = network["base.decoder.2.attention.blur_kernel"]
    torch.testing.assert_close(kernel, torch.from_numpy(gaussian_7x7()))
