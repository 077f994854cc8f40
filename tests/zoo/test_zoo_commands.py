"""Released weights on the command line: converted, downloaded, verified, used offline."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import EXAMPLES
from hub_server import Server
from zoo_models import URL, Released, run_python

from harmonizer import Harmonizer, model_info
from harmonizer.zoo import convert_state_dict


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
