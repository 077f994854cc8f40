"""What every network promises, whatever it is made of."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from by_rule import PAPER
from safetensors.torch import load, save

from harmonizer.errors import InputError, UnknownModelError
from harmonizer.networks import Network, build_network, list_networks, network_config
from harmonizer.networks.foreground_aware import ForegroundAwareConfig
from harmonizer.networks.network import NetworkConfig
from harmonizer.networks.ocr import HRNetConfig

_TRACED: set[NetworkConfig] = set()

every_network = pytest.mark.parametrize("name", list_networks())


def short_backbone(name: str) -> dict[str, HRNetConfig]:
    """What to override: an HRNet repeats the same code, here it has one module of one block."""
    config = network_config(name)
    if isinstance(config, ForegroundAwareConfig) and isinstance(config.backbone, HRNetConfig):
        return {"backbone": replace(config.backbone, width=18, modules=(1, 1, 1), blocks=1)}
    return {}


def short_network(name: str) -> Network:
    torch.manual_seed(0)
    return build_network(name, **short_backbone(name))


def batch(count: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    image = torch.randn(count, 3, height, width, generator=generator)
    mask = torch.rand(count, 1, height, width, generator=generator)
    return image, mask


def small_batch(network: Network, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    side = max(network.input_sizes.minimum, 64)
    return batch(count, side, side)


def test_the_networks_of_the_paper_are_there() -> None:
    assert set(PAPER) <= set(list_networks())


@every_network
def test_survives_a_round_trip_through_safetensors(name: str) -> None:
    network = build_network(name)
    with torch.device("meta"):
        twin = build_network(name)
    twin.load_state_dict(load(save(network.state_dict())), assign=True)
    expected, loaded = network.state_dict(), twin.state_dict()
    assert expected.keys() == loaded.keys()
    assert all(torch.equal(value, loaded[key]) for key, value in expected.items())


@every_network
def test_the_answer_is_an_image_of_the_same_shape(name: str) -> None:
    network = short_network(name).eval()
    image, mask = small_batch(network, 1)
    with torch.inference_mode():
        answer = network(image, mask)
    assert answer.shape == image.shape
    assert answer.dtype == image.dtype
    assert answer.isfinite().all()


@every_network
def test_sizes(name: str) -> None:
    """The smallest rectangle that is promised works, and one step less is refused."""
    network = short_network(name).eval()
    sizes = network.input_sizes
    image, mask = batch(1, sizes.minimum, sizes.minimum + sizes.multiple)
    with torch.inference_mode():
        assert network(image, mask).shape == image.shape

    says = rf"multiples of {sizes.multiple}, from {sizes.minimum}; got"
    if sizes.multiple > 1:
        with pytest.raises(InputError, match=says):
            network(*batch(1, sizes.minimum + 1, sizes.minimum))
    with pytest.raises(InputError, match=says):
        network(*batch(1, sizes.minimum, sizes.minimum - 1))
    too_small = sizes.minimum - sizes.multiple
    if too_small:
        with pytest.raises(InputError, match=says):
            network(*batch(1, too_small, sizes.minimum))


@every_network
def test_refuses_what_does_not_go_together(name: str) -> None:
    network = short_network(name).eval()
    image, mask = small_batch(network, 2)
    with pytest.raises(InputError, match=r"image of shape \(N, 3, H, W\)"):
        network(image[:, :2], mask)
    with pytest.raises(InputError, match=r"image of shape \(N, 3, H, W\)"):
        network(image[0], mask)
    with pytest.raises(InputError, match=r"mask of shape \(N, 1, H, W\)"):
        network(image, image)
    with pytest.raises(InputError, match="must agree in batch, height and width"):
        network(image, mask[:1])
    with pytest.raises(InputError, match="must agree in batch, height and width"):
        network(image, mask[..., :32])
    with pytest.raises(InputError, match="floating point"):
        network(image.to(torch.uint8), mask)


@every_network
def test_a_batch_of_two_equals_two_of_one_in_either_memory_format(name: str) -> None:
    network = short_network(name).eval()
    image, mask = small_batch(network, 2)
    with torch.inference_mode():
        together = network(image, mask)
        first, second = (network(image[i : i + 1], mask[i : i + 1]) for i in (0, 1))
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        channels_last = network(
            image.to(memory_format=torch.channels_last), mask.to(memory_format=torch.channels_last)
        )
    torch.testing.assert_close(together, torch.cat([first, second]), rtol=0, atol=1e-4)
    torch.testing.assert_close(together, channels_last, rtol=0, atol=1e-4)


@every_network
def test_gradients_reach_every_parameter(name: str) -> None:
    network = short_network(name)
    image, mask = small_batch(network, 2)
    network(image, mask).square().mean().backward()
    without = [key for key, parameter in network.named_parameters() if parameter.grad is None]
    assert not without
    # A bias before a batch norm has a gradient of zero but for rounding; a weight has not.
    dead = [
        key
        for key, parameter in network.named_parameters()
        if parameter.ndim > 1 and parameter.grad is not None and not parameter.grad.any()
    ]
    assert not dead


@every_network
def test_exports_and_compiles(name: str) -> None:
    config = network_config(name, **short_backbone(name))
    if config in _TRACED:
        return  # Networks that differ in the number of repeats alone: tracing takes seconds.
    network = short_network(name).eval()
    inputs = small_batch(network, 1)
    with torch.no_grad():
        expected = network(*inputs)
        exported = torch.export.export(network, inputs).module()
        torch.testing.assert_close(exported(*inputs), expected)
        torch.compiler.reset()
        compiled = torch.compile(network, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(*inputs), expected)
    _TRACED.add(config)


def test_compiled_training_learns_what_plain_training_does() -> None:
    """A compiled network adds biases apart from its convolutions: CPUs are slow at their gradient.

    Biases before a batch norm have a gradient of zero but for rounding.
    """
    network = short_network("idih").train()
    image, mask = small_batch(network, 2)
    fused: list[bool] = []

    def backend(module: torch.fx.GraphModule, _: list[torch.Tensor]) -> Callable[..., object]:
        called = [node for node in module.graph.nodes if node.op == "call_function"]
        fused.extend(
            (len(node.args) > 2 and node.args[2] is not None) or node.kwargs.get("bias") is not None
            for node in called
            if "conv" in getattr(node.target, "__name__", "")
        )
        return module.forward

    torch.compiler.reset()
    results: list[dict[str, torch.Tensor]] = []
    for forward in (network, torch.compile(network, backend=backend, fullgraph=True)):
        network.zero_grad()
        answer = forward(image, mask)
        answer.square().mean().backward()
        gradients = {key: weight.grad for key, weight in network.named_parameters()}
        results.append({"answer": answer.detach(), **gradients})
    assert fused == [False] * 16
    torch.testing.assert_close(results[1], results[0], rtol=1e-3, atol=1e-5)


def test_an_unknown_name_suggests_close_ones() -> None:
    with pytest.raises(UnknownModelError, match=r"'idih-hrnet-w16'.*idih-hrnet-w18"):
        build_network("idih-hrnet-w16")
    with pytest.raises(UnknownModelError, match=r"'vgg'\. The networks are: dih, idih"):
        build_network("vgg")
    nothing: Any = [None]
    with pytest.raises(UnknownModelError, match=r"\[None\]\. The networks are"):
        build_network(nothing)


def test_an_unknown_override_lists_the_fields() -> None:
    with pytest.raises(
        InputError, match=r"no widht; .*: depth, width, doubling, batchnorm_from, blend"
    ):
        build_network("idih", widht=32)


@pytest.mark.parametrize(
    ("name", "override"),
    [
        ("idih", {"depth": 1}),
        ("idih", {"width": 33}),
        ("idih", {"doubling": 0}),
        ("colormap-lite0", {"kinds": 0}),
        ("is2am", {"depth": 1}),
        ("is2am", {"width": 0}),
        ("is2am", {"attention_expansion": 0.0}),
        ("dovenet", {"depth": 1}),
        ("dovenet", {"width": 0}),
        ("dovenet", {"gates": 8}),
        ("is2am-hrnet-w18s", {"pyramid_levels": 4}),
        ("idih-hrnet-w18s", {"pyramid_levels": 6}),
    ],
)
def test_impossible_overrides_are_refused(name: str, override: dict[str, object]) -> None:
    with pytest.raises(InputError):
        build_network(name, **override)


def test_the_512_variant_has_one_block_more() -> None:
    network = build_network("idih", depth=8).eval()
    widths = {key: value.shape for key, value in network.state_dict().items() if "conv.w" in key}
    assert [widths[f"encoder.{i}.conv.weight"][0] for i in range(8)] == [
        *(64, 64, 128, 128, 256, 256, 512, 512)
    ]
    assert [widths[f"decoder.{i}.conv.weight"][1] for i in range(8)] == [
        *(512, 256, 256, 128, 128, 64, 64, 32)
    ]
    with torch.inference_mode():
        assert network(*batch(1, 512, 512)).shape == (1, 3, 512, 512)
    with pytest.raises(InputError, match="multiples of 256, from 512"):
        network(*batch(1, 256, 256))


def test_a_hrnet_config_must_make_sense() -> None:
    with pytest.raises(InputError, match="HRNet"):
        HRNetConfig(modules=(1, 0, 1))
