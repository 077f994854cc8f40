"""Carry a correction found at low resolution up to the full-resolution image."""

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError

LiftingMethod = Literal["auto", "resize", "residual"]
LIFTING_METHODS: tuple[LiftingMethod, ...] = get_args(LiftingMethod)


def lift(
    image: NDArray[np.generic],
    mask: NDArray[np.generic],
    low_res_image: NDArray[np.float32],
    low_res_harmonized: NDArray[np.float32],
    *,
    method: LiftingMethod = "auto",
) -> NDArray[np.generic]:
    """Apply a low-resolution correction to the full-resolution image.

    Args:
        image: H x W x 3, RGB, uint8, uint16 or floating point in [0, 1].
        mask: H x W, in [0, 1]; 1 = the foreground to change.
        low_res_image: h x w x 3, float32, on the image's own scale: what the network saw.
        low_res_harmonized: h x w x 3, float32, on the same scale: what it answered.
        method: one of :data:`LIFTING_METHODS`.

    Returns:
        An array of the image's shape and dtype; where the mask is 0, the image bit for bit.

    Raises:
        InputError: an argument is not as described above.
    """
    if method not in LIFTING_METHODS:
        raise InputError(f"method must be one of {LIFTING_METHODS}, got {method!r}.")
    height, width = image.shape[:2]
    low_height, low_width = low_res_image.shape[:2]
    soft = mask.astype(np.float32)
    full = image.astype(np.float32)
    if method == "resize":
        lifted = cv2.resize(low_res_harmonized, (width, height))
    else:
        low_mask = cv2.resize(soft, (low_width, low_height), interpolation=cv2.INTER_AREA)
        weighted = (low_res_harmonized - low_res_image) * low_mask[..., None]
        change = cv2.resize(weighted, (width, height))
        share = cv2.resize(low_mask, (width, height))
        lifted = full + change / np.maximum(share, 1e-6)[..., None]
    blended = full + soft[..., None] * (lifted - full)
    if np.issubdtype(image.dtype, np.integer):
        blended = np.rint(np.clip(blended, 0, np.iinfo(image.dtype).max))
    else:
        blended = np.clip(blended, 0, 1)
    return np.where((soft > 0)[..., None], blended.astype(image.dtype), image)
