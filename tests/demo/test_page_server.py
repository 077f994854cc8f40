"""The page's server without a browser: what it refuses, and what it must not give away."""

import io
import json
import os
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from helpers import EXAMPLES, box_mask
from PIL import EpsImagePlugin, Image

from harmonizer.errors import InputError
from harmonizer.zoo.manifest import default_model

pytest.importorskip("gradio", reason="the extra `demo` is not installed")

from harmonizer.demo.page import (
    _listens_to_itself,  # pyright: ignore[reportPrivateUsage]
    serve,
)

COMPOSITE, MASK = EXAMPLES / "composite.png", EXAMPLES / "mask.png"


def status(url: str, data: bytes | None = None, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as response:  # noqa: S310
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def call(address: str, data: list[Any], button: int = 0) -> dict[str, Any]:
    """Press a Harmonize button (the first, by default) without the page, as an attacker would."""
    session = f"attack{time.monotonic_ns()}"
    body = {"data": data, "fn_index": button, "session_hash": session}
    join = f"{address}/gradio_api/queue/join"
    assert status(join, json.dumps(body).encode(), **{"Content-Type": "application/json"}) == 200
    with urllib.request.urlopen(  # noqa: S310
        f"{address}/gradio_api/queue/data?session_hash={session}", timeout=60
    ) as events:
        for line in events:
            event = json.loads(line.removeprefix(b"data: ")) if line.strip() else {}
            if event.get("msg") == "process_completed":
                return event
    raise AssertionError("no answer")


def file(path: object) -> dict[str, Any]:
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def composite_and_mask(image: Any, mask: Any, model: str | None = None) -> list[Any]:
    """The values that the first Harmonize button sends."""
    return [image, mask, False, False, None, model or default_model(), 100, 100]


def upload(address: str, path: Path) -> str:
    kind = {"Content-Type": "multipart/form-data; boundary=a-boundary"}
    head = f'Content-Disposition: form-data; name="files"; filename="{path.name}"'
    body = (
        f"--a-boundary\r\n{head}\r\n\r\n".encode() + path.read_bytes() + b"\r\n--a-boundary--\r\n"
    )
    request = urllib.request.Request(f"{address}/gradio_api/upload", body, kind)  # noqa: S310
    with urllib.request.urlopen(request) as response:  # noqa: S310
        return json.load(response)[0]


@pytest.mark.parametrize("path", ["/etc/passwd", str(COMPOSITE), str(Path(__file__).resolve())])
def test_no_file_of_the_host_can_be_read(path: str, address: str) -> None:
    assert status(f"{address}/gradio_api/file={path}") in (403, 404)
    assert status(f"{address}/gradio_api/file=../../../../../..{path}") in (403, 404)
    uploaded = [upload(address, one) for one in (COMPOSITE, MASK)]
    assert call(address, composite_and_mask(*map(file, uploaded)))["success"]
    for files in ([file(path), file(uploaded[1])], [file(uploaded[0]), file(path)]):
        assert join(address, composite_and_mask(*files)) == 400


def test_what_is_shown_again_is_not_written_again(address: str, tmp_path: Path) -> None:
    """A browser that loads it at that moment would get a part of it."""
    paths = tmp_path / "other.png", tmp_path / "mask.png"
    Image.new("RGB", (64, 64), (90, 60, 40)).save(paths[0])
    Image.fromarray(box_mask(64, 64)).save(paths[1])
    inputs = composite_and_mask(*(file(upload(address, one)) for one in paths))
    shown = call(address, inputs)["output"]["data"][1]
    for one in shown:
        assert Image.open(io.BytesIO(read(one["url"]))).size == (64, 64)
        Path(one["path"]).write_bytes(b"as it was")
    again = call(address, inputs)["output"]["data"][1]
    assert [one["url"] for one in again] == [one["url"] for one in shown]
    assert [read(one["url"]) for one in again] == [b"as it was"] * 2


def read(url: str) -> bytes:
    with urllib.request.urlopen(url) as response:  # noqa: S310 - of this machine
        return response.read()


def join(address: str, data: list[Any]) -> int:
    body = json.dumps({"data": data, "fn_index": 0, "session_hash": "attack"}).encode()
    kind = {"Content-Type": "application/json"}
    return status(f"{address}/gradio_api/queue/join", body, **kind)


def test_no_address_is_looked_up(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server runs in this process, and so do its look-ups."""
    asked: list[Any] = []
    look_up = socket.getaddrinfo

    def noted(host: Any, *rest: Any, **options: Any) -> Any:
        asked.append(host)
        return look_up(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    for url in ("http://metadata.example/a.png", "https://x.example/a.png"):
        assert join(address, composite_and_mask(file(url), file(url))) == 400
        assert status(f"{address}/gradio_api/file={url}") == 403
        assert status(f"{address}/gradio_api/proxy={url}") == 405
    time.sleep(1)
    assert {str(host) for host in asked} <= {"127.0.0.1"}


def test_strokes_are_pictures_that_the_library_reads(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio by itself has Pillow open whatever comes as strokes, which may run Ghostscript."""
    started: list[Any] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: started.append("a program"))
    strokes = tmp_path / "strokes.png"
    model, composite = default_model(), file(upload(address, COMPOSITE))
    painted = Image.new("RGBA", (640, 427))
    painted.paste((255, 0, 255, 255), (200, 200, 300, 300))
    painted.save(strokes)
    strokes_of = {"background": None, "layers": [file(upload(address, strokes))], "composite": None}
    event = call(address, [composite, strokes_of, model, 100, 100], button=2)
    assert event["success"], event
    strokes.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 640 427\n%%EndComments\nshowpage\n%%EOF\n"
    )
    layer = file(upload(address, strokes))
    for one in ({"background": layer, "layers": [], "composite": layer}, {"layers": [layer] * 9}):
        event = call(address, [composite, {"composite": None} | one, model, 100, 100], button=2)
        assert not event["success"]
    assert started == []


def test_only_the_listed_models_are_loaded(address: str, tmp_path: Path) -> None:
    event = call(address, composite_and_mask(None, None, str(tmp_path)))
    assert not event["success"]
    assert "not in the list of choices" in event["output"]["error"]


def test_large_files_are_refused(address: str, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(2_000_000))
    with pytest.raises(urllib.error.HTTPError, match="413"):
        upload(address, large)


def test_it_listens_on_this_machine_alone(address: str) -> None:
    port = urlsplit(address).port
    assert urlsplit(address).hostname == "127.0.0.1"
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", port))  # reached by a server that listens everywhere


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    with serve(device="cpu"):
        assert any(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_the_program_around_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    before = dict(os.environ)
    for _ in range(2):
        with serve(device="cpu"):
            assert os.environ["NO_PROXY"] == "intranet.example,127.0.0.1,localhost,::1,127.0.0.1"
            assert os.environ["GRADIO_TEMP_DIR"].startswith(str(tmp_path))
        assert dict(os.environ) == before
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["999.1.1.1", "192.0.2.1", "no host at all"])
def test_what_cannot_be_listened_on_is_said_at_once(host: str) -> None:
    with pytest.raises(InputError, match="no address of this machine"), serve(host=host):
        pass


@pytest.mark.parametrize(
    ("host", "own"),
    [("LOCALHOST", True), ("127.0.0.2", True), ("127.1", True), ("0.0.0.0", False)],  # noqa: S104
)
def test_every_name_of_this_machine_alone_is_guarded(host: str, own: bool) -> None:
    assert _listens_to_itself(host) == own
