"""A server that is wrong, or means ill, never has two files glued together, nor an endless one."""

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import harmonizer.zoo.download as download_module
from harmonizer.errors import WeightsUnavailableError
from harmonizer.zoo.download import download

FIRST, SECOND = os.urandom(5_000), os.urandom(6_000)
Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def address_of(monkeypatch: pytest.MonkeyPatch) -> Generator[Callable[[Answer], str]]:
    """Serve by a function; there is no waiting between attempts."""
    monkeypatch.setattr(download_module.time, "sleep", lambda _: None)
    servers: list[ThreadingHTTPServer] = []

    def serve(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                """Stay silent."""

            def do_GET(self) -> None:
                answer(self)

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/file"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def send(request: BaseHTTPRequestHandler, status: int, content: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in {"Content_Length": str(len(content)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(content)


def broken_off(path: Path, record: str = '{"etag": "\\"first\\""}') -> None:
    path.with_name("file.part").write_bytes(FIRST[:2_000])
    path.with_name("file.part.json").write_text(record)


@pytest.mark.parametrize(
    ("etag", "start"), [('"second"', 2_000), ('"first"', 1_000), ('"first"', None), ("", 2_000)]
)
def test_a_part_of_something_else_is_not_appended(
    etag: str, start: int | None, address_of: Callable[[Answer], str], tmp_path: Path
) -> None:
    """Another ETag, another offset, none: the file is fetched anew."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        if "Range" not in request.headers:
            send(request, 200, SECOND, ETag='"second"')
            return
        headers = {} if start is None else {"Content_Range": f"bytes {start}-5999/6000"}
        send(request, 206, SECOND[2_000:], ETag=etag, **headers)

    broken_off(tmp_path / "file")
    download(address_of(answer), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == SECOND


def test_a_server_that_answers_with_parts_unasked(
    address_of: Callable[[Answer], str], tmp_path: Path
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        send(request, 206, SECOND[2_000:], ETag='"s"', Content_Range="bytes 2000-5999/6000")

    with pytest.raises(WeightsUnavailableError, match="mixes files up"):
        download(address_of(answer), tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    "record",
    ["", "{}", "[]", '{"etag": 7}', '{"etag": "W/\\"first\\""}', '{"etag": "\\"a\\nb: c\\""}'],
)
def test_without_a_sound_record_it_begins_anew(
    record: str, address_of: Callable[[Answer], str], tmp_path: Path
) -> None:
    asked: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.headers.get("Range"))
        send(request, 200, FIRST, ETag='"first"')

    broken_off(tmp_path / "file", record)
    download(address_of(answer), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == FIRST
    assert asked == [None]


@pytest.mark.parametrize("says", ["length", "nothing"])
def test_more_than_was_promised_is_not_taken(
    says: str, address_of: Callable[[Answer], str], tmp_path: Path
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if says == "length":
            send(request, 200, b"", Content_Length="5001")
            return
        request.send_response(200)
        request.end_headers()
        for _ in range(1000):
            try:
                request.wfile.write(b"x" * 100_000)
            except OSError:
                return

    with pytest.raises(WeightsUnavailableError, match=r"more than 5,000|does not end"):
        download(address_of(answer), tmp_path / "file", size=5_000)
    assert not (tmp_path / "file").exists()


def test_a_server_that_never_ends(
    address_of: Callable[[Answer], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "_LONGEST", -1)
    with pytest.raises(WeightsUnavailableError, match="does not end"):
        download(address_of(lambda request: send(request, 200, FIRST)), tmp_path / "file")


def test_a_server_that_sends_a_byte_now_and_then(
    address_of: Callable[[Answer], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        with suppress(OSError):  # nobody listens any more
            for _ in range(200):
                request.wfile.write(b"x")
                threading.Event().wait(0.1)  # the sleep of these tests is none

    monkeypatch.setattr(download_module, "_LONGEST", 1)
    begin = time.monotonic()
    with pytest.raises(WeightsUnavailableError, match="does not end"):
        download(address_of(answer), tmp_path / "file")
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("location", ["http://[::1", "https://[bad/file", "//", "https:///x"])
def test_a_redirection_to_no_address(
    location: str, address_of: Callable[[Answer], str], tmp_path: Path
) -> None:
    with pytest.raises(WeightsUnavailableError):
        download(
            address_of(lambda request: send(request, 302, b"", Location=location)),
            tmp_path / "file",
        )
