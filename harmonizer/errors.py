"""The errors that this library raises on purpose, and how it warns.

Every message says what was expected, what came, and what to do. Each class also derives from the
built-in exception that a caller who has never heard of this library would catch.
"""

import inspect
import signal
import warnings
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from importlib import import_module
from numbers import Real
from operator import index
from typing import Any, SupportsIndex, cast

_SAID_OF_MEMORY = ("Insufficient memory", "can't allocate memory", "out of memory")
LACK_OF_MEMORY = "there is not enough memory for this picture"


class HarmonizerError(Exception):
    """Base class of every error that the library raises on purpose."""

    def __str__(self) -> str:
        """Return the message as written (``KeyError`` alone would put it in quotes)."""
        return shortened(str(self.args[0])) if self.args else ""


def raise_if_interrupted(error: Exception) -> None:
    """Raise an exception again that a signal's handler has raised, as time limits do.

    It comes up wherever the program is; where anything else means that a file is damaged, it does
    not.
    """
    handlers = [signal.getsignal(one) for one in signal.valid_signals()]
    called: list[Any] = [getattr(one, "func", one) for one in handlers]  # of a partial
    called += [one.__call__ for one in called if callable(one)]  # of an object
    codes = {getattr(one, "__code__", None) for one in called}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            raise error
        trace = trace.tb_next


def shortened(text: str, longest: int = 4000) -> str:
    """Leave out the middle of a text that no person would read, such as a file given as a path."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} ... ({len(text) - 2 * half:,} characters) ... {text[-half:]}"


def check_within(owner: object, names: Iterable[str], lowest: float, highest: float) -> None:
    """Refuse attributes that are not numbers of a range; NaN is of none.

    Raises:
        InputError: One is not; the message names it.
    """
    for name in names:
        value = getattr(owner, name)
        if not isinstance(value, Real) or not lowest <= float(value) <= highest:
            raise InputError(f"{name} is a number from {lowest:g} to {highest:g}; got {value}")


def check_one_of(value: object, name: str, choices: Sequence[str]) -> None:
    """Refuse what is none of a few words; a misspelt one would be taken for another.

    Raises:
        InputError: It is something else; the message names it and them.
    """
    if not isinstance(value, str) or value not in choices:
        words = " or ".join(f'"{word}"' for word in choices)
        raise InputError(f"{name} is {words}; got {shortened(repr(value))}")


def as_whole(value: object, name: str, lowest: int, highest: int | None = None) -> int:
    """Return what a caller gave as a whole number, of Python's, NumPy's or another library's.

    Raises:
        InputError: It is no whole number in this range; the message names it.
    """
    try:
        whole = None if isinstance(value, bool) else index(cast(SupportsIndex, value))
    except TypeError:
        whole = None
    if whole is None or whole < lowest or (highest is not None and whole > highest):
        span = f"of at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        raise InputError(f"{name} is a whole number {span}; got {shortened(repr(value))}")
    return whole


def near_names(name: str, known: Iterable[str], most: int = 3) -> str:
    """Return a sentence that asks for the known names most like a wrong one; empty without any."""
    close = get_close_matches(name.lower(), list(known), n=most)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def printable(text: str) -> str:
    """Return a text with escapes in place of what a terminal would act on."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def is_lack_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there is too little memory, by Python, OpenCV or torch."""
    said = str(error)
    return isinstance(error, MemoryError) or any(text in said for text in _SAID_OF_MEMORY)


class InputError(HarmonizerError, ValueError):
    """An image, a mask or an argument is not what the call can work with."""


class UnknownModelError(HarmonizerError, KeyError):
    """No model or network has this name."""


class WeightsUnavailableError(HarmonizerError, OSError):
    """The weights exist nowhere that could be reached."""


class WeightsCorruptedError(HarmonizerError, OSError):
    """Weights were found, but they are not the ones that were promised."""


class TrainingError(HarmonizerError, RuntimeError):
    """A training run cannot go on."""


class ExportError(HarmonizerError, RuntimeError):
    """A model in another format does not give the same answers."""


_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


@contextmanager
def collected_warnings(messages: list[str]) -> Generator[None]:
    """Add what `warn` says in this thread to a list, in place of giving warnings.

    For work in threads of this library: what there is to say of a picture travels with it to the
    caller's thread.
    """
    token = _collected.set(messages)
    try:
        yield
    finally:
        _collected.reset(token)


def note_warning(message: str) -> bool:
    """Collect a warning if this thread's are collected; return whether they are."""
    messages = _collected.get()
    if messages is None:
        return False
    messages.append(message)
    return True


def warn(message: str) -> None:
    """Give a `UserWarning` that points at the line of the caller's own code, not of this library.

    Within `collected_warnings` it is collected.
    """
    if note_warning(message):
        return
    level, frame = 1, inspect.currentframe()
    # NumPy's frames are those of `np.errstate` around our functions.
    while frame and frame.f_globals.get("__name__", "").split(".")[0] in ("harmonizer", "numpy"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)


def import_extra(module: str, extra: str) -> Any:  # noqa: ANN401 - it may not be there to look at
    """Import a module of a package that comes with an extra.

    Raises:
        InputError: It is not installed; the message says how to.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            f"this needs {module}: pip install 'image-harmonizer[{extra}]' ({error})"
        ) from error
