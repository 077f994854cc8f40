"""Turn pictures upright by their EXIF, and have the EXIF say so.

EXIF is read by Pillow and, where that can be helped, not written by it: cameras write values that
Pillow reads and cannot write again, and notes of their own that only stay whole where they stand.
"""

import re
import struct
from contextlib import suppress
from typing import Any, Literal

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from harmonizer.errors import raise_if_interrupted, warn
from harmonizer.preprocessing import Array

ORIENTATION = 0x0112  # the EXIF tag
PREFIX = b"Exif\0\0"  # before EXIF in JPEG, and in what Pillow makes of some formats
# EXIF orientation -> (quarter turns counter-clockwise, then mirrored left-right) to stand upright.
_UPRIGHT = {
    1: (0, False),
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (3, True),
    6: (3, False),
    7: (1, True),
    8: (1, False),
}
_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What a TIFF file says of its picture, beside how it is stored: what it shows and who made it, by
# what, when and where; what Windows shows. All else belongs to the pixels of one file.
_DESCRIPTIVE = (
    *(0x010D, 0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x8298),
    *range(0x9C9B, 0x9CA0),
)
_SUB_DIRECTORIES = (0x8769, 0x8825)  # Exif, GPS
_INTEROPERABILITY = 0xA005
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))([2-8])")
# Where EXIF, or TIFF, may begin; Pillow also takes the number, 42 or 43, in the other order.
TIFF_HEADER = re.compile(rb"(?:II|MM)(?:\0[*+]|[*+]\0)")
# Bytes of a value of each type, in their order; what Pillow does not know it leaves alone.
_UNITS = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 0], np.float64)
_FRACTIONS = (5, 10)
_PIECES = (273, 279, 324, 325)  # the places and lengths of strips and tiles, which may be many
# Honest values do not overlap, or hardly: two resolutions may be one. A colour map of 16 bits has
# 196,608 numbers; each fraction becomes an object.
_OVERLAP, _MOST_NUMBERS, _MOST_FRACTIONS = 4, 1 << 18, 1 << 14
_MOST_PREFIXES = 100
# Of a picture there are four or five, in each other; each takes as long as so many entries.
_MOST_DIRECTORIES, _ENTRIES_EACH = 16, 1000


def check_directory(
    data: bytes, place: int, order: Literal["<", ">"], *, big: bool, start: int = 0
) -> tuple[int, int]:
    """Refuse a directory of EXIF or TIFF, and those in it, that takes far more than its file has.

    Pillow reads each value on its own: thousands of entries that all name the same bytes would
    become gigabytes.

    Args:
        data: What holds it.
        place: Where it stands, from `start`.
        order: Of bytes: "<" or ">".
        big: Whether it is that of BigTIFF.
        start: Where the header stands.

    Returns:
        How many entries it has, with those in it, and how many directories these are.

    Raises:
        ValueError: It is such a one.
    """
    kinds = ("u8", "u8") if big else ("u4", "u4")
    entry = np.dtype([("tag", "u2"), ("type", "u2"), ("count", kinds[0]), ("value", kinds[1])])
    entry, length = entry.newbyteorder(order), len(data) - start
    places, seen, held, numbers, fractions, entries = [place], set[int](), 0.0, 0.0, 0.0, 0
    while places:
        place = places.pop()
        first = start + place + (8 if big else 2)
        if place in seen or first > len(data):
            continue
        seen.add(place)
        if len(seen) > _MOST_DIRECTORIES:
            raise ValueError(f"its metadata has more than {_MOST_DIRECTORIES} directories")
        (told,) = struct.unpack_from(order + ("Q" if big else "H"), data, start + place)
        found = np.frombuffer(data, entry, min(told, (len(data) - first) // entry.itemsize), first)
        entries += len(found)
        units, counts = _UNITS[found["type"].clip(max=17)], found["count"].astype(np.float64)
        # Of those that end beyond the file nothing is read.
        read = (units * counts <= length) & (found["value"] + units * counts <= length)
        held += float((units * counts)[read].sum())
        numeric = read & (units > 1) & ~np.isin(found["tag"], _PIECES)
        numbers += float(counts[numeric].sum())
        fractions += float(counts[numeric & np.isin(found["type"], _FRACTIONS)].sum())
        inner = np.isin(found["tag"], (*_SUB_DIRECTORIES, _INTEROPERABILITY))
        places += found["value"][inner].tolist()
    if held > _OVERLAP * length + 65536 or numbers > _MOST_NUMBERS or fractions > _MOST_FRACTIONS:
        raise ValueError("its metadata would take far more memory than the file has")
    return entries, len(seen)


def check_entries(count: int, data: bytes) -> None:
    """Refuse so many entries in all directories of a file: they cannot each have bytes there."""
    if 12 * count > _OVERLAP * len(data) + (1 << 20):
        raise ValueError("its metadata overlaps, or is of far too many parts")


def check_exif(exif: bytes) -> None:
    """Refuse EXIF, with or without what formats put before it, as `check_directory` does."""
    if exif.startswith(_MOST_PREFIXES * PREFIX):  # Pillow copies the rest for each
        raise ValueError("its metadata begins again and again")
    exif = bare(exif)
    if TIFF_HEADER.match(exif):
        _check_from(exif, 0)


def check_headers(data: bytes) -> None:
    """Refuse such EXIF wherever it may stand in a file, of formats that are opened with it."""
    entries = 0
    for header in TIFF_HEADER.finditer(data):
        entries += _ENTRIES_EACH + _check_from(data, header.start())  # also of one to nowhere
        check_entries(entries, data)


def _check_from(data: bytes, start: int) -> int:
    order, entries = "<" if data[start] == ord("I") else ">", 0
    # BigTIFF is the latter to whoever reads 16 bits, and the former to Pillow, which reads 8.
    for big in {data[start + 2] == 43, 43 in data[start + 2 : start + 4]}:
        with suppress(struct.error):  # cut off
            (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, start + 4 + 4 * big)
            found, directories = check_directory(data, place, order, big=big, start=start)
            entries += found + _ENTRIES_EACH * directories  # which take some time each
    return entries


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; the result's own EXIF and XMP say that it stands upright."""
    try:
        _check_info(image)
        orientation = orientation_of(image.getexif(), image.info)
    except Exception as error:  # broken EXIF raises almost anything
        raise_if_interrupted(error)
        warn(f"the image's EXIF is broken and was ignored: {error}")
        return image
    if orientation not in _METHODS:
        return image
    result = image.transpose(_METHODS[orientation])
    result.info |= upright_info(result.info)
    return result


def _check_info(image: Image.Image) -> None:
    """Refuse EXIF that is too much, before Pillow looks at it."""
    if isinstance(exif := image.info.get("exif"), bytes):
        check_exif(exif)


def turned(pixels: Array, orientation: int) -> Array:
    """Turn an array, (H, W, ...), whose EXIF orientation is known, upright."""
    turns, mirrored = _UPRIGHT.get(orientation, (0, False))
    pixels = np.rot90(pixels, turns)
    return np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels)


def orientation_of(exif: Image.Exif, info: dict[Any, Any]) -> int:
    """Return how a picture lies by its EXIF, or by its XMP, if that says nothing."""
    return exif.get(ORIENTATION) or xmp_orientation(info.get("xmp"))


def xmp_orientation(packet: object) -> int:
    """Return how a picture lies by its XMP, as EXIF counts; 1 if that says nothing.

    (Pillow knows one of the two quotation marks.)
    """
    found = _XMP_ORIENTATION.search(packet) if isinstance(packet, bytes) else None
    return int(found[2]) if found else 1


def upright_info(info: dict[Any, Any]) -> dict[Any, Any]:
    """Return EXIF and XMP, of what Pillow knows of a picture, that call it upright."""
    changed: dict[Any, Any] = {}
    if isinstance(exif := info.get("exif"), bytes):
        changed["exif"] = _with_orientation_1(exif)
    for key in ("xmp", "XML:com.adobe.xmp"):
        packet = info.get(key)
        if isinstance(packet, bytes):
            changed[key] = _XMP_ORIENTATION.sub(rb"\g<1>1", packet)
        elif isinstance(packet, str):
            encoded = packet.encode("utf-8", "surrogatepass")
            encoded = _XMP_ORIENTATION.sub(rb"\g<1>1", encoded)
            changed[key] = encoded.decode("utf-8", "surrogatepass")
    return changed


def _with_orientation_1(exif: bytes) -> bytes:
    """Change the one value in place, so that all else stays as the camera wrote it."""
    start = len(exif) - len(bare(exif))
    order = "<" if exif[start : start + 2] == b"II" else ">"
    patched = bytearray(exif)
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, start + 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start + directory)
        for entry in range(start + directory + 2, start + directory + 2 + 12 * count, 12):
            if struct.unpack_from(f"{order}H", exif, entry) == (ORIENTATION,):
                struct.pack_into(f"{order}HI", patched, entry + 2, 3, 1)  # one short number
                struct.pack_into(f"{order}HH", patched, entry + 8, 1, 0)
    except struct.error:  # cut off; the tag was read by then, if there is one
        pass
    return bytes(patched)


def bare(exif: bytes) -> bytes:
    """Return EXIF without what formats put before it."""
    place = 0
    while exif.startswith(PREFIX, place):
        place += len(PREFIX)
    return exif[place:]


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width after `upright`, by what stands before the pixels, which are not read.

    (A PNG file may have its EXIF behind them, where only `upright` finds it.)
    """
    exif = Image.Exif()
    try:
        _check_info(image)
        exif.load(image.info.get("exif", b""))
        sideways = orientation_of(exif, image.info) in range(5, 9)
    except Exception as error:  # as in `upright`, which says so
        raise_if_interrupted(error)
        sideways = False
    return (image.width, image.height) if sideways else (image.height, image.width)


def descriptive_tags(exif: Image.Exif) -> tuple[dict[int, Any], list[str]]:
    """Return what EXIF, or a TIFF file's directory, says of a picture and Pillow can write.

    Tags that lay out pixels are none of it. Returned beside it are the names of what cannot be
    written. Exif and GPS are dictionaries in it.
    """
    lost: list[str] = []
    described = {tag: exif[tag] for tag in _DESCRIPTIVE if tag in exif}
    result = _writable(described, None, lost)
    for tag in _SUB_DIRECTORIES:
        directory = _directory(exif, tag, lost) if tag in exif else {}
        if _INTEROPERABILITY in directory:
            directory[_INTEROPERABILITY] = _directory(exif, _INTEROPERABILITY, lost)
        if directory:
            result[tag] = directory
    return result, lost


def _directory(exif: Image.Exif, tag: int, lost: list[str]) -> dict[int, Any]:
    try:
        entries = dict(exif.get_ifd(tag))
    except Exception as error:  # it points nowhere
        raise_if_interrupted(error)
        lost.append(ExifTags.TAGS[tag])
        return {}
    return _writable(entries, tag, lost)


def _writable(tags: dict[int, Any], group: int | None, lost: list[str]) -> dict[int, Any]:
    kept: dict[int, Any] = {}
    for tag, value in tags.items():
        try:
            directory = TiffImagePlugin.ImageFileDirectory_v2(group=group)
            directory[tag] = value
            directory.tobytes()
            kept[tag] = value
        except Exception as error:  # whatever a value of the wrong kind makes Pillow raise
            raise_if_interrupted(error)
            name = {**ExifTags.TAGS, **(ExifTags.GPSTAGS if group == 0x8825 else {})}.get(tag)
            lost.append(name or f"tag {tag}")
    return kept


def as_exif(tags: dict[int, Any]) -> bytes:
    """Return the bytes of EXIF that holds what `descriptive_tags` gave; empty for none."""
    if not tags:
        return b""
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    return exif.tobytes()
