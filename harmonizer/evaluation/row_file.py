"""An evaluation's rows on disk, so that one that was stopped goes on where it was."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields, replace
from pathlib import Path
from typing import Any, cast

from harmonizer.errors import InputError
from harmonizer.evaluation.results import METRICS, Row
from harmonizer.files import read_json, write_atomically
from harmonizer.files.tables import RowTable, as_written

ROWS, CONFIGURATION = "images.csv", "configuration.json"
_VERSIONS = "versions"  # its key in the latter
_HIGHEST_SSIM = 1.001  # it is at most 1, but for rounding
_NUMBERS = ("foreground", *METRICS)


def open_rows(
    folder: Path,
    configuration: Mapping[str, Any],
    pictures: Sequence[tuple[str, str]],
    versions: Sequence[str],
) -> tuple[RowTable, list[Row]]:
    """Open `images.csv` of a folder: a row for each picture and model.

    Beside it, `configuration.json` says what was measured and how, so that rows of two evaluations
    are never mixed. The folder is made if it is not there.

    Args:
        folder: Where they are.
        configuration: What decides over them; of `models`, by their labels, what tells each from
            others, or None for what nothing does.
        pictures: Name and part of each, by its place in the dataset.
        versions: What tells the files of each from others of the same names.

    Returns:
        The table, and the rows that it holds of pictures that every model was measured on. What a
        killed process left of another picture is gone, and so are the rows of files that were
        replaced since, and of a picture of which one was damaged.

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
    found: dict[int, list[Row]] = {}
    for row in map(_parse, table.read()):
        if row is not None:
            found.setdefault(row.index, []).append(row)
    same = {i for i, (old, new) in enumerate(zip(before, versions, strict=False)) if old == new}
    whole = [
        row
        for index, rows in found.items()
        if index in same
        for row in _whole(rows, list(configuration["models"]), *pictures[index])
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


def _whole(rows: Sequence[Row], labels: Sequence[str], name: str, part: str) -> list[Row]:
    """The rows of a picture in the order of the models; none, unless all are there and sound."""
    by_label = {row.model: row for row in rows}
    written = {as_written(label): label for label in labels}
    if not len(rows) == len(labels) == len(written) or set(by_label) != set(written):
        return []
    if not all(_is_sound(row, as_written(name), as_written(part)) for row in rows):
        return []
    return [
        replace(by_label[text], model=label, name=name, part=part)
        for text, label in written.items()
    ]


def _is_sound(row: Row, name: str, part: str) -> bool:
    """Whether a row is of this picture, and has figures that can be."""
    numbers = [getattr(row, field) for field in _NUMBERS]
    return (
        (row.name, row.part) == (name, part)
        and all(map(math.isfinite, numbers))
        and 0 <= row.foreground <= 1
        and min(row.width, row.height) > 0
        and min(row.mse, row.fmse) >= 0
        and max(row.ssim, row.fssim) <= _HIGHEST_SSIM
    )


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
