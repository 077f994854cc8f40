"""The notebooks run from top to bottom, and are stored without what they showed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers import EXAMPLES

NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


@each_notebook
def test_it_is_stored_without_outputs(notebook: Path) -> None:
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@each_notebook
def test_it_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="the group `notebooks` is not installed")
    pytest.importorskip("ipykernel", reason="the group `notebooks` is not installed")
    nbformat: Any = pytest.importorskip("nbformat")
    for name in ("composite.png", "mask.png"):
        shutil.copy(EXAMPLES / name, tmp_path)
    cells: Any = nbformat.read(notebook, as_version=4)
    client = nbclient.NotebookClient(
        cells, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [output for cell in cells.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown)
    complaints = [output for output in shown if output.get("name") == "stderr"]
    assert complaints == []
