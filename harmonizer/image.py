"""What users hand over as an image, to an array and back.

`open_image` turns any accepted kind of image into a `Picture`: RGB pixels the library can work on,
and a function that hands changed pixels back as the same kind, dtype, size and mode, with ICC
profile, EXIF and alpha kept. Pixels whose mask is zero are copied from what came in, so they
come back bit for bit even where the way through RGB is not exact (CMYK, palettes, float64).
"""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeGuard, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from harmonizer.errors import InputError, warn
from harmonizer.lifting import bounding_box
from harmonizer.preprocessing import full_scale

Array: TypeAlias = NDArray[Any]
Info: TypeAlias = dict[Any, Any]  # metadata, as Pillow keeps it

# Float images may overshoot [0, 1] by rounding; more than this is taken for another scale.
_RANGE_TOLERANCE = 1e-3

# What Pillow knows by its ending, but what holds no photograph, or what it only writes: documents,
# drawings, films, icons, data.
_NO_PHOTOGRAPHS = {
    *("EPS", "PALM", "PDF", "WMF", "FLI", "MPEG", "CUR", "ICNS", "ICO"),
    *("BUFR", "FITS", "GRIB", "HDF5", "IPTC"),
}

_ORIENTATION = 0x0112  # the EXIF tag
# EXIF orientation -> (quarter turns counter-clockwise, then mirrored left-right) to stand upright.
_UPRIGHT = {
    1: (0, False),
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (3, True),
    6: (3, False),
    7: (1, True),
    8: (1, False),
}


@dataclass(frozen=True)
class Picture:
    """An image as the library works on it.

    Attributes:
        pixels: RGB, (H, W, 3), C-contiguous; uint8, uint16, or float32 in [0, 1]. Grey images have
            three equal channels. Upright: the EXIF orientation has been applied.
        restore: `restore(pixels, mask)` hands changed pixels (same shape and dtype) back as the
            kind of image that came in. Where `mask` (H, W) is zero, the original is copied.
        info: What Pillow knows of the file besides pixels: `icc_profile`, `exif`, `dpi`, ...
    """

    pixels: Array
    restore: Callable[[Array, Array], Any]
    info: Info = field(default_factory=dict[Any, Any])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


# Where an image file may come from: its path, its bytes, or an open binary file.
FileLike: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes]
# What users may hand over as an image.
ImageLike: TypeAlias = Image.Image | Array | torch.Tensor | FileLike | Picture


def open_image(image: ImageLike, *, once: bool = False) -> Picture:
    """Open an image of any accepted kind.

    Args:
        image: A `PIL.Image.Image` (modes L, LA, La, P, RGB, RGBA, RGBa, RGBX, CMYK, YCbCr, HSV,
            LAB, I, I;16 and its byte orders, F in [0, 1]); an array (H, W), (H, W, 1), (H, W, 3) or
            (H, W, 4) in RGB order, uint8, uint16 or float in [0, 1]; a tensor (C, H, W) with 1, 3
            or 4 channels, uint8 or float in [0, 1]; a file, as `open_file` takes it; or a
            `Picture`, which is returned as it is.
        once: `restore` will be called once at most. What was read from a file may then be changed
            in place, which saves a copy of the whole picture.

    Returns:
        The picture. A file comes back as a `PIL.Image.Image`, or, for RGB of 16 bits a channel,
        which Pillow has no mode for, as a uint16 array (H, W, 3 or 4).

    Raises:
        InputError: It is none of these, or a file cannot be read.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, Image.Image):
        load_pixels(image, "image")
        return _from_pil(upright(image))
    if isinstance(image, np.ndarray):
        return _from_array(image)
    if isinstance(image, torch.Tensor):
        return _from_tensor(image)
    if is_file(image):
        opened, info = open_file(image)
        if isinstance(opened, Image.Image):
            # Pillow would write the old tags of a TIFF file again.
            return _from_pil(opened, in_place=once and opened.format != "TIFF")
        return replace(_from_array(opened), info=info)
    several = "; harmonize_batch takes several" if isinstance(image, list | tuple) else ""
    raise InputError(
        "an image is a PIL.Image, a numpy array, a torch tensor, a path, or a file, as its bytes "
        f"or open; got {type(image).__name__}{several}"
    )


def list_pictures(folder: Path) -> list[Path]:
    """Return the picture files of a folder, sorted; folders in it and hidden files are left out.

    Raises:
        InputError: There is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    formats = Image.registered_extensions()
    endings = {ending for ending, name in formats.items() if name not in _NO_PHOTOGRAPHS}
    with os.scandir(folder) as entries:
        names = sorted(one.name for one in entries if not (one.name[0] == "." or one.is_dir()))
    return [folder / name for name in names if Path(name).suffix.lower() in endings]


def open_layer(image: ImageLike) -> tuple[Picture, NDArray[np.float32] | None]:
    """Open an image together with its alpha channel.

    Args:
        image: As for `open_image`.

    Returns:
        The picture, and how opaque each pixel is: (H, W), from 0 to 1, where colours are not
        multiplied by it. None if the image has no transparency.

    Raises:
        InputError: As for `open_image`.
    """
    if is_file(image):
        image, _ = open_file(image)
    if isinstance(image, Image.Image):
        load_pixels(image, "image")
        image = upright(image)
    return open_image(image), _alpha(image)


def _alpha(image: ImageLike) -> NDArray[np.float32] | None:
    if isinstance(image, Image.Image):
        listed = image.mode in ("P", "L", "RGB") and "transparency" in image.info
        if not listed and image.getbands()[-1] not in ("A", "a"):
            return None
        return _unit(np.asarray(image.convert("RGBA").getchannel("A")))
    if isinstance(image, torch.Tensor) and image.shape[0] == 4:
        plane = image[3].detach().cpu()
        return _unit(plane.numpy() if plane.dtype == torch.uint8 else plane.float().numpy())
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 4:
        return _unit(image[..., 3])
    return None


def _unit(plane: Array) -> NDArray[np.float32]:
    """A plane of uint8, uint16 or floats in [0, 1], as floats in [0, 1]."""
    values = _to_working_dtype(np.asarray(plane))
    return values.astype(np.float32) / np.float32(full_scale(values.dtype))


def is_file(source: object) -> TypeGuard[FileLike]:
    """Whether something is what `open_file` takes, and no image or mask yet."""
    return isinstance(source, str | os.PathLike | bytes | bytearray | memoryview) or callable(
        getattr(source, "read", None)
    )


def open_file(
    source: FileLike, *, check: Callable[[tuple[int, int]], None] | None = None
) -> tuple[Image.Image | Array, Info]:
    """Read an image file without losing bits, and turn it upright.

    (Deep AVIF and CMYK of 16 bits a channel are the exceptions: Pillow gives 8.)

    Args:
        source: A path, the bytes of a file, or an open binary file (`io.BytesIO`, an upload of a
            web server), which is read from its start, as Pillow does, and left open.
        check: Is called with the height and width that the file has by its header, upright, before
            its pixels are read; what it raises is raised here.

    Returns:
        The image and its metadata (`icc_profile`, `exif`, ...). RGB of 16 bits a channel is a
        uint16 array (H, W, 3 or 4) in RGB(A) order, because Pillow would cut it to 8; everything
        else is a loaded `PIL.Image.Image`.

    Raises:
        InputError: No such file, not an image, truncated, too large for Pillow's guard against
            decompression bombs, or animated.
    """
    name, data = _read(source)
    try:
        with Image.open(io.BytesIO(data), formats=_readable_formats()) as image:
            # Phones store a second, auxiliary picture behind the first (MPO); that is no animation.
            if getattr(image, "is_animated", False) and image.format != "MPO":
                raise InputError(
                    f"{name} holds {getattr(image, 'n_frames', 'several')} frames; open it with "
                    "PIL, seek to the one you want and pass that image"
                )
            if check is not None:
                check(upright_size(image))
            if _has_16_bit_colour(image, data):
                return _read_16_bit(image, data, name)
            image.load()
            if image.mode == "P" and image.palette is None:  # what Pillow itself then trips over
                raise InputError(
                    f"{name} is damaged: its pixels name colours, but it has no palette"
                )
            turned = upright(image)
            if image.format == "TIFF" and "exif" not in turned.info:
                turned.info["exif"] = _described(turned.getexif()).tobytes()
            return turned, dict(turned.info)
    except (InputError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name} cannot be read as an image: it begins like no format that Pillow knows"
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name}: {error}; if you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS, or give "
            "harmonizer run --max-megapixels"
        ) from error
    # A damaged file makes Pillow's decoders raise almost any exception.
    except Exception as error:
        raise InputError(
            f"{name} cannot be read as an image ({error}); expected a whole PNG, JPEG, TIFF, "
            "WebP or another format that Pillow reads"
        ) from error


def _readable_formats() -> list[str]:
    """All that Pillow and its plugins read, but PostScript: a program, which Ghostscript runs."""
    Image.init()  # registers what is not registered yet
    return [name for name in Image.ID if name != "EPS"]


def _read(source: FileLike) -> tuple[str, bytes]:
    """What to call a file in an error, and its content."""
    if isinstance(source, bytes | bytearray | memoryview):
        return f"{len(source)} bytes", bytes(source)
    if not isinstance(source, str | os.PathLike):
        return _read_open_file(source)
    if not str(source):
        raise InputError("the path of an image is empty")
    if str(source).startswith(("http://", "https://")):
        raise InputError(f"{source} is an address; download the picture first, and give its file")
    return str(source), _read_bytes(Path(source))


def _read_open_file(source: IO[bytes]) -> tuple[str, bytes]:
    name = str(getattr(source, "name", type(source).__name__))
    try:
        if source.seekable():
            source.seek(0)
        data: object = source.read()
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"the open file {name} cannot be read: {error}") from error
    if not isinstance(data, bytes):
        raise InputError(
            f"the open file {name} gives {type(data).__name__}, not bytes; open it with mode 'rb'"
        )
    return name, data


def _read_bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} cannot be read: it is a folder or a device, not a file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"the file {path} cannot be read: {error}") from error


def _has_16_bit_colour(image: Image.Image, data: bytes) -> bool:
    if image.mode not in ("RGB", "RGBA", "RGBX", "LA"):
        return False
    if image.format == "JPEG2000":  # Pillow does not say how deep it was
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        return decoded is not None and decoded.dtype == np.uint16
    # Pillow names the layout in the file in the decoder's arguments, e.g. "RGB;16B"; for PPM it
    # is the largest value.
    arguments = [str(tile[3]) for tile in getattr(image, "tile", [])]
    return any(";16" in text or "65535" in text for text in arguments)


def _read_16_bit(image: Image.Image, data: bytes, name: str) -> tuple[Array, Info]:
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3:
        raise InputError(
            f"{name} stores 16 bits a channel in a way that cannot be read without loss; save it "
            "as a plain 16-bit PNG or TIFF, or pass a uint16 array"
        )
    order = cv2.COLOR_BGRA2RGBA if decoded.shape[2] == 4 else cv2.COLOR_BGR2RGB
    pixels = cv2.cvtColor(decoded, order)
    exif = image.getexif()
    turns, mirrored = _UPRIGHT.get(exif.get(_ORIENTATION, 1), (0, False))
    pixels = np.rot90(pixels, turns)
    if mirrored:
        pixels = pixels[:, ::-1]
    info: Info = dict(image.info)
    if _ORIENTATION in exif:
        exif[_ORIENTATION] = 1
        info["exif"] = exif.tobytes()
    return np.ascontiguousarray(pixels), info


# What a TIFF file says of its picture beside how it is stored.
_DESCRIPTIVE = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_SUB_DIRECTORIES = (0x8769, 0x8825)  # Exif, GPS


def _described(exif: Image.Exif) -> Image.Exif:
    """The EXIF of a TIFF file without the tags that lay out its pixels."""
    result = Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in exif:
            result[tag] = exif[tag]
    for tag in _SUB_DIRECTORIES:
        if directory := exif.get_ifd(tag):
            result[tag] = dict(directory)
    return result


def load_pixels(image: Image.Image, what: str) -> None:
    """Decode an image that Pillow has opened and not read yet.

    Args:
        image: Any.
        what: What to call it in an error.

    Raises:
        InputError: Its file is damaged, or closed.
    """
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # decoders raise almost anything
        raise InputError(f"the {what} cannot be decoded: {error}") from error


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width after `upright`, by what stands before the pixels, which are not read.

    (An orientation may also stand behind them, or in XMP.)
    """
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        sideways = exif.get(_ORIENTATION, 1) in range(5, 9)
    except Exception:  # as in `upright`, which says so
        sideways = False
    return (image.width, image.height) if sideways else (image.height, image.width)


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; the result's own EXIF says that it stands upright."""
    try:
        turned = image.getexif().get(_ORIENTATION, 1) in range(2, 9)
    except Exception as error:  # broken EXIF raises almost anything
        warn(f"the image's EXIF is broken and was ignored: {error}")
        turned = False
    if not turned:
        return image
    result = ImageOps.exif_transpose(image)
    exif = result.getexif()
    exif[_ORIENTATION] = 1
    result.info["exif"] = exif.tobytes()
    return result


def _changed_part(mask: Array) -> tuple[slice, slice] | None:
    """The rows and columns outside which the mask (H, W) is 0; None if it is 0 everywhere."""
    box = bounding_box(mask)
    return None if box is None else (slice(*box[0]), slice(*box[1]))


def _keep_background(original: Array, changed: Array, mask: Array) -> Array:
    """Copy `original` and put `changed` where the mask is above zero, alpha excepted."""
    result = np.array(original, order="C")
    selected = mask > 0
    if original.ndim == 2:
        np.copyto(result, changed, where=selected, casting="unsafe")
    else:
        for channel in range(changed.shape[2]):
            colour = result[..., channel]
            np.copyto(colour, changed[..., channel], where=selected, casting="unsafe")
    return result


def _to_rgb(stored: Array) -> Array:
    """RGB of an array (H, W) or (H, W, C): C is grey, grey + alpha, RGB, or RGB + alpha."""
    if _is_grey(stored):
        grey = stored if stored.ndim == 2 else stored[..., 0]
        return np.repeat(grey[..., None], 3, axis=2)
    return np.ascontiguousarray(stored[..., :3])


def _from_rgb(pixels: Array, stored: Array) -> Array:
    """RGB to the colour channels of `stored`; grey is BT.601 luma, as in Pillow's own mode L."""
    if not _is_grey(stored):
        return pixels
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return grey if stored.ndim == 2 else grey[..., None]


def _is_grey(stored: Array) -> bool:
    return stored.ndim == 2 or stored.shape[2] < 3


# --- numpy --------------------------------------------------------------------------------------


def _from_array(array: Array) -> Picture:
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] not in (1, 3, 4)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "; channels come last in arrays: image.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = "; harmonize_batch takes several images"
        raise InputError(
            "an array image has the shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); got "
            f"{array.shape}{hint}"
        )
    _check_not_empty(array.shape[0], array.shape[1])
    array = np.asarray(array)  # subclasses, such as masked arrays, have arithmetic of their own

    def restore(pixels: Array, mask: Array) -> Array:
        result = np.array(array, order="C")
        part = _changed_part(mask)
        if part is not None:
            changed = _from_rgb(pixels[part], array)
            result[part] = _keep_background(array[part], changed, mask[part])
        return result

    return Picture(_to_rgb(_to_working_dtype(array)), restore)


def _to_working_dtype(array: Array) -> Array:
    """uint8 and uint16 as they are (in native byte order), floats as float32 in [0, 1]."""
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind == "f":
        return _checked_floats(array.astype(np.float32), "image")
    raise InputError(
        "an array image is uint8, uint16, or float in [0, 1]; got "
        f"{array.dtype}: convert it, e.g. with image.astype(np.uint8)"
    )


def _checked_floats(values: Array, what: str) -> Array:
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"the {what} holds NaN or infinite values; replace them first")
    if low < -_RANGE_TOLERANCE or high > 1 + _RANGE_TOLERANCE:
        hint = f" (divide the {what} by 255?)" if 1 < high <= 255 and low >= 0 else ""
        raise InputError(f"a float {what} has values in [0, 1]; got {low:.4g} to {high:.4g}{hint}")
    return values.clip(0, 1)


def _check_not_empty(height: int, width: int) -> None:
    if height == 0 or width == 0:
        raise InputError(f"the image has no pixels: it is {width} x {height}")


# --- torch --------------------------------------------------------------------------------------


def check_tensor(tensor: torch.Tensor) -> None:
    """Refuse tensors that hold no plain values: sparse ones, and those on the meta device."""
    if tensor.layout != torch.strided or tensor.is_meta:
        raise InputError(
            f"expected a dense tensor with values; got {tensor.layout} on {tensor.device}: "
            "use tensor.to_dense()"
        )


def _from_tensor(tensor: torch.Tensor) -> Picture:
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        hint = "; channels come first in tensors: image.permute(2, 0, 1)"
        raise InputError(
            "a tensor image has the shape (C, H, W) or (B, C, H, W) with 1, 3 or 4 channels; got "
            f"{tuple(tensor.shape)}{hint if tensor.shape[-1:] in ((1,), (3,), (4,)) else ''}"
        )
    check_tensor(tensor)
    if not (tensor.dtype == torch.uint8 or tensor.is_floating_point()):
        raise InputError(f"a tensor image is uint8, or float in [0, 1]; got {tensor.dtype}")
    _check_not_empty(tensor.shape[1], tensor.shape[2])
    original = tensor.detach()
    values = original.cpu()
    values = values if values.dtype == torch.uint8 else values.float()
    inner = _from_array(values.permute(1, 2, 0).numpy())

    def restore(pixels: Array, mask: Array) -> torch.Tensor:
        changed = torch.from_numpy(inner.restore(pixels, mask)).permute(2, 0, 1)
        selected = torch.from_numpy(mask > 0).to(original.device)
        changed = changed.to(device=original.device, dtype=original.dtype)
        return torch.where(selected, changed, original)

    return Picture(inner.pixels, restore)


# --- Pillow -------------------------------------------------------------------------------------

_AS_STORED = ("L", "LA", "RGB", "RGBA", "RGBX", "I;16", "I;16L", "I;16B", "I;16N")
_BY_PILLOW = ("YCbCr", "HSV", "LAB")
_PREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}
# Changed RGB pixels of a part (rows, columns) of an image to the channels of its own mode.
_ToMode: TypeAlias = Callable[[Array, tuple[slice, slice]], Array]


def _from_pil(image: Image.Image, *, in_place: bool = False) -> Picture:
    _check_not_empty(image.height, image.width)
    if image.mode == "P":
        return _from_palette(image)
    stored = np.asarray(image)
    pixels, to_mode = _mode_codec(image, stored)

    def restore(pixels: Array, mask: Array) -> Image.Image:
        result = image if in_place else image.copy()
        part = _changed_part(mask)
        if part is not None:
            before, weight = stored[part], mask[part]
            changed = to_mode(pixels[part], part)
            transparent = _has_key_colour(image, before)
            if transparent is not None:
                weight = np.where(transparent, 0, weight)
                changed = _without_key_colour(image, changed)
            changed = _keep_background(before, changed, weight)
            result.paste(_image_like(image, changed), (part[1].start, part[0].start))
        return result

    return Picture(np.ascontiguousarray(pixels), restore, dict(image.info))


def _has_key_colour(image: Image.Image, values: Array) -> NDArray[np.bool_] | None:
    """Where values, stored as the image's own, are the colour that PNG's tRNS calls transparent.

    None if the image has no such colour. (With a palette, it is an entry that is transparent.)
    """
    key: Any = image.info.get("transparency")
    if values.ndim == 2 and isinstance(key, int):
        return values == key
    if (
        values.ndim == 3
        and isinstance(key, tuple)
        and len(cast(tuple[Any, ...], key)) == values.shape[2]
    ):
        return (values == np.array(cast(tuple[Any, ...], key))).all(axis=2)
    return None


def _without_key_colour(image: Image.Image, changed: Array) -> Array:
    """Keep changed pixels opaque: what came out as the key colour moves by one step of it."""
    transparent = _has_key_colour(image, changed)
    if transparent is None or not transparent.any():
        return changed
    moved = changed.copy()
    plane = moved if moved.ndim == 2 else moved[..., 2]
    plane[transparent] ^= 1
    return moved


def _mode_codec(image: Image.Image, stored: Array) -> tuple[Array, _ToMode]:
    """RGB pixels of an image, and the way back from RGB to its mode's colour channels."""
    mode = image.mode
    if mode in _AS_STORED:
        return _to_rgb(_to_working_dtype(stored)), lambda pixels, _: _from_rgb(pixels, stored)
    if mode in _BY_PILLOW:
        return (
            np.asarray(image.convert("RGB")),
            lambda pixels, _: np.asarray(Image.fromarray(pixels).convert(mode)),
        )
    if mode in _PREMULTIPLIED:
        plain = image.convert(_PREMULTIPLIED[mode])
        straight = np.asarray(plain)

        def premultiply(pixels: Array, part: tuple[slice, slice]) -> Array:
            everywhere = np.ones(pixels.shape[:2], bool)
            changed = _keep_background(straight[part], _from_rgb(pixels, straight), everywhere)
            return np.asarray(_image_like(plain, changed).convert(mode))

        return _to_rgb(straight), premultiply
    if mode == "CMYK":
        return (
            _cmyk_to_rgb(stored),
            lambda pixels, part: _rgb_to_cmyk(pixels, stored[part][..., 3]),
        )
    if mode == "I":
        low, high = int(stored.min()), int(stored.max())
        if low < 0 or high > 65535:
            raise InputError(
                f"an image of mode I has values from 0 to 65535; got {low} to {high}: rescale it"
            )
        return _to_rgb(stored.astype(np.uint16)), lambda pixels, _: _from_rgb(pixels, stored)
    if mode == "F":
        return _to_rgb(_to_working_dtype(stored)), lambda pixels, _: _from_rgb(pixels, stored)
    raise InputError(
        f"an image of mode {mode} cannot be harmonized; convert it, e.g. image.convert('RGB')"
    )


def _image_like(image: Image.Image, array: Array) -> Image.Image:
    """Build an image of the same mode, palette and metadata from its raw array (H, W, ...)."""
    size = (array.shape[1], array.shape[0])
    raw = np.ascontiguousarray(array)
    result = Image.frombuffer(image.mode, size, raw, "raw", image.mode, 0, 1)
    result.info = dict(image.info)
    return result


def _cmyk_to_rgb(cmyk: Array) -> Array:
    ink = 255 - cmyk.astype(np.uint16)
    return ((ink[..., :3] * ink[..., 3:] + 127) // 255).astype(np.uint8)


def _rgb_to_cmyk(pixels: Array, black: Array) -> Array:
    """Invert `_cmyk_to_rgb`, keeping the original black wherever the new colour allows it."""
    brightest = pixels.max(axis=2)
    black = np.minimum(black, 255 - brightest)
    light = np.maximum(255 - black, 1).astype(np.float32)[..., None]
    colour = 255 - np.clip(np.rint(pixels * (255 / light)), 0, 255)
    return np.dstack([colour.astype(np.uint8), black])


# --- palettes -----------------------------------------------------------------------------------


def palette_of(image: Image.Image) -> NDArray[np.uint8]:
    """The colours of an image of mode P: (256, 3), RGB; entries that it lacks are black."""
    stored = cast(list[int], image.getpalette("RGB"))  # a loaded image of this mode has one
    colours = np.zeros((256, 3), np.uint8)
    count = min(len(stored) // 3, 256)
    colours[:count] = np.array(stored[: 3 * count], np.uint8).reshape(-1, 3)
    return colours


def _from_palette(image: Image.Image) -> Picture:
    pixels = palette_of(image)[np.asarray(image)]

    def restore(pixels: Array, mask: Array) -> Image.Image:
        return _to_palette(image, pixels, mask)

    return Picture(np.ascontiguousarray(pixels), restore, dict(image.info))


def _to_palette(image: Image.Image, pixels: Array, mask: Array) -> Image.Image:
    """Write the changed pixels into a palette image.

    Entries that the background uses stay where they are, so its indices need not change. The
    others are given to the new colours of the foreground (median cut).
    """
    indices = np.asarray(image).copy()
    changed = mask > 0
    transparent = _transparent_entries(image)
    changed &= ~np.isin(indices, transparent)
    colours = palette_of(image)
    kept = np.zeros(256, bool)
    kept[np.unique(indices[~changed])] = True
    kept[transparent] = True
    # Colours are sorted as one number each, which is much faster than as rows.
    red, green, blue = pixels[changed].T.astype(np.int32)
    codes, positions = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
    new = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    if len(new):
        free = np.flatnonzero(~kept)
        if len(free):
            strip = Image.fromarray(pixels[changed][None])
            quantised = strip.quantize(
                len(free), Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
            )
            found = np.array(quantised.getpalette("RGB"), np.uint8).reshape(-1, 3)[: len(free)]
            colours[free[: len(found)]] = found
            kept[free[: len(found)]] = True
        kept[transparent] = False  # a foreground pixel must not turn transparent
        choices = np.flatnonzero(kept)
        if len(choices):
            indices[changed] = choices[_nearest(new, colours[choices])][positions.reshape(-1)]
    result = _image_like(image, indices)
    result.putpalette(colours.tobytes(), "RGB")
    return result


def _transparent_entries(image: Image.Image) -> Array:
    transparency = image.info.get("transparency")
    if isinstance(transparency, int):
        return np.array([transparency])
    if isinstance(transparency, bytes):
        return np.flatnonzero(np.frombuffer(transparency, np.uint8) == 0)
    return np.array([], int)


def _nearest(colours: Array, choices: Array) -> Array:
    """Index of the nearest choice (squared distance in RGB) for each colour; in small blocks."""
    reference = choices.astype(np.int32)
    blocks = [
        ((block[:, None].astype(np.int32) - reference) ** 2).sum(axis=2).argmin(axis=1)
        for block in np.array_split(colours, max(1, len(colours) // 8192))
    ]
    return np.concatenate(blocks)
