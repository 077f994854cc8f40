"""Check several images and their masks, handed over at once."""

from collections.abc import Iterable, Iterator, Sized
from itertools import zip_longest
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.errors import InputError
from harmonizer.imaging.arrays import is_tensor, plain, tensor_values
from harmonizer.imaging.files import is_file_like
from harmonizer.imaging.image import ImageLike
from harmonizer.imaging.mask import LEAST_WHITE, WHITES, MaskLike, white_of


def check_batch(images: Iterable[ImageLike], masks: Iterable[MaskLike]) -> None:
    """Refuse what is no batch: a single image or mask, or nothing to take any from."""
    for one in (images, masks):
        if isinstance(one, Image.Image) or is_file_like(one) or _is_single(one):
            raise InputError(
                "a batch takes several images and masks, such as two lists; got a single "
                f"{type(cast(object, one)).__name__}: use harmonize, or put it into a list"
            )
        # Asked for, not begun: to iterate over a DataLoader starts its workers.
        several = hasattr(one, "__iter__") or hasattr(one, "__getitem__")
        if isinstance(one, type) or not several:
            raise InputError(
                "a batch takes several images and masks, such as two lists; got "
                f"{type(cast(object, one)).__name__}"
            )


def _is_single(one: object) -> bool:
    """Return whether it is one image or mask, whose rows would be taken for several."""
    shape: tuple[int, ...] = tuple(getattr(one, "shape", ()))
    return len(shape) == 2 or (len(shape) == 3 and 3 <= shape[2] <= 4 < min(shape[:2]))


def pairs(
    images: Iterable[ImageLike], masks: Iterable[MaskLike]
) -> Iterator[tuple[ImageLike, MaskLike]]:
    """Yield each image with its mask; refuse more of one than of the other."""
    if isinstance(images, Sized) and isinstance(masks, Sized) and len(images) != len(masks):
        raise InputError(
            "there must be as many masks as images; got "
            f"{len(images)} images and {len(masks)} masks"
        )
    missing = object()
    for image, mask in zip_longest(images, _of_one_range(masks), fillvalue=missing):
        if image is missing or mask is missing:
            raise InputError("there must be as many masks as images")
        yield cast(ImageLike, image), cast(MaskLike, mask)


def split_masks(mask: MaskLike, count: int) -> list[Any]:
    """Return the masks of a batch of tensors: (B, 1, H, W) or (B, H, W)."""
    shape = getattr(mask, "shape", None)
    if shape is None or len(shape) not in (3, 4) or shape[0] != count:
        raise InputError(
            f"a batch of {count} images needs a mask tensor of shape ({count}, 1, H, W) or "
            f"({count}, H, W); got {'a ' + type(mask).__name__ if shape is None else tuple(shape)}"
        )
    return list(_of_one_range(cast(Iterable[MaskLike], mask)))


def _of_one_range(masks: Iterable[MaskLike]) -> Iterable[MaskLike]:
    """Scale the masks of one array or tensor of integers by its range, not each by its own."""
    given: object = masks
    if is_tensor(given):
        if given.is_floating_point() or given.is_complex():
            return masks
        values = tensor_values(given)
        if values.ndim == 4 and values.shape[1] == 1:
            values = values[:, 0]
        elif values.ndim == 4:
            return masks
    elif isinstance(given, np.ndarray):
        values = plain(cast(NDArray[Any], given))
    else:
        return masks
    with_alpha = values.ndim == 4 and values.shape[-1] in (2, 4)
    if values.dtype.kind not in "iu" or not values.size or with_alpha:
        return masks
    highest = int(values.max())
    if not LEAST_WHITE <= highest <= WHITES[-1] or values.min() < 0:  # told of each by itself
        return masks
    white = np.float32(white_of(highest))
    return (np.divide(one, white, dtype=np.float32) for one in values)
