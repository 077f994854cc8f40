"""Files are written where other programs' files, rights, pipes and devices are."""

import errno
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from harmonizer.files import write_atomically
from harmonizer.files.tables import RowTable

posix = pytest.mark.skipif(os.name != "posix", reason="rights and pipes of POSIX")


@posix
def test_a_pipe_gets_the_content_and_stays_one(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    content = os.urandom(300_000)  # more than a pipe holds
    write_atomically(pipe, content)
    reader.join(10)
    assert got == [content]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@posix
def test_the_null_device_stays_one(tmp_path: Path) -> None:
    link = tmp_path / "null"
    link.symlink_to(os.devnull)
    for path in (Path(os.devnull), link):
        write_atomically(path, b"lost")
        assert stat.S_ISCHR(path.stat().st_mode)


@posix
def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder; and a disk, which nobody shall write in a test: it is a file that says so."""
    with pytest.raises(OSError, match="no regular file"):
        write_atomically(tmp_path, b"x")
    disk = tmp_path / "disk"
    disk.write_bytes(b"old")
    real = Path.stat

    def as_disk(self: Path, **options: Any) -> os.stat_result:
        found = real(self, **options)
        if self != disk:
            return found
        return os.stat_result((stat.S_IFBLK | 0o660, *found[1:]))

    monkeypatch.setattr(Path, "stat", as_disk)
    with pytest.raises(OSError, match="no regular file"):
        write_atomically(disk, b"new")
    assert disk.read_bytes() == b"old"


@posix
def test_nobody_else_may_read_a_private_file_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "private"
    path.touch(mode=0o600)
    seen: list[int] = []
    sync = os.fsync

    def look(file: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(file).st_mode))
        sync(file)

    monkeypatch.setattr(os, "fsync", look)
    write_atomically(path, b"secret")
    assert seen == [0o600]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@posix
def test_rights_stay_but_for_those_to_act_as_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.touch()
    path.chmod(0o4775)
    write_atomically(path, b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o775


@pytest.mark.parametrize("refused", ["chmod", "fsync"])
def test_folders_of_other_systems(
    refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SMB and FUSE may know neither rights nor flushing."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(*((os, "fsync") if refused == "fsync" else (Path, "chmod")), refuse)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_disk_that_is_full_at_flushing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space.*file"):
        write_atomically(path, b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_a_table_holds_no_formulas_and_gives_back_what_was_written(tmp_path: Path) -> None:
    names = ["=cmd|' /C calc'!A0", "+1", "-1", "@sum", "\tx", "'quoted", "plain", "a,b\n"]
    table = RowTable(tmp_path / "t.csv", ("name", "number"))
    table.begin([[names[0], -0.1]])
    table.append([[name, -1.5] for name in names[1:]])
    for line in table.path.read_text().splitlines()[1:]:
        assert line.removeprefix('"')[0] not in "=+-@\t"
    assert table.read() == [[names[0], "-0.1"], *([name, "-1.5"] for name in names[1:])]


def test_a_table_with_a_name_that_is_not_unicode(tmp_path: Path) -> None:
    table = RowTable(tmp_path / "t.csv", ("name",))
    table.begin()
    table.append([[Path(os.fsdecode(b"caf\xe9.png"))]])
    assert table.read() == [["caf\\udce9.png"]]


def test_a_row_for_which_there_was_no_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    table = RowTable(tmp_path / "t.csv", ("text",))
    table.begin([["x" * 1000]])
    before = table.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
        with pytest.raises(OSError, match=r"."):
            table.append([["y" * 100]])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert table.path.read_bytes() == before
    table.append([["z"]])
    assert table.read() == [["x" * 1000], ["z"]]
