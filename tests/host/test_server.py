"""The page "In a server" shows a service that works."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXAMPLES
from PIL import Image

PAGE = Path(__file__).parents[2] / "docs" / "server.md"


def test_the_web_service(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    client = pytest.importorskip("fastapi.testclient")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102
    browser = client.TestClient(names["app"])
    files = {
        "image": (EXAMPLES / "composite.png").read_bytes(),
        "mask": (EXAMPLES / "mask.png").read_bytes(),
    }
    answer = browser.post("/harmonize", files=files)
    assert answer.status_code == 200
    found = np.asarray(Image.open(io.BytesIO(answer.content)))
    given, mask = (np.asarray(Image.open(io.BytesIO(one))) for one in files.values())
    assert found.shape == given.shape
    assert np.array_equal(found[mask == 0], given[mask == 0])
    assert not np.array_equal(found, given)
    refused = browser.post("/harmonize", files=files | {"mask": b"no picture"})
    assert refused.status_code == 422
    assert "cannot be read as an image" in refused.json()["detail"]
