"""Load a network and its weights by a model's name."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from harmonizer.errors import HarmonizerError, WeightsCorruptedError
from harmonizer.networks import build_network
from harmonizer.threads import survive_forks
from harmonizer.zoo.convert import describe, list_misfits, own_dtype
from harmonizer.zoo.find import find_model
from harmonizer.zoo.integrity import Weights
from harmonizer.zoo.manifest import ModelInfo
from harmonizer.zoo.options import FetchOptions

# More than ten times that of the largest network; one of 100 MB is read for twenty seconds.
_LARGEST_HEADER = 4 * 2**20


def load_model(
    name_or_path: str | os.PathLike[str] | None, revision: str | None, options: FetchOptions
) -> tuple[nn.Module, ModelInfo]:
    """Load a model of the zoo, of a folder, or of a repository on the Hub.

    Name and revision are those of `Harmonizer.from_pretrained`, and so are errors. The network is
    in evaluation mode, float32, on the CPU, without gradients.
    """
    model = find_model(name_or_path, revision, options)
    return read_network(model.weights, model.info), model.info


def read_network(weights: Weights, info: ModelInfo) -> nn.Module:
    """Build a model's network around its weights, which are checked.

    Float16 and bfloat16 become float32. What is missing, unexpected or misshapen in the file is
    listed in one `WeightsCorruptedError`.
    """
    survive_forks()
    try:
        # Nothing is allocated before the shapes in the file are known to fit.
        with torch.device("meta"):
            network = build_network(info.architecture, **info.arguments)
    except (
        *(HarmonizerError, TypeError, ValueError, RuntimeError),
        *(AttributeError, LookupError, ArithmeticError),
    ) as error:
        raise WeightsCorruptedError(
            f"{info.name} asks for a network that cannot be built: {error}"
        ) from error
    height, width = info.preprocessing.input_size
    if not network.input_sizes.accepts(height, width):
        raise WeightsCorruptedError(
            f"{info.name} asks for pictures of {width} x {height}; its network "
            f"{info.architecture} works at {network.input_sizes}"
        )
    expected = network.state_dict()
    largest = sum(8 * tensor.numel() for tensor in expected.values()) + 2 * _LARGEST_HEADER
    state = _read_state(weights.read(largest), weights.path)
    found = {key: describe(tensor) for key, tensor in state.items()}
    if problems := list_misfits(expected, found):
        raise WeightsCorruptedError(
            f"the weights in {weights.path} do not fit the network {info.architecture}: {problems}"
        )
    state = {key: tensor.to(own_dtype(expected[key])) for key, tensor in state.items()}
    if wrong := [key for key, tensor in state.items() if not tensor.isfinite().all()]:
        raise WeightsCorruptedError(
            f"the weights in {weights.path} are NaN or infinite in {', '.join(wrong[:5])}"
        )
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def _read_state(content: bytes, path: Path) -> dict[str, torch.Tensor]:
    length = int.from_bytes(content[:8], "little")
    if length > _LARGEST_HEADER:
        raise WeightsCorruptedError(
            f"{path} is no sound safetensors file of a network: its header says that it has "
            f"{length:,} bytes, more than {_LARGEST_HEADER:,}"
        )
    try:
        return load(content)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsCorruptedError(f"{path} is no sound safetensors file: {error}") from error
