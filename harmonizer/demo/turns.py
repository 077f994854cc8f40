"""Have work that takes much memory done by one thread, one after the other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Semaphore
from typing import Self, TypeVar

from harmonizer.errors import InputError

Result = TypeVar("Result")


class Turns:
    """Whose turn it is.

    Gradio's own limits are no help: each control has one of its own, and what a visitor has called
    off counts no more, while its thread goes on. One thread, because the GNU C library keeps for
    each what it has freed.
    """

    def __init__(self, places: int) -> None:
        """Let so many have their turn or wait for it."""
        self._places = Semaphore(places)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="harmonizer-demo")

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing more of what waits; what is being done goes on."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def take(self, function: Callable[..., Result], *values: object) -> Result:
        """Call a function when its turn comes, and return what it returns.

        Raises:
            InputError: Too many wait already.
        """
        if not self._places.acquire(blocking=False):
            raise InputError("too many pictures wait for their turn here; try again in a minute")
        try:
            return self._pool.submit(copy_context().run, function, *values).result()
        finally:
            self._places.release()
