"""What users install: the wheel holds everything that the library needs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from release import version_of

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling")
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("image_harmonizer-*.whl")
    return zipfile.ZipFile(path)


def test_a_release_has_one_version() -> None:
    code = '__version__ = "1.2.3"'
    assert version_of(code, "# Changelog\n\n## 1.2.3 - 2030-01-02\n\n## 1.2.2") == "1.2.3"
    for changelog in (
        "# Changelog",
        "## Unreleased\n\n## 1.2.3 - 2030-01-02",
        "## 1.2.4 - 2030-01-02",
    ):
        with pytest.raises(SystemExit, match=r"begin with '## 1\.2\.3 - YYYY-MM-DD'"):
            version_of(code, changelog)


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    text = wheel.read(metadata).decode()
    assert "Name: image-harmonizer" in text
    assert "License-Expression: Apache-2.0" in text
    assert "Requires-Python: >=3.11" in text
    (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "harmonizer = harmonizer.cli:main" in wheel.read(entry_points).decode()


def test_the_wheel_works_where_nothing_else_is(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Installed by unpacking: the manifest and the weights come from the wheel itself."""
    wheel.extractall(tmp_path)
    program = (
        "import sys, harmonizer, numpy as np; sys.path.insert(0, '.')\n"
        "from pathlib import Path\n"
        "assert Path(harmonizer.__file__).parent == Path('harmonizer').resolve()\n"
        "mask = np.zeros((40, 60), bool); mask[10:30, 10:50] = True\n"
        "image = np.full((40, 60, 3), 90, np.uint8)\n"
        "assert harmonizer.harmonize(image, mask, device='cpu').shape == (40, 60, 3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


FROZEN = """
import sys
from pathlib import Path
import numpy as np
import harmonizer
from harmonizer.cli import main
assert getattr(sys, "frozen", False)
mask = np.zeros((40, 60), bool)
mask[10:30, 10:50] = True
image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
assert (harmonizer.harmonize(image, mask)[mask] != image[mask]).any()
assert (Path(harmonizer.__file__).parent / "training" / "recipes" / "idih.toml").is_file()
raise SystemExit(main(["list"]))
"""


def test_a_frozen_program_has_everything(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """PyInstaller finds our hook by itself; the bundled models run without torch here, too."""
    pytest.importorskip("PyInstaller")
    wheel.extractall(tmp_path / "installed")
    (tmp_path / "program.py").write_text(FROZEN)
    left_out = "torch matplotlib scipy pandas IPython gradio ray onnx onnxruntime openvino pyarrow"
    excluded = [f"--exclude-module={name}" for name in f"{left_out} tensorboard av".split()]
    frozen = subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--log-level=WARN", *excluded, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert frozen.returncode == 0, frozen.stderr
    program = tmp_path / "dist" / "program" / "program"
    done = subprocess.run([program], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("colormap-lite0-open")
