"""Read and write what stands in the boxes of JPEG 2000 and AVIF files, and Pillow leaves alone."""

import struct
from collections.abc import Iterator
from typing import Any

from harmonizer.errors import warn
from harmonizer.imaging.exif import bare

_EXIF = b"JpgTiffExif->JP2"
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_PROFILE = 2  # of the ways to say what colours mean, the one by an ICC profile
# What is about sRGB, or says nothing, by the numbers of ITU-T H.273: primaries, transfer.
_USUAL = ((1, 2), (1, 2, 6, 13, 14, 15))


def jpeg_2000_bits(data: bytes) -> int:
    """Return how many bits a channel of a JPEG 2000 file has; 0 if it does not say so."""
    place = data.find(b"\xffO\xffQ") + 42  # from the markers that begin the pixels
    return 1 + (data[place] & 0x7F) if 42 <= place < len(data) else 0


def jpeg_2000_info(data: bytes) -> dict[str, bytes]:
    """Return the profile, EXIF and XMP of a JPEG 2000 file, as Pillow names them in others."""
    found: dict[str, bytes] = {}
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind == b"uuid":
            name = {_EXIF: "exif", _XMP: "xmp"}.get(data[start : start + 16])
            if name is not None:
                found[name] = data[start + 16 : end]
        if kind == b"jp2h":
            for inner, first, last in _boxes(data, start, end):
                if inner == b"colr" and data[first] in (_PROFILE, 3):
                    found.setdefault("icc_profile", data[first + 3 : last])
    return found


def with_jpeg_2000_info(data: bytes, info: dict[str, Any]) -> bytes:
    """Put into a JPEG 2000 file, as Pillow writes it, what `metadata_for` gave."""
    parts: list[bytes] = []
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind != b"jp2h":
            parts.append(data[start - 8 : end])
            continue
        header = b""
        for inner, first, last in _boxes(data, start, end):
            if inner == b"colr" and "icc_profile" in info:
                header += _box(inner, bytes((_PROFILE, 0, 0)) + info["icc_profile"])
            else:
                header += data[first - 8 : last]
        if "dpi" in info:
            header += _box(b"res ", _box(b"resc", _resolution(*info["dpi"])))
        parts.append(_box(kind, header))
        for name, key in ((_EXIF, "exif"), (_XMP, "xmp")):
            if key in info:
                parts.append(_box(b"uuid", name + bare(info[key])))
    return b"".join(parts)


def _resolution(across: float, down: float) -> bytes:
    """Return pixels a metre, as the format says them: fractions of small numbers, powers of ten."""
    metre = across / 0.0254, down / 0.0254
    power = 0 if max(metre) < 1 << 16 else 2
    wide, tall = (round(one / 10**power) for one in metre)
    return struct.pack(">HHHHBB", tall, 1, wide, 1, power, power)


def warn_of_depth_and_light(data: bytes, name: str, bits: int | None) -> None:
    """Warn of what Pillow makes of an AVIF or HEIF file: it cuts to 8 bits, and knows no CICP.

    `bits` is how many a channel has, where Pillow's plugin says so; AVIF's does not.
    """
    place = data.find(b"av1C", 0, 1 << 16)
    flags = data[place + 6] if 0 <= place < len(data) - 6 else 0
    bits = bits or (8 if not flags & 0x40 else 12 if flags & 0x20 else 10)
    if bits > 8:
        warn(f"{name} has {bits} bits a channel, of which 8 are kept; TIFF and PNG keep 16")
    place = data.find(b"colrnclx", 0, 1 << 16)
    if 0 <= place < len(data) - 12 and b"colrprof" not in data[: 1 << 16]:
        told: tuple[int, int] = struct.unpack_from(">HH", data, place + 8)
        if any(one not in usual for one, usual in zip(told, _USUAL, strict=True)):
            warn(f"{name} has colours of CICP {told[0]}/{told[1]}, which are taken as sRGB")


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the boxes between two places: their names, and where their content begins and ends."""
    while start + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, start)
        if length == 1:  # more than 4 GB; nothing that is looked for here
            return
        stop = start + length if length else end
        if stop < start + 8 or stop > end:  # damaged; the decoder says so
            return
        yield kind, start + 8, stop
        start = stop


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content
