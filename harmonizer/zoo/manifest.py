"""Which models exist: `weights_manifest.json`, read into dataclasses."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from harmonizer.errors import UnknownModelError
from harmonizer.preprocessing import Preprocessing

Status: TypeAlias = Literal["bundled"]


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights, and what its content must be.

    Attributes:
        file: Path of a safetensors file inside the package.
        sha256: Hash of its content, in hexadecimal.
        size: Its size in bytes.
    """

    file: str
    sha256: str
    size: int


@dataclass(frozen=True)
class ModelInfo:
    """What is known of one model.

    Attributes:
        name: What `Harmonizer.from_pretrained` calls it.
        description: One line.
        architecture: The network, as `harmonizer.networks.build_network` calls it.
        arguments: What of the network's configuration differs from that name's own.
        parameters: Number of weights that training changes.
        status: `bundled`: the weights are in the package.
        weights: The file of weights.
        preprocessing: How a picture becomes the network's input.
        licence: Terms of the weights.
        trained_on: Data and amount of training.
        metrics: Measured results, each with its data, protocol and command.
    """

    name: str
    description: str
    architecture: str
    arguments: Mapping[str, Any]
    parameters: int
    status: Status
    weights: WeightsFile
    preprocessing: Preprocessing
    licence: str
    trained_on: str
    metrics: tuple[Mapping[str, Any], ...]


def list_models() -> list[str]:
    """Return the names of all models, the default one first."""
    return list(_manifest().models)


def default_model() -> str:
    """Return the name of the model that is used where none is named."""
    return _manifest().default


def model_info(name: str) -> ModelInfo:
    """Return what is known of a model.

    Raises:
        UnknownModelError: No model has this name; the message lists close matches and all names.
    """
    models = _manifest().models
    if name in models:
        return models[name]
    close = difflib.get_close_matches(name, models, n=3)
    guess = f" Did you mean {' or '.join(close)}?" if close else ""
    raise UnknownModelError(
        f"there is no model {name!r}.{guess} The models are: {', '.join(models)}"
    )


@dataclass(frozen=True)
class _Manifest:
    default: str
    models: Mapping[str, ModelInfo]


@cache
def _manifest() -> _Manifest:
    document = json.loads(_manifest_text())
    models = {entry["name"]: _model_info(entry) for entry in document["models"]}
    return _Manifest(document["default"], MappingProxyType(models))


def _manifest_text() -> str:
    packaged = resources.files("harmonizer") / "weights_manifest.json"
    if packaged.is_file():
        return packaged.read_text("utf-8")
    # A source checkout has the file at its root; building the wheel copies it into the package.
    return (Path(__file__).parents[2] / "weights_manifest.json").read_text("utf-8")


def _model_info(entry: dict[str, Any]) -> ModelInfo:
    preprocessing = entry["preprocessing"]
    fields: dict[str, Any] = entry | {
        "arguments": MappingProxyType(entry["arguments"]),
        "weights": WeightsFile(**entry["weights"]),
        "preprocessing": Preprocessing(
            input_size=tuple(preprocessing["input_size"]),
            mean=tuple(preprocessing["mean"]),
            std=tuple(preprocessing["std"]),
            resampler=preprocessing["resampler"],
        ),
        "metrics": tuple(entry["metrics"]),
    }
    return ModelInfo(**fields)
