"""Headers that would cost far more than a picture: they are refused before Pillow reads them."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harmonizer.errors import InputError
from harmonizer.imaging.files import open_file

SIZE = (48, 64)
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8))


def encoded(kind: str, image: Image.Image = PICTURE, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def jpeg_with(*segments: bytes) -> bytes:
    plain = encoded("JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def assert_is_read(data: bytes) -> None:
    opened, _ = open_file(data)
    assert isinstance(opened, Image.Image)
    assert opened.size == SIZE[::-1]


@pytest.mark.parametrize("place", [6, 1 << 30], ids=["empty", "nowhere"])
def test_very_many_headers_of_exif(place: int) -> None:
    header = b"II*\0" + struct.pack("<I", place)
    assert_is_read(jpeg_with(segment(0xED, header * 30)))
    with pytest.raises(InputError, match="of far too many parts"):
        open_file(jpeg_with(segment(0xED, header * 1000)))


def test_very_many_directories_in_one() -> None:
    def exif(count: int) -> bytes:
        behind = 8 + 2 + 12 * count + 4
        entries = (
            struct.pack("<HHII", 0x8769, 4, 1, behind + 6 * number) for number in range(count)
        )
        start = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count)
        return start + b"".join(entries) + bytes(4 + 6 * count)

    assert_is_read(encoded("JPEG", exif=exif(15)))
    with pytest.raises(InputError, match="more than 16 directories"):
        open_file(encoded("JPEG", exif=exif(16)))
    with pytest.warns(UserWarning, match="more than 16 directories"):  # and the picture is read
        assert_is_read(encoded("PNG", exif=exif(16)))
