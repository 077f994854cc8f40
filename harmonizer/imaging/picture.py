"""Define a picture as the library works on it, and what all kinds of them need."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import cv2
import numpy as np

from harmonizer.errors import InputError
from harmonizer.imaging.color import ColorSpace
from harmonizer.preprocessing import Array, bounding_box, is_opencv_kind

Info: TypeAlias = dict[Any, Any]  # metadata, as Pillow keeps it


@dataclass(frozen=True)
class Picture:
    """An image as the library works on it.

    Attributes:
        pixels: RGB, (H, W, 3), C-contiguous; uint8, uint16, or float32 in [0, 1]. Grey images have
            three equal channels. Upright: the EXIF orientation has been applied.
        restore: `restore(pixels, mask)` hands changed pixels (same shape and dtype) back as the
            kind of image that came in. Where `mask` (H, W) is zero, the original is copied.
        info: What Pillow knows of the file besides pixels: `icc_profile`, `exif`, `dpi`, ...
        space: What the numbers of `pixels` mean; None is sRGB.
        rebuild: `rebuild(changed)` makes the same of a changed copy of `pixels` whose background is
            theirs, where they are all of the image and nothing of the original is needed.
    """

    pixels: Array
    restore: Callable[[Array, Array], Any]
    info: Info = field(default_factory=dict[Any, Any])
    space: ColorSpace | None = None
    rebuild: Callable[[Array], Any] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def as_pixels(self) -> "Picture":
        """Return the same picture, in its own colour space, to be handed back as pixels alone."""
        return self.restored_by(_as_pixels)

    def restored_by(self, restore: Callable[[Array, Array], Any]) -> "Picture":
        """Return the same picture, handed back in another way."""
        return replace(self, restore=restore, rebuild=None)


def _as_pixels(pixels: Array, _: Array) -> Array:
    return pixels


def check_not_empty(height: int, width: int) -> None:
    """Refuse an image without pixels."""
    if height == 0 or width == 0:
        raise InputError(f"the image has no pixels: it is {width} x {height}")


def changed_part(mask: Array) -> tuple[slice, slice] | None:
    """The rows and columns outside which the mask (H, W) is 0; None if it is 0 everywhere."""
    box = bounding_box(mask)
    return None if box is None else (slice(*box[0]), slice(*box[1]))


def keep_background(original: Array, changed: Array, mask: Array) -> Array:
    """Copy `original` and put `changed` where the mask is above zero, alpha excepted."""
    result = np.array(original, order="C")
    put_foreground(result, changed, mask)
    return result


@np.errstate(all="ignore")  # whatever the program around asks for
def put_foreground(pixels: Array, changed: Array, mask: Array) -> None:
    """Put `changed` into pixels where the mask is above zero, in place, alpha excepted."""
    selected = mask > 0
    alike = pixels.shape == changed.shape and pixels.dtype == changed.dtype
    if alike and is_opencv_kind(pixels.dtype):
        cv2.copyTo(changed, selected.view(np.uint8), pixels)  # in an eighth of the time
    elif pixels.ndim == 2:
        np.copyto(pixels, changed, where=selected, casting="unsafe")
    else:
        for channel in range(changed.shape[2]):
            colour = pixels[..., channel]
            np.copyto(colour, changed[..., channel], where=selected, casting="unsafe")


def to_rgb(stored: Array) -> Array:
    """Return RGB of an array (H, W) or (H, W, C): C is grey, grey + alpha, RGB, or RGB + alpha."""
    if _is_grey(stored):
        grey = stored if stored.ndim == 2 else stored[..., 0]
        return np.repeat(grey[..., None], 3, axis=2)
    return np.ascontiguousarray(stored[..., :3])


def from_rgb(pixels: Array, stored: Array) -> Array:
    """RGB to the colour channels of `stored`; grey is BT.601 luma, as in Pillow's own mode L."""
    if not _is_grey(stored):
        return pixels
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return grey if stored.ndim == 2 else grey[..., None]


def _is_grey(stored: Array) -> bool:
    return stored.ndim == 2 or stored.shape[2] < 3
