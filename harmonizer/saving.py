"""Pictures to files: whole or not at all, with their metadata and all their bits."""

import io
import os
import struct
import uuid
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

from harmonizer.errors import InputError
from harmonizer.image import Array, Info

_FORMATS = ("PNG", "TIFF", "WEBP", "JPEG", "BMP", "JPEG2000", "PPM", "GIF")
_QUALITY = 95  # above this, JPEG files grow much and gain little


def save_image(image: Image.Image | Array, path: Path, info: Info) -> None:
    """Write a picture to a file.

    The file appears under its name only when it is complete; an existing one is replaced.

    Args:
        image: A `PIL.Image.Image`, or an array (H, W, 3 or 4), RGB, uint16.
        path: Where to; the ending says which format.
        info: The metadata to keep, as Pillow names it: `icc_profile`, `exif`, `dpi`.

    Raises:
        InputError: The format is unknown, or cannot hold this kind of picture.
        OSError: The file cannot be written.
    """
    encoded = (
        _encode_16_bit(image, path, info)
        if isinstance(image, np.ndarray)
        else _encode(image, path, info)
    )
    write_atomically(path, encoded)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees a part of it.

    Raises:
        OSError: The file cannot be written; nothing is left behind.
    """
    path = path.resolve()  # what a link points to is replaced, not the link
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        # Name the file that was asked for, not the temporary one.
        raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _encode(image: Image.Image, path: Path, info: Info) -> bytes:
    format_name = output_format(path)
    if format_name == "JPEG":
        image = _without_opaque_alpha(image)
    options = {key: info[key] for key in ("icc_profile", "exif", "dpi") if info.get(key)}
    if format_name == "JPEG":
        options |= {"quality": _QUALITY, "subsampling": 0}
    if format_name == "WEBP":
        options |= {"lossless": True, "exact": True}
    if format_name == "JPEG2000":
        options["irreversible"] = False
    if format_name == "GIF" and image.mode not in ("P", "L"):
        raise InputError(
            f"GIF has too few colours for this picture (mode {image.mode}); write .png or .webp"
        )
    if format_name == "TIFF" and "exif" not in options:  # libtiff cannot write EXIF's directories
        options["compression"] = "tiff_adobe_deflate"
    buffer = io.BytesIO()
    try:
        image.save(buffer, format_name, **options)
    except MemoryError:
        raise
    # Pillow's writers raise whatever comes up when a picture is too large or of the wrong mode.
    except Exception as error:
        raise InputError(
            f"{format_name} cannot hold this picture (mode {image.mode}): {error}; choose another "
            "ending, such as .png or .tif"
        ) from error
    return buffer.getvalue()


def output_format(path: Path) -> str:
    """Return which format the ending of a file's name stands for, as Pillow calls it.

    Raises:
        InputError: It is none that keeps a picture's size and colours.
    """
    format_name = Image.registered_extensions().get(path.suffix.lower())
    if format_name not in _FORMATS:
        raise InputError(
            f"cannot write the format of {path.name!r}; end it in .png, .tif, .webp, .jpg, .bmp, "
            ".jp2, .ppm or .gif"
        )
    return format_name


def _without_opaque_alpha(image: Image.Image) -> Image.Image:
    """Make an image fit for JPEG, as far as that loses nothing."""
    if image.mode in ("RGBA", "LA") and image.getchannel("A").getextrema() == (255, 255):
        return image.convert(image.mode[:-1])
    if image.mode == "P" and "transparency" not in image.info:
        return image.convert("RGB")
    return image


def _encode_16_bit(pixels: Array, path: Path, info: Info) -> bytes:
    suffix = path.suffix.lower()
    if suffix == ".png":
        return _encode_16_bit_png(pixels, info)
    if suffix in (".tif", ".tiff"):
        return _encode_16_bit_tiff(pixels, info)
    raise InputError(
        f"the picture has 16 bits a channel, which {suffix or 'a file without ending'} cannot "
        "hold; write .png or .tif"
    )


def _encode_16_bit_png(pixels: Array, info: Info) -> bytes:
    order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    _, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, order))
    png = encoded.tobytes()
    # OpenCV writes no metadata; the chunks for it belong between header and image data.
    header_end = 8 + 25
    chunks = b""
    if profile := info.get("icc_profile"):
        chunks += _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))
    if exif := info.get("exif"):
        chunks += _png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    return png[:header_end] + chunks + png[header_end:]


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def _encode_16_bit_tiff(pixels: Array, info: Info) -> bytes:
    """TIFF 6.0, one strip, deflate; neither Pillow nor OpenCV writes it with an ICC profile."""
    height, width, channels = pixels.shape
    strip = zlib.compress(np.ascontiguousarray(pixels, "<u2").tobytes())
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    directory[TiffImagePlugin.IMAGEWIDTH] = width
    directory[TiffImagePlugin.IMAGELENGTH] = height
    directory[TiffImagePlugin.BITSPERSAMPLE] = (16,) * channels
    directory[TiffImagePlugin.COMPRESSION] = 8  # Adobe deflate
    directory[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = 2  # RGB
    directory[TiffImagePlugin.STRIPOFFSETS] = 0  # Pillow adds where the directory ends
    directory[TiffImagePlugin.SAMPLESPERPIXEL] = channels
    directory[TiffImagePlugin.ROWSPERSTRIP] = height
    directory[TiffImagePlugin.STRIPBYTECOUNTS] = len(strip)
    directory[TiffImagePlugin.PLANAR_CONFIGURATION] = 1
    if channels == 4:
        directory[TiffImagePlugin.EXTRASAMPLES] = 2  # unassociated alpha
    if profile := info.get("icc_profile"):
        directory.tagtype[TiffImagePlugin.ICCPROFILE] = 7  # bytes of no defined type
        directory[TiffImagePlugin.ICCPROFILE] = profile
    buffer = io.BytesIO()
    directory.save(buffer)
    buffer.write(strip)
    return buffer.getvalue()
