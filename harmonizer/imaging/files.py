"""Read image files without losing bits."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeAlias, TypeGuard

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from harmonizer.errors import InputError, note_warning
from harmonizer.imaging.exif import ORIENTATION, UPRIGHT, descriptive_tags, upright, upright_size
from harmonizer.imaging.picture import Info
from harmonizer.preprocessing import Array

# What Pillow knows by its ending, but what holds no photograph, or what it only writes: documents,
# drawings, films, icons, data.
_NO_PHOTOGRAPHS = {
    *("EPS", "PALM", "PDF", "WMF", "FLI", "MPEG", "CUR", "ICNS", "ICO"),
    *("BUFR", "FITS", "GRIB", "HDF5", "IPTC"),
}
# Where an image file may come from: its path, its bytes, or an open binary file.
FileLike: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes]


def list_pictures(folder: Path) -> list[Path]:
    """Return the picture files of a folder, sorted; folders in it and hidden files are left out."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    formats = Image.registered_extensions()
    endings = {ending for ending, name in formats.items() if name not in _NO_PHOTOGRAPHS}
    with os.scandir(folder) as entries:
        names = sorted(one.name for one in entries if not (one.name[0] == "." or one.is_dir()))
    return [folder / name for name in names if Path(name).suffix.lower() in endings]


def limit_pixels(count: int) -> None:
    """Set how many pixels a picture may have before Pillow, in this process, warns of it.

    It refuses pictures of more than twice as many.
    """
    Image.MAX_IMAGE_PIXELS = count


def is_file(source: object) -> TypeGuard[FileLike]:
    """Return whether something is what `open_file` takes, and no image or mask yet."""
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
            limit = Image.MAX_IMAGE_PIXELS
            if limit and image.width * image.height > limit:
                # Pillow has warned already, but not of which of several pictures.
                note_warning(f"{image.width} x {image.height} pixels are more than {limit:,}")
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
                turned.info["exif"] = descriptive_tags(turned.getexif()).tobytes()
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


def load_pixels(image: Image.Image, what: str) -> None:
    """Decode an image that Pillow has opened and not read yet; `what` is its name in an error."""
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # decoders raise almost anything
        raise InputError(f"the {what} cannot be decoded: {error}") from error


def _readable_formats() -> list[str]:
    """All that Pillow and its plugins read, but PostScript: a program, which Ghostscript runs."""
    Image.init()  # registers what is not registered yet
    return [name for name in Image.ID if name != "EPS"]


def _read(source: FileLike) -> tuple[str, bytes]:
    """Return what to call a file in an error, and its content."""
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
    turns, mirrored = UPRIGHT.get(exif.get(ORIENTATION, 1), (0, False))
    pixels = np.rot90(pixels, turns)
    if mirrored:
        pixels = pixels[:, ::-1]
    info: Info = dict(image.info)
    if ORIENTATION in exif:
        exif[ORIENTATION] = 1
        info["exif"] = exif.tobytes()
    return np.ascontiguousarray(pixels), info
