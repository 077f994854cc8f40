"""A picture to a network's size, by each way of resizing."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from harmonizer import model_info
from harmonizer.preprocessing import Resampler

BASE = replace(model_info("idih").preprocessing, input_size=(32, 32))


@pytest.mark.parametrize("resampler", get_args(Resampler))
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("side", [20, 32, 64, 100])
def test_values_keep_their_range_and_kind(resampler: Resampler, dtype: Any, side: int) -> None:
    """Cubic interpolation overshoots at an edge from black to white."""
    white = 1 if dtype == "float32" else np.iinfo(dtype).max
    image = np.zeros((side, side, 3), dtype)
    image[:, side // 3 :] = white
    small = replace(BASE, resampler=resampler).resize(image)
    assert small.shape == (32, 32, 3)
    assert small.dtype == image.dtype
    assert small.min() == 0
    assert small.max() == white
    # The edge stays where it was, to a pixel.
    assert np.all(small[:, : 32 // 3 - 1] < white / 2)
    assert np.all(small[:, 32 // 3 + 2 :] > white / 2)
