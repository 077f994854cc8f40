"""The same picture through several models, on one sheet."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from harmonizer.data import Triplet
from harmonizer.errors import HarmonizerError, InputError, UnknownModelError
from harmonizer.evaluation.methods import Model, open_methods
from harmonizer.evaluation.metrics import Array
from harmonizer.evaluation.protocols import FULL_RESOLUTION
from harmonizer.imaging.drawing import PAPER, lay_out, preview
from harmonizer.lifting import Strength, apply_strength, as_strength

_GAP = 8
_LEAST_SIDE = 16
# How its methods are opened: pictures at their own size, as a user gets them.
SHOWN = replace(FULL_RESOLUTION, rounded=True)


def comparison_sheet(
    composite: NDArray[np.uint8],
    mask: NDArray[np.float32],
    models: Sequence[Model],
    *,
    device: str = "auto",
    strength: float | Strength = 1.0,
    side: int = 480,
) -> tuple[NDArray[np.uint8], dict[str, HarmonizerError]]:
    """Harmonize a picture with each model, and lay the results out.

    Args:
        composite: (H, W, 3), uint8, RGB.
        mask: (H, W), in [0, 1]; 1 is the foreground.
        models: What harmonizes, as `evaluate` takes it.
        device: Where networks run.
        strength: How much of each change to apply, from 0 to 1, or a `Strength`.
        side: Longest side of each picture on the sheet, in pixels; none is enlarged.

    Returns:
        The sheet, (H, W, 3), uint8, RGB: composite and mask, then the models, each with its name;
        and what failed, whose place is left empty.

    Raises:
        InputError: `side` is below 16, or two models have the same name.
        UnknownModelError: No model has this name.
    """
    if side < _LEAST_SIDE:
        raise InputError(f"the side of a picture is at least {_LEAST_SIDE} pixels; got {side}")
    as_strength(strength)
    triplet = Triplet(composite, mask, composite, "")  # there is no real picture
    pictures: dict[str, Array] = {"composite": composite, "mask": mask}
    failures: dict[str, HarmonizerError] = {}
    for model in models:
        label = str(model or "the bundled model")
        try:
            (method,) = open_methods([model], SHOWN, device)
            label = method.label
            answer = method.harmonize(triplet)
        except UnknownModelError:  # most likely misspelt
            raise
        except HarmonizerError as error:
            failures[label] = error
            picture = np.full_like(composite, PAPER)
        else:
            picture = apply_strength(composite, np.rint(answer).astype(np.uint8), strength)
        title = f"{label} failed" if label in failures else label
        if title in pictures:
            raise InputError(f"two of the models are called {label}")
        pictures[title] = picture
    cells = [preview(picture, side, side) for picture in pictures.values()]
    # The sheet becomes half as wide again as it is high, as screens are.
    height, width = cells[0].shape[:2]
    columns = max(1, round(math.sqrt(1.5 * len(cells) * height / width)))
    sheet = lay_out(cells, min(columns, len(cells)), titles=list(pictures), gap=_GAP)
    return sheet, failures
