"""Warnings to where the work of their thread is told of: a picture of many, a visitor of a page.

`warnings.catch_warnings` is one for the whole process: with two threads at work, one is given what
the other warned of.
"""

import threading
import warnings
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

_thread = threading.local()
_lock = threading.Lock()
_inside = 0  # how many are between the start and the end of `warnings_by_thread`
_changes = ExitStack()


@contextmanager
def warnings_by_thread() -> Generator[None]:
    """Let `noting` work meanwhile; the warnings of threads without it are shown as ever."""
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            _changes.enter_context(warnings.catch_warnings())
            for category in (UserWarning, RuntimeWarning):  # this library's, and Pillow's of bombs
                warnings.simplefilter("always", category)
            show = warnings.showwarning

            def note(message: Warning | str, *about: Any) -> None:  # noqa: ANN401 - as Python's own
                noted: list[str] | None = getattr(_thread, "noted", None)
                if noted is None:
                    show(message, *about)
                else:
                    noted.append(str(message))

            warnings.showwarning = note
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _changes.close()


@contextmanager
def noting(noted: list[str]) -> Generator[None]:
    """Add the warnings of this thread to a list; within `warnings_by_thread`."""
    _thread.noted = noted
    try:
        yield
    finally:
        del _thread.noted
