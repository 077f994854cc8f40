"""An evaluation's rows on disk, so that one that was stopped goes on where it was."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from harmonizer.errors import InputError
from harmonizer.evaluation.results import Row
from harmonizer.files import write_atomically

_COLUMNS = [field.name for field in fields(Row)]


class RowFile:
    """`images.csv` of a folder: a row for each picture and model, appended as they are measured.

    Floats are written so that they can be read back exactly. Beside it, `configuration.json` says
    what was measured and how, so that rows of two evaluations are never mixed.
    """

    def __init__(self, folder: Path, configuration: Mapping[str, Any]) -> None:
        """Open the folder, made if it is not there, and read what it holds.

        Args:
            folder: Where to write.
            configuration: What is measured and how, fit for JSON.

        Raises:
            InputError: The folder holds an evaluation of something else.
            OSError: It cannot be read or written.
        """
        self.path = folder / "images.csv"
        self.rows: list[Row] = []
        written = folder / "configuration.json"
        text = json.dumps(configuration, indent=2)
        if written.is_file():
            _refuse_another(written, json.loads(text))
        elif self.path.exists():
            raise InputError(
                f"{self.path} is there without the configuration.json of an evaluation; name "
                "another folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(written, (text + "\n").encode())
        count = len(configuration["models"])
        whole = _whole_pictures(self._read() if self.path.is_file() else [], count)
        self.rows = whole
        # What a killed process left of its last picture goes, or the rest would be glued to it.
        write_atomically(self.path, _as_csv([_COLUMNS, *(astuple(row) for row in whole)]).encode())

    def append(self, rows: Iterable[Row]) -> None:
        """Add the rows of one picture.

        Raises:
            OSError: They cannot be written.
        """
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(_as_csv(astuple(row) for row in rows))

    def _read(self) -> list[Row]:
        text = self.path.read_bytes().decode(errors="replace")
        ended = text[: text.rfind("\n") + 1]  # a line without an end was cut off
        rows: list[Row] = []
        for texts in csv.reader(io.StringIO(ended, newline="")):
            if texts == _COLUMNS:
                continue
            try:
                rows.append(_parse(texts))
            except ValueError:
                break  # from here on, nothing can be trusted
        return rows


def _parse(texts: list[str]) -> Row:
    """A row out of its fields; a ValueError if they are not those of a row."""
    if len(texts) != len(_COLUMNS):
        raise ValueError(f"expected {len(_COLUMNS)} fields, got {len(texts)}")
    index, model, name, part, width, height, *numbers = texts
    return Row(int(index), model, name, part, int(width), int(height), *map(float, numbers))


def _as_csv(rows: Iterable[Iterable[object]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _whole_pictures(rows: list[Row], models: int) -> list[Row]:
    """The rows of the pictures that every model has one for."""
    counts: dict[int, int] = {}
    for row in rows:
        counts[row.index] = counts.get(row.index, 0) + 1
    return [row for row in rows if counts[row.index] == models]


def _refuse_another(path: Path, configuration: Mapping[str, Any]) -> None:
    try:
        before = json.loads(path.read_text("utf-8"))
        different = [key for key in configuration if before.get(key) != configuration[key]]
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({error}); name another folder") from error
    if different:
        raise InputError(
            f"{path.parent} holds an evaluation that differs in {', '.join(different)}; name "
            "another folder, or delete this one"
        )
