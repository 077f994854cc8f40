"""Find a model by its name: what is known of it, and where its weights are.

Nothing here needs torch, or the Hub's client unless something has to be fetched.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from harmonizer.errors import (
    InputError,
    WeightsCorruptedError,
    WeightsUnavailableError,
    raise_if_interrupted,
)
from harmonizer.files import LARGEST_JSON, read_json
from harmonizer.zoo.bundled import bundled_graph, bundled_weights
from harmonizer.zoo.integrity import Weights
from harmonizer.zoo.manifest import BundledFile, ModelInfo, model_info, parse_model_info
from harmonizer.zoo.names import HubName, LocalPath, ZooName, parse_name
from harmonizer.zoo.options import FetchOptions

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class StoredModel:
    """A model whose weights lie in a file, which is checked when it is read.

    Attributes:
        info: What is known of it.
        weights: The safetensors file.
        graph: An ONNX model without weights to run it by, where the package has one.
        lasting: Whether the file is the package's or the cache's, where nobody changes it.
    """

    info: ModelInfo
    weights: Weights
    graph: Weights | None = None
    lasting: bool = False


def find_model(
    name_or_path: str | os.PathLike[str] | None, revision: str | None, options: FetchOptions
) -> StoredModel:
    """Find a model without building its network; the arguments are those of `load_model`."""
    place = parse_name(name_or_path)
    if revision is not None and not isinstance(place, HubName):
        raise InputError(
            f"a revision belongs to a repository of the Hub (owner/name); {name_or_path!r} is none"
        )
    match place:
        case ZooName(name):
            return _find_in_zoo(model_info(name), options)
        case HubName(repo):
            return _fetch_repository(repo, revision, options)
        case LocalPath(path):
            return _open_local(path)


def known_of(name_or_path: str | os.PathLike[str] | None) -> ModelInfo:
    """Return what is known of a model, without fetching the weights of one of the zoo."""
    place = parse_name(name_or_path)
    if isinstance(place, ZooName):
        return model_info(place.name)
    return find_model(name_or_path, None, FetchOptions()).info


def _find_in_zoo(info: ModelInfo, options: FetchOptions) -> StoredModel:
    if info.sources and isinstance(source := info.sources[0], BundledFile):
        return StoredModel(info, bundled_weights(source), bundled_graph(source), lasting=True)
    from harmonizer.zoo.sources import find_weights  # which takes as long to import as the rest

    return StoredModel(info, find_weights(info, options), lasting=True)


def _fetch_repository(repo: str, revision: str | None, options: FetchOptions) -> StoredModel:
    from harmonizer.zoo.sources import fetch_from_hub

    config = fetch_from_hub(repo, CONFIG_FILE, revision, options, largest=LARGEST_JSON)
    # Both files have to be of one commit, also if the repository changes in between.
    commit = config.parent.name
    path = fetch_from_hub(repo, WEIGHTS_FILE, commit, options)
    return _read_config(config, path, repo, cached=True)


def _open_local(path: Path) -> StoredModel:
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
            within = sorted(path.glob(f"*/{WEIGHTS_FILE}"))  # `best` of a training run is first
            meant = within and os.path.join(os.curdir, within[0].parent)  # noqa: PTH118 - drops `./`
            raise WeightsUnavailableError(
                f"there is no file {file}; a saved model is a folder with {CONFIG_FILE} and "
                f"{WEIGHTS_FILE}, as save_pretrained writes it"
                + (f". Did you mean {meant}?" if meant else "")
            )
    return _read_config(config, weights, str(path), cached=False)


def _read_config(config: Path, path: Path, where: str, *, cached: bool) -> StoredModel:
    """Read what is known of a saved model, and of its weights."""
    try:
        entry = read_json(config)
        promised = entry.get("weights", {})
        sha256, size = promised.get("sha256"), promised.get("size")
        if not isinstance(sha256, str | None) or not isinstance(size, int | None):
            raise ValueError("its sha256 is a text and its size a number")
    except (ValueError, AttributeError) as error:
        raise_if_interrupted(error)
        raise WeightsCorruptedError(f"{config} is not this library's: {error}") from error
    except OSError as error:
        raise_if_interrupted(error)
        raise WeightsUnavailableError(f"{config} cannot be read: {error}") from error
    info = parse_model_info(entry, str(config))
    info = replace(info, status="available", sources=(), aliases=())
    weights = Weights(path, sha256, size, f"{path.name} of {where}", cached=cached)
    return StoredModel(info, weights, lasting=cached)
