"""Files that are whole or not there."""

import errno
import os
import stat
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

# What folders of other machines say where they know nothing of flushing to a disk.
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES}
# Where a process finds what it has open already; what is behind must not be replaced.
_OPEN_FILES = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that nobody ever sees a part of it.

    Into a pipe, a terminal or `/dev/null` it is written as it is. What of a text is no Unicode, as
    in the names of some files, is written as an escape.

    Raises:
        OSError: It cannot be written, or there is something that is no file; it is as it was.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    if is_stream(path):
        with path.open("wb", buffering=0) as stream:
            rest = memoryview(data)
            while rest:
                rest = rest[stream.write(rest) :]
        return
    draft = Draft(path)
    try:
        with draft.named(), draft.temporary.open("wb") as file:
            file.write(data)
        draft.keep()
    except BaseException:
        draft.discard()
        raise


class Draft:
    """A file that is written beside another one, and takes its place when it is whole.

    Attributes:
        temporary: Where to write it; an empty file at first.
    """

    def __init__(self, path: Path) -> None:
        """Begin; `path` is what will be replaced, if it is there.

        Raises:
            OSError: There is something that is no file, or nothing can be written there.
        """
        self._path = path
        if is_stream(path):
            raise OSError(errno.EINVAL, "it is no regular file, and is left as it is", str(path))
        self._place = Path(os.path.realpath(path))  # what a link points to is replaced, not it
        if self._place.is_symlink():  # links in a circle
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        # Who may read it is as before from the start; rights to act as its owner are not passed on.
        there = self._place.exists()
        self._mode = self._place.stat().st_mode & 0o777 if there else None
        self.temporary = self._place.with_name(f".{uuid.uuid4().hex}.tmp")
        mode = 0o666 if self._mode is None else self._mode | stat.S_IWUSR
        with self.named(), open(self.temporary, "xb", opener=_opener(mode)):
            pass

    @contextmanager
    def named(self) -> Generator[None]:
        """Let errors of the system name the file that was asked for, not the temporary one."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def keep(self) -> None:
        """Give the file its name, once it is on the disk.

        Raises:
            OSError: It cannot be had.
        """
        with self.named():
            with self.temporary.open("r+b") as file:
                try:
                    os.fsync(file.fileno())
                except OSError as error:
                    if error.errno not in _NO_SYNC:
                        raise
            if self._mode is not None:
                with suppress(OSError):  # some folders have no such rights
                    self.temporary.chmod(self._mode)
            self.temporary.replace(self._place)

    def discard(self) -> None:
        """Leave nothing behind of a file that was not kept."""
        self.temporary.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Return whether a path names a pipe, a terminal or the like, which has no content to replace.

    Raises:
        OSError: It names something else that is no file, such as a disk.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return True
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file, and is left as it is", str(path))
    return str(path).startswith(_OPEN_FILES)


def _opener(mode: int) -> Callable[[str, int], int]:
    return lambda name, flags: os.open(name, flags, mode)
