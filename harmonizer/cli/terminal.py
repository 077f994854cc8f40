"""Speak to the terminal, and refuse to overwrite files, for all commands."""

import re
import sys
from pathlib import Path

from harmonizer.errors import InputError


def complain(text: str) -> None:
    """Write to stderr, under the program's name.

    Names of files may hold anything: control characters are written as escapes, and further lines
    are indented, so that none passes for a message of its own.
    """
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    print("harmonizer: " + re.sub(r"\n(?! )", "\n  ", shown), file=sys.stderr)


def check_output(path: Path, *, force: bool) -> None:
    """Refuse, before the work, a file that could not or must not be written after it."""
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent} to write to; make it first")
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file, e.g. {path}/out.png")
    if path.exists() and not force:
        raise InputError(f"{path} exists already; add --force to replace it, or name another")


def check_output_folder(path: Path, *, force: bool) -> None:
    """Refuse, before the work, a folder that could not or must not be written to after it."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; name a folder to write to")
    if path.is_dir() and any(not one.name.startswith(".") for one in path.iterdir()) and not force:
        raise InputError(
            f"{path} is not empty; add --force to replace what is in it, or name another"
        )
