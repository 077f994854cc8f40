"""Let through to the page, as an ASGI middleware, what the page itself asks, and no more.

Gradio's own routes do more: they look up addresses that stand where a file's path is expected, and
take files and requests of any number.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

LARGEST_FILE = 100_000_000  # bytes
LASTING = 3600  # seconds, after which what a closed page leaves is removed
_FORM = 1_000_000  # what may stand around a file in the form that brings it
_STROKES = 16_000_000  # of the brush, in a form, too
_DOCUMENT = 64_000  # of JSON, which names files and holds none; Gradio's log quotes what is wrong
_IN_MEMORY = 16  # how many times a byte of JSON counts, for what is made of it
_QUOTA = 2_000_000_000  # of all uploads and results together
_LEAST = 65_536  # what a file counts at least, so that there are not too many
_PATIENCE = 60  # seconds for the next part of a request
_PACE = 20_000  # bytes a second at least, once that is over, or few could keep all others out
NO_ROOM = "there is no room for more pictures now; wait, or start the page again"
_FULL = 413, NO_ROOM
_SLOW = 408, "nothing has come for long"
# What the page posts to.
_UPLOAD, _STROKES_TO = "/gradio_api/upload", "/gradio_api/component_server"
_FORMS = (_UPLOAD, _STROKES_TO)
_POSTS = (*_FORMS, "/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset")
# And what it gets. Gradio has more, of which one prints what is asked of it.
_GETS = re.compile(
    r"/|/(?:config|theme\.css|manifest\.json|favicon\.ico)|/(?:assets|static|svelte)/.*"
    r"|/gradio_api/(?:file=.*|heartbeat/\w+|queue/data|upload_progress|startup-events|info|app_id)",
    re.DOTALL,
)
_FILE = re.compile(r"/file=(.*)", re.DOTALL)
_SESSION = re.compile(r"\w{1,64}")  # what Gradio keeps messages by


class Gate:
    """Refuses requests that no page of ours makes.

    - Those meant for another name than `names`, if there are any: another site may have its own
      name lead to this machine (DNS rebinding), or send a form here.
    - Paths that are not of this page's folder, such as addresses.
    - Uploads that, with what lies in the folder, would be more than the quota.
    """

    def __init__(self, app: Any, folder: Path, names: Sequence[str] = ()) -> None:  # noqa: ANN401
        """Stand before an ASGI application whose uploads and results lie in a folder."""
        self._app, self._folder, self._names = app, folder, names
        self._lying = 0  # bytes in the folder, and what has come since they were counted
        self._under_way: set[_Client] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        """Pass a request on, or answer it by a refusal."""
        if scope["type"] == "websocket":  # the page has none
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}
        refusal = self._refusal(scope["method"], scope["path"], headers)
        if refusal is not None:
            listen = _Client(receive)
            while (await listen()).get("more_body"):
                pass  # browsers do not listen before they have sent everything
            await _refuse(send, *refusal)
            return
        is_form = scope["path"].rstrip("/") in _FORMS
        receive = client = _Client(receive, _weight(scope["path"]), self._has_room)
        said = _Said(send)
        self._under_way.add(client)
        try:
            if scope["method"] == "POST" and not is_form:
                receive, refusal = await self._checked(receive)
                refusal = client.refused or refusal
            if refusal is not None:
                await _refuse(said, *refusal)
            else:
                await self._app(scope, receive, said)
        except Exception:
            if not client.gone:  # nobody waits for an answer, and nobody needs a traceback
                raise
        finally:
            self._under_way.discard(client)
            if is_form and not client.gone:
                self._lying += client.counted
        if client.refused and not said.anything:
            await _refuse(send, *client.refused)

    def _has_room(self, more: int = 0) -> bool:
        return self._lying + sum(one.counted for one in self._under_way) + more <= _QUOTA

    def _refusal(self, method: str, path: str, headers: dict[bytes, str]) -> tuple[int, str] | None:
        asked = f"//{headers.get(b'host', '')}", headers.get(b"origin", "//localhost")
        if self._names and not all(_hostname(one) in self._names for one in asked):
            return 403, "not for this address"
        if (file := _FILE.search(path)) and not self._is_ours(file[1]):
            return 403, "no file of this page"
        if method in ("GET", "HEAD") and _GETS.fullmatch(path):
            return None
        path = path.rstrip("/")
        if method != "POST" or path not in _POSTS:
            return 405, "the page does not ask this"
        length = headers.get(b"content-length", "")
        if not re.fullmatch(r"[0-9]{1,12}", length) or b"transfer-encoding" in headers:
            return 411, "the length of the content is missing"
        largest = {_UPLOAD: LARGEST_FILE + _FORM, _STROKES_TO: _STROKES}
        if int(length) > largest.get(path, _DOCUMENT):
            return 413, "this is larger than what the page takes"
        self._lying = tidy(self._folder)
        return None if self._has_room(int(length) * _weight(path)) else _FULL

    async def _checked(self, receive: Any) -> tuple[Any, tuple[int, str] | None]:  # noqa: ANN401
        """Read a JSON document ahead; return what gives it again, and why it is refused."""
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        content = b"".join(message.get("body", b"") for message in messages)
        try:
            document = json.loads(content)
            paths = list(_paths(document))
        except (ValueError, RecursionError):
            return receive, (400, "this is no JSON document")
        if not _is_session(document):
            return receive, (400, "a session has a short name, of letters and digits")
        if not all(map(self._is_ours, paths)):
            return receive, (400, "a path is not of a file that was uploaded here")

        async def again() -> Any:  # noqa: ANN401
            return messages.pop(0) if messages else await receive()

        return again, None

    def _is_ours(self, path: str) -> bool:
        return Path(os.path.abspath(path)).is_relative_to(self._folder)  # noqa: PTH100 - asks no disk


def _weight(path: str) -> int:
    """Return how often a byte of a request counts: once, or as what becomes of it in memory."""
    return 1 if path.rstrip("/") in _FORMS else _IN_MEMORY


class _Said:
    """What answers a request, and remembers whether there was an answer."""

    def __init__(self, send: Any) -> None:  # noqa: ANN401
        self._send, self.anything = send, False

    async def __call__(self, message: Any) -> None:  # noqa: ANN401
        self.anything = True
        await self._send(message)


class _Client:
    """Whoever asks; who sends a part of a request, and then next to nothing for long, is gone.

    So is who sends what there is no room for, of many who began while there was: what is announced
    takes none, or a few could keep all others out without a word.
    """

    def __init__(
        self,
        receive: Any,  # noqa: ANN401
        weight: int = 0,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._receive, self._weight, self._has_room = receive, weight, has_room
        self._complete, self.gone = False, False
        self.refused: tuple[int, str] | None = None
        self._began, self._came = time.monotonic(), 0

    @property
    def counted(self) -> int:
        """What it has sent, as it counts for the quota."""
        return self._came * self._weight

    async def __call__(self) -> Any:  # noqa: ANN401
        until = self._began + _PATIENCE + self._came / _PACE
        left = min(_PATIENCE, until - time.monotonic())
        try:
            async with asyncio.timeout(None if self._complete else left):
                message = await self._receive()
        except TimeoutError:
            message, self.refused = {"type": "http.disconnect"}, _SLOW
        self._came += len(message.get("body", b""))
        if message.get("body") and not self._has_room():
            message, self.refused = {"type": "http.disconnect"}, _FULL
        self._complete = self._complete or not message.get("more_body")
        self.gone = self.gone or message["type"] == "http.disconnect"
        return message


async def _refuse(send: Any, status: int, text: str) -> None:  # noqa: ANN401
    kind = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": kind})
    await send({"type": "http.response.body", "body": text.encode()})


def tidy(folder: Path) -> int:
    """Remove what has been in a folder for long, and return how much the rest counts, in bytes."""
    counted, old = 0, time.time() - LASTING
    for place, _, names in os.walk(folder, topdown=False):
        for path in (Path(place, name) for name in names):
            with suppress(OSError):  # somebody else has removed it
                found = path.stat()
                if found.st_mtime < old:
                    path.unlink()
                else:
                    counted += max(found.st_size, _LEAST)
        with suppress(OSError):  # there is something in it
            if Path(place) != folder and Path(place).stat().st_mtime < old:
                Path(place).rmdir()
    return counted


def has_room(folder: Path) -> bool:
    """Return whether a result may be written: many may have been asked for while there was room."""
    return tidy(folder) <= _QUOTA


def _paths(document: object) -> Iterator[str]:
    """Yield what stands as a `path` anywhere in a JSON document."""
    rest = [document]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            entries = cast(dict[str, object], one)
            if isinstance(path := entries.get("path"), str):
                yield path
            rest += entries.values()
        elif isinstance(one, list):
            rest += cast(list[object], one)


def _is_session(document: object) -> bool:
    """Return whether a JSON document names a session as pages do, or none."""
    entries = cast(dict[str, object], document) if isinstance(document, dict) else {}
    name = entries.get("session_hash")
    return name is None or (isinstance(name, str) and _SESSION.fullmatch(name) is not None)


def _hostname(address: str) -> str | None:
    found = re.fullmatch(r"(?:\w+:)?//\[?([^/\]]+?)\]?(?::\d*)?/?", address)
    return found and found[1].lower()
