"""The authors' own files: downloaded, checked, converted once, and never trusted."""

import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from by_rule import picture_by_rule, reference_values, released_weights, sample_positions
from hub_server import Server
from safetensors.torch import load_file
from zoo_models import URL, Released, as_pth, files_in

from harmonizer import Harmonizer, model_info
from harmonizer.errors import WeightsCorruptedError, WeightsUnavailableError
from harmonizer.zoo import convert_state_dict
from harmonizer.zoo.loader import read_network
from harmonizer.zoo.manifest import HubFile, ReleasedFile
from harmonizer.zoo.options import FetchOptions
from harmonizer.zoo.sources import fetch_weights, find_weights


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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


def test_a_cache_that_is_no_folder(released: Released, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsUnavailableError, match="choose another folder by HF_HOME"):
        fetch_weights(released(), FetchOptions(cache_dir=tmp_path / "file"))
