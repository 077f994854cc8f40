"""Folders of pictures as clips, and single pictures for all frames of one."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

from harmonizer.errors import InputError, raise_if_interrupted
from harmonizer.imaging.files import list_pictures
from harmonizer.imaging.scans import end_of_jpeg

# What reads many pictures that are written one behind the other, by FFmpeg's names.
PICTURES = {".png": "png_pipe", ".jpg": "jpeg_pipe", ".jpeg": "jpeg_pipe"}
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_STILL = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".pgm", ".jp2")


def is_still(source: Path) -> bool:
    """Return whether a source is one picture, for all frames of a clip."""
    return not source.is_dir() and source.suffix.lower() in _STILL


def sorted_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder, `2.png` before `10.png`.

    Raises:
        InputError: There are none.
    """

    def key(path: Path) -> list[tuple[int, str]]:
        parts = re.split(r"(\d+)", path.name)
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

    found = sorted(list_pictures(folder), key=key)
    if not found:
        raise InputError(f"the folder {folder} holds no pictures")
    return found


def numbered(folder: Path) -> list[Path]:
    """Return the pictures of a folder that is a clip.

    Raises:
        InputError: They are not all PNG, or all JPEG, or not all files.
    """
    found = sorted_pictures(folder)
    for path in found:
        if not path.is_file():  # nobody may ever write to a pipe
            raise InputError(f"{path} cannot be read: it is a folder or a device, not a file")
    if {PICTURES.get(path.suffix.lower()) for path in found} not in ({"png_pipe"}, {"jpeg_pipe"}):
        raise InputError(f"the pictures of a clip are PNG or JPEG, all alike; {folder} has others")
    return found


def first_picture(path: Path) -> bytes:
    """Read a PNG or JPEG file, without what stands behind its picture.

    Cameras and phones write previews and gain maps there, which would be frames of their own.

    Raises:
        InputError: It is no such file, or cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise_if_interrupted(error)
        raise InputError(f"{path} cannot be read: {error}") from error
    png = PICTURES[path.suffix.lower()] == "png_pipe"
    if not data.startswith(_PNG if png else _JPEG):
        raise InputError(f"{path} is no {'PNG' if png else 'JPEG'} file, as its name says")
    end = _end_of_png(data) if png else end_of_jpeg(data)
    if end is None:  # FFmpeg would fill it up, with green or with the picture before
        raise InputError(f"{path} is truncated")
    return data[:end]


def _end_of_png(data: bytes) -> int:
    place, kind = len(_PNG), b""
    while kind != b"IEND" and place + 8 <= len(data):
        kind = data[place + 4 : place + 8]
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    return place


class JoinedFiles(io.RawIOBase):
    """Pictures, read as if their files were one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Take the files, in their order."""
        self._coming = iter(paths)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read up to so many bytes; fewer at the end of each file."""
        while not self._rest:
            path = next(self._coming, None)
            if path is None:
                return b""
            self._rest = memoryview(first_picture(path))
        end = len(self._rest) if size < 0 else size
        part, self._rest = self._rest[:end], self._rest[end:]
        return bytes(part)
