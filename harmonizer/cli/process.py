"""Change what a process does with memory, warnings, signals and its environment, for a while.

This is for our own commands alone.
"""

import ctypes
import os
import platform
import signal
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager

from harmonizer.cli.terminal import complain

# Parameters of mallopt(3), by their numbers in malloc.h of the GNU C library.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_KEPT = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1}
# Once one was set, the library no longer adapts the thresholds by itself. Afterwards they are those
# that it comes to when large blocks are freed.
_AFTERWARDS = {_M_MMAP_MAX: 65536, _M_MMAP_THRESHOLD: 2**25, _M_TRIM_THRESHOLD: 2**26}
# What a shell says of a program that Ctrl-C, or SIGTERM, has ended.
STOPPED, TERMINATED = 128 + 2, 128 + 15


@contextmanager
def freed_memory_kept() -> Generator[None]:
    """Let the process keep the memory that it frees meanwhile, to use it again.

    The GNU C library takes each large block from the operating system, and gives it back when it is
    freed. A network on the CPU frees and takes many of the same size, and the system clears each
    page of them every time, which takes a quarter of the time of a batch in HRNet-W18. Afterwards
    all but 64 MiB goes back as it is freed. With another library, or system, nothing is done.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    mallopt = ctypes.CDLL(None).mallopt
    for parameter, value in _KEPT.items():
        mallopt(parameter, value)
    try:
        yield
    finally:
        for parameter, value in _AFTERWARDS.items():
            mallopt(parameter, value)


@contextmanager
def environment(name: str, value: str) -> Generator[None]:
    """Set a variable of the environment meanwhile, unless it is set."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)


@contextmanager
def sigterm_as_ctrl_c() -> Generator[threading.Event]:
    """Let SIGTERM, which schedulers send before they kill, stop the work as Ctrl-C does meanwhile.

    Yields:
        What is set once it has come; it interrupts once. If the work does not see to it, the
        process ends with `TERMINATED`.
    """
    came = threading.Event()

    def interrupt(*_: object) -> None:
        if not came.is_set():
            came.set()
            raise KeyboardInterrupt

    with _handled(interrupt, "SIGTERM"):
        try:
            yield came
        except KeyboardInterrupt as stop:
            if not came.is_set():
                raise
            complain("stopped")
            raise SystemExit(TERMINATED) from stop


@contextmanager
def ended_by_signals() -> Generator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP end the process meanwhile, with the status of one done."""

    def end(*_: object) -> None:
        raise SystemExit(0)

    with _handled(end, "SIGINT", "SIGTERM", "SIGHUP"):
        yield


@contextmanager
def _handled(handler: Callable[..., None], *names: str) -> Generator[None]:
    """Have signals handled meanwhile, those that there are here; only the main thread may."""
    main = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name) for name in names if main and hasattr(signal, name)]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, theirs in before.items():
            signal.signal(number, theirs)


@contextmanager
def warnings_in_one_line() -> Generator[None]:
    """Show warnings as lines of this program meanwhile, without the code that gives them."""

    def show(message: Warning | str, *_: object) -> None:
        complain(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
