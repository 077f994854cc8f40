"""Memory that is given back only at the end."""

import platform
from pathlib import Path

import pytest
import torch

from harmonizer.training.memory import freed_memory_kept

MIB = 2**20


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the GNU C library")
def test_freed_memory_is_kept_inside_and_given_back_after() -> None:
    before = resident()
    with freed_memory_kept():
        block = torch.ones(50 * MIB)  # 200 MiB
        del block
        inside = resident()
    after = resident()
    assert inside - before > 150 * MIB
    assert after - before < 50 * MIB
