"""Turn what users hand over as a mask into one float plane: 1 is the foreground to change.

Masks come in every shape that annotation tools write; whatever is ambiguous is refused.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias, Union

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.errors import InputError, warn
from harmonizer.imaging.arrays import is_tensor, plain, tensor_values
from harmonizer.imaging.exif import upright_size
from harmonizer.imaging.files import FileLike, is_file_like, load_upright, open_file
from harmonizer.imaging.palette import alphas_of, palette_of
from harmonizer.preprocessing import RANGE_TOLERANCE, Array, is_opencv_kind, resample

if TYPE_CHECKING:
    import torch

# What users may hand over as a mask, and whether one of another size is resized.
MaskLike: TypeAlias = Union[Image.Image, Array, "torch.Tensor", FileLike]
ResizeMask: TypeAlias = bool | Literal["stretch"]

# A mask saved as a colour picture has equal channels up to what JPEG and resizing do to its edges.
# Mean difference between a pixel's channels, as a share of full scale, that passes for grey.
_COLOUR_TOLERANCE = 0.02
_NOT_FINITE = "the mask holds NaN or infinite values; replace them by 0 or 1"
_SOME = 16  # one row and column of so many
_FAINT = 0.1  # a mask whose largest value is less may be one of another range
_ROWS = 16  # at a time, which stay in a core's cache
# A mask of integers whose brightest value is below this is taken for a map of numbered labels.
LEAST_WHITE = 32
WHITES = (1, 255, 65535)  # of integers; the largest that there are


class MaskSizeError(InputError):
    """A mask has another size than its image: `sizes` says which, without advice to a caller."""

    def __init__(self, sizes: str, advice: str = "") -> None:
        """Join both to a message."""
        super().__init__(f"{sizes}; {advice}" if advice else sizes)
        self.sizes = sizes


@np.errstate(all="ignore")  # whatever the program around asks for
def open_mask(
    mask: MaskLike, size: tuple[int, int], *, resize: ResizeMask = False
) -> NDArray[np.float32]:
    """Open a mask of any accepted kind.

    Args:
        mask: One channel, as any of the kinds that an image may have: bool; integers from 0 to
            1, 255 or 65535 (the smallest of these that is not below the mask's maximum is full
            foreground); floats in [0, 1], or holding only 0 and 255. Channels that are alike
            count as one, so a mask saved as RGB or opaque RGBA is accepted.
        size: Height and width of the upright image that the mask belongs to. A file of another
            size is refused by its header, however many pixels it promises.
        resize: True accepts a mask of another size but the same aspect (to a pixel), and resizes
            it. `"stretch"` accepts any: the mask of a network whose input is square belongs to the
            whole picture, though their aspects differ.

    Returns:
        (H, W), in [0, 1]; 1 is the foreground to change, 0 is never touched.

    Raises:
        InputError: The mask cannot be read, is ambiguous, or has another size than the image
            (`MaskSizeError`).
    """
    return unit_mask(read_mask(mask, size, resize=resize), size, resize=resize)


def read_mask(mask: MaskLike, size: tuple[int, int], *, resize: ResizeMask = False) -> Array:
    """Read a mask's numbers as they are, (H, W), for `unit_mask`.

    It takes and raises what `open_mask` does.
    """
    if resize not in (True, False, "stretch"):
        raise InputError(f"resize_mask is True, False or 'stretch'; got {resize!r}")
    return _one_channel(_to_array(mask, partial(_check_header, size=size, resize=resize)))


def unit_mask(
    values: Array, size: tuple[int, int], *, resize: ResizeMask = False, white: int | None = None
) -> NDArray[np.float32]:
    """Bring what `read_mask` returned to [0, 1], and to a size.

    It returns and raises what `open_mask` does. `white` is what full foreground is among integers,
    at least their largest value; None finds it by that.
    """
    plane = _unit_range(values, white)
    if plane.shape == size:
        return plane
    found = (plane.shape[0], plane.shape[1])
    _check_size(found, size, resize=resize)
    return resample(plane, size, "opencv-area").astype(np.float32, copy=False)


def _check_header(found: tuple[int, int], size: tuple[int, int], *, resize: ResizeMask) -> None:
    """Refuse a mask of a wrong size before it is decoded, whichever way EXIF may yet turn it."""
    sideways = (found[1], found[0])
    if min(found) and size != sideways and not (resize and _same_aspect(sideways, size)):
        _check_size(found, size, resize=resize)


def _check_size(found: tuple[int, int], size: tuple[int, int], *, resize: ResizeMask) -> None:
    """Refuse a mask of another size than the image's; or, to be resized, of another aspect."""
    if found == size or resize == "stretch":
        return
    same_aspect = _same_aspect(found, size)
    sizes = f"the image is {size[1]} x {size[0]}, the mask {found[1]} x {found[0]}"
    if not resize:
        if found[::-1] == size:
            advice = "one of them was turned, perhaps by EXIF: turn the other one too"
        elif same_aspect:
            advice = "--resize-mask (in Python resize_mask=True) resizes the mask"
        else:
            advice = (
                "if the second one is the background of a cut-out, name it by --on (in Python "
                "harmonize_cutout); if it is a mask, crop or pad it as the image was, or, if it "
                'was stretched, add --resize-mask stretch (in Python resize_mask="stretch")'
            )
        raise MaskSizeError(f"image and mask must have the same size: {sizes}", advice)
    if not same_aspect:
        raise MaskSizeError(
            f"a mask can only be resized if its shape is the image's: {sizes}",
            "crop or pad it; if it was stretched, --resize-mask stretch (in Python "
            'resize_mask="stretch") stretches it back',
        )


def _same_aspect(mask_size: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether scaling the mask to the image's longer side gives the other side, to a pixel."""
    (mask_height, mask_width), (height, width) = mask_size, size
    if width >= height:
        return abs(mask_height * width / mask_width - height) <= 1
    return abs(mask_width * height / mask_height - width) <= 1


def _to_array(mask: MaskLike, check: Callable[[tuple[int, int]], None]) -> Array:
    """The mask's raw values, (H, W) or (H, W, C); `check` is given its size before it is read."""
    if is_file_like(mask):
        opened, _ = open_file(mask, check=check)
        return opened if isinstance(opened, np.ndarray) else _from_pil(opened)
    if isinstance(mask, Image.Image):
        check(upright_size(mask))
        return _from_pil(load_upright(mask, "the mask"))
    if is_tensor(mask):
        array = tensor_values(mask)
        return array.transpose(1, 2, 0) if array.ndim == 3 else array
    if isinstance(mask, np.ndarray):
        return plain(mask)
    if mask is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise InputError(
            "a mask is needed to know what to change. If the image is a cut-out whose alpha "
            "channel marks the foreground, pass mask=image.getchannel('A')"
        )
    raise InputError(
        "a mask is a PIL.Image, a numpy array, a torch tensor, a path, or a file, as its bytes or "
        f"open; got {type(mask).__name__}"
    )


def _from_pil(mask: Image.Image) -> Array:
    if mask.mode == "P":
        indices = np.asarray(mask)
        palette = palette_of(mask)
        entries = np.unique(indices)
        used, alphas = palette[entries], alphas_of(mask)
        if indices.max(initial=0) <= 1 and (used != used[:, :1]).any():
            return indices > 0  # a label map with one object: its colours mean nothing
        # A black that is transparent is black, in soft masks, too; else alpha has a say of its own.
        shown, hidden = entries[alphas[entries] == 255], entries[alphas[entries] < 255]
        only_black = palette[shown].any() and not (palette[hidden].any() or alphas[hidden].any())
        if hidden.size and not only_black:
            return np.column_stack([palette, alphas])[indices]
        return palette[indices]
    if mask.mode == "PA":
        mask = mask.convert("RGBA")
    elif mask.mode in ("CMYK", "YCbCr", "HSV", "LAB", "RGBX"):
        mask = mask.convert("RGB")
    return np.asarray(mask)


def _one_channel(array: Array) -> Array:
    if array.ndim == 2 and array.size:
        return array
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4) or not array.size:
        hint = "; pass mask[0]" if array.ndim == 3 and len(array) == 1 else ""
        raise InputError(f"a mask has the shape (H, W) and one channel; got {array.shape}{hint}")
    channels = array.shape[2]
    full = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else 1
    if channels in (2, 4):
        alpha = array[..., -1]
        # Which both say, where they are the same.
        if (alpha != alpha.flat[0]).any() and (alpha[..., None] != array[..., :-1]).any():
            raise InputError(
                "the mask has an alpha channel that varies, so it is unclear which one marks the "
                "foreground; pass one channel: mask.convert('RGBA').getchannel('A') for the "
                "alpha, mask.convert('RGB').convert('L') for the picture"
            )
        array = array[..., :-1]
    if array.shape[2] == 3:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(_NOT_FINITE)
        plane = _repeated_plane(array)
        if plane is not None:
            return plane  # as most are; what follows takes many times as long
        values = array.astype(np.float32)
        brightest = values.max(axis=2)
        # Black says nothing about colour, and a small object is nearly all black.
        shown = brightest > 0
        difference = (brightest - values.min(axis=2))[shown]
        limit = _COLOUR_TOLERANCE * min(full, max(float(values.max()), 1))
        if difference.size and float(difference.mean()) > limit:
            raise InputError(
                "the mask has 3 channels that differ, so it looks like a picture; a mask has one "
                "channel, with 1 or 255 for the foreground. Are image and mask swapped? The "
                "background of a cut-out is taken by harmonize_cutout (--on). For a label map, "
                "pass (mask == label).all(axis=2)"
            )
    return array[..., 0]


def _repeated_plane(array: Array) -> Array | None:
    """Return the plane that three channels repeat, or None where they differ."""
    plane = np.empty(array.shape[:2], array.dtype)
    for top in range(0, len(plane), _ROWS):
        strip = array[top : top + _ROWS]
        if is_opencv_kind(array.dtype):
            first, *others = cv2.split(np.ascontiguousarray(strip))
            differ = any(cv2.norm(first, other, cv2.NORM_INF) != 0 for other in others)
        else:
            first = strip[..., 0]
            differ = bool((strip[..., 1:] != first[..., None]).any())
        if differ:
            return None
        plane[top : top + _ROWS] = first
    return plane


def _unit_range(values: Array, white: int | None = None) -> NDArray[np.float32]:
    kind = values.dtype.kind
    if kind == "b":
        return values.astype(np.float32)
    if kind not in "iuf":
        raise InputError(f"a mask is bool, integer or float; got {values.dtype}")
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(_NOT_FINITE)
    if kind != "f" and white is None and 1 < high < LEAST_WHITE:
        raise InputError(
            f"the mask's largest value is {high:.0f}, so it looks like a label map; masks have 0 "
            "and 1, or 0 to 255. Pass mask == label for the object to change"
        )
    if kind != "f" and low >= 0 and high <= WHITES[-1]:
        full = np.float32(white or white_of(high))
        return (values / full).astype(np.float32, copy=False)
    if kind == "f" and low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE:
        plane = values.astype(np.float32, copy=False)
        return plane if low >= 0 and high <= 1 else plane.clip(0, 1)
    if kind == "f" and np.isin(values, (0, 255)).all():
        return (values / 255).astype(np.float32)
    hint = "; divide it by 255" if kind == "f" and low >= 0 and 1 < high <= 255 else ""
    raise InputError(
        "mask values are bool, floats in [0, 1], or integers from 0 to 1, 255 or 65535; got "
        f"{values.dtype} from {low:.4g} to {high:.4g}{hint}"
    )


def white_of(highest: float) -> int:
    """Return what full foreground is among integers of which this is the largest."""
    return next((white for white in WHITES if highest <= white), WHITES[-1])


def mask_like(plane: NDArray[np.float32], image: object) -> "Image.Image | Array | torch.Tensor":
    """Hand a mask, (H, W) in [0, 1], out as the kind that belongs to an image.

    That is a `PIL.Image.Image` of mode L (0 to 255) for a `PIL.Image.Image`, a float32 tensor (1,
    H, W) on the same device for a tensor, else the array itself.
    """
    if isinstance(image, Image.Image):
        return Image.fromarray(np.rint(plane * 255).astype(np.uint8))
    if is_tensor(image):
        import torch

        return torch.from_numpy(plane)[None].to(image.device)
    return plane


def warn_if_nothing_to_do(mask: NDArray[np.float32]) -> bool:
    """Warn if the mask has no foreground, or no background; return whether that is so."""
    some = mask[::_SOME, ::_SOME]  # tell at once of most masks that they have both
    if some.max() == 0 and mask.max() == 0:
        reason = "the mask is empty: there is no foreground to harmonize"
    elif some.min() == 1 and mask.min() == 1:
        reason = "the mask covers the whole picture: there is no background to harmonize it with"
    else:
        _hint_at_inversion(mask)
        if some.max() < _FAINT:
            hint_at_faintness(float(mask.max()))
        return False
    warn(f"{reason}; the picture is returned unchanged")
    return True


def hint_at_faintness(most: float) -> None:
    """Warn of a mask that is not empty, and hardly white anywhere: this is its largest value."""
    if 0 < most < _FAINT:
        warn(
            f"the mask is {most:.1%} white at most, so hardly anything will change. White is "
            "1, 255 (8 bits) or 65535 (16 bits); scale masks of other ranges to it"
        )


def _hint_at_inversion(mask: NDArray[np.float32]) -> None:
    """Warn of a foreground that fills most of the picture and of each of its borders."""
    borders = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    if min(float(border.mean()) for border in borders) > 0.5 and (share := mask.mean()) > 0.5:
        warn(
            f"the mask's white covers {share:.0%} of the picture and all of its borders. White is "
            "the foreground to change; if it is the background here, invert the mask: 255 - mask, "
            "or --invert-mask"
        )
