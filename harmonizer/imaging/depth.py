"""Reduce pictures to 8 bits a channel, which every format and program takes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.imaging.picture import Picture
from harmonizer.preprocessing import Array, full_scale

_DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


def in_eight_bits(picture: Picture) -> Picture:
    """Let a picture of more bits come back as a `PIL.Image.Image` of 8, rounded; metadata stays."""

    def restore(pixels: Array, mask: Array) -> Any:  # noqa: ANN401 - others stay the kind they are
        result = picture.restore(pixels, mask)
        if isinstance(result, Image.Image):
            deep = result.mode in _DEEP_MODES
            return Image.fromarray(eight_bits(np.asarray(result))) if deep else result
        return Image.fromarray(eight_bits(result))

    return picture.restored_by(restore)


def eight_bits(values: Array) -> NDArray[np.uint8]:
    """Round values of any dtype that a picture has to 8 bits."""
    if values.dtype == np.uint8:
        return values
    white = full_scale(values.dtype) if values.dtype.kind != "i" else 65535  # Pillow's mode I
    scaled = np.rint(values.astype(np.float32) * np.float32(255 / white))
    return scaled.clip(0, 255).astype(np.uint8)
