"""Paths as callers name them, and JSON that others have written."""

import json
import os
from pathlib import Path
from typing import Any, cast

from harmonizer.errors import InputError

LARGEST_JSON = 10_000_000


def as_path(path: object, name: str) -> Path:
    """Return what a caller gave as a path.

    Raises:
        InputError: It is none.
    """
    given: object = None
    if isinstance(path, str | os.PathLike):
        given = cast(object, os.fspath(cast(Any, path)))
    if not isinstance(given, str) or "\0" in given:
        raise InputError(f"{name} is a path, as text or pathlib.Path; got {path!r}")
    if not given:  # which pathlib takes for the folder that one stands in
        raise InputError(f"the path of {name} is empty")
    return Path(given)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds something else, or more than such a file of this library ever does.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST_JSON + 1)
    if len(content) > LARGEST_JSON:
        raise ValueError(f"it has more than {LARGEST_JSON:,} bytes")
    try:
        document: Any = json.loads(content.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(document, dict):
        raise ValueError(f"it holds a {type(document).__name__}, not an object")
    return cast(dict[str, Any], document)
