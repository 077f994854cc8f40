"""What may be lifted, and clear words for what may not."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.lifting.correction import Floats
from harmonizer.preprocessing import RANGE_TOLERANCE


def check_image(image: NDArray[Any]) -> None:
    """Refuse what is no image: H x W x 3, RGB, uint8, uint16 or floating point in [0, 1].

    Raises:
        InputError: It says what was expected, and what came.
    """
    _check_shape(image, "image")
    if image.dtype.name not in ("uint8", "uint16", "float16", "float32", "float64"):
        raise InputError(
            f"image must be uint8, uint16 or floating point in [0, 1]; got {image.dtype}."
            " Convert it first."
        )
    if image.dtype.kind == "f":
        _check_range(image, "a floating point image must lie in [0, 1]", "an image")


def native_copy(image: NDArray[Any]) -> NDArray[Any]:
    """Copy an image row by row in the machine's byte order, the only one that OpenCV takes."""
    return image.astype(image.dtype.newbyteorder("="), order="C")


def check_low_res(before: NDArray[Any], after: NDArray[Any]) -> None:
    """Refuse what are not two low-resolution images that belong together.

    Raises:
        InputError: It says what was expected, and what came.
    """
    named = {"low_res_image": before, "low_res_harmonized": after}
    for name, array in named.items():
        _check_shape(array, name)
    if before.shape != after.shape:
        raise InputError(
            "low_res_image and low_res_harmonized must have one shape; got"
            f" {before.shape} and {after.shape}. Resize one to the other."
        )
    for name, array in named.items():
        if array.dtype.kind not in "uif":
            raise InputError(f"{name} must hold real numbers; got {array.dtype}.")
        if not np.isfinite(array).all():
            raise InputError(
                f"{name} must be finite; it holds NaN or infinity. Check the network's answer, and"
                " try float32 if it ran in half precision."
            )


def checked_mask(mask: NDArray[Any], size: tuple[int, ...]) -> Floats:
    """Return a mask as contiguous float32.

    Args:
        mask: H x W, in [0, 1].
        size: The height and width that it must have.

    Raises:
        InputError: It is none; the message says what was expected, and what came.
    """
    if not isinstance(mask, np.ndarray):
        raise InputError(f"mask must be a numpy array; got a {type(mask).__name__}")
    if mask.shape != size:
        raise InputError(
            f"mask must have the image's height and width, {size}; got {mask.shape}."
            " Resize the mask, or pass one channel of it."
        )
    if mask.dtype.kind not in "buif":
        raise InputError(f"mask must be bool or hold real numbers in [0, 1]; got {mask.dtype}.")
    mask = np.ascontiguousarray(mask, dtype=np.float32)
    _check_range(mask, "mask must lie in [0, 1]", "a mask")
    return mask


def _check_shape(image: NDArray[Any], name: str) -> None:
    """Refuse what is no array of H x W x 3.

    Raises:
        InputError: It says what was expected, and what came.
    """
    if not isinstance(image, np.ndarray):
        raise InputError(f"{name} must be a numpy array; got a {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(
            f"{name} must be height x width x 3 and not empty; got shape {image.shape}."
            " Convert it to RGB."
        )


def _check_range(values: NDArray[Any], rule: str, what: str) -> None:
    lowest, highest = float(values.min()), float(values.max())
    if not (lowest >= -RANGE_TOLERANCE and highest <= 1 + RANGE_TOLERANCE):  # NaN, too
        raise InputError(
            f"{rule}; it goes from {lowest} to {highest}. Divide {what} of 0 to 255 by 255."
        )
