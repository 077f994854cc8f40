"""Refuse icons that hold pictures: Pillow decodes them before it knows how large they are."""

import re
import struct
from collections.abc import Iterator

_ICO, _ICNS = b"\0\0\1\0", b"icns"
_LARGEST_SIDE = 1024  # of Apple's; those of Windows have 256
_PNG = re.compile(rb"\x89PNG\r\n\x1a\n.{4}IHDR(.{8})", re.DOTALL)
_JPEG_2000 = re.compile(rb"ihdr(.{8})", re.DOTALL)


def check_icon(data: bytes) -> None:
    """Refuse a file of icons that are larger than any icon.

    Raises:
        ValueError: They are.
    """
    if not data.startswith((_ICO, _ICNS)):
        return
    for width, height in (*_packed(data), *_bitmaps(data)):
        if max(width, height) > _LARGEST_SIDE:
            raise ValueError(
                f"an icon of {width} x {height} pixels, more than {_LARGEST_SIDE} on a side"
            )


def _packed(data: bytes) -> Iterator[tuple[int, int]]:
    for found in (*_PNG.finditer(data), *_JPEG_2000.finditer(data)):
        yield struct.unpack(">II", found[1])


def _bitmaps(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield what the headers of bitmaps say, whose height is that of picture and mask together."""
    if not data.startswith(_ICO):
        return
    count = int.from_bytes(data[4:6], "little")
    for entry in range(6, min(6 + 16 * count, len(data) - 15), 16):
        start = int.from_bytes(data[entry + 12 : entry + 16], "little")
        header = data[start : start + 12]
        if len(header) == 12 and header[1:4] == bytes(3):  # its own length, of a byte
            width, height = struct.unpack("<ii", header[4:])
            yield abs(width), abs(height) // 2
