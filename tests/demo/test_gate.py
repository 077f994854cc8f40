"""What stands before the page lets through only what the page asks; Gradio is not needed."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from harmonizer.demo import gate
from harmonizer.demo.gate import Gate, tidy

JOIN, UPLOAD = "/gradio_api/queue/join", "/gradio_api/upload"
PASSED = 200


class Page:
    """A gate before an application that says yes, and remembers what came."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ()) -> None:
        self.bodies: list[bytes] = []
        self.gate = Gate(self.answer, folder, names)
        self.inside: Any = None

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body")
        self.bodies.append(body)
        if self.inside:
            await self.inside()
        await send({"type": "http.response.start", "status": PASSED, "headers": []})

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> int:
        sent: list[Any] = []
        half = len(body) // 2
        parts = [body[:half], body[half:]]
        named = {"host": "localhost:7860", "content-length": str(len(body))} | headers
        raw = [(key.replace("_", "-").encode(), value.encode()) for key, value in named.items()]

        async def receive() -> Any:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": raw}
        await self.gate(scope, receive, send)
        return sent[0]["status"]

    def get(self, path: str, **headers: str) -> int:
        return asyncio.run(self.request("GET", path, **headers))

    def post(self, path: str, body: bytes = b"", **headers: str) -> int:
        return asyncio.run(self.request("POST", path, body, **headers))

    def join(self, *data: object) -> int:
        return self.post(JOIN, json.dumps({"data": data}).encode())


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path)


def upload(path: object) -> dict[str, Any]:
    return {"path": str(path), "url": "http://x.example/a", "meta": {"_type": "gradio.FileData"}}


def test_a_path_is_of_an_upload(page: Page, tmp_path: Path) -> None:
    ours = tmp_path / "hash" / "picture.png"
    assert page.join(upload(ours), None, "a model", 100) == PASSED
    assert json.loads(page.bodies[-1])["data"][0]["path"] == str(ours)
    for wrong in (
        "http://metadata.example/",
        "https://x.example/a.png",
        "HTTP://x.example",
        "//server/share/a.png",
        "ftp://x.example/a",
        "/etc/passwd",
        f"{tmp_path}/../a",
        f"{tmp_path}x/a",
        "picture.png",
        "",
    ):
        for data in (
            [upload(wrong)],
            [None, {"layers": [upload(ours), upload(wrong)]}],
            [[[{"background": upload(wrong)}]]],
        ):
            assert page.join(*data) == 400, wrong
        assert page.get(f"/gradio_api/file={wrong}") == 403
        assert page.get(f"/gradio_api/file/{wrong}") == 405
    assert page.get("/gradio_api/proxy=https://x.hf.space/a") == 405
    assert page.get(f"/gradio_api/file={ours}") == PASSED
    assert len(page.bodies) == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 50_000, b"\xff\xfe{", b"a=b", b"NaN,"])
def test_what_is_no_document_is_refused(body: bytes, page: Page) -> None:
    assert page.post(JOIN, body) == 400
    assert page.bodies == []


def test_addresses_are_found_in_every_encoding_that_is_read(page: Page) -> None:
    text = json.dumps({"data": [upload("http://x.example/")]})
    for encoding in ("utf-8-sig", "utf-16", "utf-32-be"):
        assert page.post(JOIN, text.encode(encoding)) == 400
    doubled = b'{"data": [{"path": "/etc/passwd", "path": "http://x.example"}]}'
    assert page.post(JOIN, doubled) == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/run/harmonize_composite"),
        ("POST", "/gradio_api/call/harmonize_composite"),
        ("POST", "/gradio_api/stream/event"),
        ("POST", "/login"),
        ("PUT", UPLOAD),
        ("DELETE", "/"),
        ("OPTIONS", JOIN),
        # It prints what is asked of it, and sites may ask as an image.
        ("GET", "/gradio_api/custom_component/\x1b]0;a/client/x/y"),
        ("GET", "/gradio_api/dev/reload"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/monitoring"),
        ("GET", "/config/\n"),
    ],
)
def test_what_the_page_does_not_ask_is_refused(method: str, path: str, page: Page) -> None:
    assert asyncio.run(page.request(method, path, b"{}")) == 405


def test_lengths_are_said_and_kept_to(page: Page) -> None:
    for length in ("", "-1", "x", "1_0", "\u0663"):
        assert page.post(UPLOAD, b"x", content_length=length) == 411
    assert page.post(UPLOAD, b"x", transfer_encoding="chunked") == 411
    assert page.post(UPLOAD, b"x", content_length=str(gate.LARGEST_FILE * 2)) == 413
    assert page.post(JOIN, b"x", content_length=str(gate.LARGEST_FILE)) == 413


def test_uploads_have_a_quota(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_QUOTA", 1_000_000)
    assert page.post(UPLOAD, bytes(600_000)) == PASSED  # nothing was written by it
    assert page.post(UPLOAD, bytes(1_100_000)) == 413

    async def another() -> None:  # while the first is under way
        page.inside = None
        assert await page.request("POST", UPLOAD, bytes(600_000)) == 413
        assert await page.request("POST", UPLOAD, bytes(300_000)) == PASSED

    page.inside = another
    assert page.post(UPLOAD, bytes(600_000)) == PASSED
    (tmp_path / "a").write_bytes(bytes(900_000))
    assert page.post(UPLOAD, bytes(200_000)) == 413
    assert page.join() == PASSED
    (tmp_path / "b").write_bytes(bytes(200_000))
    assert page.join() == 413  # it would write results
    assert page.get("/") == PASSED
    (tmp_path / "a").unlink()
    assert page.post(UPLOAD, bytes(200_000)) == PASSED


async def _unsaid(_: Any) -> None:
    raise AssertionError("nobody is there to be answered")


@pytest.mark.parametrize("path", [UPLOAD, "/gradio_api/component_server"])
def test_who_sends_nothing_more_is_gone(
    path: str, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has come counts for the quota; and a traceback each would fill the terminal."""
    monkeypatch.setattr(gate, "_PATIENCE", 0.05)
    parts = [{"type": "http.request", "body": b"x", "more_body": True}]

    async def receive() -> Any:
        return parts.pop() if parts else await asyncio.sleep(30)

    async def broken_off(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        raise ConnectionError("as Starlette says it")

    raw = [(b"host", b"localhost"), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": path, "headers": raw}
    stopped = Gate(broken_off, page.gate._folder)
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    asyncio.run(asyncio.wait_for(stopped(scope, receive, send), 10))
    assert told[0]["status"] == 408
    assert not stopped._under_way


@pytest.mark.parametrize(("size", "gone"), [(1, True), (10_000, False)])
def test_who_only_trickles_is_gone(
    size: int, gone: bool, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few who announce much and send a byte now and then would keep all others out."""
    monkeypatch.setattr(gate, "_PATIENCE", 0.2)
    rest = 20

    async def receive() -> Any:
        nonlocal rest
        await asyncio.sleep(0.05)
        rest -= 1
        return {"type": "http.request", "body": bytes(size), "more_body": rest > 0}

    seen = list[str]()

    async def listens(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            seen.append(message["type"])
            more = message.get("more_body", False)

    raw = [(b"host", b"localhost"), (b"content-length", b"900000")]
    scope = {"type": "http", "method": "POST", "path": UPLOAD, "headers": raw}
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    asyncio.run(asyncio.wait_for(Gate(listens, page.gate._folder)(scope, receive, send), 30))
    assert (seen[-1] == "http.disconnect") is gone
    assert [one["status"] for one in told if "status" in one] == ([408] if gone else [])


def test_who_announces_much_and_sends_nothing_keeps_nobody_out(page: Page) -> None:
    async def silent() -> None:
        parts = [{"type": "http.request", "body": b"x", "more_body": True}]

        async def receive() -> Any:
            return parts.pop() if parts else await asyncio.sleep(30)

        raw = [(b"host", b"localhost"), (b"content-length", b"100000000")]
        scope = {"type": "http", "method": "POST", "path": UPLOAD, "headers": raw}
        await page.gate(scope, receive, _unsaid)

    async def all_at_once() -> int:
        waiting = [asyncio.create_task(silent()) for _ in range(40)]
        await asyncio.sleep(0.05)
        status = await page.request("POST", UPLOAD, bytes(600_000))
        assert not any(one.done() for one in waiting)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return status

    assert asyncio.run(all_at_once()) == PASSED


def test_no_more_comes_than_there_is_room_for(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All began while there was room for each."""
    monkeypatch.setattr(gate, "_QUOTA", 1_000_000)

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("as Starlette says it")
            more = message["more_body"]
        await send({"type": "http.response.start", "status": PASSED, "headers": []})

    page.gate = Gate(answer, tmp_path)

    async def slowly() -> int:
        parts, told = [bytes(100_000) for _ in range(4)], list[Any]()

        async def receive() -> Any:
            await asyncio.sleep(0.01)
            return {"type": "http.request", "body": parts.pop(), "more_body": bool(parts)}

        async def send(message: Any) -> None:
            told.append(message)

        raw = [(b"host", b"localhost"), (b"content-length", b"400000")]
        scope = {"type": "http", "method": "POST", "path": UPLOAD, "headers": raw}
        await page.gate(scope, receive, send)
        return told[0]["status"]

    async def all_at_once() -> list[int]:
        return await asyncio.gather(*(slowly() for _ in range(6)))

    found = asyncio.run(all_at_once())
    assert set(found) == {PASSED, 413}
    assert found.count(PASSED) <= 2
    assert page.post(UPLOAD, bytes(600_000)) == PASSED


def test_faults_of_the_page_are_not_kept_quiet(tmp_path: Path) -> None:
    async def fault(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ConnectionError("of ours")

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "method": "GET", "path": "/config", "headers": []}
    with pytest.raises(ConnectionError):
        asyncio.run(Gate(fault, tmp_path)(scope, receive, _unsaid))


def test_many_documents_at_once_are_not_held(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is read into memory, and may take long to arrive."""
    monkeypatch.setattr(gate, "_QUOTA", 100_000_000)
    large, statuses = b" " * 60_000 + b"{}", list[int]()

    async def send_slowly() -> None:
        sent: list[Any] = []
        parts = [large[:-2], large[-2:]]

        async def receive() -> Any:
            await asyncio.sleep(0.01)
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [(b"host", b"localhost"), (b"content-length", str(len(large)).encode())]
        scope = {"type": "http", "method": "POST", "path": JOIN, "headers": raw}
        await page.gate(scope, receive, send)
        statuses.append(sent[0]["status"])

    async def all_at_once() -> None:
        await asyncio.gather(*(send_slowly() for _ in range(400)))

    asyncio.run(all_at_once())
    assert 50 < statuses.count(PASSED) < 200
    assert statuses.count(413) == 400 - statuses.count(PASSED)
    assert page.join() == PASSED


def test_documents_name_files_and_hold_none(page: Page) -> None:
    assert page.post(JOIN, b" " * 70_000 + b"{}") == 413
    assert page.post("/gradio_api/component_server", bytes(2_000_000)) == PASSED


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("k3j9x0a1b2", PASSED),
        (None, PASSED),
        ("", 400),
        ("b" * 65, 400),
        ("a/b", 400),
        (["a"], 400),
    ],
)
def test_sessions_have_short_names(page: Page, name: object, status: int) -> None:
    assert page.post(JOIN, json.dumps({"data": [], "session_hash": name}).encode()) == status


def test_small_files_count_and_old_ones_go(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "tiny").touch()
    assert tidy(tmp_path) == 20 * 65_536
    long_ago = time.time() - 2 * gate.LASTING
    os.utime(tmp_path / "3" / "tiny", (long_ago, long_ago))
    os.utime(tmp_path / "4", (long_ago, long_ago))
    assert tidy(tmp_path) == 19 * 65_536
    assert not (tmp_path / "3" / "tiny").exists()
    os.utime(tmp_path / "3", (long_ago, long_ago))
    tidy(tmp_path)
    assert not (tmp_path / "3").exists()
    assert (tmp_path / "4" / "tiny").exists()


def test_other_sites_are_refused(tmp_path: Path) -> None:
    page = Page(tmp_path, ("127.0.0.1", "localhost", "::1"))
    for host in ("localhost", "127.0.0.1:7860", "[::1]:7860", "LOCALHOST:1"):
        assert page.get("/", host=host) == PASSED
    for host in ("rebound.example", "127.0.0.1.example", "localhost@x.example", "", "[::1"):
        assert page.get("/", host=host) == 403, host
    assert page.get("/", origin="http://127.0.0.1:7860") == PASSED
    for origin in ("https://x.example", "null", "http://localhost.x.example", "file://"):
        assert page.post(UPLOAD, origin=origin) == 403
    assert Page(tmp_path).get("/", host="any.example") == PASSED  # `--host 0.0.0.0`


def test_websockets_are_closed_and_the_rest_goes_on(page: Page) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(page.gate({"type": "websocket"}, None, send))
    assert sent == ["websocket.close"]
