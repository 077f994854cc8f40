"""Write pictures to files: whole or not at all, with their metadata and all their bits."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from harmonizer.errors import InputError
from harmonizer.files import write_atomically
from harmonizer.imaging.picture import Info
from harmonizer.preprocessing import Array

_FORMATS = ("PNG", "TIFF", "WEBP", "JPEG", "BMP", "JPEG2000", "PPM", "GIF")
_QUALITY = 95  # above this, JPEG files grow much and gain little
_LARGEST_JPEG_XMP = 65_502  # what a segment holds beside the packet's name


def save_image(
    image: Image.Image | Array, path: Path, info: Info | None = None, *, quality: int | None = None
) -> None:
    """Write a picture to a file, in the format of its ending; the file is whole or not there.

    The other arguments are those of `encode_image`.
    """
    write_atomically(path, encode_image(image, output_format(path), info or {}, quality=quality))


def encode_image(
    image: Image.Image | Array, format_name: str, info: Info, *, quality: int | None = None
) -> bytes:
    """Turn a picture into the bytes of a file.

    Args:
        image: A `PIL.Image.Image`, or an array, RGB: (H, W, 3), uint8, or (H, W, 3 or 4), uint16.
        format_name: What `output_format` returned.
        info: The metadata to keep, as Pillow names it: `icc_profile`, `exif`, `dpi`, `xmp`.
        quality: From 1 to 100, for JPEG (None is 95) and WebP (None is lossless). The other
            formats are lossless and do without.

    Raises:
        InputError: The format cannot hold this kind of picture.
    """
    if isinstance(image, np.ndarray):
        if image.dtype == np.uint16:
            return _encode_16_bit(image, format_name, info)
        image = Image.fromarray(image)
    return _encode(image, format_name, info, quality)


def _encode(image: Image.Image, format_name: str, info: Info, quality: int | None) -> bytes:
    image = _with_alpha_channel(image, format_name)
    if format_name == "JPEG":
        image = _without_opaque_alpha(image)
    options = {key: info[key] for key in ("icc_profile", "exif", "dpi") if info.get(key)}
    options |= _xmp_options(format_name, info)
    if format_name == "JPEG":
        options |= {"quality": quality or _QUALITY, "subsampling": 0}
    if format_name == "WEBP":
        options |= {"quality": quality} if quality else {"lossless": True, "exact": True}
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


def _xmp_options(format_name: str, info: Info) -> dict[str, Any]:
    """Return what tells Pillow's writers to keep an XMP packet."""
    xmp = info.get("xmp")
    if not isinstance(xmp, bytes) or not xmp:
        return {}
    if format_name == "PNG":
        chunk = PngImagePlugin.PngInfo()
        chunk.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        return {"pnginfo": chunk}
    if format_name == "TIFF" and info.get("exif"):  # Pillow takes either of the two
        exif = Image.Exif()
        exif.load(info["exif"])
        exif[TiffImagePlugin.XMP] = xmp
        return {"exif": exif.tobytes()}
    if format_name == "TIFF":
        directory = TiffImagePlugin.ImageFileDirectory_v2()
        directory.tagtype[TiffImagePlugin.XMP] = 1  # bytes
        directory[TiffImagePlugin.XMP] = xmp
        return {"tiffinfo": directory}
    # A JPEG file has one segment for it; what does not fit would have to be split.
    fits = format_name == "WEBP" or (format_name == "JPEG" and len(xmp) <= _LARGEST_JPEG_XMP)
    return {"xmp": xmp} if fits else {}


def output_format(path: Path) -> str:
    """Return which format the ending of a file's name stands for, as Pillow calls it."""
    format_name = Image.registered_extensions().get(path.suffix.lower())
    if format_name not in _FORMATS:
        raise InputError(
            f"cannot write the format of {path.name!r}; end it in .png, .tif, .webp, .jpg, .bmp, "
            ".jp2, .ppm or .gif"
        )
    return format_name


def _with_alpha_channel(image: Image.Image, format_name: str) -> Image.Image:
    """Give transparent colours an alpha channel where a format has nothing else to store them."""
    if "transparency" not in image.info or format_name in ("PNG", "GIF"):
        return image
    alpha = {"L": "LA", "RGB": "RGBA", "P": "RGBA"}.get(image.mode)
    return image.convert(alpha) if alpha else image


def _without_opaque_alpha(image: Image.Image) -> Image.Image:
    """Make an image fit for JPEG, as far as that loses nothing."""
    if image.mode in ("RGBA", "LA") and image.getchannel("A").getextrema() == (255, 255):
        return image.convert(image.mode[:-1])
    if image.mode == "P":
        return image.convert("RGB")
    return image


def _encode_16_bit(pixels: Array, format_name: str, info: Info) -> bytes:
    if format_name == "PNG":
        return _encode_16_bit_png(pixels, info)
    if format_name == "TIFF":
        return _encode_16_bit_tiff(pixels, info)
    raise InputError(
        f"the picture has 16 bits a channel, which {format_name} cannot hold; write .png or .tif"
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
