"""Memory that is freed and taken again."""

import platform
from pathlib import Path

import pytest
import torch

from harmonizer.memory import freed_memory_kept

MIB = 2**20
SIZE = 200 * MIB

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="of the GNU C library alone"
)


def left_of_a_block() -> int:
    """Bytes that this process has in memory more after a block was taken and freed."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    before = resident()
    block = torch.ones(SIZE // 4)
    del block
    return resident() - before


def test_freed_memory_is_kept_inside_alone() -> None:
    assert left_of_a_block() < SIZE / 4
    with freed_memory_kept():
        with freed_memory_kept():
            pass
        assert left_of_a_block() > SIZE * 3 / 4  # the inner one did not end it
    torch.ones(MIB)  # what was kept goes back with the next block
    assert left_of_a_block() < SIZE / 4


def test_it_ends_with_an_error_too() -> None:
    with pytest.raises(ZeroDivisionError), freed_memory_kept():
        raise ZeroDivisionError
    assert left_of_a_block() < SIZE / 4
