"""Read which models exist and where their weights are: `weights_manifest.json` as dataclasses."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from harmonizer.errors import UnknownModelError, WeightsCorruptedError, near_names
from harmonizer.preprocessing import Preprocessing, Resampler

# Networks work at hundreds of pixels; a file that asks for more than this is no model.
LARGEST_INPUT = 4096
_LONGEST_TEXT = 20_000

Status: TypeAlias = Literal["bundled", "available", "origin-only", "unpublished"]


@dataclass(frozen=True)
class BundledFile:
    """Weights inside this package: a safetensors file, by its path from `harmonizer.zoo`.

    Beside them may lie a graph: an ONNX model without weights, to run the network without torch.
    """

    file: str
    sha256: str
    size: int
    graph: str | None = None
    graph_sha256: str | None = None


@dataclass(frozen=True)
class HubFile:
    """Weights in a repository of the Hugging Face Hub.

    A `.safetensors` file holds this project's names, `.pth` and `.pt` a state dict under the
    released names. Without a revision it is the newest; the hash is None if nobody has vouched for
    one.
    """

    repo: str
    file: str
    revision: str | None
    sha256: str | None
    size: int | None


@dataclass(frozen=True)
class ReleasedFile:
    """Weights where the authors of a network published them: a state dict under their own names.

    Without a hash that of the first download is recorded, and a later difference is an error.
    """

    url: str
    sha256: str | None
    size: int | None


Source: TypeAlias = BundledFile | HubFile | ReleasedFile
_SOURCES = {"bundled": BundledFile, "hub": HubFile, "released": ReleasedFile}


@dataclass(frozen=True)
class ModelInfo:
    """What is known of one model.

    Attributes:
        name: What `Harmonizer.from_pretrained` calls it.
        description: One line.
        architecture: The network, as `harmonizer.networks.build_network` calls it.
        arguments: What of the network's configuration differs from that name's own.
        parameters: Number of weights that training changes.
        preprocessing: How a picture becomes the network's input.
        status: `bundled`: the weights are in the package. `available`: on the Hub, pinned to a
            commit. `origin-only`: only where their authors published them. `unpublished`: there
            are none; `note` says what would be needed.
        sources: Where the weights can be had, best first.
        licence: Terms of the weights, an SPDX identifier where there is one; None if there are no
            weights, or none was stated.
        licence_url: Where the terms stand.
        trained_on: Data and amount of training.
        origin: Where the model was published.
        metrics: Results, each with its data, protocol, where the figures are from and, if they
            were measured with this library, the command.
        aliases: Other names that people know the model by.
        note: What else one should know.
    """

    name: str
    description: str
    architecture: str
    arguments: Mapping[str, Any]
    parameters: int
    preprocessing: Preprocessing
    status: Status = "unpublished"
    sources: tuple[Source, ...] = ()
    licence: str | None = None
    licence_url: str | None = None
    trained_on: str | None = None
    origin: str | None = None
    metrics: tuple[Mapping[str, Any], ...] = ()
    aliases: tuple[str, ...] = ()
    note: str | None = None


def list_models(*, with_weights: bool = False) -> list[str]:
    """Return the names of the models, the default one first.

    Args:
        with_weights: Leave out those whose weights were never published.
    """
    return [
        name
        for name, info in _manifest().models.items()
        if info.status != "unpublished" or not with_weights
    ]


def default_model() -> str:
    """Return the name of the model that is used where none is named."""
    return _manifest().default


def model_info(name: str) -> ModelInfo:
    """Return what is known of a model.

    Args:
        name: One of `list_models()`, or an alias.

    Raises:
        UnknownModelError: No model has this name; the message lists close matches and all names.
    """
    if not isinstance(cast(object, name), str):
        raise UnknownModelError(f"a model is called by a text; got {name!r}")
    manifest = _manifest()
    name = manifest.aliases.get(name, name)
    if name in manifest.models:
        return manifest.models[name]
    guess = near_names(name, [*manifest.models, *manifest.aliases])
    raise UnknownModelError(
        f"there is no model {name!r}.{guess} The models are: {', '.join(manifest.models)}. A saved "
        "model is called by its folder, written as ./FOLDER, or by owner/name on the Hub"
    )


def is_model(name: str) -> bool:
    """Return whether `name` is a model of the manifest, or an alias."""
    return name in _manifest().models or name in _manifest().aliases


def parse_model_info(entry: Mapping[str, Any], where: str) -> ModelInfo:
    """Read an entry of a manifest, or the `config.json` of a saved model.

    Keys that are not fields of `ModelInfo` are ignored, so that files of later versions can be
    read. `where` is what an error calls it: a `WeightsCorruptedError`, which says what is wrong.
    """
    try:
        values = {
            field.name: entry[field.name] for field in fields(ModelInfo) if field.name in entry
        }
        preprocessing = entry["preprocessing"]
        values |= {
            "name": _text(entry["name"]),
            "architecture": _text(entry["architecture"]),
            "description": _text(entry.get("description", "")),
            "parameters": _whole(entry["parameters"]),
            "arguments": dict(entry.get("arguments", {})),
            "preprocessing": Preprocessing(
                input_size=_input_size(preprocessing["input_size"]),
                mean=_three(preprocessing["mean"]),
                std=_three(preprocessing["std"], positive=True),
                resampler=_one_of(preprocessing["resampler"], get_args(Resampler)),
            ),
            "status": _one_of(entry.get("status", "unpublished"), get_args(Status)),
            "sources": tuple(_source(source) for source in entry.get("sources", ())),
            "metrics": tuple(map(_metric, entry.get("metrics", ()))),
            "aliases": tuple(map(_text, entry.get("aliases", ()))),
        }
        for key in ("licence", "licence_url", "trained_on", "origin", "note"):
            values[key] = None if entry.get(key) is None else _text(entry[key])
        return ModelInfo(**values)
    except KeyError as error:
        raise WeightsCorruptedError(f"{where} lacks {error.args[0]!r}") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise WeightsCorruptedError(f"{where} is not what it should be: {error}") from error


def _source(entry: Mapping[str, Any]) -> Source:
    values = {key: value for key, value in entry.items() if key != "kind"}
    return _SOURCES[_one_of(entry["kind"], tuple(_SOURCES))](**values)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {value!r}")
    return check_printable(value)


def check_printable(value: str) -> str:
    """Return a text that may be printed to terminals and is no book; refuse others.

    Raises:
        ValueError: It holds control characters, such as line breaks, or is too long.
    """
    if not value.isprintable() or len(value) > _LONGEST_TEXT:
        raise ValueError(f"expected printable characters, at most {_LONGEST_TEXT:,}; got {value!r}")
    return value


def _metric(entry: Any) -> Mapping[str, Any]:  # noqa: ANN401
    """One result: texts, and tables of numbers by part and name."""
    texts = {_text(key): value for key, value in entry.items() if key != "values"}
    described: dict[str, Any] = {key: _text(value) for key, value in texts.items() if value}
    tables: dict[str, dict[str, float]] = {}
    for part, row in entry.get("values", {}).items():
        numbers = {_text(name): value for name, value in row.items()}
        if wrong := [value for value in numbers.values() if type(value) not in (int, float)]:
            raise TypeError(f"expected numbers, got {wrong[0]!r}")
        tables[_text(part)] = numbers
    return described | {"values": tables}


def _one_of(value: Any, choices: tuple[str, ...]) -> Any:  # noqa: ANN401
    if value not in choices:
        raise ValueError(f"expected one of {', '.join(choices)}; got {value!r}")
    return value


def _whole(value: object) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"expected a whole number of at least 1, got {value!r}")
    return value


def _input_size(values: Any) -> tuple[int, int]:  # noqa: ANN401
    if not isinstance(values, list) or len(cast(list[Any], values)) != 2:
        raise ValueError(f"expected height and width, got {values!r}")
    height, width = map(_whole, cast(list[Any], values))
    if max(height, width) > LARGEST_INPUT:
        raise ValueError(f"expected sizes of at most {LARGEST_INPUT}, got {values!r}")
    return height, width


def _three(values: Any, *, positive: bool = False) -> tuple[float, float, float]:  # noqa: ANN401
    numbers = cast(list[Any], values if isinstance(values, list) else [])
    kinds = all(type(number) in (int, float) for number in numbers)
    fits = kinds and all(
        math.isfinite(number) and (not positive or 1e-6 < number < 1e6) for number in numbers
    )
    if len(numbers) != 3 or not fits:
        what = "positive " if positive else ""
        raise ValueError(f"expected three {what}numbers, got {values!r}")
    return float(numbers[0]), float(numbers[1]), float(numbers[2])


@dataclass(frozen=True)
class _Manifest:
    default: str
    models: Mapping[str, ModelInfo]
    aliases: Mapping[str, str]


@cache
def _manifest() -> _Manifest:
    document = json.loads(_manifest_text())
    entries = document["models"]
    models = {
        entry["name"]: parse_model_info(entry, f"the manifest's entry {entry['name']}")
        for entry in entries
    }
    aliases = {alias: info.name for info in models.values() for alias in info.aliases}
    return _Manifest(document["default"], models, aliases)


def _manifest_text() -> str:
    packaged = resources.files("harmonizer") / "weights_manifest.json"
    if packaged.is_file():
        return packaged.read_text("utf-8")
    # A source checkout has the file at its root; building the wheel copies it into the package.
    return (Path(__file__).parents[2] / "weights_manifest.json").read_text("utf-8")
