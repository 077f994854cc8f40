"""Walk through JPEG files: refuse very many scans, find the EXIF, and where a picture ends."""

import re
from collections.abc import Iterator

from harmonizer.imaging.exif import PREFIX

JPEG = b"\xff\xd8"  # what its files begin with
_MOST_SCANS = 100  # libtiff's limit, too; encoders write a dozen
# What ends the numbers of a scan: neither a byte of 255 nor a mark between their parts.
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_START, _SCAN, _END, _APP1 = b"\xd8", b"\xda", b"\xd9", b"\xe1"
_BARE = (b"\x01", _START, _END)  # markers without a length


def check_scans(data: bytes) -> None:
    """Refuse a file whose picture, or one of its pictures, takes far longer than it looks.

    Raises:
        ValueError: It has more than 100 scans.
    """
    most = data.count(b"\xff" + _SCAN)  # of a picture's own numbers none is written so
    if most > _MOST_SCANS:
        most = _most_scans(data) if data.startswith(JPEG) else 0
    if most > _MOST_SCANS:
        raise ValueError(f"it goes over its picture more than {_MOST_SCANS} times")


def joined_exif(jpeg: bytes) -> Iterator[bytes]:
    """Yield the EXIF of each picture of a JPEG file that has it in several segments, joined."""
    held: list[bytes] = []
    for kind, place in _markers(jpeg):
        if kind == _APP1 and jpeg.startswith(PREFIX, place + 2):
            length = int.from_bytes(jpeg[place : place + 2], "big")
            held.append(jpeg[place + 2 + len(PREFIX) : place + length])
        elif kind in (_START, _SCAN):
            if len(held) > 1:
                yield b"".join(held)
            held = []


def end_of_jpeg(data: bytes) -> int | None:
    """Return where the first picture of a JPEG file ends; phones write others behind it.

    None if it is cut off before.
    """
    return next((place for kind, place in _markers(data) if kind == _END), None)


def _most_scans(data: bytes) -> int:
    scans, most = 0, 0
    for kind, _ in _markers(data):
        scans = 0 if kind == _START else scans + (kind == _SCAN)
        most = max(most, scans)
    return most


def _markers(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the markers of a JPEG file, and where each ends; not those in what others hold."""
    place = 0
    while found := _MARKER.search(data, place):
        place, kind = found.end(), found[1]
        yield kind, place
        if kind not in _BARE:
            place += int.from_bytes(data[place : place + 2], "big")
