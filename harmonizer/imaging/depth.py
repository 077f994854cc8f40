"""Reduce pictures to 8 bits a channel, which every format and program takes."""

from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from harmonizer.imaging.picture import Picture
from harmonizer.preprocessing import Array, full_scale

_DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


def in_eight_bits(picture: Picture) -> Picture:
    """Let a picture of more bits come back as a `PIL.Image.Image` of 8, rounded; metadata stays."""

    def restore(pixels: Array, mask: Array) -> Any:  # noqa: ANN401 - others stay the kind they are
        result = picture.restore(pixels, mask)
        if isinstance(result, Image.Image):
            return _reduced(np.asarray(result)) if result.mode in _DEEP_MODES else result
        return _reduced(result)

    return replace(picture, restore=restore)


def _reduced(values: Array) -> Image.Image:
    if values.dtype == np.uint8:
        return Image.fromarray(values)
    white = full_scale(values.dtype) if values.dtype.kind != "i" else 65535  # Pillow's mode I
    scaled = np.rint(values.astype(np.float32) * np.float32(255 / white)).clip(0, 255)
    return Image.fromarray(scaled.astype(np.uint8))
