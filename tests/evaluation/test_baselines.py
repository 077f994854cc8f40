"""Baselines through the call of a `Harmonizer`: kinds of images, backgrounds, and results."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from helpers import box_mask
from PIL import Image

from harmonizer.errors import InputError
from harmonizer.evaluation.baselines import BASELINES

CHANGING = sorted(BASELINES.keys() - {"composite"})


def composite(noise: Any) -> tuple[Any, Any]:
    """A picture whose foreground is darker and redder, and its mask."""
    image, mask = noise(60, 80), box_mask(60, 80)
    image[mask] = image[mask] * np.array([0.6, 0.3, 0.3])
    return image, mask


@pytest.mark.parametrize("name", BASELINES)
def test_the_kind_that_came_in_comes_out(name: str, noise: Any) -> None:
    image, mask = composite(noise)
    baseline = BASELINES[name]
    expected = baseline(image, mask).astype(float)
    pil = baseline(Image.fromarray(image), Image.fromarray(mask))
    assert isinstance(pil, Image.Image)
    assert np.array_equal(np.asarray(pil), expected)
    floats = baseline(image.astype(np.float32) / 255, mask)
    assert floats.dtype == np.float32
    assert np.abs(floats * 255 - expected).max() <= 0.51
    deep = baseline(image.astype(np.uint16) * 257, mask)
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - expected).max() <= 0.51
    tensor = baseline(torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(mask))
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("name", BASELINES)
def test_the_background_stays_bit_for_bit(name: str, noise: Any) -> None:
    image, mask = composite(noise)
    result = BASELINES[name](image, mask)
    assert np.array_equal(result[~mask], image[~mask])
    assert (name == "composite") == np.array_equal(result, image)


@pytest.mark.parametrize("name", CHANGING)
def test_the_foreground_comes_closer_to_its_background(name: str, noise: Any) -> None:
    image, mask = composite(noise)
    result = BASELINES[name](image, mask)
    wanted = image[~mask].mean(axis=0)
    before = np.abs(image[mask].mean(axis=0) - wanted).max()
    assert np.abs(result[mask].mean(axis=0) - wanted).max() < before / 2


@pytest.mark.parametrize("name", CHANGING)
def test_soft_masks_blend(name: str, noise: Any) -> None:
    image, mask = composite(noise)
    image = image.astype(np.float32) / 255
    full = BASELINES[name](image, mask)
    soft = BASELINES[name](image, mask * np.float32(0.75))
    assert np.abs(soft - (image + 0.75 * (full - image))).max() < 1e-4


def test_poisson_keeps_gradients_and_takes_the_rim_from_the_background() -> None:
    """On a flat background, an object with a step in it becomes the background with that step."""
    image = np.full((80, 100, 3), 120, np.uint8)
    mask = np.zeros((80, 100), bool)
    mask[20:60, 20:80] = True
    image[mask] = 50
    image[36:44, 40:60] = 70
    result = BASELINES["poisson"](image, mask).astype(int)
    assert np.abs(result[22:58, 22:30] - 120).max() <= 4  # no edge is left at the rim
    assert np.abs(result[40, 50] - result[30, 50] - 20).max() <= 4  # the step is


@pytest.mark.parametrize("rows", [slice(0, 20), slice(0, 50), slice(49, 50)])
@pytest.mark.parametrize("columns", [slice(0, 30), slice(10, 70), slice(0, 1)])
def test_poisson_of_objects_that_touch_the_border(rows: slice, columns: slice) -> None:
    image = np.full((50, 70, 3), 120, np.uint8)
    mask = np.zeros((50, 70), bool)
    mask[rows, columns] = True
    image[mask] = 50
    assert np.abs(BASELINES["poisson"](image, mask).astype(int) - 120).max() <= 1


@pytest.mark.parametrize("name", BASELINES)
def test_masks_of_nothing_and_of_everything_change_nothing(name: str, noise: Any) -> None:
    image, mask = composite(noise)
    for empty in (np.zeros_like(mask), np.ones_like(mask)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert np.array_equal(BASELINES[name](image, empty), image)
        assert len(caught) == (name != "composite")
    weak = np.full(mask.shape, 0.05, np.float32)  # a background that is not quite black
    assert np.array_equal(BASELINES[name](image, weak), image)


@pytest.mark.parametrize("name", CHANGING)
def test_noise_around_the_mask_is_no_foreground(name: str, noise: Any) -> None:
    """Masks stored as JPEG are a few levels off around their edges."""
    image, mask = composite(noise)
    levels = mask * np.uint8(255)
    levels[~mask] = np.random.default_rng(0).integers(0, 9, (~mask).sum())
    clean, noisy = BASELINES[name](image, mask), BASELINES[name](image, levels)
    assert np.array_equal(clean, noisy)


@pytest.mark.parametrize("name", BASELINES)
def test_wrong_input_is_refused(name: str, noise: Any) -> None:
    image, mask = composite(noise)
    with pytest.raises(InputError, match="same size"):
        BASELINES[name](image, mask[:-1])
