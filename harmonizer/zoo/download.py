"""Download a file by HTTPS: resumed where it broke off, under its name only when it is whole."""

import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlparse

from huggingface_hub import constants
from huggingface_hub.utils import tqdm

from harmonizer.errors import WeightsUnavailableError, raise_if_interrupted
from harmonizer.files import read_json

_BLOCK = 1 << 20
_ATTEMPTS = 5
LARGEST_DOWNLOAD = 4 * 2**30  # bytes; ten times what the largest network has
_LONGEST = 6 * 3600  # seconds; a server that sends a byte a minute never ends
_BROKEN = (
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    urllib.error.ContentTooShortError,
)


def download(url: str, destination: Path, *, size: int | None = None) -> None:
    """Download a file by HTTPS (or HTTP, on this machine); an existing one is replaced.

    What has arrived stays in `destination` + `.part` if the connection breaks or the process ends,
    and the next call goes on from there, provided that the server says the file is still the same.
    More bytes than `size`, if that is known, are not taken.

    Raises:
        WeightsUnavailableError: It cannot be had: no connection, an HTTP error, a web page instead
            of a file, no space left, more bytes or hours than any model takes.
    """
    _check_address(url)
    until = time.monotonic() + _LONGEST
    part = destination.with_name(f"{destination.name}.part")
    destination.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        try:
            if _fetch(url, part, size or LARGEST_DOWNLOAD, until):
                break
        except WeightsUnavailableError:
            raise
        except ValueError as error:
            raise WeightsUnavailableError(f"cannot download {url}: {error}") from error
        except urllib.error.HTTPError as error:
            raise WeightsUnavailableError(_explain(url, error)) from error
        except (urllib.error.URLError, *_BROKEN) as error:
            raise_if_interrupted(error)
            if attempt == _ATTEMPTS - 1:
                raise WeightsUnavailableError(
                    f"cannot download {url}: {error}. Check the connection (or HTTPS_PROXY) and "
                    "try again: what has arrived is kept"
                ) from error
            time.sleep(min(2**attempt / 4, 4))
        except OSError as error:
            raise_if_interrupted(error)
            raise WeightsUnavailableError(
                f"cannot write {part}: {error}. Free some space, or choose another folder by "
                "HF_HOME or cache_dir, and try again; what has arrived is kept"
            ) from error
    else:
        raise WeightsUnavailableError(
            f"cannot download {url}: its server mixes files up, {_ATTEMPTS} times; try again later"
        )
    part.replace(destination)
    _tag_file(part).unlink(missing_ok=True)


def _check_address(url: str) -> None:
    try:
        address = urlparse(url)
    except ValueError as error:
        raise WeightsUnavailableError(f"{url!r} is no address: {error}") from error
    here = address.scheme == "http" and address.hostname in ("127.0.0.1", "localhost", "::1")
    if address.scheme != "https" and not here:
        raise WeightsUnavailableError(f"weights are only downloaded by https; got {url}")


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a server's redirections only to where a download may begin."""

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> Any:  # noqa: ANN401 - as urllib has it
        """Follow one, without what its answer says beside: it may be without end."""
        fp.close()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_address(newurl)
        if urlparse(req.full_url).scheme == "https" and urlparse(newurl).scheme != "https":
            # Nor may a server have this machine's own addresses asked.
            raise WeightsUnavailableError(
                f"weights are only downloaded by https; {req.full_url} leads to {newurl}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Connections:
    """The connections of a download, which can be cut from another thread.

    A time-out of urllib's ends only those on which nothing at all arrives.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._sockets: list[socket.socket] = []

    def handlers(self) -> list[urllib.request.BaseHandler]:
        """Return what has urllib open its connections here."""
        sockets = self._sockets

        def noted(kind: Any) -> Any:  # noqa: ANN401 - a class of http.client's
            class Noted(kind):
                def connect(self) -> None:
                    super().connect()
                    sockets.append(self.sock)

            return Noted

        class Noting(urllib.request.AbstractHTTPHandler):
            def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:  # noqa: ANN401
                return super().do_open(noted(http_class), req, **options)

        class Plain(Noting, urllib.request.HTTPHandler):
            """By HTTP."""

        class Secure(Noting, urllib.request.HTTPSHandler):
            """By HTTPS."""

        return [Plain(), Secure()]

    def cut(self) -> None:
        """End them all; who waits for one is told that it has ended."""
        for one in self._sockets:
            with suppress(OSError):  # closed before
                one.shutdown(socket.SHUT_RDWR)


def _fetch(url: str, part: Path, largest: int, until: float) -> bool:
    """Download what is missing of a file; False if what is there is no part of it."""
    connections = _Connections()
    alarm = threading.Timer(max(0.0, until - time.monotonic()), connections.cut)
    alarm.daemon = True
    alarm.start()
    try:
        done = _fetch_by(connections, url, part, largest)
    finally:
        alarm.cancel()
        if time.monotonic() > until:  # what was cut off may look like an end
            raise WeightsUnavailableError(
                f"{url} does not end: it has not come within {_LONGEST // 3600} hours; what has "
                "arrived is kept"
            )
    return done


def _fetch_by(connections: _Connections, url: str, part: Path, largest: int) -> bool:
    have = part.stat().st_size if part.exists() else 0
    tag = _read_tag(part) if have else None
    headers = {"User-Agent": "image-harmonizer", "Accept-Encoding": "identity"}
    if tag:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked
    opener = urllib.request.build_opener(_CheckedRedirects, *connections.handlers())
    try:
        response = opener.open(request, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)  # it is longer than the file: not a part of it
            return False
        raise
    with response:
        if "text/html" in response.headers.get("Content-Type", ""):
            raise WeightsUnavailableError(
                f"{url} answered with a web page instead of a file, perhaps of a login or a proxy; "
                "open it in a browser to see what it wants"
            )
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if resumed and not (tag and goes_on and response.headers.get("ETag") == tag):
            part.unlink(missing_ok=True)
            return False
        if not resumed:  # first of all: no tag may stand beside bytes of another file
            if part.is_file():
                part.unlink()
            note = json.dumps({"etag": response.headers.get("ETag")})
            _tag_file(part).write_text(note, "utf-8")
        # What the client made of Content-Length: None if there is none, or if it is no number.
        length = cast(int | None, response.length)
        expected = None if length is None else length + (have if resumed else 0)
        if expected is not None and expected > largest:
            raise WeightsUnavailableError(f"{url} has {expected:,} bytes, more than {largest:,}")
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(
                total=expected,
                initial=have if resumed else 0,
                unit="B",
                unit_scale=True,
                desc=part.name.removesuffix(".part"),
            ) as progress,
        ):
            while block := _read_some(response):
                file.write(block)
                progress.update(len(block))
                if file.tell() > largest:
                    raise WeightsUnavailableError(
                        f"{url} does not end: {file.tell():,} bytes have arrived, and at most "
                        f"{largest:,} were to"
                    )
            written = file.tell()
    if expected is not None and written < expected:
        raise ConnectionError(f"the connection ended after {written} of {expected} bytes")
    return True


def _read_some(response: http.client.HTTPResponse) -> bytes:
    """Return what there is of a body; a whole block may take days.

    Raises:
        ConnectionError: The connection broke, whatever the system calls it.
    """
    try:
        return response.read1(_BLOCK)
    except _BROKEN:
        raise
    except OSError as error:
        raise_if_interrupted(error)
        raise ConnectionError(str(error)) from error


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_tag(part: Path) -> str | None:
    """Return what tells the file from others; without it the download starts from the beginning."""
    try:
        tag = read_json(_tag_file(part)).get("etag")
    except (OSError, ValueError):
        return None
    # A weak tag (W/...) may stand for several files.
    strong = isinstance(tag, str) and tag.startswith('"') and tag.isascii() and tag.isprintable()
    return tag if strong else None


def _explain(url: str, error: urllib.error.HTTPError) -> str:
    advice: dict[int, Any] = {
        401: "it wants a login: the file may have been made private",
        403: "access is forbidden: the file may have been made private, or a proxy blocks it",
        404: "there is no such file any more; `harmonizer info NAME` shows other sources",
        429: "too many requests: wait some minutes and try again",
    }
    reason = advice.get(error.code, "the server is in trouble: try again later")
    return f"cannot download {url}: HTTP {error.code} {error.reason}; {reason}"
