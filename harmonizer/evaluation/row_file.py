"""An evaluation's rows on disk, so that one that was stopped goes on where it was."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from harmonizer.errors import InputError
from harmonizer.evaluation.results import Row
from harmonizer.files import RowTable, read_json, write_atomically

ROWS, CONFIGURATION = "images.csv", "configuration.json"


def open_rows(
    folder: Path, configuration: Mapping[str, Any], changed: Callable[[int], float]
) -> tuple[RowTable, list[Row]]:
    """Open `images.csv` of a folder: a row for each picture and model.

    Beside it, `configuration.json` says what was measured and how, so that rows of two evaluations
    are never mixed. The folder is made if it is not there.

    Args:
        folder: Where they are.
        configuration: What decides over them.
        changed: When the files of a picture, by its place in the dataset, were last written.

    Returns:
        The table, and the rows that it holds of pictures that every model was measured on; what a
        killed process left of another picture is gone, and so are rows of files that were
        replaced since.

    Raises:
        InputError: The folder holds an evaluation of something else.
        OSError: It cannot be read or written.
    """
    table = RowTable(folder / ROWS, [field.name for field in fields(Row)])
    written = folder / CONFIGURATION
    for path in (table.path, written):
        if path.is_symlink() and not path.exists():
            raise InputError(f"{path} is a link that leads nowhere; remove it")
    text = json.dumps(configuration, indent=2)
    if written.is_file():
        _refuse_another(written, json.loads(text))
    elif table.path.exists():
        raise InputError(
            f"{table.path} is there without the {CONFIGURATION} of an evaluation; name "
            "another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(written, text + "\n")
    rows = [row for row in map(_parse, table.read()) if row is not None]
    measured = table.path.stat().st_mtime if rows else 0.0
    counts = Counter(row.index for row in rows)
    kept = {
        index
        for index, count in counts.items()
        if count == len(configuration["models"]) and changed(index) <= measured
    }
    whole = [row for row in rows if row.index in kept]
    table.begin([astuple(row) for row in whole])
    return table, whole


def _parse(texts: list[str]) -> Row | None:
    """A row out of its fields; None if they are not those of a row."""
    index, model, name, part, width, height, *numbers = texts
    try:
        return Row(int(index), model, name, part, int(width), int(height), *map(float, numbers))
    except ValueError:
        return None


def _refuse_another(path: Path, configuration: Mapping[str, Any]) -> None:
    try:
        before = read_json(path)
        different = [key for key in configuration if before.get(key) != configuration[key]]
    except ValueError as error:
        raise InputError(f"{path} cannot be read ({error}); name another folder") from error
    if different:
        raise InputError(
            f"{path.parent} holds an evaluation that differs in {', '.join(different)}; name "
            "another folder, or delete this one"
        )
