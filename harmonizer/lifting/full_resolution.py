"""Apply a correction that was found at low resolution to the full-resolution image."""

from functools import partial
from typing import Any, Literal, TypeVar, cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.lifting.checks import check_image, check_low_res, checked_mask, native_copy
from harmonizer.lifting.correction import PIECE_PIXELS, Correction, Floats, add_change, pieces
from harmonizer.lifting.fit import fit_around
from harmonizer.lifting.resampling import filled, interpolation, low_res_weight
from harmonizer.preprocessing import Range, bounding_box, full_scale

LiftingMethod = Literal["auto", "fitted", "residual", "resize"]
LIFTING_METHODS: tuple[LiftingMethod, ...] = get_args(LiftingMethod)
Pixel = TypeVar("Pixel", bound=np.generic)
# A mask that is less than this everywhere changes nothing that shows, and cannot be divided by: a
# segmentation that found no object may give 1e-30.
_LEAST_MASK = 1e-6
_TILE_WIDTH = 512


@np.errstate(all="ignore")  # whatever the program around asks for
def lift(
    image: NDArray[Pixel],
    mask: NDArray[Any],
    low_res_image: NDArray[Any],
    low_res_harmonized: NDArray[Any],
    *,
    method: LiftingMethod = "auto",
) -> NDArray[Pixel]:
    """Apply a low-resolution correction to the full-resolution image.

    Args:
        image: H x W x 3, RGB: uint8, uint16, or floating point in [0, 1].
        mask: H x W, in [0, 1], 1 = the foreground to change. float32 is used in place; other types
            (bool, uint8 of 0 and 1) are converted, which takes 4 bytes a pixel.
        low_res_image: h x w x 3, on the image's own scale (0 to 255 for uint8, 0 to 65535 for
            uint16, 0 to 1 for floats): the resized image that the network saw.
        low_res_harmonized: h x w x 3, on the same scale: the network's answer.
        method: ``"fitted"``: a colour transform plus a field for what it leaves, smoothed as far as
            the answer is noisy. ``"residual"``: the difference, stretched within the mask.
            ``"resize"``: the answer, stretched. ``"auto"``: the best of these, ``"fitted"``.

    Returns:
        A new array of the image's shape and dtype: ``image + mask * (lifted - image)``, rounded
        once and clipped to the dtype's range. Where the mask is 0 it is the image, bit for bit.

    Raises:
        InputError: an argument is not as described above.
    """
    if method not in LIFTING_METHODS:
        raise InputError(f"method must be one of {', '.join(LIFTING_METHODS)}; got {method!r}.")
    check_image(image)
    check_low_res(low_res_image, low_res_harmonized)
    mask = checked_mask(mask, image.shape[:2])
    out = native_copy(image)
    box = bounding_box(mask)
    if box is None or mask.max() < _LEAST_MASK:
        return out.astype(image.dtype, copy=False)
    scale = full_scale(image.dtype)
    before, after = (
        low.astype(np.float32) * np.float32(1 / scale)
        for low in (low_res_image, low_res_harmonized)
    )
    if method == "resize":
        correction = Correction.of_field(after, keep=0.0)
    else:
        weight = low_res_weight(image, mask, before, scale)
        if method == "residual":
            change = cast(Floats, np.stack(cv2.split(after - before)))
            correction = Correction.of_field(filled(change, weight), keep=1.0)
        else:
            correction = fit_around(box, mask.shape, before, after, weight)
    _apply(correction.on_scale(scale), mask, out, box)
    return out.astype(image.dtype, copy=False)


def _apply(
    correction: Correction, mask: Floats, out: NDArray[Any], box: tuple[Range, Range]
) -> None:
    """Correct the pixels of the box in place, in pieces of bounded size.

    One thread: a second one on a second core gained nothing measurable.
    """
    height, width = mask.shape
    strips = [
        (rows, *interpolation(rows, height, correction.field.shape[0]))
        for rows in pieces(*box[0], max(1, PIECE_PIXELS // _TILE_WIDTH))
    ]
    for tile in pieces(*box[1], _TILE_WIDTH):
        needed, weights = interpolation(tile, width, correction.field.shape[1])
        stretched = np.moveaxis(correction.field[:, needed], 2, 0) @ weights.T  # 3 x h x m
        for rows, needed, weights in strips:
            inside = mask[rows, tile].max(axis=0).nonzero()[0]
            if len(inside):
                first, last = int(inside[0]), int(inside[-1]) + 1
                piece = (rows, slice(tile.start + first, tile.start + last))
                field = cast(Floats, weights @ stretched[:, needed, first:last])
                change = partial(_changed, correction, field.reshape(3, -1))
                add_change(out[piece], mask[piece], change)


def _changed(correction: Correction, field: Floats, colours: Floats) -> Floats:
    return cast(Floats, correction.of_colours(colours) + field)
