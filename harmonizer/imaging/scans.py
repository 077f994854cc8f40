"""Refuse JPEG files of very many scans: each goes over the whole picture, of a few bytes."""

import re

_JPEG, _BLIZZARD = b"\xff\xd8", b"BLP1\0\0\0\0"  # the second holds a JPEG file, in two parts
_MOST_SCANS = 100  # libtiff's limit, too; encoders write a dozen
# What ends the numbers of a scan: neither a byte of 255 nor a mark between their parts.
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_START, _SCAN = b"\xd8", b"\xda"
_BARE = (b"\x01", _START, b"\xd9")  # markers without a length


def check_scans(data: bytes) -> None:
    """Refuse a file whose picture, or one of its pictures, takes far longer than it looks.

    Raises:
        ValueError: It has more than 100 scans.
    """
    most = data.count(b"\xff" + _SCAN)  # of a picture's own numbers none is written so
    if most > _MOST_SCANS and not data.startswith(_BLIZZARD):
        most = _most_scans(data) if data.startswith(_JPEG) else 0
    if most > _MOST_SCANS:
        raise ValueError(f"it goes over its picture more than {_MOST_SCANS} times")


def _most_scans(data: bytes) -> int:
    place, scans, most = 0, 0, 0
    while found := _MARKER.search(data, place):
        place, kind = found.end(), found[1]
        scans = 0 if kind == _START else scans + (kind == _SCAN)
        most = max(most, scans)
        if kind not in _BARE:
            place += int.from_bytes(data[place : place + 2], "big")
    return most
