"""The example's pictures."""

from typing import Any

import numpy as np
import pytest
from helpers import EXAMPLES
from PIL import Image


@pytest.fixture(scope="package")
def composite() -> Any:
    return np.asarray(Image.open(EXAMPLES / "composite.png"))


@pytest.fixture(scope="package")
def mask() -> Any:
    return np.asarray(Image.open(EXAMPLES / "mask.png"))
