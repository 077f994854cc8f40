"""Put a trained model into the package: weights in float16, and a graph to run them without torch.

    python tools/bundle_model.py runs/mine/model --shares 0.9 0.8 --least-chroma 0.6 --kept-ends 1

Run it from the root of a checkout, with the extra `onnx`. It prints the model's manifest entry, and
says by how much float16 and OpenCV change the answers. With `--shares` the network answers with
these shares of its changes of light and of colour, as `Strength` takes them, and with
`--least-chroma` it leaves this share of the foreground's mean chroma, with `--kept-ends` black and
white where it lightens: what it learned from composites that were made can be too bold for what
people paste.
"""

import argparse
import hashlib
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from harmonizer.files import write_atomically
from harmonizer.inference.backends.with_opencv import run_with_opencv
from harmonizer.inference.folding import fold_batch_norm
from harmonizer.inference.graph import ANSWER, IMAGE, MASK
from harmonizer.lifting.strength import LUMA, Strength
from harmonizer.networks.color_map import ColorMapAnswer, ColorMapNetwork
from harmonizer.zoo.integrity import Weights
from harmonizer.zoo.loader import load_model, read_network
from harmonizer.zoo.manifest import ModelInfo
from harmonizer.zoo.options import FetchOptions
from harmonizer.zoo.publish import describe

_LARGEST_GRAPH = 400_000  # bytes; more than that, and weights have stayed in it


def without_batch_norm(network: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a network that computes the same, with batch norms that do nothing."""
    state = network.state_dict() | fold_batch_norm(network).state_dict()
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            nothing = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0}
            for key, value in (nothing | {"running_var": 1 - module.eps}).items():
                state[f"{name}.{key}"] = torch.full_like(state[f"{name}.{key}"], value)
    return state


def to_float16(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights in float16, but for vectors, whose few bytes are worth their exactness."""
    return {
        key: (value.half() if value.is_floating_point() and value.dim() > 1 else value).contiguous()
        for key, value in state.items()
    }


@torch.no_grad()
def scale_answer(network: ColorMapNetwork, strength: Strength) -> None:
    """Make a network answer with shares of its changes; its map is linear in the last layer."""
    luma = torch.from_numpy(LUMA)
    shares = strength.color * torch.eye(3) + (strength.light - strength.color) * luma.expand(3, 3)
    scale = network.answer_scale.reshape(3, -1)
    for layer in (network.answer.weight, network.answer.bias):
        terms = layer.reshape(3, scale.shape[1], -1) * scale[..., None]
        scaled = torch.einsum("ij,jkl->ikl", shares, terms) / scale[..., None]
        layer.copy_(scaled.reshape(layer.shape))


def write_graph(network: nn.Module, input_size: tuple[int, int]) -> bytes:
    """How a network computes one picture, as an ONNX model without the network's weights."""
    network = fold_batch_norm(network)
    names = set(network.state_dict())
    prefix = ""
    if isinstance(network, ColorMapNetwork):
        network, prefix = ColorMapAnswer(network), "network."
    example = (torch.zeros(1, 3, *input_size), torch.zeros(1, 1, *input_size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            *(network, example), input_names=[IMAGE, MASK], output_names=[ANSWER], dynamo=True
        )
    model = program.model_proto
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
        for place, name in enumerate(node.input):
            node.input[place] = name.removeprefix(prefix)
    kept = [one for one in model.graph.initializer if one.name.removeprefix(prefix) not in names]
    model.graph.ClearField("initializer")
    model.graph.initializer.extend(kept)
    model.graph.ClearField("value_info")
    model.ClearField("metadata_props")
    name_relu6(model)
    content = model.SerializeToString()
    if len(content) > _LARGEST_GRAPH:
        raise SystemExit(f"the graph has {len(content):,} bytes: weights have stayed in it")
    return content


def name_relu6(model: Any) -> None:  # noqa: ANN401 - an ONNX model
    """Call clips to [0, 6] by OpenCV's own name for them.

    ONNX has none, and OpenCV 5 computes a clip by itself, turning the layout of what it clips
    before and after, where a `ReLU6` is part of the convolution that it follows.
    """
    from onnx import helper, numpy_helper  # of the extra, without which the rest can be tested

    single = {
        one.name: numpy_helper.to_array(one) for one in model.graph.initializer if not one.dims
    }
    for node in model.graph.node:
        limits = [single.get(name) for name in node.input[1:]]
        if node.op_type == "Clip" and limits == [0, 6]:
            node.op_type = "ReLU6"
            del node.input[1:]
            node.attribute.extend(
                helper.make_attribute(name, limit)
                for name, limit in (("min_value", 0.0), ("max_value", 6.0))
            )


@torch.inference_mode()
def answers(
    network: nn.Module, info: ModelInfo, graph: bytes, weights: Weights
) -> list[np.ndarray]:
    """What a network, its float16 weights, and these in OpenCV make of noise."""
    generator = np.random.default_rng(0)
    height, width = info.preprocessing.input_size
    picture = generator.integers(0, 256, (height, width, 3), np.uint8)
    image = info.preprocessing.to_network(picture, 255)[None]
    mask = np.zeros((1, 1, height, width), np.float32)
    mask[..., height // 4 : -height // 4, width // 4 : -width // 4] = 1
    found: list[np.ndarray] = []
    for one in (network, read_network(weights, info)):
        ready = ColorMapAnswer(one) if isinstance(one, ColorMapNetwork) else one
        found.append(ready(torch.from_numpy(image), torch.from_numpy(mask)).numpy())
    return [*found, run_with_opencv(graph, weights.read())(image, mask)]


def main() -> None:
    """Bundle a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="what training or save_pretrained wrote, or a model's name")
    parser.add_argument("--shares", type=float, nargs=2, metavar=("LIGHT", "COLOR"))
    parser.add_argument("--least-chroma", type=float, metavar="SHARE")
    parser.add_argument("--kept-ends", type=float, metavar="SHARE")
    chosen = parser.parse_args()
    network, info = load_model(chosen.folder, None, FetchOptions(local_files_only=True))
    limits = {"least_chroma": chosen.least_chroma, "kept_ends": chosen.kept_ends}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    if chosen.shares or limits:
        if not isinstance(network, ColorMapNetwork):
            parser.error(f"shares need an answer that is a map; got {info.architecture}")
        scale_answer(network, Strength(*chosen.shares or (1, 1)))
        for name, limit in limits.items():
            setattr(network, name, limit)
        info = replace(info, arguments=dict(info.arguments) | limits)
    zoo = Path("harmonizer/zoo")
    weights, graph = (
        zoo / f"weights/{info.name}.{ending}" for ending in ("safetensors", "graph.onnx")
    )
    rounded_weights = Weights(weights, None, None, str(weights))
    content = save(to_float16(without_batch_norm(network)), metadata={"format": "pt"})
    write_atomically(weights, content)
    write_atomically(
        graph, write_graph(read_network(rounded_weights, info), info.preprocessing.input_size)
    )
    exact, rounded, run = answers(network, info, graph.read_bytes(), rounded_weights)
    for file in (weights, graph):
        print(f"{file}: {file.stat().st_size:,} bytes")
    print(f"float16 changes normalised answers by {np.abs(rounded - exact).max():.2g} at most")
    print(f"OpenCV changes them by {np.abs(run - rounded).max():.2g}")
    source = {
        "kind": "bundled",
        "file": str(weights.relative_to(zoo)),
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": weights.stat().st_size,
        "graph": str(graph.relative_to(zoo)),
        "graph_sha256": hashlib.sha256(graph.read_bytes()).hexdigest(),
    }
    entry = describe(info) | {"status": "bundled", "sources": [source], "aliases": []}
    print(json.dumps(entry, indent=2))


if __name__ == "__main__":
    main()
