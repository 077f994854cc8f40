"""Memory that is freed and taken again, without the operating system in between."""

import ctypes
import platform
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache

# Parameters of mallopt(3), by their numbers in malloc.h of the GNU C library.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_INSIDE = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1}
# Once one was set, the library no longer adapts the thresholds by itself. Afterwards they are those
# that it comes to when large blocks are freed.
_AFTERWARDS = {_M_MMAP_MAX: 65536, _M_MMAP_THRESHOLD: 2**25, _M_TRIM_THRESHOLD: 2**26}

_lock = threading.Lock()
_inside = 0  # how many are between the start and the end of `freed_memory_kept`


@cache
def _find_mallopt() -> Callable[[int, int], int] | None:
    return ctypes.CDLL(None).mallopt if platform.libc_ver()[0] == "glibc" else None


@contextmanager
def freed_memory_kept(wanted: bool = True) -> Generator[None]:
    """Let this process keep the memory that it frees meanwhile, to use it again.

    The GNU C library takes each large block from the operating system, and gives it back when it is
    freed. A network on the CPU frees and takes many of the same size, and the system clears each
    page of them every time, which takes a quarter of the time of a batch in HRNet-W18. Afterwards
    all but 64 MiB goes back as it is freed. With another library, or system, nothing is done.

    Args:
        wanted: Whether to do so at all; a network on another device gains nothing by it.
    """
    global _inside
    mallopt = _find_mallopt() if wanted else None
    if mallopt is None:
        yield
        return
    with _lock:
        _inside += 1
        for parameter, value in _INSIDE.items():
            mallopt(parameter, value)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                for parameter, value in _AFTERWARDS.items():
                    mallopt(parameter, value)
