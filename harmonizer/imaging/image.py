"""Turn what users hand over as an image into an array, and back.

`open_image` turns any accepted kind of image into a `Picture`: RGB pixels the library can work on,
and a function that hands changed pixels back as the same kind, dtype, size and mode, with ICC
profile, EXIF and alpha kept. Pixels whose mask is zero are copied from what came in, so they
come back bit for bit even where the way through RGB is not exact (CMYK, palettes, float64).
"""

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.errors import InputError, as_whole
from harmonizer.imaging.arrays import (
    from_array,
    from_tensor,
    is_tensor,
    tensor_values,
    to_working_dtype,
)
from harmonizer.imaging.color import color_space
from harmonizer.imaging.files import FileLike, is_file_like, load_upright, open_file, with_sound_key
from harmonizer.imaging.modes import from_pil
from harmonizer.imaging.picture import Info, Picture
from harmonizer.imaging.png import warn_of_gamma
from harmonizer.preprocessing import Array, full_scale

if TYPE_CHECKING:
    import torch

# What users may hand over as an image.
ImageLike: TypeAlias = Union[Image.Image, Array, "torch.Tensor", FileLike, Picture]

# What comes out as the kind that it was.
Kind = TypeVar("Kind", Image.Image, Array, "torch.Tensor")


@np.errstate(all="ignore")  # whatever the program around asks for
def open_image(image: ImageLike, *, once: bool = False, page: int | None = None) -> Picture:
    """Open an image of any accepted kind.

    Args:
        image: A `PIL.Image.Image` (modes L, LA, La, P, RGB, RGBA, RGBa, RGBX, CMYK, YCbCr, HSV,
            LAB, I, I;16 and its byte orders, F in [0, 1]); an array (H, W), (H, W, 1), (H, W, 3) or
            (H, W, 4) in RGB order, uint8, uint16 or float in [0, 1]; a tensor (C, H, W) with 1, 3
            or 4 channels, uint8, uint16 or float in [0, 1]; a file, as `open_file` takes it; or a
            `Picture`, which is returned as it is.
        once: `restore` will be called once at most. What was read from a file may then be changed
            in place, which saves a copy of the whole picture.
        page: Which of several pictures of a file, as `open_file` takes it.

    Returns:
        The picture. A file comes back as a `PIL.Image.Image`, or, for RGB of 16 bits or floats a
        channel, which Pillow has no mode for, as an array (H, W, 3 or 4), uint16 or float32.

    Raises:
        InputError: It is none of these, or a file cannot be read.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, Image.Image):
        warn_of_gamma(image.info)
        return from_pil(load_upright(image, "the image"))
    if isinstance(image, np.ndarray):
        return from_array(image)
    if is_tensor(image):
        return from_tensor(image)
    if is_file_like(image):
        page = None if page is None else as_whole(page, "page", 1)
        return _of_file(*open_file(image, page=page), once=once)
    several = "; harmonize_batch takes several" if isinstance(image, list | tuple) else ""
    raise InputError(
        "an image is a PIL.Image, a numpy array, a torch tensor, a path, or a file, as its bytes "
        f"or open; got {type(image).__name__}{several}"
    )


def _of_file(opened: Image.Image | Array, info: Info, *, once: bool = False) -> Picture:
    if isinstance(opened, Image.Image):
        return replace(from_pil(opened, in_place=once), info=info)
    space = color_space(info.get("icc_profile"), ("RGB",))
    return replace(from_array(opened), info=info, space=space)


def open_layer(image: ImageLike) -> tuple[Picture, NDArray[np.float32] | None]:
    """Open an image together with how opaque each pixel is: (H, W), from 0 to 1.

    Colours are not multiplied by it. It is None if the image has no transparency.
    """
    if is_file_like(image):
        opened, info = open_file(image)
        return _of_file(opened, info), _alpha(opened)
    if isinstance(image, Image.Image):
        image = load_upright(image, "the image")
    return open_image(image), _alpha(image)


def open_background(image: ImageLike, name: str = "the background") -> Picture:
    """Open an image that has to be opaque; `name` is what an error calls it."""
    picture, opacity = open_layer(image)
    if opacity is not None and opacity.min() < 1:
        raise InputError(
            f"{name} has transparent pixels, so its colours are not known everywhere; flatten it "
            "first. Are foreground and background swapped?"
        )
    return picture


def _alpha(image: ImageLike) -> NDArray[np.float32] | None:
    if isinstance(image, Image.Image):
        image = with_sound_key(image)
        if not image.has_transparency_data:
            return None
        if image.mode == "La":  # which Pillow brings to LA alone
            image = image.convert("LA")
        return _unit(np.asarray(image.convert("RGBA").getchannel("A")))
    if is_tensor(image) and image.shape[0] == 4:
        return _unit(tensor_values(image[3]))
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 4:
        return _unit(image[..., 3])
    return None


def _unit(plane: Array) -> NDArray[np.float32]:
    """Return a plane of uint8, uint16 or floats in [0, 1], as floats in [0, 1]."""
    values = to_working_dtype(np.asarray(plane))
    return values.astype(np.float32) / np.float32(full_scale(values.dtype))
