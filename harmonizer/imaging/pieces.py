"""Refuse files whose metadata stands in so many pieces that Pillow takes the square of them.

It joins pieces one by one, and copies all that it has for each; of plain PPM it copies a megabyte
for each comment.
"""

import re
from collections.abc import Iterable, Iterator

from harmonizer.imaging.scans import JPEG

_MOST_COPIED = 2 << 30  # bytes, less than a second; a megabyte in a GIF file's pieces
_MOST_COMMENTS = 10_000
_EXIF = re.compile(rb"\xff\xe1(..)Exif\0\0", re.DOTALL)
_GIF, _PLAIN = (b"GIF87a", b"GIF89a"), (b"P1", b"P2", b"P3")
_COMMENTS = re.compile(rb"#[^\r\n]*")
_EXTENSION, _IMAGE, _TRAILER = b"!,;"
_COMMENT, _APPLICATION = 0xFE, 0xFF


def check_pieces(data: bytes) -> None:
    """Refuse such a file of JPEG, GIF, or plain PPM, PGM or PBM.

    Raises:
        ValueError: It is one.
    """
    if data.startswith(JPEG):
        _check_joined(_segments(data), "EXIF")
    elif data.startswith(_GIF):
        _check_joined(_comments(data), "comment")
    elif data.startswith(_PLAIN):
        for count, _ in enumerate(_COMMENTS.finditer(data)):
            if count == _MOST_COMMENTS:
                raise ValueError(f"it has more than {_MOST_COMMENTS:,} comments; leave them out")


def _check_joined(pieces: Iterable[int | None], what: str) -> None:
    """Refuse pieces of so many bytes; None begins anew."""
    held, copied = 0, 0
    for piece in pieces:
        held = 0 if piece is None else held + piece
        copied += held
        if copied > _MOST_COPIED:
            raise ValueError(
                f"its {what} of {held:,} bytes or more is in far too many pieces; save it without"
            )


def _segments(data: bytes) -> Iterator[int]:
    """Yield the length of whatever may be a segment of EXIF, wherever it stands."""
    return (int.from_bytes(found[1], "big") for found in _EXIF.finditer(data))


def _comments(data: bytes) -> Iterator[int | None]:
    """Yield the lengths of a GIF file's pieces of comments, and None behind each picture.

    Goes over the file as Pillow does: what stands between its parts is passed over, and of other
    extensions at least one block, though it be empty.
    """
    place, first = 13 + _palette(data[10]), True
    try:
        while (kind := data[place]) != _TRAILER:
            place += 1
            if kind == _IMAGE:
                place += 10 + _palette(data[place + 8])  # and how the pixels' codes begin
                place, first = _behind(data, place), False
                yield None
            elif kind == _EXTENSION and data[place] == _COMMENT:
                yield 1  # Pillow parts comments by a line
                place += 1
                while length := data[place]:
                    yield length
                    place += 1 + length
                place += 1
            elif kind == _EXTENSION:
                looped = first and data[place] == _APPLICATION
                looped = looped and data.startswith(b"NETSCAPE2.0", place + 2)
                place += 2 + data[place + 1]
                place = _behind(data, place + 1 + data[place] if looped else place)
    except IndexError:  # it ends
        return


def _behind(data: bytes, place: int) -> int:
    """Return where a row of blocks ends that begins there."""
    while length := data[place]:
        place += 1 + length
    return place + 1


def _palette(flags: int) -> int:
    """Return how many bytes the palette takes that flags tell of."""
    return 6 << (flags & 7) if flags & 0x80 else 0
