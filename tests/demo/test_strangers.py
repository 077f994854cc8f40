"""The page among other programs: proxies, signals, other sites, names that are HTML."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harmonizer.demo.page import _shown
from harmonizer.demo.work import Placement, paste
from harmonizer.errors import InputError

pytest.importorskip("gradio")


@pytest.fixture
def served(tmp_path: Path) -> Generator[tuple[subprocess.Popen[str], str]]:
    """A process that serves, though a proxy is set that answers nothing."""
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    process = subprocess.Popen(
        [sys.executable, "-m", "harmonizer", "demo"],
        env={**os.environ, **proxy, "TMPDIR": str(tmp_path), "NO_PROXY": "", "no_proxy": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://127[^ ]+", line)
    assert found, line + process.stdout.read()
    yield process, found[0]
    process.kill()
    process.wait()


def status(address: str, **headers: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        request = urllib.request.Request(address, headers=headers)  # noqa: S310
        return opener.open(request, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_page_is_for_this_machine_alone_and_leaves_nothing(
    name: str, served: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    process, address = served
    assert status(address) == 200
    assert status(address, Host="localhost:7860", Origin=address) == 200
    assert status(address, Host="rebound.example") == 403
    assert status(address, Origin="https://other.example") == 403
    assert status(address, Origin="null") == 403
    assert [path.name for path in tmp_path.glob("harmonizer-demo-*")] != []
    break_off(address)
    process.send_signal(getattr(signal, name))
    assert process.wait(30) == 0
    assert list(tmp_path.iterdir()) == []
    assert process.stdout is not None
    assert "Traceback" not in process.stdout.read()


def break_off(address: str) -> None:
    """Send half a file to each route that takes one."""
    host, port = address.rstrip("/").removeprefix("http://").split(":")
    for route in ("upload", "component_server"):
        with socket.create_connection((host, int(port)), timeout=20) as sender:
            lines = (
                f"POST /gradio_api/{route} HTTP/1.1", f"Host: {host}", "Content-Length: 9000",
                "Content-Type: multipart/form-data; boundary=b", "", "--b",
                'Content-Disposition: form-data; name="files"; filename="a.png"', "", "x" * 4000,
            )  # fmt: skip
            sender.sendall("\r\n".join(lines).encode())
            time.sleep(0.5)
    time.sleep(0.5)


def test_messages_are_text_and_name_the_upload() -> None:
    path = str(Path(tempfile.gettempdir()) / "harmonizer-demo-x" / "<b>cat.png")
    assert _shown(f"{path}: <urlopen error>", [path, 7, None]) == (
        "&lt;b&gt;cat.png: &lt;urlopen error&gt;"
    )


def test_a_cutout_is_not_enlarged_without_end(tmp_path: Path) -> None:
    """A few kilobytes of one colour are many megapixels, and at twice the size four times so."""
    background, cutout = tmp_path / "background.png", tmp_path / "cutout.png"
    Image.new("1", (8_000, 8_000)).save(background)
    Image.fromarray(np.full((1, 1, 4), 255, np.uint8)).save(cutout)
    start = time.monotonic()
    with pytest.raises(InputError, match="16000 x 16000 pixels"):
        paste(str(cutout), str(background), Placement(0.5, 0.5, 2.0))
    assert time.monotonic() - start < 30
