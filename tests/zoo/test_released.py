"""The authors' own files: downloaded, checked, converted once, and never trusted."""

import errno
import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPMessage, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from by_rule import picture_by_rule, reference_values, released_weights, sample_positions
from helpers import EXAMPLES
from hub_server import Server, etag
from safetensors.torch import load_file
from zoo_models import as_pth, run_python

from harmonizer import Harmonizer, model_info
from harmonizer.errors import WeightsCorruptedError, WeightsUnavailableError
from harmonizer.zoo import convert_state_dict
from harmonizer.zoo import download as download_module
from harmonizer.zoo.download import _CheckedRedirects, download
from harmonizer.zoo.loader import read_network
from harmonizer.zoo.manifest import HubFile, ModelInfo, ReleasedFile
from harmonizer.zoo.options import FetchOptions
from harmonizer.zoo.sources import fetch_weights, find_weights

URL = "/releases/idih256.pth"
Released = Callable[..., ModelInfo]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_release_is_converted_once_and_then_asks_nothing(
    server: Server, released: Released, options: FetchOptions
) -> None:
    info = released()
    path = fetch_weights(info, options)
    expected = convert_state_dict("idih", released_weights("idih", 1))
    state = load_file(path)
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in expected)
    server.requests.clear()
    assert fetch_weights(info, options) == path
    assert fetch_weights(info, replace(options, local_files_only=True)) == path
    assert server.requests == []
    # Neither the .pth nor a part of it is left.
    assert files_in(path.parent) == ["lock", "model-1.safetensors", "record.json"]


def test_a_released_model_makes_the_pictures_of_the_released_network(
    server: Server, options: FetchOptions
) -> None:
    name = "idih-hrnet-w18"
    weights = released_weights(name, 1)
    server.files["/w18.pth"] = as_pth({k: torch.from_numpy(v) for k, v in weights.items()})
    info = replace(
        model_info(name), sources=(ReleasedFile(server.address + "/w18.pth", None, None),)
    )
    network = read_network(find_weights(info, options), info)
    image, mask = picture_by_rule(1)
    predicted = Harmonizer(network, info, device="cpu").predict(image, mask)
    expected = reference_values()[f"{name}.s1.predicted"]
    found = predicted.reshape(-1)[sample_positions(predicted.size, expected.size)]
    assert np.abs(found - expected).max() < 2e-3


def test_a_pinned_hash_is_enforced(
    server: Server, released: Released, released_idih: bytes, options: FetchOptions
) -> None:
    good = released(sha256(released_idih), len(released_idih))
    flipped = released_idih[:-1] + bytes([released_idih[-1] ^ 1])
    server.files[URL] = flipped
    with pytest.raises(WeightsCorruptedError) as caught:
        fetch_weights(good, options)
    assert sha256(flipped) in str(caught.value)
    assert sha256(released_idih) in str(caught.value)
    server.files[URL] = released_idih
    fetch_weights(good, options)


def test_an_unpinned_hash_is_recorded_and_a_change_refused(
    server: Server, released: Released, released_idih: bytes, options: FetchOptions
) -> None:
    info = released()
    path = fetch_weights(info, options)
    record = json.loads((path.parent / "record.json").read_text())
    assert record["sha256"] == sha256(released_idih)
    other = as_pth({k: torch.from_numpy(v) for k, v in released_weights("idih", 2).items()})
    server.files[URL] = other
    with pytest.raises(WeightsCorruptedError, match=r"recorded when it was first downloaded") as e:
        fetch_weights(info, replace(options, force_download=True))
    assert sha256(other) in str(e.value)
    assert sha256(released_idih) in str(e.value)
    assert fetch_weights(info, options) == path  # what was there before still works


def test_a_flipped_byte_in_the_converted_file_is_refused(
    released: Released, options: FetchOptions
) -> None:
    info = released()
    path = fetch_weights(info, options)
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(WeightsCorruptedError, match="set aside"):
        fetch_weights(info, options)
    assert fetch_weights(info, options).read_bytes() == good


@pytest.mark.parametrize("missing", ["conversion", "converted_sha256"])
def test_what_a_damaged_record_does_not_vouch_for_is_made_again(
    missing: str, released: Released, options: FetchOptions
) -> None:
    info = released()
    path = fetch_weights(info, options)
    good = path.read_bytes()
    record = json.loads((path.parent / "record.json").read_text())
    del record[missing]
    (path.parent / "record.json").write_text(json.dumps(record))
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert fetch_weights(info, options).read_bytes() == good
    assert missing in json.loads((path.parent / "record.json").read_text())


class Malice:
    """Pickles to a call of a function of the attacker's choice."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_is_refused_and_not_run(
    legacy: bool, server: Server, released: Released, options: FetchOptions, tmp_path: Path
) -> None:
    trace = tmp_path / "was_here"
    content = {"a": Malice(trace)}
    server.files[URL] = pickle.dumps(content) if legacy else as_pth(content)
    with pytest.raises(WeightsCorruptedError, match="not loaded"):
        fetch_weights(released(), options)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a state dict|holds more"),
        (b"PK\x03\x04 but no archive", "not a state dict|holds more"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs pointer"),
        (b"  <html>please log in</html>", "web page"),
        (as_pth([1, 2]), "holds a list"),
        (as_pth({"a": torch.zeros(1)}), "missing"),
        (as_pth({}), "missing"),
        (as_pth({1: torch.zeros(1)}), "holds a dict"),
    ],
)
def test_what_is_no_release_is_refused(
    content: bytes,
    reason: str,
    server: Server,
    released: Released,
    released_idih: bytes,
    options: FetchOptions,
) -> None:
    server.files[URL] = content
    with pytest.raises(WeightsCorruptedError, match=reason):
        fetch_weights(released(), options)
    # Nobody vouches for a hash here, and yet the wrong file is not kept in place of the right one.
    server.files[URL] = released_idih
    fetch_weights(released(), options)


def test_a_login_page_in_place_of_a_file(
    server: Server, released: Released, options: FetchOptions
) -> None:
    server.html.add(URL)
    with pytest.raises(WeightsUnavailableError, match="web page instead of a file"):
        fetch_weights(released(), options)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "wants a login"),
        (403, "forbidden"),
        (404, "no such file any more"),
        (429, "too many requests"),
        (500, "try again later"),
        (503, "try again later"),
    ],
)
def test_http_errors_say_what_to_do(
    status: int, reason: str, server: Server, released: Released, options: FetchOptions
) -> None:
    info = released()
    server.status["/releases/"] = status
    with pytest.raises(WeightsUnavailableError, match=f"HTTP {status}.*{reason}"):
        fetch_weights(info, options)


def test_the_next_source_is_tried(
    server: Server, released: Released, released_idih: bytes, options: FetchOptions
) -> None:
    info = released()
    server.status["/releases/"] = 404
    server.repos["someone/copy"] = {"weights/idih.pt": released_idih}
    copy = HubFile("someone/copy", "weights/idih.pt", None, sha256(released_idih), None)
    path = fetch_weights(replace(info, sources=(*info.sources, copy)), options)
    assert load_file(path).keys() == convert_state_dict("idih", released_weights("idih", 1)).keys()
    with pytest.raises(WeightsUnavailableError, match="HTTP 404"):
        fetch_weights(info, options)


def test_a_broken_connection_is_resumed(
    server: Server, released: Released, released_idih: bytes, options: FetchOptions
) -> None:
    half = len(released_idih) // 2
    server.cut_after = [half, 1000]
    info = released(sha256(released_idih))
    fetch_weights(info, options)
    ranges = [headers.get("Range") for _, _, headers in server.asked("GET", URL)]
    assert ranges == [None, f"bytes={half}-", f"bytes={half + 1000}-"]


@pytest.mark.parametrize("length", ["much", "-1", "1e6"])
def test_a_length_that_is_no_number_is_not_looked_at(
    length: str, server: Server, tmp_path: Path
) -> None:
    server.files["/file"] = os.urandom(200_000)
    server.length = length
    download(server.address + "/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == server.files["/file"]


def test_a_file_that_changed_in_between_is_not_glued_together(
    server: Server, tmp_path: Path
) -> None:
    first, second = os.urandom(200_000), os.urandom(300_000)
    server.files["/file"] = first
    server.cut_after = [100_000] + [0] * 4
    with pytest.raises(WeightsUnavailableError, match="what has arrived is kept"):
        download(server.address + "/file", tmp_path / "file")
    assert (tmp_path / "file.part").stat().st_size == 100_000
    server.files["/file"] = second
    download(server.address + "/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == second
    assert files_in(tmp_path) == ["file"]


def test_only_https_leaves_this_machine(tmp_path: Path) -> None:
    for url in ("http://example.org/file", "ftp://example.org/file", "file:///etc/passwd"):
        with pytest.raises(WeightsUnavailableError, match="only downloaded by https"):
            download(url, tmp_path / "file")


@pytest.mark.parametrize(
    "url", ["ftp://localhost/a.pth", "file://localhost/etc/passwd", "http://example.invalid/a.pth"]
)
def test_a_redirection_does_not_leave_https(url: str, server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailableError, match="only downloaded by https"):
        download(url, tmp_path / "a.pth")
    server.files["/b.pth"] = b"content"
    server.moved = {"/a.pth": url, "/c.pth": server.address + "/b.pth"}
    with pytest.raises(WeightsUnavailableError, match=r"only downloaded by https|HTTP 302"):
        download(server.address + "/a.pth", tmp_path / "a.pth")
    assert list(tmp_path.iterdir()) == []
    download(server.address + "/c.pth", tmp_path / "c.pth")
    assert (tmp_path / "c.pth").read_bytes() == b"content"


def test_nor_does_it_lead_to_this_machine() -> None:
    request = urllib.request.Request("https://example.org/a.pth")
    for url in ("http://127.0.0.1:1/b.pth", "http://localhost/b.pth"):
        with pytest.raises(WeightsUnavailableError, match="only downloaded by https"):
            _CheckedRedirects().redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), url)
    url = "https://example.org/b.pth"
    followed = _CheckedRedirects().redirect_request(
        request, io.BytesIO(), 302, "", HTTPMessage(), url
    )
    assert followed is not None
    assert followed.full_url == url


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(server: Server, released_idih: bytes, tmp_path: Path) -> None:
    server.files["/file"] = released_idih
    (tmp_path / "file.part").symlink_to("/dev/full")
    with pytest.raises(WeightsUnavailableError, match=r"No space left.*HF_HOME"):
        download(server.address + "/file", tmp_path / "file")
    assert not (tmp_path / "file").exists()


FETCH = """
import sys
from dataclasses import replace
from pathlib import Path
from harmonizer import model_info
from harmonizer.zoo.manifest import ReleasedFile
from harmonizer.zoo.options import FetchOptions
from harmonizer.zoo.sources import fetch_weights
info = replace(model_info("idih"), sources=(ReleasedFile(sys.argv[1], None, None),))
print(fetch_weights(info, FetchOptions(cache_dir=Path(sys.argv[2]))))
"""


def test_killed_in_the_middle_and_started_again(
    server: Server, released: Released, options: FetchOptions
) -> None:
    info = released()
    server.slow = 0.05
    cache = options.cache_dir
    assert cache is not None
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, server.address + URL, str(cache)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size > 1 << 20 for part in cache.rglob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    server.slow = 0
    with pytest.raises(WeightsUnavailableError):  # half a file is no file
        fetch_weights(info, replace(options, local_files_only=True))
    fetch_weights(info, options)
    assert "bytes=" in str(server.asked("GET", URL)[-1][2].get("Range"))


def test_two_processes_that_want_the_same_file(
    server: Server, released: Released, options: FetchOptions
) -> None:
    released()
    server.slow = 0.002
    command = [sys.executable, "-c", FETCH, server.address + URL, str(options.cache_dir)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert len(server.asked("GET", URL)) == 1


def test_a_read_only_cache_works(server: Server, released: Released, options: FetchOptions) -> None:
    path = fetch_weights(released(), options)
    before = sorted(options.cache_dir.rglob("*"))  # pyright: ignore[reportOptionalMemberAccess]
    prefix: list[str] = []
    if os.geteuid() == 0:  # root may write anywhere, unless that right is taken away
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root needs setpriv to be kept from writing")
        prefix = [setpriv, "--bounding-set=-dac_override"]
    for folder in [options.cache_dir, *path.parents]:
        if folder is None or options.cache_dir not in (folder, *folder.parents):
            continue
        folder.chmod(0o555)
    try:
        command = [*prefix, sys.executable, "-c", FETCH, server.address + URL]
        done = subprocess.run(
            [*command, str(options.cache_dir)], capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == str(path), done.stderr
        elsewhere = subprocess.run(
            [*command[:-1], server.address + "/other.pth", str(options.cache_dir)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "WeightsUnavailableError: cannot use the cache" in elsewhere.stderr
    finally:
        for folder in [options.cache_dir, *path.parents]:
            if folder is not None and options.cache_dir in (folder, *folder.parents):
                folder.chmod(0o755)
    assert sorted(options.cache_dir.rglob("*")) == before  # pyright: ignore[reportOptionalMemberAccess]


def test_convert_on_the_command_line(released_idih: bytes, tmp_path: Path) -> None:
    from harmonizer.cli import main

    file = tmp_path / "idih256.pth"
    file.write_bytes(released_idih)
    out = tmp_path / "converted"
    assert main(["convert", str(file), "--model", "idih", "-o", str(out)]) == 0
    converted = Harmonizer.from_pretrained(out, device="cpu")
    direct = Harmonizer(_network_of(released_idih), model_info("idih"), device="cpu")
    image, mask = EXAMPLES / "composite.png", EXAMPLES / "mask.png"
    assert np.array_equal(converted.predict(image, mask), direct.predict(image, mask))
    assert converted.info.licence == "MPL-2.0"


def test_convert_replaces_nothing_without_force(
    released_idih: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from harmonizer.cli import main

    (tmp_path / "idih256.pth").write_bytes(released_idih)
    out = tmp_path / "mine"
    out.mkdir()
    (out / "README.md").write_text("my own")
    command = ["convert", str(tmp_path / "idih256.pth"), "--model", "idih", "-o"]
    assert main([*command, str(out)]) == 1
    assert "is not empty; add --force" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["README.md"]
    assert (out / "README.md").read_text() == "my own"
    assert main([*command, str(out), "--force"]) == 0
    Harmonizer.from_pretrained(out, device="cpu")
    assert main([*command, str(tmp_path / "idih256.pth")]) == 1
    assert "is a file; name a folder" in capsys.readouterr().err


def _network_of(released: bytes) -> Any:
    from harmonizer.networks import build_network

    network = build_network("idih")
    network.load_state_dict(convert_state_dict("idih", torch.load(io.BytesIO(released))))
    return network


def test_convert_refuses_the_wrong_network(
    released_idih: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from harmonizer.cli import main

    file = tmp_path / "idih256.pth"
    file.write_bytes(released_idih)
    assert main(["convert", str(file), "--model", "is2am", "-o", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "missing" in error
    assert "unexpected" in error
    assert not (tmp_path / "out").exists()
    assert main(["convert", "no.pth", "--model", "idih", "-o", str(tmp_path / "out")]) == 1
    assert "there is no file no.pth" in capsys.readouterr().err


def test_download_verify_and_offline_on_the_command_line(
    server: Server, released: Released, tmp_path: Path
) -> None:
    """The whole story of a user who prepares a machine for work without a connection."""
    released()
    program = (
        "import sys, json\n"
        "from harmonizer.zoo import manifest\n"
        "text = json.loads(manifest._manifest_text())\n"
        "kept = ('colormap-lite0-open', 'idih')\n"
        "text['models'] = [m for m in text['models'] if m['name'] in kept]\n"
        "text['models'][1]['sources'][0]['url'] = sys.argv[1]\n"
        "manifest._manifest_text = lambda: json.dumps(text)\n"
        "from harmonizer.cli import main\n"
        "raise SystemExit(main(sys.argv[2:]))"
    )
    url, home = server.address + URL, {"HF_HOME": str(tmp_path / "home")}
    out = tmp_path / "out.png"
    picture = (EXAMPLES / "composite.png", EXAMPLES / "mask.png", "-o", out)
    run = (program, url, "run", *picture, "--model", "idih")
    offline = run_python(*run, **home, HF_HUB_OFFLINE="1")
    assert (offline.returncode, out.exists()) == (1, False)
    assert "harmonizer download" in offline.stderr
    fetched = run_python(program, url, "download", "--all", **home)
    assert fetched.returncode == 0, fetched.stderr
    assert "colormap-lite0-open: " in fetched.stdout
    verified = run_python(program, url, "verify", **home)
    assert verified.stdout == "colormap-lite0-open: good\nidih: good\n"
    after = run_python(*run, **home, HF_HUB_OFFLINE="1")
    assert after.returncode == 0, after.stderr
    assert out.exists()
    misspelt = run_python(program, url, "download", "idhi", **home)
    assert "Did you mean idih" in misspelt.stderr
    assert run_python(program, url, "download", **home).returncode == 2


def test_a_part_longer_than_its_file_is_downloaded_anew(server: Server, tmp_path: Path) -> None:
    server.files["/file"] = content = os.urandom(1000)
    (tmp_path / "file.part").write_bytes(content * 2)
    (tmp_path / "file.part.json").write_text(json.dumps({"etag": etag(content)}))
    download(server.address + "/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    assert files_in(tmp_path) == ["file"]


def test_a_cache_that_is_no_folder(released: Released, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsUnavailableError, match="choose another folder by HF_HOME"):
        fetch_weights(released(), FetchOptions(cache_dir=tmp_path / "file"))


def test_what_a_redirection_says_beside_is_not_read(server: Server, tmp_path: Path) -> None:
    sent = 0

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal sent
            self.send_response(302)
            self.send_header("Location", server.address + URL)
            self.end_headers()
            with suppress(OSError):
                while sent < 1 << 30:
                    sent += self.wfile.write(bytes(1 << 20))

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server.files[URL] = b"a file"
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        download(f"http://127.0.0.1:{other.server_port}/a", tmp_path / "file")
        other.shutdown()
    assert (tmp_path / "file").read_bytes() == b"a file"
    assert sent < 100 << 20


def test_a_connection_that_breaks_in_any_way_is_resumed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files[URL] = content = bytes(range(256)) * 20_000
    read, broken = HTTPResponse.read1, 0

    def breaks(self: HTTPResponse, n: int = -1) -> bytes:
        nonlocal broken
        broken += 1
        if broken == 2:
            raise OSError(errno.EHOSTUNREACH, "No route to host")
        return read(self, n)

    monkeypatch.setattr(HTTPResponse, "read1", breaks)
    download(server.address + URL, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    assert broken > 2


def test_a_server_that_knows_no_range_though_none_was_asked_for(tmp_path: Path) -> None:
    class Unwilling(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(416)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Unwilling) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(WeightsUnavailableError, match="its server mixes files up"):
            download(f"http://127.0.0.1:{other.server_port}/a", tmp_path / "file")
        other.shutdown()


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 OK\r\nX: ",  # a header
        b"HTTP/1.1 100 Continue\r\nX: ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5; ",  # a chunk's extension
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",  # a trailer
    ],
)
def test_a_server_that_trickles_is_not_listened_to_for_ever(
    begin: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "_LONGEST", 1)
    ended = threading.Event()

    def trickle(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with suppress(OSError), connection:
            connection.recv(10_000)
            connection.sendall(begin)
            while not ended.wait(0.2):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=trickle, args=(listening,), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(WeightsUnavailableError, match="does not end: it has not come within"):
            download(f"http://127.0.0.1:{listening.getsockname()[1]}/a", tmp_path / "file")
        ended.set()
    assert time.monotonic() - began < 10
