"""Put a cut-out into a background and harmonize it, in one call."""

import os
from typing import TYPE_CHECKING, Any

from harmonizer.imaging.compositing import paste
from harmonizer.imaging.image import ImageLike
from harmonizer.imaging.layer import as_layer, layer_like
from harmonizer.lifting import Strength
from harmonizer.pipeline.harmonizer import Harmonizer
from harmonizer.pipeline.one_call import ready

if TYPE_CHECKING:
    import torch


def harmonize_cutout(
    cutout: ImageLike,
    background: ImageLike,
    model: str | os.PathLike[str] | Harmonizer | None = None,
    *,
    position: tuple[int, int] | None = None,
    scale: float | None = None,
    device: "str | torch.device | None" = None,
    strength: float | Strength = 1.0,
    cutout_only: bool = False,
) -> Any:  # noqa: ANN401 - the background's kind
    """Paste a cut-out into a background and harmonize it: `compose` and `harmonize` in one call.

    Args:
        cutout: An image with transparency, of any kind, such as `rembg.remove` returns.
        background: An opaque image of any kind.
        model: As `harmonize` takes it.
        position: Where the upper left corner of the scaled cut-out goes: x and y in pixels of the
            background. None is the middle.
        scale: How many pixels of the background one of the cut-out takes. None is 1, or less where
            there is no position and the cut-out would not fit.
        device: As `harmonize` takes it.
        strength: From 0 (no change) to 1 (the full change); or a `Strength`: shares of light and
            colour.
        cutout_only: Return the harmonized cut-out as a layer of the background's size, transparent
            elsewhere. Over the background it gives the whole picture, to a level.

    Returns:
        The harmonized picture, of the same kind, dtype, size and mode as `background` (a file
        gives a `PIL.Image.Image`, or an array for RGB of 16 bits or floats). A layer is RGB with
        alpha, of the same kind and dtype.

    Raises:
        InputError: The cut-out has no alpha channel, the background is not opaque, or something
            else is not as described here; the message says what.
        UnknownModelError: No model has this name.
        WeightsUnavailableError: The model's weights cannot be had; the message says why.
        WeightsCorruptedError: They are not the ones that were promised.
    """
    harmonizer = ready(model, device)
    pasted = paste(cutout, background, position, scale)
    picture, mask = pasted.joined()
    if not cutout_only:
        return harmonizer(picture, mask, strength=strength)
    layer = as_layer(picture, mask, pasted.background.pixels)
    return layer_like(harmonizer(layer, mask, strength=strength), background)
