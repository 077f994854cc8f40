"""Walk through JPEG files: refuse very many scans, find the EXIF, and where a picture ends."""

import re
from collections.abc import Iterator

from harmonizer.imaging.exif import PREFIX

JPEG = b"\xff\xd8"  # what its files begin with
_MOST_SCANS = 100  # libtiff's limit, too; encoders write a dozen
# What ends the numbers of a scan: neither a byte of 255 nor a mark between their parts. Of bytes of
# 255 in a row the last one counts; to begin with each of them would take quadratic time.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_START, _SCAN, _END, _APP1 = b"\xd8", b"\xda", b"\xd9", b"\xe1"
_BARE = (b"\x01", _START, _END)  # markers without a length
# What Pillow takes for the beginning of a picture, and for a marker in a header, all whose kinds
# it knows from the first on; and those that have no length to it.
_BEGIN, _NEXT = re.compile(rb"\xff\xd8(?=\xff)"), re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
_FIRST_KNOWN = b"\xc0"
_BARE_TO_PILLOW = {bytes([one]) for one in (0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE))}
_MOST_PASSED = 4  # times a file, of all headers in it


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
    """Yield the EXIF of each picture of a JPEG file that has it in several segments, joined.

    Goes over each header as Pillow does, which passes over beginnings and ends of pictures in it;
    and from wherever one may begin, since a file says itself where its further pictures do.

    Raises:
        ValueError: Headers overlap so much that this would take very long.
    """
    passed = 0
    for start in _BEGIN.finditer(jpeg):
        held: list[bytes] = []
        place = start.end()
        while found := _NEXT.search(jpeg, place):
            place, kind = found.end(), found[1]
            if kind < _FIRST_KNOWN:
                break
            if kind in _BARE_TO_PILLOW:
                continue
            first, place = place + 2, place + _length(jpeg, place)
            if kind == _APP1 and jpeg.startswith(PREFIX, first):
                held.append(jpeg[first + len(PREFIX) : place])
            if kind == _SCAN:
                break
        else:  # all of the rest was looked through
            place = max(place, len(jpeg))
        if len(held) > 1:
            yield b"".join(held)
        passed += place - start.end()
        if passed > _MOST_PASSED * len(jpeg):
            raise ValueError("its headers overlap, or begin again and again")


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
            place += _length(data, place)


def _length(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 2], "big")
