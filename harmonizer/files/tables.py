"""Tables of rows, read whole, and added to by whole rows."""

import csv
import errno
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from harmonizer.errors import InputError, raise_if_interrupted
from harmonizer.files.writing import write_atomically

# What a spreadsheet takes for a formula, and the mark that keeps it from that.
_FORMULA, _TEXT_MARK = ("=", "+", "-", "@", "\t", "\r"), "'"


def read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read the column names and the rows of a CSV file with a header.

    Raises:
        InputError: It cannot be read, has no rows, or a row has more fields than the header.

    Blanks behind commas do not count where the header has some, nor do rows without anything, as
    spreadsheets leave them. A row of fewer fields has "" in the columns that it lacks. They take no
    memory, or a few kilobytes of a header would take gigabytes of short rows.
    """
    rows: list[dict[str, str]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file, strict=True), None) or []
            # Whoever writes blanks behind the header's commas writes them behind all.
            spaced = any(name.startswith(" ") for name in header)
            columns = [name.strip() for name in header]
            reader = csv.reader(file, strict=True, skipinitialspace=spaced)
            for fields in reader:
                if not any(map(str.strip, fields)):
                    continue
                if len(fields) > len(columns):
                    line = 1 + reader.line_num
                    raise InputError(
                        f"{path}, line {line}: more fields than the header has columns"
                    )
                rows.append(defaultdict(str, zip(columns, fields, strict=False)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise_if_interrupted(error)
        raise InputError(
            f"the table {path} cannot be read: {error}; expected a CSV file in UTF-8"
        ) from error
    if not rows:
        raise InputError(f"the table {path} has no rows; expected a header and one row a picture")
    return columns, rows


def refuse_gaps(rows: Iterable[dict[str, str]], columns: Sequence[str], path: Path) -> None:
    """Stop at a row that has nothing in one of some columns.

    Raises:
        InputError: There is such a row, which is shown.
    """
    for row in rows:
        if gaps := [column for column in columns if not row[column].strip()]:
            said = ", ".join(filter(None, row.values()))
            raise InputError(f"{path}: a row has no {' and no '.join(gaps)}: {said}")


def rows_with(
    rows: Sequence[dict[str, str]],
    columns: Sequence[str],
    column: str,
    wanted: Sequence[str],
    path: Path,
) -> list[dict[str, str]]:
    """Choose the rows that have one of some values in a column.

    Raises:
        InputError: There is no such column, a value is no text, or no row has one of them.
    """
    if odd := [value for value in wanted if not isinstance(cast(object, value), str)]:
        raise InputError(f"{column} is text, as in the table {path}; got {odd[0]!r}")
    if column not in columns:
        raise InputError(
            f"the table {path} has no column {column}, so {', '.join(wanted)} cannot be chosen by "
            "it; leave that out, or add the column"
        )
    known = sorted({row[column] for row in rows})
    if absent := [value for value in wanted if value not in known]:
        raise InputError(
            f"{path}: no row has {column} {', '.join(map(repr, absent))}; there are {known}"
        )
    return [row for row in rows if row[column] in wanted]


class RowTable:
    """A CSV file that rows are added to, and that a killed process may have left at any byte.

    Floats are written so that they can be read back exactly; texts so that no spreadsheet takes
    them for formulas, which `read` undoes.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Name the file, which need not be there, and what a row holds."""
        self.path, self.columns = path, list(columns)

    def read(self) -> list[list[str]]:
        """Return the rows that are whole: lines that have an end and a field for each column.

        Raises:
            InputError: It is no table.
        """
        text = self.path.read_bytes().decode(errors="replace") if self.path.is_file() else ""
        ended = io.StringIO(text[: text.rfind("\n") + 1], newline="")
        try:
            rows = [row for row in csv.reader(ended) if len(row) == len(self.columns)]
        except csv.Error as error:
            raise InputError(f"the table {self.path} is damaged: {error}; move it away") from error
        return [
            [text.removeprefix(_TEXT_MARK) for text in row] for row in rows if row != self.columns
        ]

    def begin(self, rows: Iterable[Iterable[object]] = ()) -> None:
        """Replace the file, as a whole, by the header and some rows.

        Raises:
            OSError: It cannot be written, and is as it was.
        """
        write_atomically(self.path, _as_csv([self.columns, *rows]))

    def append(self, rows: Iterable[Iterable[object]]) -> None:
        """Add rows.

        Raises:
            OSError: They cannot be written; the table is as it was.
        """
        data = _as_csv(rows).encode("utf-8", "backslashreplace")
        with self.path.open("r+b", buffering=0) as file:
            whole = file.seek(0, os.SEEK_END)
            try:
                if file.write(data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            except OSError:
                file.truncate(whole)
                raise


def as_written(text: str) -> str:
    """Return a text as `RowTable` reads it back: what UTF-8 does not hold is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _as_csv(rows: Iterable[Iterable[object]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(
        [_as_text(one) for one in row] for row in rows
    )
    return buffer.getvalue()


def _as_text(value: object) -> object:
    """A path becomes a text, and a text one that is no formula."""
    text = str(value) if isinstance(value, Path) else value
    risky = isinstance(text, str) and text.startswith((*_FORMULA, _TEXT_MARK))
    return f"{_TEXT_MARK}{text}" if risky else text
