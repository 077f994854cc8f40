"""What is evaluated: networks, baselines and functions of the user, through one call."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray

from harmonizer.data import Triplet
from harmonizer.errors import InputError, UnknownModelError, near_names
from harmonizer.evaluation.baselines import BASELINES, Baseline
from harmonizer.evaluation.protocols import Protocol
from harmonizer.imaging.image import open_image
from harmonizer.pipeline import Composite, Harmonizer
from harmonizer.preprocessing import full_scale

# A function takes the composite, (H, W, 3), uint8, RGB, and its mask, (H, W), float32 in [0, 1],
# and returns the harmonized picture as any kind of image that `Harmonizer` takes.
Function: TypeAlias = Callable[[NDArray[np.uint8], NDArray[np.float32]], Any]
# What can be evaluated: a loaded model; what `Harmonizer.from_pretrained` takes, None being the
# bundled default, or the name of a baseline of `harmonizer.evaluation.baselines`; or a function.
Model: TypeAlias = Harmonizer | str | os.PathLike[str] | Function | None
Pixels: TypeAlias = NDArray[np.float32]  # (H, W, 3), from 0 to 255


@dataclass(frozen=True)
class Method(ABC):
    """A way to harmonize what a protocol prepared, in three steps.

    Attributes:
        label: What tables call it.
        protocol: How it is measured.
        model: What harmonizes.
    """

    label: str
    protocol: Protocol
    model: Harmonizer | Function

    def identity(self) -> str | None:
        """Return what tells it from another method under the same label; None if nothing does."""
        return type(self).__name__.lower()

    def prepare(self, triplet: Triplet) -> Any:  # noqa: ANN401
        """Open a picture: the first step, for any thread; the result is for the other two."""
        return None

    def answer(self, triplets: Sequence[Triplet], prepared: Sequence[Any]) -> list[Any]:
        """Compute answers to several pictures: the second step, for one thread alone."""
        return [None for _ in triplets]

    @abstractmethod
    def finish(self, triplet: Triplet, prepared: Any, answer: Any) -> Pixels:  # noqa: ANN401
        """Return the picture that the protocol measures: the last step, for any thread.

        Raises:
            InputError: The method refuses the picture, or gives none of the composite's size.
        """

    def harmonize(self, triplet: Triplet) -> Pixels:
        """Take all three steps, for one picture; it raises what `finish` does."""
        prepared = self.prepare(triplet)
        (answer,) = self.answer([triplet], [prepared])
        return self.finish(triplet, prepared, answer)

    def _image(self, triplet: Triplet) -> Any:  # noqa: ANN401
        """The composite to harmonize: floats come back as floats, which nobody has rounded."""
        composite = triplet.composite
        return composite if self.protocol.rounded else composite / np.float32(255)

    def _pixels(self, image: Any, triplet: Triplet) -> Pixels:  # noqa: ANN401
        """The pixels of an image of any kind."""
        try:
            pixels = open_image(image).pixels
        except InputError as error:
            raise InputError(f"{self.label} must return an image: {error}") from error
        (height, width), found = triplet.mask.shape, pixels.shape
        if found[:2] != (height, width):
            raise InputError(
                f"{self.label} must return a picture of the composite's size, "
                f"{width} x {height}; got {found[1]} x {found[0]}"
            )
        return pixels.astype(np.float32) * np.float32(255 / full_scale(pixels.dtype))


@dataclass(frozen=True)
class Untouched(Method):
    """The composite as it is."""

    def finish(self, triplet: Triplet, prepared: Any, answer: Any) -> Pixels:  # noqa: ANN401
        """Return the composite."""
        return triplet.composite.astype(np.float32)


@dataclass(frozen=True)
class Classical(Method):
    """A baseline of `harmonizer.evaluation.baselines`, which any thread may call."""

    model: Baseline

    def identity(self) -> str:
        """Return the baseline's own name, whatever it is called here."""
        return next(name for name, one in BASELINES.items() if one is self.model)

    def finish(self, triplet: Triplet, prepared: Any, answer: Any) -> Pixels:  # noqa: ANN401
        """Harmonize."""
        return self._pixels(self.model(self._image(triplet), triplet.mask), triplet)


@dataclass(frozen=True)
class UserFunction(Method):
    """A function of the user, of which nobody knows whether several threads may call it."""

    model: Function

    def identity(self) -> None:
        """Return nothing: what a function will answer cannot be read off it."""

    def answer(
        self, triplets: Sequence[Triplet], prepared: Sequence[Any]
    ) -> list[Pixels | InputError]:
        """Call the function."""
        return [self._call(one) for one in triplets]

    def _call(self, triplet: Triplet) -> Pixels | InputError:
        """Call it for one picture: one that it refuses is not to fail those of the same batch.

        It may draw into what it is given, which is what the other methods and the protocol measure,
        and return what it fills anew at its next call.
        """
        try:
            answer = self.model(triplet.composite.copy(), triplet.mask.copy())
            return self._pixels(answer, triplet)
        except InputError as error:
            return error

    def finish(self, triplet: Triplet, prepared: Any, answer: Pixels | InputError) -> Pixels:  # noqa: ANN401
        """Hand over what the function returned."""
        if isinstance(answer, InputError):
            raise answer
        return answer


@dataclass(frozen=True)
class Network(Method):
    """A model, which harmonizes pictures at the size at which they are measured."""

    model: Harmonizer

    def identity(self) -> str:
        """Return weights, what is not in them, input and arithmetic: what decides over answers."""
        info = self.model.info
        network = f"{info.architecture} {dict(info.arguments)}"
        fingerprint = self.model.fingerprint()
        return f"model {fingerprint}, {network}, {info.preprocessing}, {self.model.dtype}"

    def prepare(self, triplet: Triplet) -> Composite:
        """Open the composite."""
        return self.model.prepare(self._image(triplet), triplet.mask)

    def answer(self, triplets: Sequence[Triplet], prepared: Sequence[Composite]) -> list[Any]:
        """Ask the network, once for all pictures."""
        return self.model.answer(prepared)

    def finish(self, triplet: Triplet, prepared: Composite, answer: Any) -> Pixels:  # noqa: ANN401
        """Carry the answer up to the picture's size."""
        return self._pixels(self.model.finish(prepared, answer), triplet)


@dataclass(frozen=True)
class NetworkAlone(Network):
    """A model whose network's own answer has the protocol's size, and is measured as it is."""

    def prepare(self, triplet: Triplet) -> Composite:
        """Open the composite as the protocol has it."""
        return self.model.prepare(triplet.composite, triplet.mask, whole=True)

    def finish(self, triplet: Triplet, prepared: Composite, answer: Any) -> Pixels:  # noqa: ANN401
        """Return the answer."""
        if answer is None:  # there is nothing to harmonize
            return triplet.composite.astype(np.float32)
        return self.model.scaled(prepared, answer)


def open_methods(
    models: Model | Sequence[Model] | Mapping[str, Model],
    protocol: Protocol,
    device: str | torch.device = "auto",
) -> list[Method]:
    """Load what is to be evaluated; what no mapping gives a label is called by its own name.

    Raises:
        InputError: There are none, two have the same label, or a label is no text.
        HarmonizerError: A model cannot be loaded, as `Harmonizer.from_pretrained` says.
    """
    named: list[tuple[str | None, Model]]
    if isinstance(models, Mapping):
        named = list(cast("Mapping[str, Model]", models).items())
        for label in cast("Mapping[object, Model]", models):
            if not isinstance(label, str) or not label:
                raise InputError(f"labels of models are texts, and not empty; got {label!r}")
    elif isinstance(models, Sequence) and not isinstance(models, str):
        named = [(None, model) for model in cast("Sequence[Model]", models)]
    else:
        named = [(None, models)]
    methods = [_open(model, label, protocol, device) for label, model in named]
    if not methods:
        raise InputError("there is nothing to evaluate; name a model or a baseline")
    names = [method.label for method in methods]
    methods = [  # two runs' models of one name are told apart by where they are
        replace(method, label=os.fspath(model))
        if label is None and isinstance(model, str | os.PathLike) and names.count(method.label) > 1
        else method
        for method, (label, model) in zip(methods, named, strict=True)
    ]
    labels = [method.label for method in methods]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise InputError(
            f"two of the models are called {twice}; give them names of their own, with a mapping "
            "from names to models"
        )
    return methods


def _open(
    model: Model, label: str | None, protocol: Protocol, device: str | torch.device
) -> Method:
    for name, baseline in BASELINES.items():
        if model is baseline or model == name:
            kind = Untouched if name == "composite" else Classical
            return kind(label or name, protocol, baseline)
    if callable(model) and not isinstance(model, Harmonizer):
        name = getattr(model, "__name__", type(model).__name__)
        return UserFunction(label or name, protocol, model)
    if not isinstance(model, Harmonizer):
        model = _load(model, device)
    info = model.info
    own_size = info.preprocessing.input_size == (protocol.size, protocol.size)
    kind = NetworkAlone if own_size else Network
    return kind(label or info.name, protocol, model)


def _load(model: str | os.PathLike[str] | None, device: str | torch.device) -> Harmonizer:
    if model is not None and not isinstance(model, str | os.PathLike):
        raise InputError(
            "a model is a Harmonizer, a name, a path, or a function of image and mask; got "
            f"{type(model).__name__}"
        )
    try:
        return Harmonizer.from_pretrained(model, device=device)
    except UnknownModelError as error:
        guess = near_names(str(model), BASELINES, most=1)
        raise UnknownModelError(
            f"{error}. The baselines are: {', '.join(BASELINES)}.{guess}"
        ) from error
