"""Read image files without losing bits."""

import io
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeGuard, cast

import cv2
import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from harmonizer.errors import InputError, note_warning, raise_if_interrupted, warn
from harmonizer.files import as_path
from harmonizer.imaging.boxes import jpeg_2000_bits, jpeg_2000_info, warn_of_depth_and_light
from harmonizer.imaging.exif import (
    check_exif,
    check_headers,
    orientation_of,
    turned,
    upright,
    upright_info,
    upright_size,
)
from harmonizer.imaging.frames import seek_frame
from harmonizer.imaging.metadata import PHOTOSHOP_IPTC
from harmonizer.imaging.picture import Info
from harmonizer.imaging.pieces import check_pieces
from harmonizer.imaging.png import (
    SIGNATURE,
    adopt_raw_profiles,
    bare_png,
    check_chunks,
    other_colours,
    raw_profiles,
)
from harmonizer.imaging.runs import check_runs
from harmonizer.imaging.scans import JPEG, check_scans, joined_exif
from harmonizer.imaging.tiff import is_tiff, open_page, read_deep, warn_of_extra_channels
from harmonizer.imaging.tiles import check_tiles
from harmonizer.imaging.unknown import why_unknown
from harmonizer.preprocessing import Array
from harmonizer.threads import LockOfEach

# The formats that are read: pictures that Pillow or a plug-in decodes by itself. Others hold no
# photograph (icons, a game's textures), or a program (PostScript), or open whatever is inside.
_PHOTOGRAPHS = (
    *("PNG", "JPEG", "MPO", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000", "JXL", "PSD", "GIF"),
    *("BMP", "DIB", "PPM", "TGA", "PCX", "SGI", "DDS", "QOI", "SUN", "SPIDER", "MSP"),
    *("XBM", "XPM", "PIXAR"),
)
# How files end that look like pictures, too, and are taken from folders where a plug-in of Pillow's
# reads them; the last line is of cameras.
_OTHERS = frozenset((
    *(".heic", ".heif", ".hif", ".avif", ".jxl", ".exr", ".hdr", ".psb", ".ico", ".icns"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"),
))  # fmt: skip
_COLOURS = 256  # of a palette
_ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF")
# Where an image file may come from: its path, its bytes, or an open binary file.
FileLike: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]
# What every file is asked before Pillow looks at it; EXIF is that of TIFF, which is the same.
_CHECKS = (check_exif, check_scans, check_tiles, check_pieces)
_alone = LockOfEach()  # Pillow's images and open files have none of their own


def list_pictures(folder: Path) -> list[Path]:
    """Return the picture files of a folder, sorted; folders in it and hidden files are left out.

    Raises:
        InputError: There is no such folder.
        OSError: It cannot be read.
    """
    endings = _read_endings()
    return [path for path in _list_files(folder) if path.suffix.lower() in endings]


def list_unread(folder: Path) -> list[Path]:
    """Return the files that are pictures by their names, but of a kind that is not read here."""
    endings = _OTHERS - _read_endings()
    return [path for path in _list_files(folder) if path.suffix.lower() in endings]


def _read_endings() -> set[str]:
    """Return how files end that are read, also by plug-ins that the program has registered."""
    formats = Image.registered_extensions()
    return {ending for ending, name in formats.items() if name in _PHOTOGRAPHS}


def _list_files(folder: Path) -> list[Path]:
    if not is_folder(folder):
        raise InputError(f"there is no folder {folder}")
    with os.scandir(folder) as entries:
        names = sorted(one.name for one in entries if not (one.name[0] == "." or is_folder(one)))
    return [folder / name for name in names]


def is_folder(entry: os.DirEntry[str] | Path) -> bool:
    """Return whether there is a folder; there is none whose name leads nowhere."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or too long
        return False


@contextmanager
def limited_pixels(count: int) -> Generator[None]:
    """Set how many pixels a picture may have before Pillow warns of it, in this process, meanwhile.

    It refuses pictures of more than twice as many.
    """
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, count
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def most_pixels() -> int | None:
    """Return how many pixels a picture may have before Pillow warns of it; None is any number."""
    return Image.MAX_IMAGE_PIXELS


def is_file_like(source: object) -> TypeGuard[FileLike]:
    """Return whether something is what `open_file` takes, and no image or mask yet."""
    return isinstance(source, str | os.PathLike | bytes | bytearray | memoryview) or callable(
        getattr(source, "read", None)
    )


def open_file(
    source: FileLike,
    *,
    page: int | None = None,
    check: Callable[[tuple[int, int]], None] | None = None,
) -> tuple[Image.Image | Array, Info]:
    """Read an image file without losing bits, and turn it upright.

    (Deep AVIF and CMYK of 16 bits a channel are the exceptions, which are told: Pillow gives 8.)

    Args:
        source: A path, the bytes of a file, or an open binary file (`io.BytesIO`, an upload of a
            web server), which is read from its start, as Pillow does, and left open.
        page: Which of several pictures, from 1. None takes the first or main one, with a warning
            if there are others that are not reduced copies of it, and refuses animations.
        check: Is called with the height and width that the file has by its header, upright, before
            its pixels are read; what it raises is raised here.

    Returns:
        The image and its metadata (`icc_profile`, `exif`, ...). RGB of 16 bits or floats a channel
        is an array (H, W, 3 or 4) in RGB(A) order, uint16 or float32, because Pillow has no mode
        for it; everything else is a loaded `PIL.Image.Image`.

    Raises:
        InputError: There is no such file, or it cannot be read as an image, has no such page, or
            would lose bits; the message says what to do.
        MemoryError: There is not enough memory for its pixels.
    """
    name, data = _read(source)
    with _errors_in_words(name, data, page):
        if is_tiff(data):
            return _open_tiff(name, data, page, check)
        with _open_sound(name, data) as image:
            _choose_page(image, name, page)
            _check_size(image.size, name)
            if check is not None:
                check(upright_size(image))
            if _has_16_bit_colour(image, data):
                return _read_16_bit(image, data, name)
            standing = _load_upright(image, name)
            if image.format == "SGI" and data[3:4] == b"\2":
                warn(f"{name} has 16 bits a channel, of which 8 are kept; TIFF and PNG keep 16")
            return standing, _info_of(image, standing)


def size_in_header(source: FileLike, *, page: int | None = None) -> tuple[int, int]:
    """Return the height and width that a file has by its header, upright; no pixels are read.

    Source, page and errors are those of `open_file`, which a picture may still be refused by.
    """
    name, data = _read(source)
    with _errors_in_words(name, data, page):
        if is_tiff(data):
            return open_page(data, page or 1)[0].upright_size
        with open_header(data) as image:
            adopt_raw_profiles(image.info)
            if page is not None and page > 1 and image.format not in _ANIMATIONS:
                image.seek(page - 1)  # the frames of an animation are all as large, and decoded
            return upright_size(image)


@contextmanager
def _errors_in_words(name: str, data: bytes, page: int | None) -> Generator[None]:
    """Say of whatever is raised while a file is read what it means for the file."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{name} cannot be read as an image: {why_unknown(data)}") from error
    except EOFError as error:
        lacks = "ends before its picture does; expected a whole file"
        lacks = f"has no page {page}; it has fewer" if page and page > 1 else lacks
        raise InputError(f"{name} {lacks}") from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name}: {error}; if you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS, or give "
            "harmonizer run --max-megapixels"
        ) from error
    # A damaged file makes Pillow's decoders raise almost any exception.
    except Exception as error:
        raise_if_interrupted(error)
        raise InputError(
            f"{name} cannot be read as an image ({error}); expected a whole PNG, JPEG, TIFF, "
            "WebP or another format that Pillow reads"
        ) from error


def open_header(data: bytes) -> ImageFile.ImageFile:
    """Open a file of the formats that are read here, by Pillow, which decodes no pixels yet.

    Raises:
        ValueError: Its metadata, scans, tiles or runs would take far more than the file has.
    """
    is_jpeg = data.startswith(JPEG)
    if is_jpeg or data[4:8] == b"ftyp":  # EXIF is read with the header
        check_headers(data)
    for exif in joined_exif(data) if is_jpeg else ():
        check_exif(exif)
    for check in _CHECKS:
        check(data)
    Image.preinit()  # JPEG, PNG and some more; what reads the others takes as long to import
    try:
        image = Image.open(io.BytesIO(data), formats=_known())
    except UnidentifiedImageError:
        Image.init()
        image = Image.open(io.BytesIO(data), formats=_known())
    check_runs(image, data)
    return image


def _known() -> list[str]:
    return [name for name in _PHOTOGRAPHS if name in Image.ID]


def _open_sound(name: str, data: bytes) -> ImageFile.ImageFile:
    """Open a file, without its metadata if that is what cannot be read."""
    try:
        image = open_header(data)
        if image.format == "JPEG2000":
            image.info |= jpeg_2000_info(data)
        if image.format in ("AVIF", "HEIF"):
            warn_of_depth_and_light(data, name, image.info.get("bit_depth"))
        if image.format == "PNG":
            adopt_raw_profiles(image.info)
            if others := other_colours(data, name, profile="icc_profile" in image.info):
                image.info["colours"] = others
        return image
    except ValueError as error:  # Pillow refuses text and profiles that unpack to megabytes
        if not data.startswith(SIGNATURE):
            raise
        warn(f"{name}: its metadata cannot be read and is left out ({error})")
        return open_header(bare_png(data))


def load_upright(image: Image.Image, what: str) -> Image.Image:
    """Decode an image that Pillow has perhaps not read yet, and turn it upright.

    `what` is its name in an error. Several threads may be given the same image.

    Raises:
        InputError: It cannot be decoded, or is not what its header promises.
        MemoryError: There is not enough memory for its pixels.
    """
    try:
        with _alone.of(image):
            if raw_profiles(image.info):
                image = image.copy()  # whose metadata may be set right
            return _load_upright(image, what)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything
        raise_if_interrupted(error)
        raise InputError(f"{what} cannot be decoded: {error}") from error


def _load_upright(image: Image.Image, what: str) -> Image.Image:
    promised = image.size, image.mode
    image.load()
    adopt_raw_profiles(image.info)  # of those behind the pixels
    if getattr(image, "format", None) == "TIFF" and image.size == promised[0][::-1]:
        promised = image.size, image.mode  # Pillow has turned it, by its XMP
    if image.tell() == 0 and promised != (image.size, image.mode):
        raise InputError(
            f"{what} is damaged: its header promises {promised[1]} of {promised[0]} pixels, and it "
            f"holds {image.mode} of {image.size}"
        )
    if image.mode == "P" and image.palette is None:  # what Pillow itself then trips over
        raise InputError(f"{what} is damaged: its pixels name colours, but it has no palette")
    return upright(with_sound_key(image))


def with_sound_key(image: Image.Image) -> Image.Image:
    """Leave out transparency that no colour of an image can have, which Pillow trips over."""
    key: Any = image.info.get("transparency")
    if key is None or _is_key(image.mode, key):
        return image
    image = image.copy()
    if isinstance(key, bytes) and image.mode == "P":
        image.info["transparency"] = key[:_COLOURS]
    else:
        del image.info["transparency"]
    return image


def _is_key(mode: str, key: Any) -> bool:  # noqa: ANN401
    if isinstance(key, bytes):
        return mode == "P" and len(key) <= _COLOURS
    if isinstance(key, tuple):
        numbers = cast(tuple[Any, ...], key)
        return all(isinstance(one, int) for one in numbers) and len(numbers) == len(mode)
    return isinstance(key, int) and 0 <= key < (_COLOURS if mode == "P" else 1 << 16)


def _choose_page(image: ImageFile.ImageFile, name: str, page: int | None) -> None:
    # Phones store a second, auxiliary picture behind the first (MPO); Photoshop its layers.
    alone = image.format in ("MPO", "PSD") or not getattr(image, "is_animated", False)
    if page is not None:
        if page > 1 and image.format == "PSD":
            raise EOFError
        if alone and page > 1:
            image.seek(page - 1)
        elif page > 1:
            seek_frame(image, page)
    elif not alone and image.format in _ANIMATIONS:
        raise InputError(
            f"{name} holds several frames; open it with PIL, seek to the one you want and pass "
            "that image; or name it with --page N"
        )
    elif not alone:
        _warn_of_pages(name)


def _warn_of_pages(name: str) -> None:
    warn(f"{name} holds several pictures; the first is taken, --page N names another")


def _check_size(size: tuple[int, int], name: str) -> None:
    """Warn of a picture of many pixels, where Pillow does not say which; refuse far too many."""
    limit, (width, height) = Image.MAX_IMAGE_PIXELS, size
    if limit and width * height > 2 * limit:
        raise Image.DecompressionBombError(
            f"{width} x {height} pixels are more than {2 * limit:,}, which may be an attack"
        )
    if limit and width * height > limit:
        note_warning(f"{width} x {height} pixels are more than {limit:,}")


def _info_of(image: ImageFile.ImageFile, standing: Image.Image) -> Info:
    info = dict(standing.info)
    if image.format == "PNG":  # Pillow mixes it with all else
        text = cast(dict[str, str], getattr(image, "text", {}))
        info["text"] = {
            key: value
            for key, value in text.items()
            if key in image.info and not key.startswith("XML:")
        }
    if isinstance(blocks := info.get("photoshop"), dict):  # of JPEG
        info["iptc"] = cast(dict[int, object], blocks).get(PHOTOSHOP_IPTC)
    return info


def _open_tiff(
    name: str, data: bytes, number: int | None, check: Callable[[tuple[int, int]], None] | None
) -> tuple[Image.Image | Array, Info]:
    page, others = open_page(data, number or 1)
    if others and number is None:
        _warn_of_pages(name)
    height, width = page.size
    _check_size((width, height), name)
    if check is not None:
        check(page.upright_size)
    info: Info = page.info()  # its EXIF says nothing of how the picture lies, its XMP may
    info |= upright_info(info)
    pixels = read_deep(page)
    if pixels is not None:
        pixels = turned(pixels, page.orientation)
        if pixels.ndim == 2 or pixels.dtype == np.uint8:
            return Image.fromarray(pixels), info
        return pixels, info
    photometric, sample, count, _ = page.layout
    try:
        image = open_header(data)
        if number is not None and number > 1:
            image.seek(number - 1)
    except (UnidentifiedImageError, SyntaxError) as error:
        raise InputError(
            f"{name} is a TIFF file whose pixels cannot be read (photometric interpretation "
            f"{photometric}, {count} x {sample}); save it as RGB of 8 or 16 bits a channel"
        ) from error
    with image:
        if sample == "u2" and count > 1:
            warn(f"{name} has 16 bits a channel, of which 8 are kept; RGB would keep all")
        warn_of_extra_channels(page)
        standing = _load_upright(image, name)
    standing.info = info
    return standing, info


def _read(source: FileLike) -> tuple[str, bytes]:
    """Return what to call a file in an error, and its content."""
    if isinstance(source, bytes | bytearray | memoryview):
        return f"{len(source)} bytes", bytes(source)
    if not isinstance(source, str | os.PathLike):
        return _read_open_file(source)
    path = as_path(source, "an image")
    if str(source).startswith(("http://", "https://")):
        raise InputError(f"{source} is an address; download the picture first, and give its file")
    return str(source), _read_bytes(path)


def _read_open_file(source: IO[bytes]) -> tuple[str, bytes]:
    name = str(getattr(source, "name", type(source).__name__))
    try:
        with _alone.of(source):
            if getattr(source, "seekable", lambda: hasattr(source, "seek"))():
                source.seek(0)
            data: object = source.read()
    except MemoryError:
        raise
    except Exception as error:  # archives and connections raise their own
        raise_if_interrupted(error)
        raise InputError(f"the open file {name} cannot be read: {error}") from error
    if data is None:
        raise InputError(f"the open file {name} has nothing to read yet, and is set not to wait")
    if not isinstance(data, bytes):
        raise InputError(
            f"the open file {name} gives {type(data).__name__}, not bytes; open it with mode 'rb'"
        )
    return name, data


def _read_bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise InputError(
                f"{path} cannot be read: it is a folder or a device, not a file; hand over what it "
                "holds, as bytes or an open file (on the command line - reads standard input)"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise_if_interrupted(error)
        raise InputError(f"the file {path} cannot be read: {error}") from error


def _has_16_bit_colour(image: Image.Image, data: bytes) -> bool:
    if image.mode not in ("RGB", "RGBA", "RGBX", "LA"):
        return False
    # Pillow names the layout in the file in the decoder's arguments, e.g. "RGB;16B".
    arguments = [str(tile[3]) for tile in getattr(image, "tile", [])]
    return _white(image, data) > 255 or any(";16B" in text for text in arguments)


def _white(image: Image.Image, data: bytes) -> int:
    """Return the largest value that a file of PPM or JPEG 2000 may hold, else 0."""
    if image.format == "JPEG2000":
        return (1 << jpeg_2000_bits(data)) - 1
    tiles: list[Any] = getattr(image, "tile", [])
    last = tiles[0][3][-1] if image.format == "PPM" and tiles else 0
    return last if isinstance(last, int) else 0


def _read_16_bit(image: Image.Image, data: bytes, name: str) -> tuple[Array, Info]:
    if image.format == "PNG":
        check_chunks(data)
        image.load()  # what stands behind the pixels, too
        adopt_raw_profiles(image.info)
    if image.tell():
        raise InputError(f"of {name} 16 bits a channel can be read of the first picture alone")
    ended = data + b"\n"  # without it, OpenCV does not read the last number of a plain PPM
    decoded = cv2.imdecode(np.frombuffer(ended, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3:
        raise InputError(
            f"{name} stores 16 bits a channel in a way that cannot be read without loss; save it "
            "as a plain 16-bit PNG or TIFF, or pass a uint16 array"
        )
    order = cv2.COLOR_BGRA2RGBA if decoded.shape[2] == 4 else cv2.COLOR_BGR2RGB
    pixels = cv2.cvtColor(decoded, order)
    if (white := _white(image, data)) > 0:
        pixels = np.rint(pixels * (65535 / white)).clip(0, 65535).astype(np.uint16)
    orientation = orientation_of(image.getexif(), image.info)
    info = _info_of(cast(ImageFile.ImageFile, image), image)
    return turned(pixels, orientation), info | upright_info(info)
