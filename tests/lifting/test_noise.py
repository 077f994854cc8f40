"""What of a residual is taken for noise."""

import cv2
import numpy as np
import pytest

from harmonizer.lifting.noise import without_noise

SIDE = 96


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def smooth_and_noisy(
    rng: np.random.Generator, noise: float, rough: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return slow changes (3 x h x w), the last columns rough ones, and the same with noise."""
    slow = np.stack([cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)), (0, 0), 12) for _ in "rgb"])
    if rough:
        slow[..., -rough:] += rng.normal(0, 0.3, (3, SIDE, rough))
    return slow.astype(np.float32), (slow + rng.normal(0, noise, slow.shape)).astype(np.float32)


@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_noise_goes_and_slow_changes_stay(noise: float, rng: np.random.Generator) -> None:
    slow, noisy = smooth_and_noisy(rng, noise)
    kept = without_noise(noisy, np.ones((SIDE, SIDE), np.float32))
    assert np.sqrt(np.mean((kept - slow) ** 2)) < 0.25 * noise


def test_texture_in_places_is_not_taken_for_noise(rng: np.random.Generator) -> None:
    """Noise is everywhere: what two thirds of the foreground have alone is a part of the answer."""
    rough = 2 * SIDE // 3
    slow, noisy = smooth_and_noisy(rng, 0.01, rough)
    kept = without_noise(noisy, np.ones((SIDE, SIDE), np.float32))
    texture = slow[..., -rough:]
    assert np.var(kept[..., -rough:] - texture) < 0.03 * np.var(texture)


def test_what_changes_from_pixel_to_pixel_is_carried_on_to_no_distance(
    rng: np.random.Generator,
) -> None:
    """Fine waves everywhere make neighbours differ, as noise does, but pixels two apart more so."""
    x = np.arange(SIDE, dtype=np.float32)
    waves = np.broadcast_to(0.1 * np.sin(x / 1.2), (3, SIDE, SIDE)).astype(np.float32)
    kept = without_noise(
        waves + rng.normal(0, 0.003, waves.shape).astype(np.float32),
        np.ones((SIDE, SIDE), np.float32),
    )
    inner = np.s_[:, 8:-8, 8:-8]
    assert np.var((kept - waves)[inner]) < 0.02 * np.var(waves[inner])


def test_pixels_without_weight_say_nothing(rng: np.random.Generator) -> None:
    _, noisy = smooth_and_noisy(rng, 0.05)
    weight = np.zeros((SIDE, SIDE), np.float32)
    weight[20:70, 30:80] = 1
    other = np.where(weight > 0, noisy, 7).astype(np.float32)
    inside = np.s_[:, 20:70, 30:80]
    np.testing.assert_allclose(
        without_noise(other, weight)[inside], without_noise(noisy, weight)[inside], atol=1e-5
    )


def test_the_residual_of_the_caller_stays_as_it_is(rng: np.random.Generator) -> None:
    _, noisy = smooth_and_noisy(rng, 0.05)
    before = noisy.copy()
    without_noise(noisy, np.ones((SIDE, SIDE), np.float32))
    np.testing.assert_array_equal(noisy, before)
