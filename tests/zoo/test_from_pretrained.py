"""No option of `from_pretrained` is ignored: the real client against a server on this machine."""

from pathlib import Path
from typing import Any

import pytest
from hub_server import Server, commit_of

from harmonizer import Harmonizer
from harmonizer.errors import WeightsUnavailableError


@pytest.fixture
def load(repository: str, tmp_path: Path) -> Any:
    kept = {"cache_dir": tmp_path / "kept", "device": "cpu"}
    return lambda **options: Harmonizer.from_pretrained(repository, **(kept | options))


def test_cache_dir_is_where_files_are_kept(load: Any, tmp_path: Path) -> None:
    load(cache_dir=str(tmp_path / "elsewhere"))
    assert list((tmp_path / "elsewhere").rglob("model.safetensors"))
    assert not (tmp_path / "kept").exists()


def test_revision_is_the_one_that_is_loaded(load: Any, server: Server, repository: str) -> None:
    with pytest.raises(WeightsUnavailableError, match="no revision nowhere"):
        load(revision="nowhere")
    commit = commit_of(server.repos[repository])
    server.requests.clear()
    load(revision=commit)
    assert all(f"/resolve/{commit}/" in path for _, path, _ in server.asked("GET", "/resolve/"))


def test_token_is_shown_to_the_hub(load: Any, server: Server) -> None:
    load(token="hf_mine")  # noqa: S106
    assert server.requests
    for _, _, headers in server.requests:
        assert headers.get("authorization") == "Bearer hf_mine"


def test_local_files_only_connects_to_nothing(load: Any, server: Server) -> None:
    with pytest.raises(WeightsUnavailableError, match="run `harmonizer download` with its name"):
        load(local_files_only=True)
    assert server.requests == []
    load()
    server.requests.clear()
    load(local_files_only=True)
    assert server.requests == []


def test_force_download_downloads_again(load: Any, server: Server) -> None:
    for options in ({}, {"force_download": True}):
        server.requests.clear()
        load(**options)
        assert server.asked("GET", "model.safetensors")
    server.requests.clear()
    load()
    assert not server.asked("GET", "model.safetensors")
