"""Harmonization without learning, through the same call as a `Harmonizer`: what to compare with.

Colour transfer gives the foreground the colours of the background around it; Poisson blending gives
it the background's light at its rim. Image, mask, result and errors of each are those of
`Harmonizer.harmonize`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.data.color_transfer import TRANSFER_METHODS, TransferMethod
from harmonizer.imaging.depth import eight_bits
from harmonizer.imaging.image import ImageLike, open_image
from harmonizer.imaging.mask import MaskLike, open_mask, warn_if_nothing_to_do
from harmonizer.preprocessing import Array, full_scale

Baseline: TypeAlias = Callable[[ImageLike, MaskLike], Any]

# A mask stored as JPEG is not quite 0 around its object; less than this share is background.
_LEAST_SHARE = 0.1
# OpenCV takes a rim of this width, within the mask, from the picture below.
_POISSON_RIM = 3


def leave(image: ImageLike, mask: MaskLike) -> Any:  # noqa: ANN401 - the kind that came in
    """Return the composite as it is."""
    picture = open_image(image)
    return picture.restore(picture.pixels, open_mask(mask, picture.size))


def transfer_colours(image: ImageLike, mask: MaskLike, *, method: TransferMethod) -> Any:  # noqa: ANN401 - the kind that came in
    """Give the foreground the colours of its background, which is where the mask is below a tenth.

    `method` transfers colours, such as those of `harmonizer.data.color_transfer`.
    """
    picture = open_image(image)
    share = open_mask(mask, picture.size)
    foreground = share >= _LEAST_SHARE
    if warn_if_nothing_to_do(share) or not foreground.any() or foreground.all():
        return picture.restore(picture.pixels, np.zeros_like(share))
    pixels = picture.pixels
    scale = np.float32(255 / full_scale(pixels.dtype))
    source, reference = (
        pixels[which].astype(np.float32) * scale for which in (foreground, ~foreground)
    )
    change = np.zeros(pixels.shape, np.float32)
    change[foreground] = (method(source, reference) - source) / scale
    return picture.restore(_add(pixels, change, share), share)


def blend_poisson(image: ImageLike, mask: MaskLike) -> Any:  # noqa: ANN401 - the kind that came in
    """Keep the foreground's gradients and let its rim meet the background.

    Perez, Gangnet, Blake: Poisson image editing. SIGGRAPH, 2003; solved by `cv2.seamlessClone`, in
    8 bits. What was behind the object is unknown: there the background's nearest pixels stand in,
    which an object at the picture's border meets there, too. Where the mask is below a half is
    background.
    """
    picture = open_image(image)
    share = open_mask(mask, picture.size)
    foreground = share >= 0.5
    if warn_if_nothing_to_do(share) or not foreground.any() or foreground.all():
        return picture.restore(picture.pixels, np.zeros_like(share))
    pixels = picture.pixels
    below = eight_bits(pixels)
    change = _clone(below, foreground).astype(np.float32) - below
    change *= np.float32(full_scale(pixels.dtype) / 255)
    return picture.restore(_add(pixels, change, share), share)


BASELINES: Mapping[str, Baseline] = {
    "composite": leave,
    **{name: partial(transfer_colours, method=method) for name, method in TRANSFER_METHODS.items()},
    "poisson": blend_poisson,
}


def _add(pixels: Array, change: NDArray[np.float32], share: NDArray[np.float32]) -> Array:
    """The pixels with their change, as far as the mask goes, in their own dtype."""
    changed = pixels + share[..., None] * change
    changed = changed.clip(0, full_scale(pixels.dtype))
    return (np.rint(changed) if pixels.dtype.kind == "u" else changed).astype(pixels.dtype)


def _clone(image: NDArray[np.uint8], foreground: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Poisson blending of the foreground into its own background, uint8 in and out."""
    # Pasted on the composite itself, the old edge would stay, for its gradient is in the picture.
    # So below lies a background without the object, and above an object that goes on beyond its
    # edge. The mask is wider by OpenCV's rim, so that all of the object's own gradients count, and
    # the frame around everything keeps OpenCV from cutting objects off.
    frame = 2 * _POISSON_RIM
    below, above = (
        cv2.copyMakeBorder(filled, frame, frame, frame, frame, cv2.BORDER_REPLICATE)
        for filled in (_fill(image, foreground), _fill(image, ~foreground))
    )
    wider = np.ones((2 * _POISSON_RIM + 1,) * 2, np.uint8)
    where = cv2.dilate(np.pad(foreground.astype(np.uint8) * 255, frame), wider)
    left, top, width, height = cv2.boundingRect(where)
    middle = (left + width // 2, top + height // 2)
    cloned = cv2.seamlessClone(above, below, where, middle, cv2.NORMAL_CLONE)
    result = image.copy()
    result[foreground] = cloned[frame:-frame, frame:-frame][foreground]
    return result


def _fill(image: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill a hole with the nearest pixels outside of it."""
    _, labelled = cv2.distanceTransformWithLabels(
        hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(labelled, np.intp)
    colours = np.zeros((int(labels.max()) + 1, 3), np.uint8)
    colours[labels[~hole]] = image[~hole]
    return colours[labels]
