"""Write pictures to files: whole or not at all, with their metadata and all their bits."""

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from harmonizer.errors import InputError, as_whole, raise_if_interrupted, shortened
from harmonizer.files import write_atomically
from harmonizer.imaging.boxes import with_jpeg_2000_info
from harmonizer.imaging.exif import PREFIX
from harmonizer.imaging.metadata import PHOTOSHOP_IPTC, metadata_for
from harmonizer.imaging.palette import alphas_of, with_one_transparent
from harmonizer.imaging.picture import Info
from harmonizer.imaging.png import with_png_info
from harmonizer.imaging.tiff import LAYOUTS, write_tiff
from harmonizer.preprocessing import Array

# The modes of each format. Pillow would write others, too, with other colours or without alpha.
_FORMATS = {
    "PNG": ("L", "LA", "P", "RGB", "RGBA", "I", "I;16", "I;16B", "I;16L", "I;16N"),
    "TIFF": tuple(LAYOUTS),
    "WEBP": ("L", "LA", "P", "RGB", "RGBA"),
    "JPEG": ("L", "RGB", "CMYK"),
    "BMP": ("L", "P", "RGB"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA", "I;16"),
    "PPM": ("L", "RGB", "I", "I;16", "I;16B", "I;16L", "I;16N"),
    "GIF": ("L", "P"),
}
_QUALITY = 95  # above this, JPEG files grow much and gain little
# What OpenCV writes as PNG. With each pixel's difference from the one above, and only runs of equal
# bytes looked for, 37 pictures of 0.1 to 22 megapixels became 13 % larger than by Pillow, at most
# 32 %, in an eighth of its time. OpenCV of before 4.12 tries five such filters for each line: 4 %
# larger, in a fifth of the time. The order matters: the level sets the strategy, too.
_PNG_MODES = ("L", "RGB", "RGBA")
_LONGEST_PNG = 1_000_000  # pixels, of libpng as it is in OpenCV
_PNG_OPTIONS = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 3),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(
        (cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)
        if hasattr(cv2, "IMWRITE_PNG_FILTER")
        else ()
    ),
)
_FROM_RGB = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}  # by the number of channels


def save_image(image: Image.Image | Array, path: Path, info: Info | None = None) -> None:
    """Write a picture to a file, in the format of its ending; the file is whole or not there.

    Image and info are those of `encode_image`.

    Raises:
        InputError: The ending stands for no format that is written, or for one that cannot hold
            this kind of picture.
        OSError: The file cannot be written; it is as it was.
    """
    write_atomically(path, encode_image(image, output_format(path), info or {}))


def encode_image(
    image: Image.Image | Array, format_name: str, info: Info, *, quality: int | None = None
) -> bytes:
    """Turn a picture into the bytes of a file.

    Args:
        image: A `PIL.Image.Image`, or an array, RGB: (H, W, 3), uint8, or (H, W, 3 or 4), uint16
            or float32.
        format_name: What `output_format` returned, or an ending that it takes, with its dot or
            without: "PNG", "jpg", ".tif".
        info: The metadata to keep, as `open_file` returned it. What the format cannot hold is left
            out, with a warning.
        quality: From 1 to 100, for JPEG (None is 95) and WebP (None is lossless). The other
            formats are lossless and do without.

    Raises:
        InputError: The format cannot hold this kind of picture, or is none; or `quality` is out of
            range.
    """
    format_name = _as_format(format_name)
    quality = None if quality is None else as_whole(quality, "quality", 1, 100)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8:
            return _encode_deep(image, format_name, info)
        image = Image.fromarray(image)
    return _encode(image, format_name, info, quality)


def _encode(image: Image.Image, format_name: str, info: Info, quality: int | None) -> bytes:
    image = _with_alpha_channel(image, format_name)
    if image.mode not in _FORMATS[format_name]:
        image = _without_opaque_alpha(image)
    if format_name == "PNG" and image.mode in _PNG_MODES and "transparency" not in image.info:
        return _encode_png(np.asarray(image), info)
    # Pillow's writers would take more from it than what is meant to be kept.
    image = image.copy()
    image.info = {key: image.info[key] for key in ("transparency",) if key in image.info}
    if format_name == "GIF" and image.mode not in ("P", "L"):
        raise InputError(
            f"GIF has too few colours for this picture (mode {image.mode}); write .png or .webp"
        )
    others = ".png or .tif" if image.mode in _FORMATS["PNG"] else ".tif, or convert it to RGB"
    if image.mode not in _FORMATS[format_name]:
        raise InputError(
            f"{format_name} cannot hold this picture (mode {image.mode}); choose another ending, "
            f"such as {others}"
        )
    kept = metadata_for(format_name, info)
    options: dict[str, Any] = {}
    if format_name == "JPEG":
        options = {"quality": quality or _QUALITY, "subsampling": 0}
        if "iptc" in kept:
            options["extra"] = _app13(kept.pop("iptc"))
    if format_name == "WEBP":
        options = {"quality": quality} if quality else {"lossless": True, "exact": True}
    if format_name == "JPEG2000":
        options = {"irreversible": False}
    if format_name not in ("PNG", "JPEG2000"):
        options |= kept
    if "exif" in options:
        options["exif"] = PREFIX + options["exif"]
    buffer = io.BytesIO()
    try:
        if format_name == "TIFF":
            return write_tiff(image, kept)
        image.save(buffer, format_name, **options)
    except MemoryError:
        raise
    # Writers raise whatever comes up when a picture is too large or of the wrong mode.
    except Exception as error:
        raise_if_interrupted(error)
        raise InputError(
            f"{format_name} cannot hold this picture (mode {image.mode}): {error}; choose another "
            f"ending, such as {others}"
        ) from error
    encoded = buffer.getvalue()
    if format_name == "JPEG2000":
        return with_jpeg_2000_info(encoded, kept)
    return with_png_info(encoded, kept) if format_name == "PNG" else encoded


def output_format(path: Path) -> str:
    """Return which format the ending of a file's name stands for, as Pillow calls it.

    Raises:
        InputError: It stands for none that is written.
    """
    format_name = _format_of(path.suffix)
    if format_name is None:
        raise InputError(
            f"cannot write the format of {path.name!r}; end it in .png, .tif, .webp, .jpg, .bmp, "
            ".jp2, .ppm or .gif"
        )
    return format_name


def _format_of(ending: str) -> str | None:
    """Return which format an ending with its dot stands for; None is none that is written."""
    ending = ending.lower()
    Image.preinit()  # what knows the other endings takes as long to import
    format_name = Image.EXTENSION.get(ending) or Image.registered_extensions().get(ending)
    return format_name if format_name in _FORMATS else None


def _as_format(named: object) -> str:
    """Return the format that a caller named, by its name or by an ending."""
    found = None
    if isinstance(named, str):
        found = named if named in _FORMATS else _format_of(f".{named.removeprefix('.')}")
    if found is None:
        raise InputError(
            f"the format to write is one of {', '.join(_FORMATS)}, or an ending such as .png; got "
            f"{shortened(repr(named))}"
        )
    return found


def _with_alpha_channel(image: Image.Image, format_name: str) -> Image.Image:
    """Give transparent colours an alpha channel where a format has nothing else to store them."""
    if format_name == "PNG":
        return image
    if image.mode == "P":
        if (alphas_of(image) == 255).all():
            return image
        return with_one_transparent(image) if format_name == "GIF" else image.convert("RGBA")
    if "transparency" not in image.info or format_name == "GIF":
        return image
    alpha = {"L": "LA", "RGB": "RGBA"}.get(image.mode)
    return image.convert(alpha) if alpha else image


def _without_opaque_alpha(image: Image.Image) -> Image.Image:
    """Make an image fit for formats of few modes, as far as that loses nothing."""
    if image.mode in ("RGBA", "LA") and image.getchannel("A").getextrema() == (255, 255):
        return image.convert(image.mode[:-1])
    if image.mode == "P":
        return image.convert("RGB")
    return image


def _encode_deep(pixels: Array, format_name: str, info: Info) -> bytes:
    if format_name == "TIFF":
        return write_tiff(pixels, metadata_for(format_name, info))
    bits = 8 * pixels.dtype.itemsize
    if bits == 16 and format_name == "PNG":
        return _encode_png(pixels, info)
    if bits == 16 and format_name == "PPM" and pixels.shape[2] == 3:
        metadata_for(format_name, info)
        return b"P6\n%d %d\n65535\n" % pixels.shape[1::-1] + pixels.astype(">u2").tobytes()
    raise InputError(
        f"the picture has {bits} bits a channel, which {format_name} cannot hold; write "
        f"{'.png or ' if bits == 16 else ''}.tif, or take 8 bits: harmonizer run --depth 8"
    )


def _encode_png(pixels: Array, info: Info) -> bytes:
    """Turn grey (H, W), RGB or RGBA (H, W, C), uint8 or uint16, into the bytes of a PNG file."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, _FROM_RGB[pixels.shape[2]])
    height, width = pixels.shape[:2]
    if max(height, width) > _LONGEST_PNG:
        raise InputError(
            f"PNG cannot hold {width} x {height}: a side is {_LONGEST_PNG:,} at most; write .tif"
        )
    written, encoded = cv2.imencode(".png", pixels, _PNG_OPTIONS)
    if not written:
        raise InputError(f"{width} x {height} pixels cannot be written as PNG; write .tif")
    return with_png_info(encoded.tobytes(), metadata_for("PNG", info))


def _app13(iptc: bytes) -> bytes:
    """Return the segment of a JPEG file that holds IPTC, as Photoshop began to write it."""
    block = struct.pack(">4sHHI", b"8BIM", PHOTOSHOP_IPTC, 0, len(iptc)) + iptc
    content = b"Photoshop 3.0\0" + block + bytes(len(iptc) % 2)
    return struct.pack(">HH", 0xFFED, 2 + len(content)) + content
