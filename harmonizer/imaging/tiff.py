"""Read TIFF files that Pillow would cut to 8 bits or not open at all, and write all TIFF files.

Pillow's own writer hands the tags of the source on to libtiff, which then lays out the pixels of
another picture by them; and neither it nor OpenCV writes 16 bits with a profile and EXIF.
"""

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import numpy as np
from PIL import Image, TiffImagePlugin

from harmonizer.errors import InputError, warn
from harmonizer.imaging.exif import (
    ORIENTATION,
    TIFF_HEADER,
    as_exif,
    check_directory,
    check_entries,
    descriptive_tags,
    xmp_orientation,
)
from harmonizer.preprocessing import Array

_Directory = TiffImagePlugin.ImageFileDirectory_v2
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_FILL_ORDER, _STRIPS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES = 266, 273, 277, 278, 279
_PLANAR, _PREDICTOR, _COLOUR_MAP, _EXTRA, _FORMAT = 284, 317, 320, 338, 339
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_XMP, _IPTC, _PROFILE = 700, 33723, 34675
_SUBFILE, _SMALLER, _MASK = 254, 1, 4  # a page may be a reduced copy of another, or its mask
_LARGEST_TILE = 2048  # pixels, of a picture that is smaller
_FOR_EACH = 50  # entries that the way past a page takes as long as
_SELECTION, _PREMULTIPLIED, _STRAIGHT = 0, 1, 2  # what an extra channel may be
# How the modes that an image may have are stored: the photometric interpretation, extra channels.
LAYOUTS = {
    **{"L": (1, ()), "I;16": (1, ()), "I;16B": (1, ()), "I;16L": (1, ()), "I;16N": (1, ())},
    **{"I": (1, ()), "F": (1, ()), "LA": (1, (_STRAIGHT,)), "La": (1, (_PREMULTIPLIED,))},
    **{"RGB": (2, ()), "RGBA": (2, (_STRAIGHT,)), "RGBa": (2, (_PREMULTIPLIED,))},
    **{"RGBX": (2, (_SELECTION,)), "P": (3, ()), "CMYK": (5, ()), "LAB": (8, ())},
}
_NUMBERS = {"u": 1, "i": 2, "f": 3}  # numpy's kinds, as TIFF counts sample formats


@dataclass(frozen=True)
class Page:
    """One picture of a TIFF file: its directory, what it says, and the file."""

    tags: Mapping[int, Any]
    order: str  # of bytes: "<" or ">"
    exif: Image.Exif
    data: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, as stored."""
        return int(self.tags[_HEIGHT]), int(self.tags[_WIDTH])

    @property
    def orientation(self) -> int:
        """How it lies, as EXIF counts; by its XMP, if no tag says so."""
        return int(self.tags.get(ORIENTATION) or xmp_orientation(self.tags.get(_XMP)))

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width, as it stands."""
        height, width = self.size
        return (width, height) if self.orientation in range(5, 9) else (height, width)

    @property
    def layout(self) -> tuple[int, str, int, tuple[int, ...]]:
        """Photometric interpretation, numpy's type of a sample, their number, and extra ones."""
        bits = _numbers(self.tags.get(_BITS, 1))
        kinds = _numbers(self.tags.get(_FORMAT, 1))
        kind = {1: "u", 2: "i", 3: "f"}.get(kinds[0], "V")
        sample = f"{kind}{bits[0] // 8}" if len(set(bits)) == len(set(kinds)) == 1 else "V0"
        count = int(self.tags.get(_SAMPLES, 1))
        return (
            int(self.tags.get(_PHOTOMETRIC, 0)),
            sample,
            count,
            _numbers(self.tags.get(_EXTRA, ())),
        )

    def info(self) -> dict[str, Any]:
        """Return its metadata, as Pillow names it."""
        named = {"xmp": _XMP, "iptc": _IPTC, "icc_profile": _PROFILE}
        found: dict[str, Any] = {key: self.tags.get(tag) for key, tag in named.items()}
        found["exif"] = as_exif(self.described())
        found = {key: value for key, value in found.items() if value}
        unit = {2: 1, 3: 2.54}.get(self.tags.get(_RESOLUTION_UNIT, 2))
        both = self.tags.get(_X_RESOLUTION), self.tags.get(_Y_RESOLUTION)
        if unit and all(both):
            found["dpi"] = tuple(float(one) * unit for one in both if one)
        return found

    def described(self) -> dict[int, Any]:
        """Return what its directory says of the picture, not of how it is stored."""
        tags, lost = descriptive_tags(self.exif)
        if lost:
            warn(f"damaged metadata was left out: {', '.join(lost)}")
        return tags


def is_tiff(data: bytes) -> bool:
    """Return whether a file begins like TIFF, BigTIFF included."""
    return TIFF_HEADER.match(data) is not None


def open_page(data: bytes, number: int) -> tuple[Page, bool]:
    """Find a page, from 1, without a look at any other pixels, and whether others follow.

    Raises:
        EOFError: There are not so many.
    """
    if number > len(data):  # and perhaps than can be counted
        raise EOFError
    order, big = "<" if data[:1] == b"I" else ">", 43 in data[2:4]
    places = _directories(data, order, big)
    passed = list(islice(places, number))
    if len(passed) < number:
        raise EOFError
    entries = 0
    for place in passed:  # Pillow reads each on its way
        entries += _FOR_EACH + check_directory(data, place, order, big=big)[0]
        check_entries(entries, data)
    place = passed[-1]
    exif = Image.Exif()
    exif.endian, exif.bigtiff = order, big
    exif.load_from_fp(io.BytesIO(data), place)
    tags = _tags(data, place, big)
    for tag, side in ((_TILE_WIDTH, _WIDTH), (_TILE_HEIGHT, _HEIGHT)):
        if int(tags.get(tag, 0)) > max(_LARGEST_TILE, 2 * int(tags[side])):
            raise InputError(
                f"the TIFF file has tiles of {tags[tag]} pixels, far beyond its picture"
            )
    # Reduced copies of the picture and masks of it do not count.
    others = (
        int(_tags(data, other, big).get(_SUBFILE, 0)) & (_SMALLER | _MASK)
        for other in islice(places, 8)
    )
    return Page(tags, order, exif, data), not all(others)


def _directories(data: bytes, order: str, big: bool) -> Iterator[int]:
    """Yield where the directories of a file stand, without a look at them."""
    seen = set[int]()
    counted, size, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
    place = 8 if big else 4
    while True:
        (place,) = struct.unpack_from(order + pointer, data, place)
        if not place or place in seen:
            return
        seen.add(place)
        yield place
        (count,) = struct.unpack_from(order + counted, data, place)
        place += struct.calcsize(counted) + size * count


def _tags(data: bytes, place: int, big: bool) -> dict[int, Any]:
    check_directory(data, place, "<" if data[:1] == b"I" else ">", big=big)
    stream = io.BytesIO(data)
    directory = _Directory(stream.read(16 if big else 8))
    stream.seek(place)
    directory.load(stream)
    # Photoshop calls its bytes numbers of four each, of which Pillow gives the first.
    iptc = cast(Any, directory)._tagdata.pop(_IPTC, None)
    return {**directory, _IPTC: iptc}


def read_deep(page: Page) -> Array | None:
    """Read pixels that Pillow would cut or misread; None if it reads them well.

    Returns:
        Grey (H, W), or RGB (H, W, 3 or 4); 8 or 16 bits (signed ones as int32), or floats. Straight
        alpha: colours are divided by it where the file holds products.
    """
    photometric, sample, count, extra = page.layout
    colours = {0: 1, 1: 1, 2: 3}.get(photometric, 0)
    if sample == "u1":
        wanted = (colours, count) == (1, 2) and extra != (_STRAIGHT,)
    else:
        wanted = sample == "u2" and (count > 1 or photometric == 0)
        wanted = wanted or sample == "f4" or (sample, photometric, count) == ("i2", 1, 1)
    if not colours or not wanted:
        if count > 1 and int(sample[1:]) > 1 and int(page.tags.get(_PLANAR, 1)) == 2:
            raise InputError(  # which Pillow takes for bytes
                f"the TIFF file keeps {count} channels of {sample} apart, which cannot be read; "
                "save it as RGB of 8 or 16 bits a channel"
            )
        return None
    if not colours <= count <= 8:
        raise InputError(f"the TIFF file has {count} channels a pixel; expected 1 to 8")
    alpha = extra[0] if extra else _STRAIGHT
    has_alpha = count > colours and alpha != _SELECTION
    if count > colours + has_alpha:
        warn(f"{count - colours - has_alpha} extra channels of the TIFF file were left out")
    pixels = _samples(page, np.dtype(page.order + sample), count)[..., : colours + has_alpha]
    pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    if photometric == 0:
        pixels[..., 0] = (np.iinfo(pixels.dtype).max if sample != "f4" else 1) - pixels[..., 0]
    if has_alpha and alpha == _PREMULTIPLIED:
        pixels = _straight(pixels)
    if colours == 1 and not has_alpha:
        grey = np.ascontiguousarray(pixels[..., 0])
        return grey.astype(np.int32) if sample == "i2" else grey
    if colours == 1 and sample != "u1":
        pixels = pixels[..., [0, 0, 0, 1]]
    return np.ascontiguousarray(pixels)


def warn_of_extra_channels(page: Page) -> None:
    """Warn of what Pillow leaves out, such as saved selections and spot colours."""
    _, _, _, extra = page.layout
    kept = 1 if extra and extra[0] != _SELECTION else 0
    if len(extra) > kept:
        warn(f"{len(extra) - kept} extra channels of the TIFF file were left out")


def _samples(page: Page, dtype: np.dtype[Any], count: int) -> Array:
    """Decode (H, W, count). Libtiff does it, which is told that it is a grey picture of bytes."""
    if int(page.tags.get(_PLANAR, 1)) == 1:
        return _decoded(page, dtype, count, slice(None))
    pieces = len(_numbers(page.tags.get(_STRIPS) or page.tags[_TILES])) // count
    planes = [
        _decoded(page, dtype, 1, slice(number * pieces, (number + 1) * pieces))
        for number in range(count)
    ]
    return np.concatenate(planes, axis=2)


def _decoded(page: Page, dtype: np.dtype[Any], count: int, pieces: slice) -> Array:
    (height, width), size = page.size, count * dtype.itemsize
    tile = int(page.tags.get(_TILE_WIDTH, width))
    stored = -(-width // tile) * tile  # of tiles, the last ones hold more than is shown
    tags: dict[int, tuple[int, ...]] = {_WIDTH: (stored * size,), _HEIGHT: (height,)}
    tags |= {_BITS: (8,), _PHOTOMETRIC: (1,)}
    for tag in (_COMPRESSION, _FILL_ORDER, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT):
        if tag in page.tags:
            tags[tag] = (int(page.tags[tag]) * (size if tag == _TILE_WIDTH else 1),)
    for tag in (_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES):
        if tag in page.tags:
            tags[tag] = _numbers(page.tags[tag])[pieces]
    file = struct.pack(f"{page.order}2sHI", page.data[:2], 42, len(page.data)) + page.data[8:]
    bytewise = TiffImagePlugin.TiffImageFile(
        io.BytesIO(file + _plain_directory(tags, page.order, len(file)))
    )
    # Pillow would hold the number of bytes against its limit of pixels.
    bytewise.im = Image.new("L", bytewise.size).im
    rows = np.asarray(bytewise)
    predictor = int(page.tags.get(_PREDICTOR, 1))
    if predictor != 1:
        parts = np.split(rows, stored // tile, axis=1)  # one, but for tiles
        rows = np.hstack([_without_predictor(part, dtype, count, predictor) for part in parts])
    return rows.view(dtype).reshape(height, stored, count)[:, :width]


def _plain_directory(tags: dict[int, tuple[int, ...]], order: str, place: int) -> bytes:
    """Return a directory of whole numbers, to stand at a place of the file."""
    entries, behind = struct.pack(f"{order}H", len(tags)), b""
    place += len(entries) + 12 * len(tags) + 4
    for tag, numbers in sorted(tags.items()):
        values = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            values, behind = struct.pack(f"{order}I", place + len(behind)), behind + values
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers)) + values
    return entries + bytes(4) + behind


def _without_predictor(rows: Array, dtype: np.dtype[Any], count: int, predictor: int) -> Array:
    """Add up what is stored as differences from pixel to pixel."""
    height, length = rows.shape
    if predictor == 2:
        values = np.ascontiguousarray(rows).view(dtype).reshape(height, -1, count)
        summed = np.cumsum(values, axis=1, dtype=dtype.newbyteorder("="))
        return summed.astype(dtype).reshape(height, -1).view(np.uint8)
    if predictor == 3:  # of the bytes of floats, the most significant ones first
        summed = np.cumsum(rows.reshape(height, -1, count), axis=1, dtype=np.uint8)
        apart = summed.reshape(height, dtype.itemsize, -1).transpose(0, 2, 1)
        values = np.ascontiguousarray(apart).reshape(height, length)
        big = values.view(dtype.newbyteorder(">"))
        return big.astype(dtype).view(np.uint8)
    raise InputError(f"the TIFF file has the unknown predictor {predictor}")


def _straight(pixels: Array) -> Array:
    """Divide colours, which were multiplied by alpha, by it."""
    alpha = pixels[..., -1:].astype(np.float64)
    white = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    colours = pixels[..., :-1] * (white / np.where(alpha > 0, alpha, 1))
    colours = np.where(alpha > 0, colours, 0).clip(0, white)
    if pixels.dtype.kind == "u":
        colours = np.rint(colours)
    return np.dstack([colours.astype(pixels.dtype), pixels[..., -1]])


def _numbers(value: Any) -> tuple[int, ...]:  # noqa: ANN401 - a number or several
    return tuple(map(int, cast(Any, value) if isinstance(value, tuple) else (value,)))


def write_tiff(image: Image.Image | Array, info: Mapping[str, Any]) -> bytes:
    """Write a picture, without loss (deflate), as one strip.

    Args:
        image: An image of the modes that `open_image` takes, but for YCbCr and HSV; or an array,
            RGB: (H, W, 3 or 4), uint8, uint16 or float32.
        info: `icc_profile`, `xmp`, `iptc`, `dpi`, and `tags`: what `descriptive_tags` gave.

    Raises:
        KeyError: There is no way to store an image of this mode.
    """
    mode = image.mode if isinstance(image, Image.Image) else {3: "RGB", 4: "RGBA"}[image.shape[2]]
    photometric, extra = LAYOUTS[mode]
    values = np.asarray(image)
    values = values.astype(values.dtype.newbyteorder("<"), copy=False)
    values = values.reshape(*values.shape[:2], -1)
    height, width, count = values.shape
    differences = values.dtype.kind == "u" and mode != "P"
    if differences:  # they take less room
        values = np.concatenate([values[:, :1], np.diff(values, axis=1)], axis=1)
    strip = zlib.compress(np.ascontiguousarray(values).tobytes())
    tags: dict[int, Any] = {
        **info.get("tags", {}),
        _WIDTH: width,
        _HEIGHT: height,
        _BITS: (8 * values.dtype.itemsize,) * count,
        _COMPRESSION: 8,  # Adobe's deflate
        _PHOTOMETRIC: photometric,
        _STRIPS: 0,  # Pillow adds where the directory ends
        _SAMPLES: count,
        _ROWS_PER_STRIP: height,
        _STRIP_BYTES: len(strip),
        _PLANAR: 1,
        _FORMAT: (_NUMBERS[values.dtype.kind],) * count,
    }
    if differences:
        tags[_PREDICTOR] = 2
    if extra:
        tags[_EXTRA] = extra
    if isinstance(image, Image.Image) and mode == "P":
        palette = image.getpalette("RGB") or []
        colours = np.zeros((256, 3), np.uint16)
        colours[: len(palette) // 3] = np.array(palette, np.uint16).reshape(-1, 3) * 257
        tags[_COLOUR_MAP] = tuple(colours.T.ravel().tolist())
    if "dpi" in info:
        tags[_X_RESOLUTION], tags[_Y_RESOLUTION] = map(float, info["dpi"])
        tags[_RESOLUTION_UNIT] = 2
    directory = _Directory(prefix=b"II")
    for tag, value in tags.items():
        directory[tag] = value
    for tag, key, kind in ((_PROFILE, "icc_profile", 7), (_XMP, "xmp", 1), (_IPTC, "iptc", 7)):
        if key in info:
            directory.tagtype[tag] = kind  # bytes
            directory[tag] = info[key]
    buffer = io.BytesIO()
    directory.save(buffer)
    buffer.write(strip)
    return buffer.getvalue()
