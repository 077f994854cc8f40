"""Carry a correction found at low resolution up to the full-resolution image.

A network answers at, say, 256 x 256. Stretching its answer over a photograph loses the photograph's
detail; this module carries the *change of colour* up instead. The change is modelled as a cubic
polynomial of the colour (which needs no resolution) plus what that leaves, a smooth field over the
picture; or, by itself, as one quadratic map for a whole foreground (`ColorTransform`).
``docs/full-resolution.md`` explains the method and measures it.

Nothing here knows of networks or of image files: arrays come in, arrays go out.
"""

from harmonizer.lifting.color_transform import ColorTransform
from harmonizer.lifting.fit import fit_color_transform
from harmonizer.lifting.full_resolution import LIFTING_METHODS, LiftingMethod, lift
from harmonizer.lifting.strength import Strength, apply_strength, as_strength

__all__ = [
    "LIFTING_METHODS",
    "ColorTransform",
    "LiftingMethod",
    "Strength",
    "apply_strength",
    "as_strength",
    "fit_color_transform",
    "lift",
]
