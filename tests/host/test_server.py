"""The page "In a server" shows services that work."""

import io
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXAMPLES
from PIL import Image

from harmonizer import Harmonizer

TEXT = (Path(__file__).parents[2] / "docs" / "server.md").read_text("utf-8")
PICTURE, MASK = EXAMPLES / "composite.png", EXAMPLES / "mask.png"


def code_with(word: str, language: str = "python") -> str:
    found = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    (code,) = (block for block in found if word in block)
    return code


@contextmanager
def running(command: str, folder: Path, **changes: str) -> Generator[None]:
    """A command of the page, with some of its values changed; stopped as an operator would."""
    for old, new in changes.values():
        assert old in command
        command = command.replace(old, new)
    process = subprocess.Popen(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        stdout=(folder / "log").open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, (folder / "log").read_text()
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Any, folder: Path, seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, (folder / "log").read_text()
        time.sleep(0.2)
    return found


def is_harmonized(png: bytes, expected: Any) -> bool:
    found = np.asarray(Image.open(io.BytesIO(png)))
    return np.abs(found.astype(int) - expected).max() <= 1


@pytest.fixture(scope="module")
def expected() -> Any:
    given = np.asarray(Image.open(PICTURE))
    result = np.asarray(Harmonizer.from_pretrained(device="cpu")(PICTURE, MASK))
    assert (result != given).any()
    return result


def test_the_web_service(monkeypatch: pytest.MonkeyPatch, expected: Any) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    client = pytest.importorskip("fastapi.testclient")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    names: dict[str, Any] = {}
    exec(code_with("FastAPI"), names)  # noqa: S102
    browser = client.TestClient(names["app"])
    files = {"image": PICTURE.read_bytes(), "mask": MASK.read_bytes()}
    answer = browser.post("/harmonize", files=files)
    assert answer.status_code == 200
    assert is_harmonized(answer.content, expected)
    refused = browser.post("/harmonize", files=files | {"mask": b"no picture"})
    assert refused.status_code == 422
    assert "cannot be read as an image" in refused.json()["detail"]


def test_several_processes_of_it(tmp_path: Path, expected: Any) -> None:
    for module in ("fastapi", "gunicorn", "uvicorn_worker"):
        pytest.importorskip(module)
    httpx = pytest.importorskip("httpx")
    (tmp_path / "service.py").write_text(code_with("FastAPI"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    files = {"image": PICTURE.read_bytes(), "mask": MASK.read_bytes()}

    def ask(_: int = 0) -> bytes:
        answer = httpx.post(f"http://{address}/harmonize", files=files, timeout=60, trust_env=False)
        assert answer.status_code == 200
        return answer.content

    def is_there() -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", int(address.split(":")[1]))) == 0

    with running(
        code_with("gunicorn", "bash"),
        tmp_path,
        bind=("127.0.0.1:8000", address),
        workers=("--workers 4", "--workers 2"),
    ):
        wait_for(is_there, tmp_path)
        with ThreadPoolExecutor(4) as pool:
            assert all(is_harmonized(one, expected) for one in pool.map(ask, range(12)))


def test_a_queue(tmp_path: Path, expected: Any) -> None:
    pytest.importorskip("celery")
    folders = [tmp_path / name for name in ("queue", "done")]
    for folder in folders:
        folder.mkdir()
    broker = {
        "broker_url": "filesystem://",  # in place of a server
        "broker_transport_options": {
            "data_folder_in": str(folders[0]),
            "data_folder_out": str(folders[0]),
            "control_folder": str(tmp_path),
        },
    }
    code = code_with("Celery").replace('broker="redis://localhost"', "")
    (tmp_path / "tasks.py").write_text(f"{code}\napp.conf.update({broker!r})\n")
    ask = f"""
from tasks import harmonize
for number in range(6):
    harmonize.delay({str(PICTURE)!r}, {str(MASK)!r}, f"{folders[1]}/{{number}}.png")
"""
    with running(
        code_with("celery --app", "bash"), tmp_path, workers=("--concurrency 4", "--concurrency 2")
    ):
        path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
        asked = [sys.executable, "-c", ask]
        subprocess.run(asked, env={**os.environ, **path}, check=True, timeout=120)
        wait_for(lambda: len(list(folders[1].glob("*.png"))) == 6, tmp_path)
    for path in folders[1].iterdir():
        assert is_harmonized(path.read_bytes(), expected)
