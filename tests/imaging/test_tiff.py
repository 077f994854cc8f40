"""TIFF files of every layout are read as a second program wrote them, and written so it can."""

import io
import struct
import time
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers import turned
from PIL import Image

from harmonizer.errors import InputError
from harmonizer.imaging.files import open_file
from harmonizer.imaging.mask import open_mask
from harmonizer.imaging.saving import encode_image

SIZE = (37, 53)
DEEP = np.random.default_rng(0).integers(0, 65536, (*SIZE, 4), np.uint16)


def written(pixels: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(
        buffer, byteorder=options.pop("byteorder", None), bigtiff=options.pop("bigtiff", False)
    ) as file:
        file.write(pixels, metadata=None, **options)
    return buffer.getvalue()


def read_back(data: bytes) -> Any:
    """As tifffile sees a file."""
    return tifffile.imread(io.BytesIO(data))


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("quote", [b'"', b"'"])
@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_how_it_lies_may_stand_in_its_xmp_alone(dtype: Any, orientation: int, quote: bytes) -> None:
    says = b"<x:xmpmeta><rdf:Description tiff:Orientation=" + quote + b"%d" + quote + b"/>"
    xmp = says % orientation
    pixels = (DEEP[..., :3] >> (8 if dtype == np.uint8 else 0)).astype(dtype)
    data = written(pixels, photometric="rgb", extratags=[(700, 1, len(xmp), xmp, True)])
    sizes: list[tuple[int, int]] = []
    found, info = open_file(data, check=sizes.append)
    upright = turned(pixels, orientation)
    assert np.array_equal(np.asarray(found), upright)
    assert sizes == [upright.shape[:2]]
    assert info["xmp"] == says % 1


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("parts", [{"rowsperstrip": 5}, {}, {"tile": (16, 32)}])
def test_deep_colour_is_read_however_it_is_stored(
    compression: str | None, planar: str, predictor: bool, parts: dict[str, Any]
) -> None:
    if predictor and compression in (None, "packbits"):
        pytest.skip("there are predictors with LZW and its successors alone")
    for channels, order in ((3, "<"), (3, ">"), (4, "<")):
        pixels = DEEP[..., :channels]
        stored = pixels.transpose(2, 0, 1) if planar == "separate" else pixels
        data = written(
            np.ascontiguousarray(stored),
            **{"photometric": "rgb", "planarconfig": planar, "compression": compression},
            **{"predictor": predictor, "byteorder": order, **parts},
            **({"extrasamples": ["unassalpha"]} if channels == 4 else {}),
        )
        found, _ = open_file(data)
        assert isinstance(found, np.ndarray)
        assert np.array_equal(found, pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_orientation_is_applied_once(orientation: int, channels: int) -> None:
    pixels = DEEP[..., 0] if channels == 1 else DEEP[..., :3]
    data = written(np.ascontiguousarray(pixels), extratags=[(274, 3, 1, orientation, True)])
    found, info = open_file(data)
    assert np.array_equal(np.asarray(found), turned(pixels, orientation))
    again, _ = open_file(encode_image(found, "TIFF", info))
    assert np.array_equal(np.asarray(again), np.asarray(found))


@pytest.mark.parametrize("order", ["<", ">"])
def test_white_may_be_zero(order: str) -> None:
    plane = np.zeros(SIZE, np.uint16)
    plane[10:20, 10:20] = 65535
    data = written(65535 - plane, photometric="miniswhite", byteorder=order)
    assert np.array_equal(np.asarray(open_file(data)[0]), plane)
    assert np.array_equal(open_mask(data, SIZE), plane / 65535)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_saved_selection_is_no_transparency(dtype: Any) -> None:
    pixels = (DEEP >> 8 if dtype == np.uint8 else DEEP).astype(dtype)
    data = written(pixels, photometric="rgb", extrasamples=["unspecified"])
    with pytest.warns(UserWarning, match="1 extra channels"):
        found, info = open_file(data)
    assert np.array_equal(np.asarray(found), pixels[..., :3])
    assert np.array_equal(read_back(encode_image(found, "TIFF", info)), pixels[..., :3])


def test_premultiplied_colours_are_divided() -> None:
    straight, alpha = DEEP[..., :3].astype(float), np.maximum(DEEP[..., 3:], 20_000)
    stored = np.dstack([np.rint(straight * (alpha / 65535)), alpha]).astype(np.uint16)
    found, info = open_file(written(stored, photometric="rgb", extrasamples=["assocalpha"]))
    assert isinstance(found, np.ndarray)
    assert np.abs(found[..., :3] - straight).max() <= 2
    back = encode_image(found, "TIFF", info)
    assert np.array_equal(read_back(back), found)
    with tifffile.TiffFile(io.BytesIO(back)) as file:
        assert file.pages.first.extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha", "unspecified"])
@pytest.mark.filterwarnings("ignore:.*extra channels")
def test_grey_may_have_alpha(dtype: Any, kind: str) -> None:
    grey = (DEEP[..., 0] >> 8 if dtype == np.uint8 else DEEP[..., 0]).astype(dtype)
    stored = np.dstack([grey, np.full_like(grey, np.iinfo(dtype).max)])
    data = written(stored, photometric="minisblack", extrasamples=[kind])
    found = np.asarray(open_file(data)[0])
    assert np.array_equal(found if found.ndim == 2 else found[..., 0], grey)
    assert found.ndim == 2 or (found[..., -1] == np.iinfo(dtype).max).all()
    assert (found.ndim == 2) == (kind == "unspecified")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint16])
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_grey_is_read_in_either_order(order: str, dtype: Any, compression: str | None) -> None:
    plane = (DEEP[..., 0] / (65535 if dtype == np.float32 else 4)).astype(dtype)
    data = written(plane, photometric="minisblack", byteorder=order, compression=compression)
    assert np.array_equal(np.asarray(open_file(data)[0]), plane)


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_floats_are_read_and_written(predictor: bool, order: str, tile: Any) -> None:
    pixels = (DEEP[..., :3] / 65535).astype(np.float32)
    data = written(
        pixels,
        **{"photometric": "rgb", "predictor": predictor, "compression": "deflate"},
        **{"byteorder": order, "tile": tile},
    )
    found, info = open_file(data)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    assert np.array_equal(found, pixels)
    assert np.array_equal(read_back(encode_image(found, "TIFF", info)), pixels)
    with pytest.raises(InputError, match=r"32 bits a channel, which PNG cannot hold"):
        encode_image(found, "PNG", info)


def test_big_tiff_is_read() -> None:
    pixels = np.ascontiguousarray(DEEP[..., :3])
    found, _ = open_file(written(pixels, photometric="rgb", bigtiff=True, compression="lzw"))
    assert np.array_equal(np.asarray(found), pixels)


def test_cmyk_of_16_bits_says_what_is_cut() -> None:
    data = written(DEEP, photometric="separated")
    with pytest.warns(UserWarning, match="16 bits a channel, of which 8 are kept"):
        found, _ = open_file(data)
    assert np.abs(np.asarray(found) - (DEEP / 257)).max() <= 1


def test_what_is_read_by_nobody_here_is_named() -> None:
    data = written(np.ascontiguousarray(DEEP[..., :3]), photometric="cielab")
    with pytest.raises(InputError, match=r"interpretation 8, 3 x u2\); save it as RGB"):
        open_file(data)


@pytest.mark.parametrize(
    ("photometric", "pixels"),
    [("separated", DEEP), ("minisblack", DEEP.astype(np.int16)[..., :2])],
)
def test_planes_that_pillow_takes_for_bytes_are_refused(photometric: str, pixels: Any) -> None:
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    extra = {"extrasamples": ["unspecified"]} if len(planes) == 2 else {}
    data = written(planes, photometric=photometric, planarconfig="separate", **extra)
    with pytest.raises(InputError, match="apart, which cannot be read"):
        open_file(data)


# --- several pages --------------------------------------------------------------------------------


def pages(*pictures: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for number, picture in enumerate(pictures):
            file.write(picture, metadata=None, **(options if number else {}))
    return buffer.getvalue()


@pytest.mark.filterwarnings("error")
def test_a_reduced_copy_is_no_second_picture() -> None:
    large, small = DEEP[..., :3], DEEP[::4, ::4, :3]
    found, _ = open_file(pages(large, small, subfiletype=1))
    assert np.array_equal(np.asarray(found), large)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_page_can_be_named(dtype: Any) -> None:
    pictures = [(DEEP[..., :3] >> shift).astype(dtype) for shift in (0, 1, 2)]
    data = pages(*pictures)
    with pytest.warns(UserWarning, match="several pictures; the first is taken"):
        found, _ = open_file(data)
    assert np.array_equal(np.asarray(found), pictures[0])
    for number, picture in enumerate(pictures, 1):
        assert np.array_equal(np.asarray(open_file(data, page=number)[0]), picture)
    with pytest.raises(InputError, match="no page 4"):
        open_file(data, page=4)


def test_pages_that_overlap_are_not_each_read() -> None:
    """Directories of 60,000 entries, of which each begins with the second of the one before."""
    count, entries, first = 200, 60_000, 8
    data = bytearray(b"II*\0" + struct.pack("<I", first) + bytes(12 * (entries + count) + 6))
    for number in range(count):
        start = first + 12 * number
        struct.pack_into("<H", data, start, entries)
        struct.pack_into("<I", data, start + 2 + 12 * entries, start + 12)
    with pytest.raises(InputError, match="overlaps, or is of far too many parts"):
        open_file(bytes(data), page=count)


def test_very_many_empty_pages_are_not_passed() -> None:
    """Six bytes each, and more than half a millisecond."""
    count = 30_000
    places = (8 + 6 * (number + 1) for number in range(count))
    data = b"II*\0\x08\0\0\0" + b"".join(struct.pack("<HI", 0, place) for place in places)
    with pytest.raises(InputError, match="far too many parts"):
        open_file(data, page=count)


def test_very_many_pages_cost_no_time() -> None:
    count, data = 200_000, bytearray(b"II*\0" + struct.pack("<I", 16) + bytes(8))
    entries = {256: 4, 257: 4, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 279: 16}
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items()
    )
    for number in range(count):
        end = len(data) + len(directory) + 4
        data += directory + struct.pack("<I", end if number < count - 1 else 0)
    start = time.monotonic()
    with pytest.warns(UserWarning, match="several pictures"):
        open_file(bytes(data))
    with pytest.raises(InputError, match="no page"):
        open_file(bytes(data), page=2 * count)
    assert time.monotonic() - start < 2  # 0.2 s for both


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("side", [322, 323])
def test_a_small_picture_has_no_room_for_a_huge_tile(bits: int, side: int) -> None:
    """Kilobytes that would be decoded into gigabytes, of which ten pixels are shown."""
    pixels = np.zeros((10, 10, 3), np.uint8 if bits == 8 else np.uint16)
    data = bytearray(written(pixels, photometric="rgb", tile=(16, 16), compression="deflate"))
    place = next(
        data.index(key) for kind in (3, 4) if (key := struct.pack("<HHI", side, kind, 1)) in data
    )
    data[place : place + 12] = struct.pack("<HHII", side, 4, 1, 1 << 24)
    start = time.monotonic()
    with pytest.raises(InputError, match="tiles of 16777216 pixels"):
        open_file(bytes(data))
    assert time.monotonic() - start < 1


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", [256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 322, 338])
@pytest.mark.parametrize("deep", [False, True])
def test_tags_of_another_layout_do_not_matter(tag: int, deep: bool) -> None:
    exif = Image.Exif()
    exif[0x010F] = "ACME"
    exif[tag] = 2
    pixels = DEEP[..., :3] if deep else (DEEP[..., :3] >> 8).astype(np.uint8)
    image = pixels if deep else Image.fromarray(pixels)
    data = encode_image(image, "TIFF", {"exif": exif.tobytes()})
    assert np.array_equal(read_back(data), pixels)
    with Image.open(io.BytesIO(data)) as other:
        other.load()
        assert other.getexif()[0x010F] == "ACME"


def test_lab_is_written_as_it_was_read() -> None:
    """Pillow gives Lab's numbers out as TIFF stores them, and not as it keeps them itself."""
    lab = Image.fromarray(DEEP[..., :3].astype(np.uint8)).convert("LAB")
    buffer = io.BytesIO()
    lab.save(buffer, "TIFF")
    image, info = open_file(buffer.getvalue())
    data = encode_image(image, "TIFF", info)
    assert np.array_equal(read_back(data), read_back(buffer.getvalue()))
    back = Image.open(io.BytesIO(data)).convert("RGB")
    assert np.array_equal(np.asarray(back), np.asarray(lab.convert("RGB")))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg", None])
def test_a_tiff_file_with_exif_is_written_without_loss(compression: str | None) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0x9003: "2020:01:01 00:00:00", 0xA005: {1: "R98"}}
    exif[0x8825] = {1: "N", 2: (48.0, 30.0, 0.0)}
    buffer = io.BytesIO()
    plain = Image.fromarray((DEEP[..., :3] >> 8).astype(np.uint8))
    plain.save(buffer, "TIFF", compression=compression)  # libtiff itself cannot write directories
    opened, info = open_file(buffer.getvalue())
    data = encode_image(opened, "TIFF", {**info, "exif": exif.tobytes()})
    found, info = open_file(data)  # as Photoshop writes them: compressed, with Exif and GPS
    assert np.array_equal(np.asarray(found), np.asarray(opened))
    again = encode_image(found, "TIFF", info)
    assert np.array_equal(read_back(again), np.asarray(opened))
    with Image.open(io.BytesIO(again)) as other:
        assert other.getexif().get_ifd(0x8769)[0x9003] == "2020:01:01 00:00:00"
        assert other.getexif().get_ifd(0x8825)[2] == (48.0, 30.0, 0.0)
