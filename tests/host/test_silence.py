"""Nothing is sent anywhere, and nothing written that nobody asked for, by any backend."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from harmonizer.errors import InputError
from harmonizer.inference import export

RUN = """
import sys
import numpy as np
from pathlib import Path
from harmonizer import Harmonizer
picture = np.zeros((30, 30, 3), np.uint8)
if sys.argv[1] == "export":
    from harmonizer.cli import main
    assert main(["export", "colormap-lite0-open", "-o", sys.argv[2]]) == 0
else:
    Harmonizer.from_pretrained(device="cpu", backend=sys.argv[1])(picture, np.eye(30))
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace sees what is sent")
@pytest.mark.parametrize("what", ["torch", "onnx", "openvino", "export"])
def test_a_backend_sends_and_leaves_nothing(what: str, tmp_path: Path) -> None:
    for module in {"onnx": ("onnxscript", "onnxruntime"), "openvino": ("openvino",)}.get(
        "onnx" if what == "export" else what, ()
    ):
        pytest.importorskip(module)
    home, trace = tmp_path / "home", tmp_path / "trace"
    home.mkdir()
    # Tools of this kind are silent by themselves where continuous integration runs.
    silent = ("CI", "TF_BUILD", "JENKINS_URL", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in silent}
    command = ["strace", "-f", "-e", "trace=connect,sendto", "-o", str(trace)]
    done = subprocess.run(
        [*command, sys.executable, "-c", RUN, what, str(tmp_path / "model.onnx")],
        env={**environment, "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if "ptrace" in done.stderr:
        pytest.skip("strace may trace nothing here")
    assert done.returncode == 0, done.stderr
    assert not re.findall(r"sin6?_port=.*", trace.read_text())
    assert [str(path) for path in home.rglob("*") if path.is_file()] == []


def test_openvino_without_a_home() -> None:
    """A container's user without HOME and without a passwd entry."""
    pytest.importorskip("openvino")
    code = RUN.replace("import sys", "import os, sys; os.setuid(54321)", 1)
    if os.name != "posix" or os.getuid() != 0:
        pytest.skip("only root becomes somebody without an entry")
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "CI")}
    readable = subprocess.run(
        [sys.executable, "-c", "import os; os.setuid(54321); import numpy"],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )
    if readable.returncode:
        pytest.skip("others may not read this environment")
    done = subprocess.run(
        [sys.executable, "-c", code, "openvino"],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_onnx_runtime_is_switched_off_before_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """By whichever way it comes: by itself, or by what translates networks."""
    seen: list[str | None] = []

    def import_extra(*_: str) -> None:
        seen.append(os.environ.get("ORT_DISABLE_TELEMETRY"))
        raise InputError("it is not installed")

    monkeypatch.setattr(export, "import_extra", import_extra)
    for begin in (export.import_onnxruntime, lambda: export.to_onnx(nn.Identity(), (8, 8))):
        monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
        with pytest.raises(InputError):
            begin()
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")  # by the user
        with pytest.raises(InputError):
            begin()
    assert seen == ["1", "0"] * 2


def test_what_the_user_has_agreed_to_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from harmonizer.inference.backends import with_openvino

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    (tmp_path / "intel").mkdir()
    (tmp_path / "intel" / "openvino_telemetry").write_text("1")
    with_openvino._send_nothing()
    assert "openvino_telemetry" not in sys.modules
    (tmp_path / "intel" / "openvino_telemetry").write_text("0")
    with_openvino._send_nothing()
    assert sys.modules.pop("openvino_telemetry") is None
