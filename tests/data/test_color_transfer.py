"""Colour transfer: the statistics that each method promises to match are matched."""

from typing import Any

import numpy as np
import pytest

from harmonizer.data.color_transfer import (
    TRANSFER_METHODS,
    histogram_matching,
    iterative_distribution_transfer,
    monge_kantorovich,
    reinhard,
    xiao,
)


def colours(seed: int, count: int = 4000) -> Any:
    """Correlated colours well inside 0 to 255, so that nothing is clipped."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(0, 10, (3, 3))
    values = generator.standard_normal((count, 3)) @ mixing.T + generator.uniform(110, 145, 3)
    return values.clip(0, 255).astype(np.float32)


@pytest.mark.parametrize("name", sorted(TRANSFER_METHODS.keys() - {"reinhard"}))
def test_mean_and_spread_become_the_references(name: str) -> None:
    source, reference = colours(0), colours(1)
    result = TRANSFER_METHODS[name](source, reference)
    assert result.dtype == np.float32
    assert result.shape == source.shape
    assert np.abs(result.mean(axis=0) - reference.mean(axis=0)).max() < 2
    assert np.abs(result.std(axis=0) / reference.std(axis=0) - 1).max() < 0.1


def test_reinhard_matches_mean_and_spread_in_l_alpha_beta() -> None:
    """Written out as in the paper: equations 4, 5 and 6."""

    def l_alpha_beta(values: Any) -> Any:
        red, green, blue = values.T.astype(np.float64)
        long = np.log10(0.3811 * red + 0.5783 * green + 0.0402 * blue)
        medium = np.log10(0.1967 * red + 0.7244 * green + 0.0782 * blue)
        short = np.log10(0.0241 * red + 0.1288 * green + 0.8444 * blue)
        return np.stack(
            [
                (long + medium + short) / np.sqrt(3),
                (long + medium - 2 * short) / np.sqrt(6),
                (long - medium) / np.sqrt(2),
            ],
            axis=1,
        )

    reference = colours(1)
    found, expected = (l_alpha_beta(one) for one in (reinhard(colours(0), reference), reference))
    assert np.abs(found.mean(axis=0) - expected.mean(axis=0)).max() < 0.002
    assert np.abs(found.std(axis=0) / expected.std(axis=0) - 1).max() < 0.03


@pytest.mark.parametrize("method", [xiao, monge_kantorovich, iterative_distribution_transfer])
def test_covariance_becomes_the_references(method: Any) -> None:
    source, reference = colours(2), colours(3)
    result = method(source, reference)
    expected = np.cov(reference.T)
    assert np.abs(np.cov(result.T) - expected).max() < 0.05 * np.abs(expected).max()


def test_monge_kantorovich_moves_colours_least() -> None:
    source, reference = colours(4), colours(5)
    moved = {
        method: float(((method(source, reference) - source) ** 2).mean())
        for method in (xiao, monge_kantorovich)
    }
    assert moved[monge_kantorovich] <= moved[xiao] + 1e-3


def test_histograms_become_the_references() -> None:
    source, reference = colours(6), colours(7) ** 2 / 255  # a skewed target
    result = histogram_matching(source, reference)
    for quantile in (0.05, 0.25, 0.5, 0.75, 0.95):
        found = np.quantile(result, quantile, axis=0)
        assert np.abs(found - np.quantile(reference, quantile, axis=0)).max() < 1.5


@pytest.mark.parametrize("name", TRANSFER_METHODS)
def test_the_same_colours_stay(name: str) -> None:
    source = colours(8)
    change = np.abs(TRANSFER_METHODS[name](source, source) - source)
    # Histograms have steps: far out, where there are few values, a step is several levels wide.
    assert np.quantile(change, 0.99) < 1.5
    assert change.max() < 6


@pytest.mark.parametrize("name", TRANSFER_METHODS)
@pytest.mark.parametrize("flat", ["source", "reference", "both", "single"])
def test_a_single_colour_gives_finite_colours(name: str, flat: str) -> None:
    one = np.full((100 if flat != "single" else 1, 3), (10, 200, 255), np.float32)
    source = one if flat in ("source", "both", "single") else colours(9)
    reference = one if flat in ("reference", "both") else colours(10)
    result = TRANSFER_METHODS[name](source, reference)
    assert np.isfinite(result).all()
    assert result.min() >= 0
    assert result.max() <= 255
    # A single colour goes to the middle of the reference.
    if len(source) == 1 or flat == "source":
        middle = np.median(reference, axis=0)
        assert np.abs(result.mean(axis=0) - middle).max() < 30


@pytest.mark.parametrize("name", TRANSFER_METHODS)
def test_the_same_call_gives_the_same_colours(name: str) -> None:
    method = TRANSFER_METHODS[name]
    assert np.array_equal(method(colours(0), colours(1)), method(colours(0), colours(1)))
