"""The command line is started by programs that leave it no terminal, or a strange one."""

import io
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import EXAMPLES
from PIL import Image

from harmonizer import Harmonizer
from harmonizer.cli import main
from harmonizer.cli.terminal import check_output
from harmonizer.data.files import read_or_replace
from harmonizer.errors import InputError
from harmonizer.files import write_atomically
from harmonizer.pipeline import prepared

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a POSIX shell starts the programs")

COMMAND = f"'{sys.executable}' -m harmonizer"
PAIR = f"'{EXAMPLES / 'composite.png'}' '{EXAMPLES / 'mask.png'}'"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        env={**os.environ, **environment},
        cwd=EXAMPLES.parent,
        capture_output=True,
        check=False,
        timeout=240,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures and their masks."""
    for name in ("a", "b"):
        for kind, source in ((".png", "composite.png"), ("_mask.png", "mask.png")):
            (tmp_path / "in" / (name + kind)).parent.mkdir(exist_ok=True)
            (tmp_path / "in" / (name + kind)).write_bytes((EXAMPLES / source).read_bytes())
    return tmp_path


def test_the_streams_of_a_program_that_calls_a_command_stay_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = io.BytesIO()
    stream = io.TextIOWrapper(held, "ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["list"]) == 0
    assert sys.stdout is stream
    assert stream.errors == "strict"
    assert sys.stdin is None
    assert held.getvalue()


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_folder_without_streams(closed: str, folder: Path) -> None:
    done = shell(f"{COMMAND} run '{folder}/in' '{folder}/in' -o '{folder}/out' {closed}")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (folder / "out").iterdir()} >= {"a.png", "b.png"}


def test_no_stdin_where_a_picture_is_expected() -> None:
    done = shell(f"{COMMAND} run - '{EXAMPLES / 'mask.png'}' -o - <&- | cat")
    assert done.returncode == 1
    assert done.stderr.startswith(b"harmonizer: error: 0 bytes cannot be read")
    assert done.stderr.count(b"\n") == 1


def test_a_name_that_stdout_cannot_print(tmp_path: Path) -> None:
    """After the file was written, there is nothing to fail any more."""
    names = {"cp1252": "фото.png", "utf-8:strict": os.fsdecode(b"caf\xe9.png")}
    for encoding, name in names.items():
        picture = tmp_path / name
        picture.write_bytes((EXAMPLES / "composite.png").read_bytes())
        done = shell(
            f"{COMMAND} run $'{tmp_path}'/*{picture.suffix} '{EXAMPLES / 'mask.png'}'",
            PYTHONIOENCODING=encoding,
        )
        assert done.returncode == 0, done.stderr
        assert b"_harmonized.png" in done.stdout
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.parametrize("command", ["list", "--help", "train --print-recipe idih"])
def test_nobody_reads_on(command: str) -> None:
    done = shell(f"{COMMAND} {command} | true")
    assert done.stderr == b""
    assert done.returncode in (0, 141)  # it may have written all before


def test_a_pipe_and_dev_stdout_as_output() -> None:
    plain = shell(f"{COMMAND} run {PAIR} -o - --format png | cat")
    assert plain.returncode == 0, plain.stderr
    other = shell(f"{COMMAND} run {PAIR} -o /dev/stdout --format png | cat")
    assert other.returncode == 0, other.stderr
    assert other.stdout == plain.stdout


def test_a_link_to_itself_is_one_bad_picture(folder: Path) -> None:
    for name in ("c.png", "c_mask.png"):
        (folder / "in" / name).symlink_to(name)
    done = shell(f"{COMMAND} run '{folder}/in' '{folder}/in' -o '{folder}/out'")
    assert done.returncode == 1
    assert b"2 written, 1 failed, 0 skipped" in done.stderr
    assert {path.name for path in (folder / "out").iterdir()} >= {"a.png", "b.png"}


def test_a_picture_as_text_in_place_of_a_path() -> None:
    done = shell(f"{COMMAND} run {'iVBORw0K' * 15_000} '{EXAMPLES / 'mask.png'}' -o /dev/null")
    assert done.returncode == 1
    assert done.stderr.startswith(b"harmonizer: error: ")
    assert len(done.stderr) < 5_000


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        cv2.error("OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."),
    ],
)
def test_too_little_memory_is_said(
    error: Exception,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Harmonizer, "harmonize", fail)
    monkeypatch.setattr(prepared, "open_image", fail)
    picture, mask = (str(EXAMPLES / name) for name in ("composite.png", "mask.png"))
    assert main(["run", picture, mask, "-o", str(tmp_path / "b.png")]) == 1
    assert "error: there is not enough memory" in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()


def test_a_link_to_what_is_not_there_yet_is_not_followed_unasked(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(InputError, match="exists already; add --force"):
        check_output(tmp_path / "b.png", force=False)
    check_output(tmp_path / "b.png", force=True)
    write_atomically(tmp_path / "b.png", b"new")  # then as `open` does
    assert (tmp_path / "b.png").is_symlink()
    assert (tmp_path / "elsewhere.png").read_bytes() == b"new"


def test_what_a_log_says_of_a_file_does_nothing_to_a_terminal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> object:
            raise InputError("\x1b]0;title\x07 cannot be read")

    with pytest.raises(InputError):
        read_or_replace(Broken(), 0, np.random.default_rng(0), "skip", {})
    assert "\\x1b]0;title\\x07 cannot be read" in caplog.text
    assert "\x1b" not in caplog.text
