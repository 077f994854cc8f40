"""What is evaluated: networks, baselines and functions of the user, through one call."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray

from harmonizer.baselines import BASELINES
from harmonizer.data import Triplet
from harmonizer.errors import InputError, UnknownModelError
from harmonizer.evaluation.protocols import Protocol
from harmonizer.image import open_image
from harmonizer.pipeline import Composite, Harmonizer
from harmonizer.preprocessing import full_scale
from harmonizer.warned import noting, warnings_by_thread
from harmonizer.zoo.manifest import ModelInfo

# A function takes the composite, (H, W, 3), uint8, RGB, and its mask, (H, W), float32 in [0, 1],
# and returns the harmonized picture as any kind of image that `Harmonizer` takes.
Function: TypeAlias = Callable[[NDArray[np.uint8], NDArray[np.float32]], Any]
# What can be evaluated: a loaded model; what `Harmonizer.from_pretrained` takes, None being the
# bundled default, or the name of a baseline of `harmonizer.baselines`; or a function.
Model: TypeAlias = Harmonizer | str | os.PathLike[str] | Function | None


@dataclass(frozen=True)
class Method:
    """A way to harmonize, under a name of its own.

    Attributes:
        label: What tables call it.
        run: What harmonizes.
        kind: Where it comes from: a network, `harmonizer.baselines`, or the user.
    """

    label: str
    run: Harmonizer | Function
    kind: Literal["model", "baseline", "function"]

    @property
    def info(self) -> ModelInfo | None:
        """What is known of the model, if it is one."""
        return self.run.info if isinstance(self.run, Harmonizer) else None

    def identity(self) -> str:
        """What tells it from another method under the same label."""
        if not isinstance(self.run, Harmonizer):
            return self.kind
        info = self.run.info
        around = f"{info.preprocessing}, least_change={info.least_change}"
        return f"{self.kind} {self.run.fingerprint()}, {around}"

    def answers_at_input_size(self, protocol: Protocol) -> bool:
        """Whether the network's own answer, as it is, is what the protocol measures."""
        return (
            isinstance(self.run, Harmonizer)
            and protocol.size is not None
            and self.run.info.least_change is None
            and self.run.info.preprocessing.input_size == (protocol.size, protocol.size)
        )

    def prepare(self, triplet: Triplet, protocol: Protocol) -> Composite | None:
        """Open a picture: the first of three steps, for any thread.

        Args:
            triplet: As the protocol prepared it.
            protocol: How it is measured.

        Returns:
            What a network takes that harmonizes pictures at their own size; None for the others.
        """
        if not isinstance(self.run, Harmonizer) or self.answers_at_input_size(protocol):
            return None
        return self.run.prepare(_composite_of(triplet, protocol), triplet.mask)

    def answer(
        self,
        triplets: Sequence[Triplet],
        prepared: Sequence[Composite | None],
        protocol: Protocol,
    ) -> list[Any]:
        """Ask a network or a function: the second step, for one thread alone.

        Of a user's function nobody knows whether several threads may call it.

        Args:
            triplets: Several pictures.
            prepared: What `prepare` returned for each.
            protocol: How they are measured.

        Returns:
            For each what `finish` takes.
        """
        if isinstance(self.run, Harmonizer):
            if self.answers_at_input_size(protocol):
                composites, masks = [one.composite for one in triplets], [t.mask for t in triplets]
                return list(self.run.predict_batch(composites, masks, batch_size=len(triplets)))
            return self.run.answer(cast("Sequence[Composite]", prepared))
        if self.kind == "function":
            return [self._call(one) for one in triplets]
        return [None for _ in triplets]

    def _call(self, triplet: Triplet) -> Any:  # noqa: ANN401 - an image of any kind
        """Call a function; a picture that it refuses is not to fail those of the same batch."""
        try:
            return cast(Function, self.run)(triplet.composite, triplet.mask)
        except InputError as error:
            return error

    def finish(
        self,
        triplet: Triplet,
        prepared: Composite | None,
        answer: Any,  # noqa: ANN401 - an image of any kind
        protocol: Protocol,
    ) -> NDArray[np.float32]:
        """Make the picture that the protocol measures: the last step, for any thread.

        Args:
            triplet: As the protocol prepared it.
            prepared: What `prepare` returned for it.
            answer: What `answer` returned for it.
            protocol: How it is measured.

        Returns:
            (H, W, 3), from 0 to 255.

        Raises:
            InputError: A function refused it, or the answer is no picture of the composite's size.
        """
        if isinstance(answer, InputError):
            raise answer
        if self.answers_at_input_size(protocol):
            return answer
        if isinstance(self.run, Harmonizer):
            with (
                warnings_by_thread(),
                noting([]),
            ):  # a picture that the model leaves alone is measured as it is
                answer = self.run.finish(cast(Composite, prepared), answer)
        elif self.kind == "baseline":
            answer = self.run(_composite_of(triplet, protocol), triplet.mask)
        try:
            pixels = open_image(answer).pixels
        except InputError as error:
            raise InputError(f"{self.label} must return an image: {error}") from error
        composite = triplet.composite
        if pixels.shape != composite.shape:
            raise InputError(
                f"{self.label} must return a picture of the composite's size, "
                f"{composite.shape[1]} x {composite.shape[0]}; got "
                f"{pixels.shape[1]} x {pixels.shape[0]}"
            )
        return pixels.astype(np.float32) * np.float32(255 / full_scale(pixels.dtype))

    def harmonize(self, triplet: Triplet, protocol: Protocol) -> NDArray[np.float32]:
        """All three steps, for one picture.

        Args:
            triplet: As the protocol prepared it.
            protocol: How it is measured.

        Returns:
            (H, W, 3), from 0 to 255.

        Raises:
            InputError: The answer is no picture of the composite's size.
        """
        prepared = self.prepare(triplet, protocol)
        (answer,) = self.answer([triplet], [prepared], protocol)
        return self.finish(triplet, prepared, answer, protocol)


def _composite_of(triplet: Triplet, protocol: Protocol) -> Any:  # noqa: ANN401 - see `ImageLike`
    """What to harmonize: floats come back as floats, which nobody has rounded."""
    return triplet.composite if protocol.rounded else triplet.composite / np.float32(255)


def open_methods(
    models: Model | Sequence[Model] | Mapping[str, Model], device: str | torch.device = "auto"
) -> list[Method]:
    """Load what is to be evaluated.

    Args:
        models: One, or several; a mapping gives them labels, else their own names are taken.
        device: Where networks run that are loaded here.

    Raises:
        InputError: There are none, or two have the same label.
        HarmonizerError: A model cannot be loaded, as `Harmonizer.from_pretrained` says.
    """
    named: list[tuple[str | None, Model]]
    if isinstance(models, Mapping):
        named = list(cast("Mapping[str, Model]", models).items())
    elif isinstance(models, Sequence) and not isinstance(models, str):
        named = [(None, model) for model in cast("Sequence[Model]", models)]
    else:
        named = [(None, models)]
    methods = [_open(model, label, device) for label, model in named]
    if not methods:
        raise InputError("there is nothing to evaluate; name a model or a baseline")
    labels = [method.label for method in methods]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise InputError(
            f"two of the models are called {twice}; give them names of their own, with a mapping "
            "from names to models"
        )
    return methods


def _open(model: Model, label: str | None, device: str | torch.device) -> Method:
    if isinstance(model, Harmonizer):
        return Method(label or model.info.name, model, "model")
    for name, baseline in BASELINES.items():
        if model is baseline or model == name:
            return Method(label or name, baseline, "baseline")
    if callable(model):
        return Method(label or getattr(model, "__name__", type(model).__name__), model, "function")
    if model is not None and not isinstance(model, str | os.PathLike):
        raise InputError(
            "a model is a Harmonizer, a name, a path, or a function of image and mask; got "
            f"{type(model).__name__}"
        )
    try:
        loaded = Harmonizer.from_pretrained(model, device=device)
    except UnknownModelError as error:
        raise UnknownModelError(f"{error}. The baselines are: {', '.join(BASELINES)}") from error
    return Method(label or loaded.info.name, loaded, "model")
