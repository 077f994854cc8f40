"""A server on this machine, and models to serve."""

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from by_rule import released_weights
from hub_server import Server, ask_instead_of_the_hub, serving
from zoo_models import URL, as_pth, tiny_model

from harmonizer import model_info
from harmonizer.zoo.manifest import ModelInfo, ReleasedFile
from harmonizer.zoo.options import FetchOptions


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Generator[Server]:
    """A server in place of the Hub."""
    with serving() as server:
        ask_instead_of_the_hub(server.address, monkeypatch)
        yield server


@pytest.fixture
def options(tmp_path: Path) -> FetchOptions:
    return FetchOptions(cache_dir=tmp_path / "cache")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder that `save_pretrained` wrote."""
    folder = tmp_path / "saved"
    tiny_model().save_pretrained(folder)
    return folder


@pytest.fixture
def repository(saved: Path, server: Server) -> str:
    """The same, on the Hub."""
    server.repos["owner/tiny"] = {path.name: path.read_bytes() for path in saved.iterdir()}
    return "owner/tiny"


@pytest.fixture(scope="session")
def released_idih() -> bytes:
    """What the authors' file of iDIH is: a state dict under their names."""
    weights = released_weights("idih", 1)
    return as_pth({key: torch.from_numpy(value) for key, value in weights.items()})


@pytest.fixture
def released(server: Server, released_idih: bytes) -> Callable[..., ModelInfo]:
    """iDIH as a model that can only be had from its authors' page."""

    def make(sha256: str | None = None, size: int | None = None) -> ModelInfo:
        server.files.setdefault(URL, released_idih)
        source = ReleasedFile(server.address + URL, sha256, size)
        return replace(model_info("idih"), sources=(source,))

    return make
