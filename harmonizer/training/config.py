"""Everything that a training run depends on, as one dataclass and as a TOML file."""

import dataclasses
import difflib
import json
import math
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from harmonizer.data import Synthesis
from harmonizer.errors import InputError, check_within, raise_if_interrupted
from harmonizer.preprocessing import Resampler
from harmonizer.threads import count_cores
from harmonizer.training.losses import LossName
from harmonizer.training.recipes import read_recipe
from harmonizer.zoo.manifest import LARGEST_INPUT, check_printable


@dataclass(frozen=True)
class ModelConfig:
    """What is trained, and what it starts from.

    Attributes:
        network: A name of `harmonizer.networks.list_networks()`.
        arguments: Fields of its configuration to change, e.g. `{width = 32}`.
        start: `random`; `imagenet` (the backbone from `backbone_weights`, the rest random); or what
            `Harmonizer.from_pretrained` takes, to fine-tune that model.
        backbone_weights: For `imagenet`: a `.safetensors` or `.pth` file, or `owner/name` on the
            Hub with timm's weights, e.g. `timm/hrnet_w18.ms_in1k`.
        encoder: Where a network with an encoder takes its weights from: a trained iDIH, as
            `Harmonizer.from_pretrained` takes it.
        freeze: Patterns of the names of parameters that are not trained, e.g. `["encoder.*"]`.
        name: What the trained model calls itself.
        description: One line for its card.
        licence: Terms of its weights, for its card.
    """

    network: str = "idih"
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    start: str = "random"
    backbone_weights: str = ""
    encoder: str = ""
    freeze: tuple[str, ...] = ()
    name: str = "my-model"
    description: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        """Refuse texts with which the trained model could not be loaded."""
        for key in ("start", "name", "description", "licence"):
            try:
                check_printable(getattr(self, key))
            except ValueError as error:
                raise InputError(f"model.{key}: {error}") from error


@dataclass(frozen=True)
class DataConfig:
    """One set of pictures.

    Attributes:
        kind: `triplets` (composites, masks and real pictures: iHarmony4's layout, a folder with
            `composites`, `masks` and `real`, or a CSV) or `photos` (photographs and object masks:
            composites are made from them).
        root: The folder, or the CSV; empty is no pictures at all.
        split: `train` or `test` of iHarmony4, or what a CSV calls them. Empty is all of a CSV and
            iHarmony4's train list; for validation by triplets, `test` of whatever is split.
        parts: Which of iHarmony4's four parts; empty is all.
        group: For a CSV of photographs: the column that says which collection one is of.
        balance: How collections share an epoch, from 1 (each photograph once) to 0 (each collection
            as often as any other).
        synthesis: How composites are made from photographs.
        in_memory: Keep decoded photographs in memory.
        horizontal_flip: Mirror every other picture. For training only.
        random_crop: Crop at random, 0.5 to 1 of the area. For training only.
        beyond: How far pictures go on mirrored beyond their borders, as in `Augmentation`. For
            training only.
        skip_broken: Go on past a picture that cannot be read, in place of stopping.
        limit: Use this many pictures at most, evenly spread; 0 is all.
    """

    kind: Literal["triplets", "photos"] = "photos"
    root: str = ""
    split: str = ""
    parts: tuple[str, ...] = ()
    horizontal_flip: bool = True
    random_crop: bool = True
    beyond: float = 0.0
    group: str = "group"
    balance: float = 1.0
    synthesis: Synthesis = field(default_factory=Synthesis)
    in_memory: bool = False
    skip_broken: bool = False
    limit: int = 0

    def __post_init__(self) -> None:
        """Refuse a number of pictures that there cannot be."""
        check_within(self, ("limit",), 0, math.inf)


_MOST_WORKERS = 1024


def _usual_workers() -> int:
    return min(2, count_cores())


@dataclass(frozen=True)
class TrainConfig:
    """A training run.

    Attributes:
        model: What is trained.
        train: What it learns from.
        validation: What it is measured on; no root: no validation.
        output: The run's folder: checkpoint, logs, pictures and the trained model.
        seed: Of weights, order, augmentation and synthesis.
        size: Height and width that the network is trained at, in pixels; 0 is the input size of the
            model that it starts from, or 256.
        resampler: How pictures are resized to it, in the run and by the trained model: as in
            `harmonizer.preprocessing.Preprocessing`; empty is as the model that it starts from
            does, or `opencv-linear`.
        loss: `fn-mse` (paper, eq. 2), `fn-rmse` (its root for each image), `no-harm` (that, and
            again what goes beyond the composite's own), or `mse`.
        min_area: A_min of all but `mse`, in pixels at the training size.
        harm_weight: Of what goes beyond the composite's own loss, in `no-harm`.
        steps: Updates of the weights. 0: `epochs` decides.
        epochs: Passes over the training pictures, if `steps` is 0.
        batch_size: Pictures that one update sees, over all processes and accumulated parts.
        accumulate: In how many parts a batch is computed, to save memory.
        learning_rate: Of Adam.
        backbone_rate: Its multiplier for the part that starts from ImageNet (section 4.2).
        betas: Of Adam.
        epsilon: Of Adam.
        schedule: `step`: times 0.1 at each of `milestones`; `cosine`: to zero; `constant`.
        milestones: Shares of the run, e.g. 160 of 180 epochs are 0.889.
        warmup_steps: Updates over which the rate grows from zero.
        clip_gradient: Norm that gradients are cut to; 0 is none.
        ema: Decay of a running average of the weights, which is what is validated and saved; 0 is
            none.
        device: `auto`, `cpu`, `cuda` or `mps`.
        precision: `float32`, `bfloat16` or `float16`: of the network's arithmetic, by autocast.
        channels_last: Memory order that convolutions are faster in.
        compile: Compile the network with `torch.compile`: minutes at the start, faster after.
        workers: Processes that prepare pictures, 1024 at most; 0: the training process itself. If
            it is left out, 2, or 1 where there is one core.
        validate_every: Updates between validations; 0: once, at the end. A run that starts from a
            trained model validates before its first update, too.
        checkpoint_every: Updates between checkpoints.
        log_every: Updates between lines of the log.
        panel: Pictures drawn at each validation.
        tensorboard: Write TensorBoard's log as well (`image-harmonizer[train]`).
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    train: DataConfig = field(default_factory=DataConfig)
    validation: DataConfig = field(default_factory=DataConfig)
    output: str = "runs/my-model"
    seed: int = 0
    size: int = 0
    resampler: Literal[Resampler, ""] = ""
    loss: LossName = "fn-mse"
    min_area: float = 100.0
    harm_weight: float = 1.0
    steps: int = 0
    epochs: int = 120
    batch_size: int = 16
    accumulate: int = 1
    learning_rate: float = 1e-3
    backbone_rate: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    schedule: Literal["step", "cosine", "constant"] = "step"
    milestones: tuple[float, ...] = (0.875, 0.958)
    warmup_steps: int = 0
    clip_gradient: float = 0.0
    ema: float = 0.0
    device: str = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    channels_last: bool = True
    compile: bool = False
    workers: int = field(default_factory=_usual_workers)
    validate_every: int = 1000
    checkpoint_every: int = 500
    log_every: int = 20
    panel: int = 8
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Refuse what no run can be made of."""
        for name in (
            *("batch_size", "accumulate", "learning_rate", "epsilon"),
            *("checkpoint_every", "log_every", "min_area"),
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} is a number above 0; got {getattr(self, name)}")
        for name in (
            *("seed", "size", "harm_weight", "steps", "epochs", "backbone_rate"),
            *("warmup_steps", "clip_gradient", "workers", "validate_every", "panel"),
        ):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is a number from 0 up; got {getattr(self, name)}")
        check_within(self, ("size",), 0, LARGEST_INPUT)
        check_within(self, ("min_area",), 0, LARGEST_INPUT**2)
        check_within(self, ("workers",), 0, _MOST_WORKERS)
        if "\0" in self.output:
            raise InputError(f"output is the path of a folder; got {self.output!r}")
        if self.batch_size % self.accumulate:
            raise InputError(
                f"a batch of {self.batch_size} cannot be computed in {self.accumulate} equal parts"
            )
        if not self.steps and not self.epochs:
            raise InputError("give the length of the run: steps, or epochs")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas are decays from 0 to below 1; got {self.betas}")
        if not 0 <= self.ema < 1:
            raise InputError(f"ema is a decay from 0 (none) to below 1, e.g. 0.998; got {self.ema}")
        if not all(0 < share < 1 for share in self.milestones):
            raise InputError(
                f"milestones are shares of the run, between 0 and 1; got {self.milestones}"
            )

    @staticmethod
    def from_toml(path: Path) -> "TrainConfig":
        """Read a run from a TOML file; what it does not name keeps its default.

        Args:
            path: The file. `[model]`, `[train]` and `[validation]` are tables. With `extends`, what
                it does not name is as in another run: a recipe's name, or the path of a `.toml`
                file, from the folder of this one.

        Raises:
            InputError: It or what it extends cannot be read, a key is unknown (close ones are
                named), or a value is of the wrong type.
        """
        return _read(str(path), Path(), ())

    @staticmethod
    def parse_toml(text: str) -> "TrainConfig":
        """Read a run from the text of a TOML file, such as `to_toml` wrote.

        Raises:
            InputError: As for `from_toml`; paths in `extends` are from the current folder.
            ValueError: It is no TOML.
        """
        return _parse(text, Path(), ())

    def to_toml(self) -> str:
        """Return the run as a TOML file, every value written out."""
        return "\n".join(_lines(self, "")) + "\n"


def _read(place: str, folder: Path, above: tuple[str, ...]) -> TrainConfig:
    """Read a recipe, or a file whose path is from a folder; `above` is what extends it."""
    if "\0" in place:
        raise InputError(f"extends is a recipe's name or a file's path; got {place!r}")
    path = folder / place
    is_file = not above or path.suffix == ".toml"
    name = str(path.resolve()) if is_file else place
    if name in above:
        raise InputError(f"the configurations extend each other: {' -> '.join((*above, name))}")
    try:
        text = path.read_text("utf-8-sig") if is_file else read_recipe(place)
        return _parse(text, path.parent, (*above, name))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(
            f"there is no configuration {path}; `harmonizer train --print-recipe NAME` prints one "
            "to begin with, and docs/training.md has one for fine-tuning"
        ) from error
    except OSError as error:
        raise_if_interrupted(error)
        raise InputError(f"cannot read the configuration {path}: {error}") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply") from error
    except ValueError as error:  # beside TOML's own: no UTF-8, numbers of very many digits
        raise_if_interrupted(error)
        raise InputError(f"{path} is no valid TOML: {error}") from error


def _parse(text: str, folder: Path, above: tuple[str, ...]) -> TrainConfig:
    if text.count(".") > _MOST_DOTS:
        raise ValueError(f"it has more than {_MOST_DOTS:,} dots, in its keys and numbers")
    try:
        document = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    extended = document.pop("extends", None)
    if extended is None:
        return _build(TrainConfig(), document, "")
    if not isinstance(extended, str):
        raise InputError(f"extends is a recipe's name or a file's path; got {extended!r}")
    return _build(_read(extended, folder, above or ("this configuration",)), document, "")


def _lines(table: object, prefix: str) -> list[str]:
    """A dataclass as TOML: plain values first, then the dataclasses in it as tables."""
    values: dict[str, Any] = vars(table)
    tables = {key: value for key, value in values.items() if dataclasses.is_dataclass(value)}
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if key not in tables]
    for key, inner in tables.items():
        lines += ["", f"[{prefix}{key}]", *_lines(inner, f"{prefix}{key}.")]
    return lines


def _toml(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but that TOML wants one more.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in cast(list[Any], value))}]"
    if isinstance(value, Mapping):
        items = cast(Mapping[str, Any], value).items()
        return "{" + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in items) + "}"
    return str(value)


_LARGEST_NUMBER = 2**63 - 1
# Of a key of n parts, tomllib looks at n^2: 40 KB of dots took 17 s and 1.8 GB.
_MOST_DOTS = 2000
_MOST_PROBLEMS = 20
_WRONG = "the configuration is not right: "


def _build(base: Any, document: Mapping[str, Any], prefix: str) -> Any:  # noqa: ANN401
    """Change a dataclass by a table, naming every key that it does not have."""
    cls = base.__class__
    hints = typing.get_type_hints(cls)
    problems: list[str] = []
    values: dict[str, Any] = {}
    for key, value in document.items():
        if len(problems) == _MOST_PROBLEMS:
            problems.append("and perhaps more")
            break
        try:
            if key not in hints:
                close = difflib.get_close_matches(key, hints, n=1)
                guess = f" (did you mean {prefix}{close[0]}?)" if close else ""
                problems.append(f"there is no {prefix}{key}{guess}")
            elif not dataclasses.is_dataclass(hints[key]):
                values[key] = _convert(hints[key], value)
            elif isinstance(value, dict):
                table = cast(dict[str, Any], value)
                values[key] = _build(getattr(base, key), table, f"{prefix}{key}.")
            else:
                raise TypeError(f"is a table; got {value!r}")
        except TypeError as error:
            problems.append(f"{prefix}{key} {error}")
        except InputError as error:
            problems.append(str(error).removeprefix(_WRONG))
    if problems:
        raise InputError(f"{_WRONG}{'; '.join(problems)}")
    return dataclasses.replace(base, **values)


def _convert(hint: Any, value: Any) -> Any:  # noqa: ANN401
    """Check a TOML value against a field's type; lists become tuples, integers floats."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise TypeError(f"is one of {', '.join(map(repr, arguments))}; got {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError(f"is a list; got {value!r}")
        items = cast(list[Any], value)
        variadic = len(arguments) == 2 and arguments[1] is Ellipsis
        if not variadic and len(items) != len(arguments):
            raise TypeError(f"has {len(arguments)} values; got {value!r}")
        kinds = (arguments[0],) * len(items) if variadic else arguments
        return tuple(_convert(kind, item) for kind, item in zip(kinds, items, strict=True))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise TypeError(f"is a table; got {value!r}")
        return cast(Any, value)
    if isinstance(value, int) and not -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER:
        raise TypeError("is larger than TOML's numbers, of 64 bits, are")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise TypeError(f"is of type {hint.__name__}; got {value!r}")
    return value
