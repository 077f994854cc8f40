"""Models on the Hugging Face Hub: the real client against a server on this machine."""

import errno
import hashlib
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import box_mask
from hub_server import Server, ask_instead_of_the_hub, commit_of, serving
from zoo_models import run_python, tiny_model

from harmonizer import Harmonizer
from harmonizer.errors import WeightsCorruptedError, WeightsUnavailableError
from harmonizer.zoo.loader import load_model
from harmonizer.zoo.manifest import HubFile, parse_model_info
from harmonizer.zoo.options import FetchOptions
from harmonizer.zoo.sources import fetch_from_hub, fetch_weights


def pinned(server: Server, repository: str, **changes: Any) -> Any:
    """A manifest's entry for the repository, pinned to its commit."""
    files = server.repos[repository]
    weights = files["model.safetensors"]
    source = HubFile(
        repository,
        "model.safetensors",
        commit_of(files),
        hashlib.sha256(weights).hexdigest(),
        len(weights),
    )
    return replace(tiny_model().info, sources=(replace(source, **changes),), status="available")


def weights_in(cache: Path) -> Path:
    (path,) = (cache / "models--owner--tiny" / "snapshots").glob("*/model.safetensors")
    return path


def test_a_repository_loads_by_its_name(
    server: Server, repository: str, options: FetchOptions
) -> None:
    network, info = load_model(repository, None, options)
    expected = tiny_model()
    harmonizer = Harmonizer(network, info, device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    mask = box_mask(60, 80)
    assert np.array_equal(harmonizer(image, mask), expected(image, mask))
    assert info.preprocessing == expected.info.preprocessing


def test_a_pinned_and_cached_model_asks_nothing(
    server: Server, repository: str, options: FetchOptions
) -> None:
    info = pinned(server, repository)
    first = fetch_weights(info, options)
    server.requests.clear()
    assert fetch_weights(info, options) == first
    assert server.requests == []


def test_a_flipped_byte_is_refused_on_download(
    server: Server, repository: str, options: FetchOptions
) -> None:
    good = server.repos[repository]["model.safetensors"]
    info = pinned(server, repository, revision=None)
    server.repos[repository]["model.safetensors"] = good[:-1] + bytes([good[-1] ^ 1])
    with pytest.raises(WeightsCorruptedError) as caught:
        fetch_weights(info, options)
    assert hashlib.sha256(good).hexdigest() in str(caught.value)
    wrong = hashlib.sha256(server.repos[repository]["model.safetensors"]).hexdigest()
    assert wrong in str(caught.value)
    # It was set aside, so when the server has the right file again, all is well.
    server.repos[repository]["model.safetensors"] = good
    assert fetch_weights(info, options).read_bytes() == good


def test_a_flipped_byte_is_refused_in_the_cache(
    server: Server, repository: str, options: FetchOptions
) -> None:
    info = pinned(server, repository)
    path = fetch_weights(info, options)
    good = path.read_bytes()
    path.resolve().write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(WeightsCorruptedError, match="set aside"):
        fetch_weights(info, options)
    assert fetch_weights(info, options).read_bytes() == good


def test_a_repository_whose_weights_are_not_its_configs_is_refused(
    server: Server, repository: str, options: FetchOptions
) -> None:
    good = server.repos[repository]["model.safetensors"]
    server.repos[repository]["model.safetensors"] = good[:-1] + bytes([good[-1] ^ 1])
    with pytest.raises(WeightsCorruptedError, match="sha256"):
        load_model(repository, None, options)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-lfs pointer"),
        (b"<!DOCTYPE html><title>Sign in</title>", "web page"),
    ],
)
@pytest.mark.parametrize("vouched", [True, False])
def test_what_is_not_weights_at_all_is_named(
    content: bytes,
    reason: str,
    vouched: bool,
    server: Server,
    repository: str,
    options: FetchOptions,
) -> None:
    changes: dict[str, Any] = {} if vouched else {"sha256": None, "size": None}
    info = pinned(server, repository, revision=None, **changes)
    server.repos[repository]["model.safetensors"] = content
    with pytest.raises(WeightsCorruptedError, match=reason):
        fetch_weights(info, options)


def test_the_cdn_gets_the_request_but_not_the_token(
    server: Server, repository: str, options: FetchOptions
) -> None:
    with serving() as cdn:
        server.redirect = cdn.address
        for name, content in server.repos[repository].items():
            cdn.files[f"/cdn/{name}"] = content
        load_model(repository, None, replace(options, token="hf_secret"))  # noqa: S106
        assert cdn.asked("GET", "/cdn/model.safetensors")
        assert not any("secret" in str(headers) for _, _, headers in cdn.requests)
    assert all(
        headers.get("authorization") == "Bearer hf_secret" for _, _, headers in server.requests
    )


@pytest.mark.parametrize(
    ("name", "file", "revision", "reason"),
    [
        ("owner/nothing", "config.json", None, "no repository owner/nothing"),
        ("owner/tiny", "config.json", "nowhere", "no revision nowhere"),
        ("owner/empty", "config.json", None, "holds no config.json"),
    ],
)
def test_what_is_not_there_is_named(
    name: str,
    file: str,
    revision: str | None,
    reason: str,
    server: Server,
    repository: str,
    options: FetchOptions,
) -> None:
    server.repos["owner/empty"] = {"README.md": b"hello"}
    with pytest.raises(WeightsUnavailableError, match=reason):
        load_model(name, revision, options)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, "RepoNotFound", "log in"),
        (403, "GatedRepo", "access to owner/tiny must be asked for"),
        (403, None, "owner/tiny"),
        (404, "RepoNotFound", "no repository"),
        (429, None, "owner/tiny"),
        (500, None, "owner/tiny"),
        (503, None, "owner/tiny"),
    ],
)
def test_http_errors_say_what_to_do(
    status: int,
    code: str | None,
    reason: str,
    server: Server,
    repository: str,
    options: FetchOptions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client waits between its attempts
    server.status["/resolve/"] = status
    server.error_code = code
    with pytest.raises(WeightsUnavailableError, match=reason):
        load_model(repository, None, options)


def test_no_connection_at_all(
    repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    ask_instead_of_the_hub("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(WeightsUnavailableError, match=r"cannot reach http://127\.0\.0\.1:9 "):
        load_model(repository, None, FetchOptions(cache_dir=tmp_path))


@pytest.mark.parametrize(
    "error",
    [socket.gaierror(-2, "Name or service not known"), OSError(errno.ENETUNREACH, "unreachable")],
)
def test_without_a_network_nothing_is_asked_again(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object, **__: object) -> None:
        raise error

    def sleep(_: float) -> None:
        raise AssertionError("it is waited for a network that is not there")

    monkeypatch.setattr("socket.create_connection", connect)
    monkeypatch.setattr("time.sleep", sleep)
    ask_instead_of_the_hub("http://nowhere.invalid", monkeypatch)
    with pytest.raises(WeightsUnavailableError, match=r"cannot reach http://nowhere\.invalid "):
        load_model("owner/none", None, FetchOptions(cache_dir=tmp_path))


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_named(
    content: str | None, server: Server, repository: str, tmp_path: Path
) -> None:
    path = tmp_path / "certificates.pem"
    if content is not None:
        path.write_text(content)
    environment = {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "home")}
    said = run_python(LOAD, repository, **environment, SSL_CERT_FILE=str(path)).stdout
    assert said.startswith("WeightsUnavailableError")
    assert f"SSL_CERT_FILE is {str(path)!r}: name a file" in said


LOAD = """
import sys
from harmonizer import Harmonizer
from harmonizer.errors import HarmonizerError
try:
    print(Harmonizer.from_pretrained(sys.argv[1], device="cpu"))
except HarmonizerError as error:
    print(type(error).__name__, error)
"""


def test_the_hubs_environment_counts(server: Server, repository: str, tmp_path: Path) -> None:
    environment = {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "home")}
    offline = run_python(LOAD, repository, **environment, HF_HUB_OFFLINE="1")
    assert "WeightsUnavailableError" in offline.stdout
    assert "HF_HUB_OFFLINE" in offline.stdout
    assert server.requests == []

    online = run_python(LOAD, repository, **environment, HF_TOKEN="hf_environment")  # noqa: S106
    assert online.stdout == "Harmonizer('tiny', device='cpu')\n", online.stderr
    assert weights_in(tmp_path / "home" / "hub").is_file()
    downloads = server.asked("GET", "/resolve/")
    assert len(downloads) == 2
    assert all("hf_environment" in str(headers) for _, _, headers in downloads)

    again = run_python(LOAD, repository, **environment, HF_HUB_OFFLINE="1")
    assert again.stdout == online.stdout


@pytest.mark.parametrize("spelling", ["owner/tiny", "hub:owner/tiny"])
def test_the_advice_of_who_is_offline_can_be_followed(
    spelling: str, server: Server, repository: str, saved: Path, tmp_path: Path
) -> None:
    program = "import sys; from harmonizer.cli import main; raise SystemExit(main(sys.argv[1:]))"
    home = {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "home")}
    offline = run_python(program, "info", spelling, **home, HF_HUB_OFFLINE="1")
    assert "or run `harmonizer download` with its name" in offline.stderr
    online = run_python(program, "download", spelling, saved, **home)
    assert online.returncode == 0, online.stderr
    first, second = online.stdout.splitlines()
    assert first == f"{spelling}: {weights_in(tmp_path / 'home' / 'hub')}"
    assert second == f"{saved}: {saved / 'model.safetensors'}"
    again = run_python(program, "info", repository, **home, HF_HUB_OFFLINE="1")
    assert again.stdout.startswith("name:"), again.stderr


def test_a_download_is_checked_on_the_command_line(
    server: Server, repository: str, tmp_path: Path
) -> None:
    good = server.repos[repository]["model.safetensors"]
    server.repos[repository]["model.safetensors"] = good[:-1] + bytes([good[-1] ^ 1])
    program = "import sys; from harmonizer.cli import main; raise SystemExit(main(sys.argv[1:]))"
    home = {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "home")}
    done = run_python(program, "download", repository, "colormap-lite0-open", **home)
    assert done.returncode == 1
    assert "error: owner/tiny: " in done.stderr
    assert "colormap-lite0-open: " in done.stdout


def test_an_interrupted_download_is_never_taken_for_whole(
    server: Server, repository: str, options: FetchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    info = pinned(server, repository)
    size = len(server.repos[repository]["model.safetensors"])
    server.cut_after = [size // 2] * 20
    try:
        path = fetch_weights(info, options)
    except (WeightsUnavailableError, WeightsCorruptedError):
        server.cut_after = []
        path = fetch_weights(info, options)
    assert path.read_bytes() == server.repos[repository]["model.safetensors"]


def test_publish_uploads_and_prints_the_entry_to_commit(
    server: Server, saved: Path, options: FetchOptions, tmp_path: Path
) -> None:
    program = "import sys; from harmonizer.cli import main; raise SystemExit(main(sys.argv[1:]))"
    done = run_python(
        program,
        *("publish", saved, "--repo", "owner/new"),
        HF_ENDPOINT=server.address,
        HF_HOME=str(tmp_path / "home"),
        HF_TOKEN="hf_write",  # noqa: S106
    )
    assert done.returncode == 0, done.stderr
    assert set(server.repos["owner/new"]) == {"config.json", "model.safetensors", "README.md"}
    info = parse_model_info(json.loads(done.stdout), "the entry")
    (source,) = info.sources
    assert isinstance(source, HubFile)
    assert source.revision == commit_of(server.repos["owner/new"])
    assert fetch_weights(info, options).read_bytes() == (saved / "model.safetensors").read_bytes()
    load_model("owner/new", source.revision, options)


def test_push_to_hub_in_a_process(server: Server, tmp_path: Path) -> None:
    program = (
        "from harmonizer import Harmonizer\n"
        "harmonizer = Harmonizer.from_pretrained(device='cpu')\n"
        "print(harmonizer.push_to_hub('owner/mine', token='hf_write', private=True))\n"
        "print(Harmonizer.from_pretrained('owner/mine', device='cpu'))"
    )
    done = run_python(program, HF_ENDPOINT=server.address, HF_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert f"{server.address}/owner/mine/commit/" in done.stdout
    card = server.repos["owner/mine"]["README.md"].decode()
    assert 'from_pretrained("owner/mine")' in card


def test_a_refused_upload_says_what_to_do(
    server: Server, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harmonizer.errors import InputError
    from harmonizer.zoo.publish import push_folder

    monkeypatch.setattr("time.sleep", lambda _: None)
    server.status["/api/repos/create"] = 403
    with pytest.raises(WeightsUnavailableError, match="hf auth login"):
        push_folder(saved, "owner/new")
    with pytest.raises(InputError, match="owner/name"):
        push_folder(saved, "new")
    (saved / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(WeightsCorruptedError):
        push_folder(saved, "owner/new")


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("repo", "reason"),
    [("owner/a name", "cannot be a repository of the Hub"), ("owner/full", "cannot store .* free")],
)
def test_names_and_disks_that_do_not_do(
    repo: str, reason: str, options: FetchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    if repo == "owner/full":
        monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(WeightsUnavailableError, match=reason):
        fetch_from_hub(repo, "config.json", None, options)


def test_a_config_of_any_size_is_not_downloaded(
    server: Server, repository: str, options: FetchOptions
) -> None:
    files = server.repos[repository]
    files["config.json"] += b" " * 11_000_000
    for length, said in ((None, "more than 10,000,000, and is not"), ("", "not say how large")):
        server.length = length
        with pytest.raises(WeightsUnavailableError, match=said):
            load_model(repository, None, options)
    assert not server.asked("GET", "/resolve/")
