"""Files made to do harm: they cost no more than sound ones, and are read or refused."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from helpers import box_mask
from PIL import Image, ImageFile

from harmonizer import compose, harmonize
from harmonizer.errors import InputError
from harmonizer.imaging.files import open_file
from harmonizer.imaging.image import open_image
from harmonizer.imaging.saving import encode_image

SIZE = (48, 64)
MASK = box_mask(*SIZE)
PIXELS = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
PICTURE = Image.fromarray(PIXELS)
AT_MOST = 40 << 20  # bytes; those of the files here become gigabytes otherwise


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(depth: int, colour: int, *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", SIZE[1], SIZE[0], depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def overlapping(count: int, kind: int, *, inside: bool = False) -> bytes:
    """A directory of EXIF, or one within it, whose entries all name the same bytes."""
    unit = {2: 1, 3: 2, 5: 8}[kind]
    start = 8 + (18 if inside else 0)
    behind = start + 2 + 12 * count + 4
    values = 60_000 // unit
    entries = b"".join(
        struct.pack("<HHII", 40_000 + number % 20_000, kind, values, behind)
        for number in range(count)
    )
    outer = struct.pack("<HHHII", 1, 0x8769, 4, 1, start) + bytes(4) if inside else b""
    return (
        b"II*\0\x08\0\0\0" + outer + struct.pack("<H", count) + entries + bytes(4) + bytes(60_000)
    )


def tiff_with(count: int) -> bytes:
    """A TIFF file that Pillow reads, and the same entries in its directory."""
    own = [(256, 64), (257, 48), (258, 8), (259, 1), (262, 1), (273, 0), (277, 1), (278, 48)]
    own.append((279, 64 * 48))
    behind = 8 + 2 + 12 * (len(own) + count) + 4
    own[5] = (273, behind)
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in own)
    body += b"".join(
        struct.pack("<HHII", 40_000 + number, 2, 3000, behind) for number in range(count)
    )
    return (
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", len(own) + count)
        + body
        + bytes(4)
        + PIXELS[..., 0].tobytes()
    )


def jpeg_with(exif: bytes) -> bytes:
    """A JPEG file whose EXIF is spread over segments, which Pillow joins."""
    plain = encoded(PICTURE, "JPEG")
    rest = [exif[place : place + 60_000] for place in range(0, len(exif), 60_000)]
    segments = b"".join(
        b"\xff\xe1" + struct.pack(">H", 2 + 6 + len(one)) + b"Exif\0\0" + one for one in rest
    )
    return plain[:2] + segments + plain[2:]


HARMFUL: dict[str, Callable[[], bytes]] = {
    "TIFF": lambda: tiff_with(12_000),
    "JPEG": lambda: jpeg_with(overlapping(2000, 2)),
    "JPEG of many segments": lambda: jpeg_with(overlapping(12_000, 2)),
    "PNG": lambda: encoded(PICTURE, "PNG", exif=overlapping(4000, 2)),
    "PNG, numbers": lambda: encoded(PICTURE, "PNG", exif=overlapping(4000, 3)),
    "PNG, fractions": lambda: encoded(PICTURE, "PNG", exif=overlapping(200, 5, inside=True)),
    "PNG, behind the pixels": lambda: _exif_last(overlapping(4000, 2)),
    "WebP": lambda: encoded(PICTURE, "WEBP", exif=overlapping(4000, 2, inside=True)),
    "JPEG 2000": lambda: _with_uuid(overlapping(4000, 2)),
    "AVIF": lambda: _avif(overlapping(4000, 2)),
}


def _exif_last(exif: bytes) -> bytes:
    plain = encoded(PICTURE, "PNG")
    return plain[:-12] + chunk(b"eXIf", exif) + plain[-12:]


def _with_uuid(exif: bytes) -> bytes:
    content = b"uuidJpgTiffExif->JP2" + exif
    return encoded(PICTURE, "JPEG2000") + struct.pack(">I", 4 + len(content)) + content


def _avif(exif: bytes) -> bytes:
    """An AVIF file with EXIF, which Pillow itself would read to write it."""
    honest = b"II*\0\x08\0\0\0" + bytes(len(exif) - 8)
    return encoded(PICTURE, "AVIF", exif=honest).replace(honest, exif)


@pytest.mark.parametrize("kind", HARMFUL)
@pytest.mark.filterwarnings("ignore")
def test_metadata_takes_no_more_than_its_file_has(kind: str) -> None:
    data = HARMFUL[kind]()
    begin, reason = perf_counter(), "far more memory"
    tracemalloc.start()
    try:
        opened, info = open_file(data)
        written = encode_image(opened, "TIFF", info)
        assert Image.open(io.BytesIO(written)).size == SIZE[::-1]
    except InputError as error:
        reason = str(error)
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert "far more memory" in reason
    assert most < AT_MOST
    assert perf_counter() - begin < 5


@pytest.mark.filterwarnings("ignore")
def test_neither_does_that_of_an_image_that_pillow_has_opened() -> None:
    image = Image.open(io.BytesIO(HARMFUL["PNG"]()))
    tracemalloc.start()
    assert open_image(image).size == SIZE
    assert tracemalloc.get_traced_memory()[1] < AT_MOST
    tracemalloc.stop()


def test_a_png_of_very_many_pieces_takes_no_longer_than_another() -> None:
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in PIXELS), 0)
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3 << 20)))  # which Pillow refuses
    pieces = [chunk(b"IDAT", rows[place : place + 1]) for place in range(len(rows))]
    data = png(8, 2, text, *pieces, *[chunk(b"IDAT", b"")] * 100_000)
    begin = perf_counter()
    with pytest.warns(UserWarning, match="its metadata cannot be read"):
        opened, _ = open_file(data)
    assert perf_counter() - begin < 5
    assert np.array_equal(np.asarray(opened), PIXELS)


@pytest.mark.parametrize(
    "key", [b"\xff" * 290 + b"\0" * 10, b"\x80" * 290 + b"\0" * 10, b"\x80" * 3]
)
def test_more_transparency_than_colours_is_left_out(key: bytes) -> None:
    palette = np.random.default_rng(1).integers(0, 256, 768, np.uint8).tobytes()
    rows = b"".join(b"\0" + row.tobytes() for row in PIXELS[..., 0])
    data = png(
        *(8, 3, chunk(b"PLTE", palette), chunk(b"tRNS", key), chunk(b"IDAT", zlib.compress(rows)))
    )
    assert harmonize(data, MASK).size == SIZE[::-1]
    assert compose(data, PICTURE)[0].size == SIZE[::-1]


@pytest.mark.parametrize("key", [300, -1, "red", 1.5, (1, 2), (None,) * 3])
@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_transparency_that_no_colour_has_is_left_out(mode: str, key: Any) -> None:
    image = PICTURE.convert(mode)
    image.info["transparency"] = key
    assert harmonize(image, MASK).mode == mode
    assert image.info["transparency"] == key
    with suppress(InputError):  # where no alpha channel is left
        assert compose(image, PICTURE)[0].size == SIZE[::-1]


def test_a_comment_that_jpeg_cannot_hold_costs_no_picture() -> None:
    data = encoded(PICTURE.quantize(16), "GIF", comment=b"x" * 100_000)
    opened, info = open_file(data)
    assert isinstance(opened, Image.Image)
    with pytest.warns(UserWarning, match="left out: comment"):
        written = encode_image(opened, "JPEG", info)
    assert Image.open(io.BytesIO(written)).size == SIZE[::-1]


def animated_16_bits() -> tuple[bytes, Any]:
    pictures = np.random.default_rng(2).integers(0, 65536, (2, *SIZE, 3), np.uint16)
    first, second = (
        zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in one))
        for one in pictures
    )
    control = [
        chunk(b"fcTL", struct.pack(">5I2H2B", number, SIZE[1], SIZE[0], 0, 0, 1, 10, 0, 0))
        for number in (0, 1)
    ]
    numbered = chunk(b"fdAT", struct.pack(">I", 2) + second)
    counted = chunk(b"acTL", struct.pack(">II", 2, 0))
    return png(16, 2, counted, control[0], chunk(b"IDAT", first), control[1], numbered), pictures


def test_a_later_picture_of_16_bits_is_not_taken_for_the_first() -> None:
    data, pictures = animated_16_bits()
    assert np.array_equal(np.asarray(open_file(data, page=1)[0]), pictures[0])
    with pytest.raises(InputError, match="of the first picture alone"):
        open_file(data, page=2)


def test_sgi_of_16_bits_says_that_8_are_kept() -> None:
    pixels = np.random.default_rng(3).integers(0, 65536, (*SIZE, 3), np.uint16)
    header = struct.pack(">hBBHHHHii4x80si", 474, 0, 2, 3, SIZE[1], SIZE[0], 3, 0, 65535, b"", 0)
    planes = b"".join(pixels[::-1, :, one].astype(">u2").tobytes() for one in range(3))
    with pytest.warns(UserWarning, match="16 bits a channel, of which 8 are kept"):
        opened, _ = open_file(header + bytes(404) + planes)
    assert np.array_equal(np.asarray(opened), pixels >> 8)


@pytest.mark.parametrize("kind", ["ICO", "ICNS"])
def test_icons_are_called_ones(kind: str) -> None:
    with pytest.raises(InputError, match="it is an icon; save its picture as PNG"):
        open_file(encoded(PICTURE, kind))


def test_a_photoshop_file_of_16_bits_is_called_one() -> None:
    data = struct.pack(">4sH6xHIIHHIIIH", b"8BPS", 1, 3, 4, 4, 16, 3, 0, 0, 0, 0) + bytes(96)
    with pytest.raises(InputError, match="a Photoshop file of 16 bits a channel"):
        open_file(data)


def of_scans(count: int) -> bytes:
    """A grey JPEG file of 64 x 64 pixels that goes over them so often."""
    values = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 63, 0) + b"\xbf\x7f"
    return b"".join(
        (
            b"\xff\xd8\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([1] * 64),
            b"\xff\xc2" + struct.pack(">HBHHBBBB", 11, 8, 64, 64, 1, 1, 0x11, 0),
            # Two codes: to the end of 32 blocks or more, and of one.
            b"\xff\xc4" + struct.pack(">HB", 21, 0x10) + bytes([1, 1, *[0] * 14, 0x50, 0]),
            values * count,
            b"\xff\xd9",
        )
    )


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    image, _ = open_file(of_scans(100))
    assert isinstance(image, Image.Image)
    assert image.size == (64, 64)
    with pytest.raises(InputError, match="goes over its picture more than 100 times"):
        open_file(of_scans(101))
    with pytest.raises(InputError, match="goes over its picture more than 100 times"):
        open_file(of_scans(1) + of_scans(101))  # hidden behind a first picture that is whole


def test_what_looks_like_scans_elsewhere_is_none() -> None:
    """As in a thumbnail, a profile, or the clip that phones put behind a picture."""
    whole = of_scans(3)
    noise = b"\xff\xfe" + struct.pack(">H", 60_002) + b"\xff\xda" * 30_000
    image, _ = open_file(whole[:2] + noise + whole[2:] + noise)
    assert isinstance(image, Image.Image)


@pytest.mark.parametrize("page", [None, 1])
def test_a_picture_that_ends_early_lacks_no_page(
    page: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plug-ins say so by the error that Pillow has for pages."""

    def load(self: Any) -> None:
        raise EOFError("No data")

    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, "PNG")
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(InputError, match="ends before its picture does; expected a whole file"):
        open_file(buffer.getvalue(), page=page)
