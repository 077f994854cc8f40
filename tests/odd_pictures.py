"""A small picture and its mask, and the odd and broken pictures that are made of them."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from helpers import box_mask
from PIL import Image, ImageCms

HEIGHT, WIDTH = 24, 36
MASK = box_mask(HEIGHT, WIDTH)
U8 = MASK.astype(np.uint8) * 255
PIXELS = np.random.default_rng(0).integers(30, 200, (HEIGHT, WIDTH, 3), np.uint8)
PICTURE = Image.fromarray(PIXELS)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(width: int, height: int, depth: int, colour: int, *chunks: bytes) -> bytes:
    """A PNG file of the given header, by hand: what no program would write."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def png_of(pixels: Any, *chunks: bytes, height: int | None = None) -> bytes:
    """A PNG file of RGB pixels, 8 or 16 bits, perhaps with a header that promises more rows."""
    rows = b"".join(b"\0" + row.astype(pixels.dtype.newbyteorder(">")).tobytes() for row in pixels)
    depth = 8 * pixels.dtype.itemsize
    data = chunk(b"IDAT", zlib.compress(rows))
    return png(pixels.shape[1], height or len(pixels), depth, 2, *chunks, data)


def written(folder: Path, content: bytes, name: str = "a.png") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def link(folder: Path, target: str) -> Path:
    (folder / "link.png").symlink_to(folder / target)
    return folder / "link.png"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.png")
    return folder / "pipe.png"


def opened(folder: Path) -> Any:
    return written(folder, encoded(PICTURE, "PNG")).open("rb")


def closed(folder: Path) -> Any:
    with opened(folder) as file:
        return file


def frames(kind: str) -> bytes:
    return encoded(PICTURE, kind, save_all=True, append_images=[PICTURE.rotate(180)])


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(PICTURE, "JPEG", exif=exif.tobytes())


def key_colour(mode: str) -> Image.Image:
    image = PICTURE.convert(mode)
    image.info["transparency"] = image.getpixel((WIDTH // 2, HEIGHT // 2))
    return image


def short_palette() -> Image.Image:
    image = Image.frombytes("P", (WIDTH, HEIGHT), PIXELS[..., 0].tobytes())
    image.putpalette([0, 0, 0, 200, 100, 50])
    return image


def flipped_palette() -> Image.Image:
    """Foreground is entry 0, white; the background's entry, 1, is missing."""
    image = Image.frombytes("P", (WIDTH, HEIGHT), (~MASK).astype(np.uint8).tobytes())
    image.putpalette([255, 255, 255])
    return image


def of_value(value: float) -> Any:
    image = np.full((HEIGHT, WIDTH, 3), 0.5)
    image[HEIGHT // 2, WIDTH // 2, 1] = value
    return image


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def palette() -> bytes:
    image = PICTURE.quantize(32)
    return encoded(image, "PNG", transparency=image.getpixel((WIDTH // 2, HEIGHT // 2)))


def with_alpha() -> Image.Image:
    image = PICTURE.copy()
    image.putalpha(Image.fromarray(PIXELS[..., 2]))
    return image


def cmyk(profile: bytes | None) -> bytes:
    image = Image.merge("CMYK", [*PICTURE.split(), Image.fromarray(PIXELS[..., 0] // 4)])
    return encoded(image, "TIFF", icc_profile=profile)


def grey_16_bit() -> bytes:
    return encoded(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), "PNG")


def deep_file(folder: Path) -> Path:
    assert cv2.imwrite(str(folder / "deep.png"), PIXELS.astype(np.uint16) * 257)
    return folder / "deep.png"


def broken_exif() -> bytes:
    content = png_of(PIXELS, chunk(b"eXIf", b"no EXIF"))
    assert Image.open(io.BytesIO(content)).size == (WIDTH, HEIGHT)
    return content


def read_only() -> Any:
    image = PIXELS.copy()
    image.flags.writeable = False
    return image


def tensor() -> torch.Tensor:
    return torch.from_numpy(PIXELS).permute(2, 0, 1).float() / 255
