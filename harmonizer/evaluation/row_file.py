"""An evaluation's rows on disk, so that one that was stopped goes on where it was."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, cast

from harmonizer.errors import InputError
from harmonizer.evaluation.results import Row
from harmonizer.files import read_json, write_atomically
from harmonizer.files.tables import RowTable

ROWS, CONFIGURATION = "images.csv", "configuration.json"
_VERSIONS = "versions"  # its key in the latter


def open_rows(
    folder: Path, configuration: Mapping[str, Any], versions: Sequence[str]
) -> tuple[RowTable, list[Row]]:
    """Open `images.csv` of a folder: a row for each picture and model.

    Beside it, `configuration.json` says what was measured and how, so that rows of two evaluations
    are never mixed. The folder is made if it is not there.

    Args:
        folder: Where they are.
        configuration: What decides over them; of `models`, by their labels, what tells each from
            others, or None for what nothing does.
        versions: What tells the files of each picture, by its place in the dataset, from others of
            the same names.

    Returns:
        The table, and the rows that it holds of pictures that every model was measured on; what a
        killed process left of another picture is gone, and so are rows of files that were
        replaced since.

    Raises:
        InputError: The folder holds an evaluation of something else, or of what may be something
            else.
        OSError: It cannot be read or written.
    """
    table = RowTable(folder / ROWS, [field.name for field in fields(Row)])
    written = folder / CONFIGURATION
    for path in (table.path, written):
        if path.is_symlink() and not path.exists():
            raise InputError(f"{path} is a link that leads nowhere; remove it")
    said = json.loads(json.dumps(configuration))
    before: Sequence[str] = ()
    if written.is_file():
        before = _read_versions(written, said)
    elif table.path.exists():
        raise InputError(
            f"{table.path} is there without the {CONFIGURATION} of an evaluation; name "
            "another folder"
        )
    text = json.dumps({**said, _VERSIONS: list(versions)}, indent=2) + "\n"
    if not before:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(written, text)
    rows = [row for row in map(_parse, table.read()) if row is not None]
    counts = Counter(row.index for row in rows)
    same = {i for i, (old, new) in enumerate(zip(before, versions, strict=False)) if old == new}
    whole = [
        row
        for row in rows
        if row.index in same and counts[row.index] == len(configuration["models"])
    ]
    table.begin([astuple(row) for row in whole])
    if before:  # only now that no row of other files is left
        write_atomically(written, text)
    return table, whole


def _parse(texts: list[str]) -> Row | None:
    """A row out of its fields; None if they are not those of a row."""
    index, model, name, part, width, height, *numbers = texts
    try:
        return Row(int(index), model, name, part, int(width), int(height), *map(float, numbers))
    except ValueError:
        return None


def _read_versions(path: Path, configuration: Mapping[str, Any]) -> Sequence[str]:
    try:
        before = read_json(path)
    except ValueError as error:
        raise InputError(f"{path} cannot be read ({error}); name another folder") from error
    different = [key for key in configuration if before.get(key) != configuration[key]]
    if different:
        raise InputError(
            f"{path.parent} holds an evaluation that differs in {', '.join(different)}; name "
            "another folder, or delete this one"
        )
    unknown = [label for label, identity in configuration["models"].items() if identity is None]
    if unknown:
        raise InputError(
            f"{path.parent} holds an evaluation, and nobody can tell whether {', '.join(unknown)} "
            "is the function that was measured there; name another folder, or delete this one"
        )
    versions: object = before.get(_VERSIONS)
    return cast(list[str], versions) if isinstance(versions, list) else ()
