"""A part of a change: of its light, and of its colour."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.lifting import ColorTransform, Strength, apply_strength

WEIGHTS = np.array([0.2126, 0.7152, 0.0722])


@pytest.fixture
def before() -> NDArray[np.float64]:
    return np.random.default_rng(0).uniform(0.3, 0.7, (300, 7, 3))


@pytest.fixture
def after(before: NDArray[np.float64]) -> NDArray[np.float64]:
    return before + np.random.default_rng(1).uniform(-0.1, 0.1, before.shape)


def test_light_and_colour_are_taken_apart(
    before: NDArray[np.float64], after: NDArray[np.float64]
) -> None:
    light = apply_strength(before, after, Strength(light=1, color=0))
    color = apply_strength(before, after, Strength(light=0, color=1))
    assert np.abs((light - after) @ WEIGHTS).max() < 1e-6  # as light as the answer
    assert np.ptp(light - before, axis=2).max() < 1e-6  # the colours' differences as they were
    assert np.abs((color - before) @ WEIGHTS).max() < 1e-6
    assert np.abs(light + color - before - after).max() < 1e-6
    some = apply_strength(before, after, Strength(light=0.25, color=0.5))
    assert np.abs(some - (before + 0.25 * (light - before) + 0.5 * (color - before))).max() < 1e-6


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_equal_shares_are_one_number(
    share: float, before: NDArray[np.float64], after: NDArray[np.float64]
) -> None:
    for scale, dtype in ((255, np.uint8), (65535, np.uint16), (1, np.float32)):
        first, last = ((one * scale).astype(dtype) for one in (before, after))
        both = apply_strength(first, last, Strength(share, share))
        assert np.array_equal(both, apply_strength(first, last, share))
        assert np.array_equal(both, first) == (share == 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_is_left_stays_within_the_range(dtype: Any) -> None:
    scale = 1 if dtype == np.float32 else np.iinfo(dtype).max
    black, blue = (np.full((2, 2, 3), one, dtype) for one in (0, 0))
    blue[..., 2] = scale
    # Blue as dark as black is would need less than no red.
    assert apply_strength(black, blue, Strength(light=0))[0, 0].tolist() == pytest.approx(
        [0, 0, scale * (1 - WEIGHTS[2])], abs=0.5 if scale > 1 else 1e-6
    )


def test_a_transform_takes_the_shares_that_pictures_do(
    before: NDArray[np.float64],
) -> None:
    coefficients = np.zeros((3, 10))
    coefficients[:, 0], coefficients[:, 1:4] = (0.05, -0.1, 0.3), np.diag([1.2, 0.7, 0.9])
    full, shares = ColorTransform(coefficients), Strength(light=0.8, color=0.2)
    mask = np.ones(before.shape[:2], np.float32)
    expected = apply_strength(before, full.apply(before, mask), shares)
    assert np.abs(expected - full.at(0.5).apply(before, mask)).max() > 0.01
    assert np.abs(full.at(shares).apply(before, mask) - expected).max() < 1e-6
    by_colour = full.at(shares).of_colours(before.reshape(-1, 3).T).T.reshape(before.shape)
    assert np.abs(by_colour - expected).max() < 1e-6
    assert np.array_equal(full.at(Strength(0, 0)).apply(before, mask), before)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), "1", None])
def test_shares_out_of_range_are_refused(share: Any) -> None:
    with pytest.raises(InputError, match="light is a number from 0"):
        Strength(light=share)
    with pytest.raises(InputError, match="color is a number from 0"):
        Strength(color=share)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.longdouble])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_strength_may_be_any_float_of_numpys(kind: Any, dtype: Any) -> None:
    before = np.zeros((4, 5, 3), dtype)
    after = np.ones_like(before) * np.dtype(dtype).type(1 if dtype is np.float32 else 200)
    expected = apply_strength(before, after, 0.5)
    assert np.array_equal(apply_strength(before, after, kind(0.5)), expected)
