"""A file is downloaded whole or not at all, where a server is wrong, means ill or breaks off."""

import errno
import io
import json
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import suppress
from http.client import HTTPMessage, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hub_server import Server, etag
from zoo_models import URL, files_in

import harmonizer.zoo.download as download_module
from harmonizer.errors import WeightsUnavailableError
from harmonizer.zoo.download import _CheckedRedirects, download

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


@pytest.mark.parametrize("length", ["much", "-1", "1e6"])
def test_a_length_that_is_no_number_is_not_looked_at(
    length: str, server: Server, tmp_path: Path
) -> None:
    server.files["/file"] = os.urandom(200_000)
    server.length = length
    download(server.address + "/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == server.files["/file"]


def test_a_file_that_changed_in_between_is_not_glued_together(
    server: Server, tmp_path: Path
) -> None:
    first, second = os.urandom(200_000), os.urandom(300_000)
    server.files["/file"] = first
    server.cut_after = [100_000] + [0] * 4
    with pytest.raises(WeightsUnavailableError, match="what has arrived is kept"):
        download(server.address + "/file", tmp_path / "file")
    assert (tmp_path / "file.part").stat().st_size == 100_000
    server.files["/file"] = second
    download(server.address + "/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == second
    assert files_in(tmp_path) == ["file"]


def test_only_https_leaves_this_machine(tmp_path: Path) -> None:
    for url in ("http://example.org/file", "ftp://example.org/file", "file:///etc/passwd"):
        with pytest.raises(WeightsUnavailableError, match="only downloaded by https"):
            download(url, tmp_path / "file")


@pytest.mark.parametrize(
    "url", ["ftp://localhost/a.pth", "file://localhost/etc/passwd", "http://example.invalid/a.pth"]
)
def test_a_redirection_does_not_leave_https(url: str, server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailableError, match="only downloaded by https"):
        download(url, tmp_path / "a.pth")
    server.files["/b.pth"] = b"content"
    server.moved = {"/a.pth": url, "/c.pth": server.address + "/b.pth"}
    with pytest.raises(WeightsUnavailableError, match=r"only downloaded by https|HTTP 302"):
        download(server.address + "/a.pth", tmp_path / "a.pth")
    assert list(tmp_path.iterdir()) == []
    download(server.address + "/c.pth", tmp_path / "c.pth")
    assert (tmp_path / "c.pth").read_bytes() == b"content"


def test_nor_does_it_lead_to_this_machine() -> None:
    request = urllib.request.Request("https://example.org/a.pth")
    for url in ("http://127.0.0.1:1/b.pth", "http://localhost/b.pth"):
        with pytest.raises(WeightsUnavailableError, match="only downloaded by https"):
            _CheckedRedirects().redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), url)
    url = "https://example.org/b.pth"
    followed = _CheckedRedirects().redirect_request(
        request, io.BytesIO(), 302, "", HTTPMessage(), url
    )
    assert followed is not None
    assert followed.full_url == url


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(server: Server, released_idih: bytes, tmp_path: Path) -> None:
    server.files["/file"] = released_idih
    (tmp_path / "file.part").symlink_to("/dev/full")
    with pytest.raises(WeightsUnavailableError, match=r"No space left.*HF_HOME"):
        download(server.address + "/file", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_a_part_longer_than_its_file_is_downloaded_anew(server: Server, tmp_path: Path) -> None:
    server.files["/file"] = content = os.urandom(1000)
    (tmp_path / "file.part").write_bytes(content * 2)
    (tmp_path / "file.part.json").write_text(json.dumps({"etag": etag(content)}))
    download(server.address + "/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    assert files_in(tmp_path) == ["file"]


def test_what_a_redirection_says_beside_is_not_read(server: Server, tmp_path: Path) -> None:
    sent = 0

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal sent
            self.send_response(302)
            self.send_header("Location", server.address + URL)
            self.end_headers()
            with suppress(OSError):
                while sent < 1 << 30:
                    sent += self.wfile.write(bytes(1 << 20))

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server.files[URL] = b"a file"
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        download(f"http://127.0.0.1:{other.server_port}/a", tmp_path / "file")
        other.shutdown()
    assert (tmp_path / "file").read_bytes() == b"a file"
    assert sent < 100 << 20


def test_a_connection_that_breaks_in_any_way_is_resumed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files[URL] = content = bytes(range(256)) * 20_000
    read, broken = HTTPResponse.read1, 0

    def breaks(self: HTTPResponse, n: int = -1) -> bytes:
        nonlocal broken
        broken += 1
        if broken == 2:
            raise OSError(errno.EHOSTUNREACH, "No route to host")
        return read(self, n)

    monkeypatch.setattr(HTTPResponse, "read1", breaks)
    download(server.address + URL, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    assert broken > 2


def test_a_server_that_knows_no_range_though_none_was_asked_for(tmp_path: Path) -> None:
    class Unwilling(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(416)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Unwilling) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(WeightsUnavailableError, match="its server mixes files up"):
            download(f"http://127.0.0.1:{other.server_port}/a", tmp_path / "file")
        other.shutdown()


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 OK\r\nX: ",  # a header
        b"HTTP/1.1 100 Continue\r\nX: ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5; ",  # a chunk's extension
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",  # a trailer
    ],
)
def test_a_server_that_trickles_is_not_listened_to_for_ever(
    begin: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "_LONGEST", 1)
    ended = threading.Event()

    def trickle(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with suppress(OSError), connection:
            connection.recv(10_000)
            connection.sendall(begin)
            while not ended.wait(0.2):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=trickle, args=(listening,), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(WeightsUnavailableError, match="does not end: it has not come within"):
            download(f"http://127.0.0.1:{listening.getsockname()[1]}/a", tmp_path / "file")
        ended.set()
    assert time.monotonic() - began < 10
