"""Memory that is given back only at the end."""

import ctypes
import platform
from collections.abc import Generator
from contextlib import contextmanager

# Parameters of mallopt(3) in malloc.h of the GNU C library, and what they are by default.
_M_TRIM_THRESHOLD, _TRIM_THRESHOLD = -1, 128 * 1024
_M_MMAP_MAX, _MMAP_MAX = -4, 65536
_LARGEST_INT = 2**31 - 1


@contextmanager
def freed_memory_kept() -> Generator[None]:
    """Let this process keep the memory that it frees, to use it again.

    The GNU C library takes each large block from the operating system, and gives it back when it is
    freed. A step of training on the CPU frees and takes hundreds of the same blocks, and the system
    clears each page of them every time, which can take longer than the arithmetic. With another
    library, or another system, nothing is done. Afterwards the parameters are the library's
    defaults again; but once one was set, it no longer adapts them by itself.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT)
    try:
        yield
    finally:
        library.mallopt(_M_MMAP_MAX, _MMAP_MAX)
        library.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
        library.malloc_trim(0)
