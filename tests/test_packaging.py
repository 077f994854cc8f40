"""What users install: the wheel holds everything that the library needs, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("image_harmonizer-*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_manifest_weights_and_types(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {
        "harmonizer/py.typed",
        "harmonizer/weights_manifest.json",
        "harmonizer/weights/idih-open.safetensors",
        "harmonizer/weights/NOTICE.md",
        "harmonizer/cli.py",
        "harmonizer/evaluation/report.html",
        "harmonizer/networks/encoder_decoder.py",
        "harmonizer/zoo/manifest.py",
    } <= names
    outside = {name.split("/")[0] for name in names}
    assert outside == {"harmonizer", next(n for n in outside if n.endswith(".dist-info"))}


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
