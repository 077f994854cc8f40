"""Harmonize one picture in one call, by a model that is loaded once."""

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast, overload

from harmonizer.errors import InputError
from harmonizer.imaging.files import FileLike
from harmonizer.imaging.image import ImageLike, Kind
from harmonizer.imaging.mask import MaskLike, ResizeMask
from harmonizer.imaging.picture import Picture
from harmonizer.lifting import Strength
from harmonizer.pipeline.harmonizer import Harmonizer
from harmonizer.threads import Lock
from harmonizer.zoo.names import LocalPath, parse_name

if TYPE_CHECKING:
    import torch


class _Loaded:
    """A model that is loaded when it is asked for, once, however many threads ask."""

    def __init__(self, model: str | os.PathLike[str] | None, device: str) -> None:
        self._which, self._device = model, device
        self._lock = Lock()
        self._harmonizer: Harmonizer | None = None

    def __call__(self) -> Harmonizer:
        with self._lock:
            if self._harmonizer is None:
                self._harmonizer = Harmonizer.from_pretrained(self._which, device=self._device)
            return self._harmonizer


# The lock is held for a moment: who asks for a model waits for its download, and for no other's.
_models, _looking = lru_cache(maxsize=4)(_Loaded), Lock()


@overload
def harmonize(
    image: Kind,
    mask: MaskLike,
    model: str | os.PathLike[str] | Harmonizer | None = ...,
    *,
    device: "str | torch.device | None" = ...,
    strength: float | Strength = ...,
    resize_mask: ResizeMask = ...,
) -> Kind: ...


@overload
def harmonize(
    image: FileLike | Picture,
    mask: MaskLike,
    model: str | os.PathLike[str] | Harmonizer | None = ...,
    *,
    device: "str | torch.device | None" = ...,
    strength: float | Strength = ...,
    resize_mask: ResizeMask = ...,
) -> Any: ...  # noqa: ANN401 - a picture, or an array


def harmonize(
    image: ImageLike,
    mask: MaskLike,
    model: str | os.PathLike[str] | Harmonizer | None = None,
    *,
    device: "str | torch.device | None" = None,
    strength: float | Strength = 1.0,
    resize_mask: ResizeMask = False,
) -> Any:
    """Harmonize one picture in one call.

    The model is loaded at the first call and kept for the next ones; for a folder whose weights
    change meanwhile, use `Harmonizer.from_pretrained`.

    Args:
        image: The composite; every kind that `Harmonizer.harmonize` takes.
        mask: Its foreground, of the same size; white (1) is what will change.
        model: What `Harmonizer.from_pretrained` takes, or a `Harmonizer`; None is the bundled
            default.
        device: As `Harmonizer.from_pretrained` takes it; None is `"auto"`. A ready `Harmonizer` has
            one already.
        strength: From 0 (no change) to 1 (the full change); or a `Strength`: shares of light and
            colour.
        resize_mask: True accepts a mask of another size but the same aspect, and resizes it;
            `"stretch"` one of any size.

    Returns:
        The harmonized picture, of the same kind as `image`; see `Harmonizer.harmonize`.

    Raises:
        InputError: Something is not as described here, or `device` was given beside a ready
            `Harmonizer`; the message says what.
        UnknownModelError: No model has this name.
        WeightsUnavailableError: Its weights cannot be had; the message says why.
        WeightsCorruptedError: Its weights are not the ones that were promised.
    """
    harmonizer = ready(model, device)
    return harmonizer(cast(Any, image), mask, strength=strength, resize_mask=resize_mask)


def ready(
    model: str | os.PathLike[str] | Harmonizer | None, device: "str | torch.device | None"
) -> Harmonizer:
    """Return a model that is loaded once, or the one that was handed over."""
    if isinstance(model, Harmonizer):
        if device is not None:
            raise InputError(
                f"this Harmonizer runs on {str(model.device)!r} already; leave out device=, or "
                "move it first: model.to(device)"
            )
        return model
    if not isinstance(model, str | os.PathLike | None):
        raise InputError(f"model is a name, a path or a Harmonizer; got {type(model).__name__}")
    place = parse_name(model)
    if isinstance(place, LocalPath):  # from where it is counted may change between calls
        model = place.path.absolute()
    with _looking:
        loaded = _models(model, "auto" if device is None else str(device))
    return loaded()
