"""What the commands have in common: what they say, and what they never overwrite."""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from harmonizer.errors import InputError

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage] - argparse has no public name for it


def complain(text: str) -> None:
    """Write to stderr, under the program's name.

    Names of files may hold anything: control characters are written as escapes, and further lines
    are indented, so that none passes for a message of its own.
    """
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    print("harmonizer: " + re.sub(r"\n(?! )", "\n  ", shown), file=sys.stderr)


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return what reads an argument that is a whole number in a range, for argparse."""
    span = f"of at least {least}" if most is None else f"from {least} to {most}"

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
            raise argparse.ArgumentTypeError(f"expected a whole number {span}, got {text!r}")
        return int(text)

    return read


def check_output(path: Path, *, force: bool) -> None:
    """Refuse, before the work, a file that could not or must not be written after it.

    Args:
        path: The file.
        force: Whether it may replace one.

    Raises:
        InputError: Its folder is not there, it is a folder itself, or it exists and `force` is
            not set.
    """
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent} to write to; make it first")
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file, e.g. {path}/out.png")
    if path.exists() and not force:
        raise InputError(f"{path} exists already; add --force to replace it, or name another")


def check_output_folder(path: Path, *, force: bool) -> None:
    """Refuse, before the work, a folder that could not or must not be written to after it.

    Args:
        path: The folder; it may be missing.
        force: Whether files in it may be replaced.

    Raises:
        InputError: It is a file, or it holds something and `force` is not set.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; name a folder to write to")
    if path.is_dir() and any(not one.name.startswith(".") for one in path.iterdir()) and not force:
        raise InputError(
            f"{path} is not empty; add --force to replace what is in it, or name another"
        )
