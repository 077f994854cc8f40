"""A picture to a network's size, by each way of resizing."""

from dataclasses import replace
from typing import Any, get_args

import cv2
import numpy as np
import pytest

from harmonizer import model_info
from harmonizer.preprocessing import Resampler

BASE = replace(model_info("idih").preprocessing, input_size=(32, 32))


@pytest.mark.parametrize("resampler", get_args(Resampler))
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("side", [20, 32, 64, 100, 258])
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


@pytest.mark.parametrize("size", [(256, 256), (517, 900), (901, 518), (259, 1027)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_area_of_many_pixels_is_their_mean(size: tuple[int, int], dtype: Any) -> None:
    """Blocks are averaged first where many pixels become one."""
    rows, columns = (np.arange(side)[:, None] / side for side in size)
    plane = 0.5 + 0.25 * np.sin(9 * rows) + 0.25 * np.cos(7 * columns.T)
    scale = 1 if dtype == "float32" else np.iinfo(dtype).max
    image = (plane[..., None] * scale * (1.0, 0.7, 0.4)).astype(dtype)
    small = replace(BASE, resampler="opencv-area").resize(image) / scale
    # Means of whole pixels, by their share in each cell.
    shares = [np.zeros((32, side)) for side in size]
    for weights, side in zip(shares, size, strict=True):
        edges = np.linspace(0, side, 33)
        for cell in range(32):
            inside = np.minimum(np.arange(side) + 1, edges[cell + 1])
            inside = inside - np.maximum(np.arange(side), edges[cell])
            weights[cell] = inside.clip(0, None) / inside.clip(0, None).sum()
    mean = np.einsum("ar,rcd,bc->abd", shares[0], image / scale, shares[1])
    assert np.abs(small - mean).max() < 3 / 255


@pytest.mark.parametrize("turned", [False, True])
def test_single_pixels_are_taken_of_long_pictures_too(turned: bool) -> None:
    image = np.tile(np.arange(40_000, dtype=np.uint16), (3, 1))
    small = replace(BASE, resampler="opencv-nearest").resize(image.T if turned else image)
    middles = (np.arange(32) + 0.5) * 40_000 / 32
    assert np.abs((small.T if turned else small) - middles).max() <= 1


@pytest.mark.parametrize("size", [(1, 300_000), (300_000, 1), (5, 100_000)])
def test_a_line_takes_no_memory_that_it_does_not_need(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A side that gets longer does so when the other has got shorter."""
    resize, largest = cv2.resize, 0

    def seen(*given: Any, **options: Any) -> Any:
        nonlocal largest
        result = resize(*given, **options)
        largest = max(largest, result.size)
        return result

    monkeypatch.setattr(cv2, "resize", seen)
    plane = np.linspace(0, 1, max(size), dtype=np.float32)
    plane = np.broadcast_to(plane if size[1] > size[0] else plane[:, None], size)
    small = replace(BASE, resampler="opencv-area").resize(np.ascontiguousarray(plane))
    assert largest <= max(np.prod(size), 32 * 32)
    expected = (np.arange(32) + 0.5) / 32
    found = small[0] if size[1] > size[0] else small[:, 0]
    assert np.abs(found - expected).max() < 1e-3


def test_the_last_rows_and_columns_of_a_large_mask_count() -> None:
    """A side need not be a whole number of blocks."""
    mask = np.zeros((513, 515), np.float32)
    mask[-1] = mask[:, -1] = 1
    small = replace(BASE, resampler="opencv-area").resize(mask)
    assert np.all(small[-1] > 0)
    assert np.all(small[:, -1] > 0)
    assert not small[:-1, :-1].any()
