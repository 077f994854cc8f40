"""Memory that is freed and taken again: in processes of their own, whose memory has no history."""

import os
import platform
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from harmonizer.cli import main
from harmonizer.cli.process import (
    TERMINATED,
    ended_by_signals,
    environment,
    sigterm_as_ctrl_c,
    warnings_in_one_line,
)

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="of the GNU C library alone"
)

SIZE = 200 * 2**20
BEGINNING = f"""
from pathlib import Path
import torch
from harmonizer.cli.process import freed_memory_kept

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
    print(left_of_a_block())
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


def test_a_program_that_harmonizes_manages_its_memory_itself() -> None:
    before, afterwards = figures("""
from harmonizer import Harmonizer
import numpy as np
harmonizer = Harmonizer.from_pretrained(device="cpu")
mask = np.zeros((64, 64), bool); mask[20:40, 20:40] = True
print(left_of_a_block())
harmonizer(np.full((64, 64, 3), 99, np.uint8), mask)
print(left_of_a_block())
""")
    assert before < SIZE / 4
    assert afterwards < SIZE / 4


def test_warnings_are_lines_of_the_program_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    before = (warnings.showwarning, list(warnings.filters))
    with warnings_in_one_line():
        warnings.warn("of a picture", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "harmonizer: warning: of a picture\n"
    assert (warnings.showwarning, list(warnings.filters)) == before


def test_a_variable_is_set_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OF_OURS", raising=False)
    with environment("OF_OURS", "1"):
        assert os.environ["OF_OURS"] == "1"
    with pytest.raises(KeyError), environment("OF_OURS", "1"):
        raise KeyError
    assert "OF_OURS" not in os.environ
    monkeypatch.setenv("OF_OURS", "theirs")
    with environment("OF_OURS", "1"):
        assert os.environ["OF_OURS"] == "theirs"
    assert os.environ["OF_OURS"] == "theirs"


def test_a_page_that_ends_leaves_signals_as_they_were() -> None:
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = [signal.getsignal(getattr(signal, name)) for name in names]
    for name in names:
        with pytest.raises(SystemExit) as stop, ended_by_signals():
            signal.raise_signal(getattr(signal, name))
        assert stop.value.code == 0
    assert [signal.getsignal(getattr(signal, name)) for name in names] == before
    assert main(["demo", "--model", "no-such-model"]) > 0
    assert [signal.getsignal(getattr(signal, name)) for name in names] == before


def test_signals_are_left_alone_by_other_threads() -> None:
    """Python lets the main thread alone set them."""

    def work() -> str:
        with sigterm_as_ctrl_c(), ended_by_signals():
            return "done"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == "done"


def test_sigterm_interrupts_once(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_as_ctrl_c() as came:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # the file is being finished
        assert came.is_set()
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(SystemExit) as stop, sigterm_as_ctrl_c():
        signal.raise_signal(signal.SIGTERM)
    assert stop.value.code == TERMINATED
    assert capsys.readouterr().err == "harmonizer: stopped\n"
    with pytest.raises(KeyboardInterrupt), sigterm_as_ctrl_c():
        raise KeyboardInterrupt
    assert signal.getsignal(signal.SIGTERM) is before
