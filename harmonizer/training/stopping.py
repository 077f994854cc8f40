"""End a run, when it is told to, after the step in hand."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Generator[threading.Event]:
    """Set an event on SIGTERM and SIGINT, in place of dying in the middle of a step."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return
    kinds = (signal.SIGTERM, signal.SIGINT)

    def set_stop(number: int, frame: object) -> None:
        del number, frame
        stop.set()

    before = {kind: signal.signal(kind, set_stop) for kind in kinds}
    try:
        yield stop
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
