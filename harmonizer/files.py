"""Files that are whole or not there, and tables that grow by whole rows."""

import csv
import errno
import io
import os
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees a part of it."""
    place = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
    if place.is_symlink():  # links in a circle
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    path = place
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        # Name the file that was asked for, not the temporary one.
        raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class RowTable:
    """A CSV file that rows are added to, and that a killed process may have left at any byte.

    Floats are written so that they can be read back exactly.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Name the file, which need not be there, and what a row holds."""
        self.path, self.columns = path, list(columns)

    def read(self) -> list[list[str]]:
        """Return the rows that are whole: lines that have an end and a field for each column."""
        text = self.path.read_bytes().decode(errors="replace") if self.path.is_file() else ""
        ended = io.StringIO(text[: text.rfind("\n") + 1], newline="")
        rows = [row for row in csv.reader(ended) if len(row) == len(self.columns)]
        return [row for row in rows if row != self.columns]

    def begin(self, rows: Iterable[Iterable[object]] = ()) -> None:
        """Replace the file, as a whole, by the header and some rows.

        Raises:
            OSError: It cannot be written, and is as it was.
        """
        write_atomically(self.path, _as_csv([self.columns, *rows]).encode())

    def append(self, rows: Iterable[Iterable[object]]) -> None:
        """Add rows.

        Raises:
            OSError: They cannot be written.
        """
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(_as_csv(rows))


def _as_csv(rows: Iterable[Iterable[object]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
