"""Small data to evaluate on."""

from pathlib import Path

import pytest
from small_iharmony4 import write_iharmony4


@pytest.fixture(scope="session")
def iharmony4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures in iHarmony4's layout, not to be changed."""
    return write_iharmony4(tmp_path_factory.mktemp("evaluation") / "iHarmony4")
