"""Memory that is freed and taken again: in processes of their own, whose memory has no history."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="of the GNU C library alone"
)

SIZE = 200 * 2**20
BEGINNING = f"""
from pathlib import Path
import torch
from harmonizer.threads import freed_memory_kept

def left_of_a_block():
    # Bytes that this process has in memory more after a block was taken and freed.
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    before = resident()
    torch.ones({SIZE} // 4)
    return resident() - before
"""


def figures(code: str) -> list[int]:
    """What a process prints."""
    command = [sys.executable, "-c", BEGINNING + code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


def test_freed_memory_is_kept_inside_alone() -> None:
    before, inside, afterwards = figures("""
print(left_of_a_block())
with freed_memory_kept():
    with freed_memory_kept():
        pass
    print(left_of_a_block())  # the inner one did not end it
torch.ones(2**20)  # what was kept goes back with the next block
print(left_of_a_block())
""")
    assert before < SIZE / 4
    assert inside > SIZE * 3 / 4
    assert afterwards < SIZE / 4


def test_it_ends_with_an_error_too() -> None:
    (afterwards,) = figures("""
try:
    with freed_memory_kept():
        raise ZeroDivisionError
except ZeroDivisionError:
    print(left_of_a_block())
""")
    assert afterwards < SIZE / 4
