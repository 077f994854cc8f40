"""A small server on this machine that answers as the Hugging Face Hub and as a release page do."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from huggingface_hub import constants

RESOLVE = re.compile(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")
API = re.compile(r"/api/models/([\w.-]+/[\w.-]+)/(preupload|commit|revision)/([^/?]+)")


def commit_of(content: dict[str, bytes]) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    for name in sorted(content):
        digest.update(name.encode() + content[name])
    return digest.hexdigest()


@dataclass
class Server:
    """What the server holds, how it misbehaves, and what was asked of it.

    Attributes:
        repos: Files by repository; each has one commit, which is also `main`.
        files: Plain files by path, e.g. `/releases/idih.pth`; with ranges and ETags.
        status: Answer with this status to every request whose path contains the key.
        error_code: The Hub's `X-Error-Code` for those answers.
        html: Paths that answer with a web page.
        cut_after: Close the connection after so many bytes, once for each number in the list.
        slow: Seconds to wait between blocks of 64 KiB.
        length: What plain files say of their length, in place of the truth; empty says nothing.
        moved: Paths that are redirected, and where to.
        redirect: Address of another server, which the Hub sends downloads to, as to its CDN.
        requests: Method, path and headers of everything that was asked.
    """

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    status: dict[str, int] = field(default_factory=dict[str, int])
    error_code: str | None = None
    html: set[str] = field(default_factory=set[str])
    moved: dict[str, str] = field(default_factory=dict[str, str])
    cut_after: list[int] = field(default_factory=list[int])
    slow: float = 0
    length: str | None = None
    redirect: str | None = None
    requests: list[tuple[str, str, dict[str, str]]] = field(
        default_factory=list[tuple[str, str, dict[str, str]]]
    )
    address: str = ""

    def asked(self, method: str, part: str = "") -> list[tuple[str, str, dict[str, str]]]:
        return [one for one in self.requests if one[0] == method and part in one[1]]


@contextmanager
def serving() -> Generator[Server]:
    """Run a server on a free port of the loopback interface."""
    server = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": server}))
    server.address = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def ask_instead_of_the_hub(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As HF_ENDPOINT does, which the client reads when it is imported."""
    files = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)


class _Handler(BaseHTTPRequestHandler):
    state: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        payload = self.rfile.read(length) if length else self._read_chunks()
        self.state.requests.append(("POST", self.path, dict(self.headers)))
        if self._refused(body=True):
            return
        if self.path == "/api/repos/create":
            wanted = json.loads(payload)
            name = f"{wanted.get('organization') or 'owner'}/{wanted['name']}"
            self.state.repos.setdefault(name, {})
            self._json({"url": f"{self.state.address}/{name}", "id": name})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif match := API.match(self.path):
            repo, action, _ = match.groups()
            if action == "preupload":
                files = json.loads(payload)["files"]
                self._json(
                    {
                        "files": [
                            {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                            for one in files
                        ]
                    }
                )
            else:
                for line in payload.decode().splitlines():
                    entry = json.loads(line)
                    if entry["key"] == "file":
                        content = base64.b64decode(entry["value"]["content"])
                        self.state.repos[repo][entry["value"]["path"]] = content
                commit = commit_of(self.state.repos[repo])
                self._json(
                    {
                        "commitUrl": f"{self.state.address}/{repo}/commit/{commit}",
                        "commitOid": commit,
                        "commitMessage": "uploaded",
                    }
                )
        else:
            self._send(404, b"", {})

    def _read_chunks(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return b""
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _refused(self, body: bool) -> bool:
        for part, status in self.state.status.items():
            if part in self.path:
                code = {"X-Error-Code": self.state.error_code} if self.state.error_code else {}
                self._send(status, b"no" if body else b"", code)
                return True
        return False

    def _answer(self, body: bool) -> None:
        self.state.requests.append((self.command, self.path, dict(self.headers)))
        if self._refused(body):
            return
        if self.path in self.state.html:
            page = b"<!DOCTYPE html><html><body>Please log in</body></html>"
            self._send(200, page if body else b"", {"Content-Type": "text/html; charset=utf-8"})
        elif self.path in self.state.moved:
            self._send(302, b"", {"Location": self.state.moved[self.path]})
        elif self.path in self.state.files:
            content = self.state.files[self.path]
            self._send_file(content, {"ETag": etag(content)}, body)
        elif match := RESOLVE.fullmatch(self.path):
            self._resolve(*match.groups(), body=body)
        elif match := API.match(self.path):
            self._json({"id": match[1], "sha": commit_of(self.state.repos[match[1]])})
        else:
            self._send(404, b"", {})

    def _resolve(self, repo: str, revision: str, file: str, *, body: bool) -> None:
        files = self.state.repos.get(repo)
        if files is None:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
            return
        commit = commit_of(files)
        if revision not in ("main", commit):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif file not in files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        else:
            content = files[file]
            headers = {"ETag": etag(content), "X-Repo-Commit": commit}
            if self.state.redirect:
                headers |= {
                    "Location": f"{self.state.redirect}/cdn/{file}",
                    "X-Linked-ETag": etag(content),
                    "X-Linked-Size": str(len(content)),
                }
                self._send(302, b"", headers)
            else:
                self._send_file(content, headers, body)

    def _send_file(self, content: bytes, headers: dict[str, str], body: bool) -> None:
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        unchanged = self.headers.get("If-Range") in (None, headers["ETag"])
        if wanted and unchanged:
            start = int(wanted[1])
            if start >= len(content):
                self._send(416, b"", {})
                return
            headers |= {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        self.send_response(206 if start else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Accept-Ranges", "bytes")
        length = str(len(content) - start) if self.state.length is None else self.state.length
        if length:
            self.send_header("Content-Length", length)
        else:
            self.close_connection = True
        self.end_headers()
        if not body:
            return
        limit = self.state.cut_after.pop(0) if self.state.cut_after else len(content)
        for position in range(start, len(content), 1 << 16):
            block = content[position : position + (1 << 16)]
            if position + len(block) - start > limit:
                self.wfile.write(block[: max(0, limit - (position - start))])
                self.close_connection = True
                return
            self.wfile.write(block)
            if self.state.slow:
                threading.Event().wait(self.state.slow)

    def _json(self, document: Any) -> None:
        self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'
