"""A run's tables survive the moment at which it was killed."""

from pathlib import Path

import pytest

from harmonizer.training.run_folder import Log

WHOLE = b"step,loss\n1,0.5\n2,0.25\n"


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(b"3,0.125\n4,0.1\n", id="rows after the checkpoint"),
        pytest.param(b"2", id="cut in the step"),
        pytest.param(b"2,0.2", id="cut in the number"),
        pytest.param(b"2,", id="cut before the number"),
        pytest.param(b"2\n", id="a row that lacks a field"),
        pytest.param(b"\0\0\0\0\n", id="zeros, as a power cut leaves them"),
        pytest.param(b"\xff,0.5\n", id="no text"),
    ],
)
def test_a_resumed_log_holds_whole_rows_up_to_the_checkpoint(left: bytes, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(WHOLE + left)
    log = Log(tmp_path, "log", ("loss",), 2, None)
    assert log.table.path.read_bytes() == WHOLE
    log.write(3, {"loss": 0.125})
    assert log.table.path.read_bytes() == WHOLE + b"3,0.125\n"


def test_a_new_run_forgets_the_log_of_another(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(WHOLE)
    assert Log(tmp_path, "log", ("loss",), 0, None).table.path.read_bytes() == b"step,loss\n"
