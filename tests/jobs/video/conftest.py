"""What the tests of the command share."""

from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """The file of the object's mask in the made clips."""
    from made_clips import object_mask  # which skips where PyAV is not installed

    path = tmp_path / "mask.png"
    Image.fromarray(object_mask()).save(path)
    return path
