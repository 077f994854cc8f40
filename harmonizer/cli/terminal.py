"""Speak to the terminal, and refuse to overwrite files, for all commands."""

import io
import os
import re
import sys
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harmonizer.errors import InputError, printable, shortened
from harmonizer.files import is_stream

_CUT_OFF = 128 + 13  # what a shell says of a program that SIGPIPE has ended


@contextmanager
def sound_streams() -> Generator[None]:
    """See to it that there are streams to speak to, whoever started this process, and how.

    What was closed (`2>&-`) or never there (`pythonw`) becomes the null device, so that no file
    gets its number; what an encoding cannot print is written as an escape; and if nobody reads on
    (`| head`), the process ends in silence. Afterwards they are as they were.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    try:
        with ExitStack() as afterwards:
            for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
                stream = getattr(sys, name)
                if stream is None:
                    afterwards.callback(setattr, sys, name, None)
                    null = afterwards.enter_context(Path(os.devnull).open(mode, encoding="utf-8"))
                    setattr(sys, name, null)
                elif mode == "w" and isinstance(stream, io.TextIOWrapper):
                    afterwards.callback(stream.reconfigure, errors=stream.errors)
                    stream.reconfigure(errors="backslashreplace")
            try:
                yield
            finally:
                sys.stdout.flush()
    except BrokenPipeError as error:
        if error.filename is not None:  # another one than stdout
            raise
        # Python would flush once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_CUT_OFF) from error


def say(text: object) -> None:
    """Write to stdout what a command was asked for; control characters become escapes."""
    print(printable(str(text)), flush=True)


def complain(text: str) -> None:
    """Write to stderr, under the program's name.

    Names of files may hold anything: control characters are written as escapes, and further lines
    are indented, so that none passes for a message of its own.
    """
    shown = printable(shortened(text))
    print("harmonizer: " + re.sub(r"\n(?! )", "\n  ", shown), file=sys.stderr)


def check_output(path: Path, *, force: bool) -> None:
    """Refuse, before the work, a file that could not or must not be written after it."""
    if str(path) == "-":
        raise InputError("this is not written to stdout, and - is no file; name a file to write")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent} to write to; make it first")
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file, e.g. {path}/out.png")
    if is_stream(path):
        return
    if os.path.lexists(path) and not force:  # a link may name a file that is yet to come
        raise InputError(f"{path} exists already; add --force to replace it, or name another")


def check_apart(outputs: Iterable[Path | None]) -> None:
    """Refuse to write one file twice; None is no file."""
    names = [os.path.realpath(path) for path in outputs if path is not None]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"{min(twice)} would be written twice; name another file")


def check_not_read(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse to replace, even by force, what the same command reads; None is no file.

    Args:
        outputs: Files.
        inputs: Files, and folders whose pictures are read.
    """
    there = [path for path in outputs if path is not None and path.is_file()]
    if not there:
        return
    from harmonizer.imaging.files import list_pictures

    given = [path for path in inputs if path is not None]
    held = [picture for path in given if path.is_dir() for picture in list_pictures(path)]
    read = [path for path in (*given, *held) if path.is_file()]
    for output in there:
        if any(map(output.samefile, read)):
            raise InputError(f"{output} is read; name another file to write")


def check_output_folder(path: Path, *, force: bool) -> None:
    """Refuse, before the work, a folder that could not or must not be written to after it."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; name a folder to write to")
    if path.is_dir() and any(not one.name.startswith(".") for one in path.iterdir()) and not force:
        raise InputError(
            f"{path} is not empty; add --force to replace what is in it, or name another"
        )
