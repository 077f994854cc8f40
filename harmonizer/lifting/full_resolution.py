"""Apply a correction that was found at low resolution to the full-resolution image."""

from typing import Any, Literal, TypeVar, cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.lifting.correction import Correction, Floats, pieces
from harmonizer.lifting.fit import fit_around
from harmonizer.lifting.resampling import filled, interpolation, low_res_weight
from harmonizer.preprocessing import RANGE_TOLERANCE, Range, bounding_box

LiftingMethod = Literal["auto", "fitted", "residual", "resize"]
LIFTING_METHODS: tuple[LiftingMethod, ...] = get_args(LiftingMethod)
Pixel = TypeVar("Pixel", bound=np.generic)
_DEPTHS = {"uint8": cv2.CV_8U, "uint16": cv2.CV_16U}
# A mask that is less than this everywhere changes nothing that shows, and cannot be divided by: a
# segmentation that found no object may give 1e-30.
_LEAST_MASK = 1e-6
_TILE_WIDTH = 512
# Small enough for the twenty planes of a piece's monomials to stay in a core's cache.
_PIECE_PIXELS = 1 << 14


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
    for one in (image, mask, low_res_image, low_res_harmonized):
        if not isinstance(one, np.ndarray):
            raise InputError(f"lift takes numpy arrays; got a {type(one).__name__}")
    mask = _checked(image, mask, low_res_image, low_res_harmonized, method)
    out = image.copy()
    box = bounding_box(mask)
    if box is None or mask.max() < _LEAST_MASK:
        return out
    scale = {"uint8": 255.0, "uint16": 65535.0}.get(image.dtype.name, 1.0)
    before, after = (
        low.astype(np.float32) * np.float32(1 / scale)
        for low in (low_res_image, low_res_harmonized)
    )
    if method == "resize":
        correction = Correction.of_field(after, keep=0.0)
    else:
        weight = low_res_weight(image, mask, before, scale)
        if method == "residual":
            change = cast(Floats, after - before)
            correction = Correction.of_field(filled(change, weight), keep=1.0)
        else:
            correction = fit_around(box, mask.shape, before, after, weight)
    _apply(correction.on_scale(scale), mask, out, box)
    return out


def _apply(
    correction: Correction, mask: Floats, out: NDArray[Any], box: tuple[Range, Range]
) -> None:
    """Correct the pixels of the box in place, in pieces of bounded size.

    One thread: a second one on a second core gained nothing measurable.
    """
    height, width = mask.shape
    strips = [
        (rows, *interpolation(rows, height, correction.field.shape[0]))
        for rows in pieces(*box[0], max(1, _PIECE_PIXELS // _TILE_WIDTH))
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
                _correct(correction, out[piece], mask[piece], field)


def _correct(correction: Correction, pixels: NDArray[Any], mask: Floats, field: Floats) -> None:
    """Correct a piece in place: pixels n x m x 3, mask n x m, field 3 x n x m."""
    colours = np.empty(field.shape, np.float32)
    for plane, values in zip(colours, cv2.split(pixels), strict=True):
        plane[...] = values
    change = correction.of_colours(colours.reshape(3, -1)).reshape(field.shape)
    change += field
    change *= mask
    merged = cv2.merge(tuple(change))
    if pixels.dtype.kind == "u":
        # Added, rounded and clipped in one step. An integer that changes by 0 comes back as itself:
        # the background needs no further care.
        cv2.add(pixels, merged, dst=pixels, dtype=_DEPTHS[pixels.dtype.name])
    else:
        precise = np.float64 if pixels.dtype == np.float64 else np.float32
        changed = np.clip(pixels.astype(precise) + merged, 0, 1)
        np.copyto(pixels, changed, where=mask[..., None] > 0, casting="same_kind")


def _checked(
    image: NDArray[Any],
    mask: NDArray[Any],
    low_res_image: NDArray[Any],
    low_res_harmonized: NDArray[Any],
    method: str,
) -> Floats:
    """Refuse what cannot be lifted; return the mask as contiguous float32."""
    if method not in LIFTING_METHODS:
        raise InputError(f"method must be one of {', '.join(LIFTING_METHODS)}; got {method!r}.")
    named = {
        "image": image,
        "low_res_image": low_res_image,
        "low_res_harmonized": low_res_harmonized,
    }
    for name, array in named.items():
        if array.ndim != 3 or array.shape[2] != 3 or not array.size:
            raise InputError(
                f"{name} must be height x width x 3 and not empty; got shape {array.shape}."
                " Convert it to RGB."
            )
    if image.dtype.name not in ("uint8", "uint16", "float16", "float32", "float64"):
        raise InputError(
            f"image must be uint8, uint16 or floating point in [0, 1]; got {image.dtype}."
            " Convert it first."
        )
    if low_res_image.shape != low_res_harmonized.shape:
        raise InputError(
            "low_res_image and low_res_harmonized must have one shape; got"
            f" {low_res_image.shape} and {low_res_harmonized.shape}. Resize one to the other."
        )
    if image.dtype.kind == "f":
        _check_unit(image, "a floating point image")
    for name in ("low_res_image", "low_res_harmonized"):
        if named[name].dtype.kind not in "uif":
            raise InputError(f"{name} must hold real numbers; got {named[name].dtype}.")
        if not np.isfinite(named[name]).all():
            raise InputError(
                f"{name} must be finite; it holds NaN or infinity. Check the network's answer, and"
                " try float32 if it ran in half precision."
            )
    if mask.shape != image.shape[:2]:
        raise InputError(
            f"mask must have the image's height and width, {image.shape[:2]}; got {mask.shape}."
            " Resize the mask, or pass one channel of it."
        )
    if mask.dtype.kind not in "buif":
        raise InputError(f"mask must be bool or hold real numbers in [0, 1]; got {mask.dtype}.")
    mask = np.ascontiguousarray(mask, dtype=np.float32)
    _check_unit(mask, "mask")
    return mask


def _check_unit(values: NDArray[Any], what: str) -> None:
    lowest, highest = float(values.min()), float(values.max())
    if not (lowest >= -RANGE_TOLERANCE and highest <= 1 + RANGE_TOLERANCE):  # NaN, too
        raise InputError(
            f"{what} must lie in [0, 1]; it goes from {lowest} to {highest}."
            " Divide values of 0 to 255 by 255."
        )
