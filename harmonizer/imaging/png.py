"""Read and write what stands in the chunks of PNG files, and Pillow leaves alone."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import PngImagePlugin

from harmonizer.errors import warn

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# What numbers mean, where no profile says so: gamma, primaries, and both by ITU-T H.273.
_GAMMA, _PRIMARIES, _CODES = b"gAMA", b"cHRM", b"cICP"
# sRGB's, times 100,000, and how far programs' roundings are from them.
_SRGB = {
    _GAMMA: (45455,),
    _PRIMARIES: (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
}
_NEAR = 100
# Primaries, transfer (2 of both says nothing), matrix, and that the range is full.
_SRGB_CODES = ((1, 2), (1, 2, 6, 13, 14, 15), (0,), (1,))
_RAW_PROFILE = "Raw profile type "
_XMP = b"http://ns.adobe.com/xap/1.0/\0"  # before XMP in a segment of JPEG


def check_chunks(data: bytes) -> None:
    """Refuse a file with a chunk that claims to be longer than the file is.

    OpenCV takes as much memory as it claims before it looks.

    Raises:
        ValueError: It is such a one.
    """
    for _, start, end in _chunks(data):
        if end > len(data):
            raise ValueError(f"a piece of it claims {end - start:,} bytes, more than there are")


def bare_png(data: bytes) -> bytes:
    """Return the file with its pixels alone."""
    parts = (data[start - 8 : end + 4] for kind, start, end in _chunks(data) if kind in _PIXELS)
    return SIGNATURE + b"".join(parts)


def other_colours(data: bytes, name: str, *, profile: bool) -> dict[bytes, bytes]:
    """Return the chunks by which a file says that its colours are not sRGB, with a warning.

    Args:
        data: The file.
        name: What to call it.
        profile: Whether it has an ICC profile, which counts more than gamma and primaries.
    """
    found: dict[bytes, bytes] = {}
    for kind, start, end in _chunks(data):
        if kind == b"IDAT":
            break
        if kind in (_GAMMA, _PRIMARIES, _CODES, b"sRGB"):
            found[kind] = data[start:end]
    if profile or b"sRGB" in found:
        found = {kind: content for kind, content in found.items() if kind == _CODES}
    found = {kind: content for kind, content in found.items() if not _is_srgb(kind, content)}
    if found:
        kinds = ", ".join(kind.decode() for kind in found)
        warn(
            f"{name} says by {kinds} that its colours are not sRGB, as which they are taken; of "
            "what says so, ICC profiles are used"
        )
    return found


def warn_of_gamma(info: dict[Any, Any]) -> None:
    """Warn of an image of Pillow's whose file said that its colours are not sRGB.

    (Pillow knows nothing of cICP, and writes none of it.)
    """
    if info.get("icc_profile") or "srgb" in info:
        return
    primaries: Any = info.get("chromaticity")
    told: dict[bytes, tuple[Any, ...]] = {
        _GAMMA: (info.get("gamma"),),
        _PRIMARIES: primaries if isinstance(primaries, tuple) else (),
    }
    kinds = [
        kind.decode()
        for kind, values in told.items()
        if values and all(isinstance(one, int | float) for one in values)
        if not _is_near(kind, [one * 100_000 for one in values])
    ]
    if kinds:
        warn(
            f"the image's file says by {', '.join(kinds)} that its colours are not sRGB, as which "
            "they are taken; give the file itself to keep what says so"
        )


def _is_srgb(kind: bytes, content: bytes) -> bool:
    if kind == _CODES:
        return len(content) != 4 or all(
            one in usual for one, usual in zip(content, _SRGB_CODES, strict=True)
        )
    count = len(_SRGB[kind])
    if len(content) != 4 * count:
        return True  # damaged: it says nothing
    return _is_near(kind, struct.unpack(f">{count}I", content))


def _is_near(kind: bytes, told: Sequence[float]) -> bool:
    """Whether gamma or primaries, times 100,000, are about those of sRGB."""
    return all(abs(one - other) <= _NEAR for one, other in zip(told, _SRGB[kind], strict=False))


def raw_profiles(info: dict[Any, Any]) -> list[str]:
    """Return the names of the texts that may hold EXIF, XMP and profiles."""
    return [key for key in info if isinstance(key, str) and key.startswith(_RAW_PROFILE)]


def adopt_raw_profiles(info: dict[Any, Any]) -> None:
    """Take EXIF, XMP and profiles in texts, where ImageMagick puts them, for what they are.

    Args:
        info: The metadata, as Pillow names it; changed in place.
    """
    for text in raw_profiles(info):
        try:
            content = bytes.fromhex("".join(str(info[text]).split("\n")[3:]))
        except ValueError:  # no such text after all
            continue
        kind = text.removeprefix(_RAW_PROFILE).lower()
        if kind == "app1":
            kind = "xmp" if content.startswith(_XMP) else "exif"
        key = {"exif": "exif", "xmp": "xmp", "icc": "icc_profile", "icm": "icc_profile"}.get(kind)
        if key is not None:
            del info[text]
            info.setdefault(key, content.removeprefix(_XMP))


def with_png_info(png: bytes, kept: dict[str, Any]) -> bytes:
    """Put into a PNG file that has none what `metadata_for` gave."""
    texts = PngImagePlugin.PngInfo()
    if "xmp" in kept:
        texts.add_itxt("XML:com.adobe.xmp", kept["xmp"].decode("utf-8", "replace"))
    comment = {"Comment": _text_of(kept["comment"])} if "comment" in kept else {}
    for key, value in (comment | kept.get("text", {})).items():
        texts.add_text(key, value)
    chunks = b"".join(_chunk(kind, content) for kind, content in kept.get("colours", {}).items())
    if "icc_profile" in kept:
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(kept["icc_profile"]))
    if "dpi" in kept:
        pixels_a_metre = (round(one / 0.0254) for one in kept["dpi"])
        chunks += _chunk(b"pHYs", struct.pack(">IIB", *pixels_a_metre, 1))
    if "exif" in kept:
        chunks += _chunk(b"eXIf", kept["exif"])
    for kind, content, *_ in texts.chunks:
        chunks += _chunk(kind, content)
    header_end = 8 + 25  # they belong between the header and the image data
    return png[:header_end] + chunks + png[header_end:]


def _text_of(comment: bytes) -> str:
    """Return a comment, of which JPEG does not say how it is written."""
    try:
        return comment.decode("utf-8")
    except UnicodeDecodeError:
        return comment.decode("latin-1")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the chunks up to the last: their names, and where their content begins and ends."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        start = place + 8
        end = start + int.from_bytes(data[place : place + 4], "big")
        kind = data[place + 4 : start]
        yield kind, start, end
        if kind == b"IEND":
            return
        place = end + 4
