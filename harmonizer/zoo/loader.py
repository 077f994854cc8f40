"""Load a network and its weights by a model's name."""

import os
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from harmonizer.errors import (
    HarmonizerError,
    InputError,
    WeightsCorruptedError,
    WeightsUnavailableError,
)
from harmonizer.files import read_json
from harmonizer.networks import build_network
from harmonizer.threads import survive_forks
from harmonizer.zoo.convert import list_misfits, own_dtype
from harmonizer.zoo.integrity import Weights
from harmonizer.zoo.manifest import ModelInfo, model_info, parse_model_info
from harmonizer.zoo.names import HubName, LocalPath, ZooName, parse_name
from harmonizer.zoo.sources import FetchOptions, fetch_from_hub, find_weights

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
# More than ten times that of the largest network; one of 100 MB is read for twenty seconds.
_LARGEST_HEADER = 4 * 2**20


def load_model(
    name_or_path: str | os.PathLike[str] | None, revision: str | None, options: FetchOptions
) -> tuple[nn.Module, ModelInfo]:
    """Load a model of the zoo, of a folder, or of a repository on the Hub.

    Args:
        name_or_path: As `harmonizer.zoo.names.parse_name` takes it.
        revision: Branch, tag or commit of a repository on the Hub; the manifest pins the zoo's own.
        options: How weights may be fetched.

    Returns:
        The network in evaluation mode, float32, on the CPU, without gradients; and what is known of
        the model. Errors are those of `Harmonizer.from_pretrained`.
    """
    info, weights = find_model(name_or_path, revision, options)
    return read_network(weights, info), info


def find_model(
    name_or_path: str | os.PathLike[str] | None, revision: str | None, options: FetchOptions
) -> tuple[ModelInfo, Weights]:
    """Find a model without building its network.

    Returns:
        What is known of it; and its weights, a safetensors file, to be checked when it is read.
    """
    place = parse_name(name_or_path)
    if revision is not None and not isinstance(place, HubName):
        raise InputError(
            f"a revision belongs to a repository of the Hub (owner/name); {name_or_path!r} is none"
        )
    match place:
        case ZooName(name):
            info = model_info(name)
            return info, find_weights(info, options)
        case HubName(repo):
            return _fetch_repository(repo, revision, options)
        case LocalPath(path):
            return _open_local(path)


def known_of(name_or_path: str | os.PathLike[str] | None) -> ModelInfo:
    """Return what is known of a model, without fetching the weights of one of the zoo."""
    place = parse_name(name_or_path)
    if isinstance(place, ZooName):
        return model_info(place.name)
    return find_model(name_or_path, None, FetchOptions())[0]


def _fetch_repository(
    repo: str, revision: str | None, options: FetchOptions
) -> tuple[ModelInfo, Weights]:
    config = fetch_from_hub(repo, CONFIG_FILE, revision, options)
    # Both files have to be of one commit, also if the repository changes in between.
    commit = config.parent.name
    path = fetch_from_hub(repo, WEIGHTS_FILE, commit, options)
    return _read_config(config, path, repo, cached=True)


def _open_local(path: Path) -> tuple[ModelInfo, Weights]:
    if path.is_dir():
        folder, weights = path, path / WEIGHTS_FILE
    elif path.suffix in (".pth", ".pt"):
        raise InputError(
            f"{path} is a released state dict; convert it first: harmonizer convert {path} "
            "--model NAME -o FOLDER"
        )
    else:
        folder, weights = path.parent, path
    config = folder / CONFIG_FILE
    for file in (weights, config):
        if not file.is_file():
            raise WeightsUnavailableError(
                f"there is no file {file}; a saved model is a folder with {CONFIG_FILE} and "
                f"{WEIGHTS_FILE}, as save_pretrained writes it"
            )
    return _read_config(config, weights, str(path), cached=False)


def _read_config(
    config: Path, path: Path, where: str, *, cached: bool
) -> tuple[ModelInfo, Weights]:
    """Read what is known of a saved model, and of its weights."""
    try:
        entry = read_json(config)
        promised = entry.get("weights", {})
        sha256, size = promised.get("sha256"), promised.get("size")
        if not isinstance(sha256, str | None) or not isinstance(size, int | None):
            raise ValueError("its sha256 is a text and its size a number")
    except (ValueError, AttributeError) as error:
        raise WeightsCorruptedError(f"{config} is not this library's: {error}") from error
    except OSError as error:
        raise WeightsUnavailableError(f"{config} cannot be read: {error}") from error
    info = parse_model_info(entry, str(config))
    weights = Weights(path, sha256, size, f"{path.name} of {where}", cached=cached)
    return replace(info, status="available", sources=(), aliases=()), weights


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
    found = {key: tuple(tensor.shape) for key, tensor in state.items()}
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
