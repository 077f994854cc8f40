"""Keep of a residual what is no noise."""

import math
from functools import cache
from typing import cast

import cv2
import numpy as np

from harmonizer.lifting.correction import Floats

# The residual is split into bands by Gaussians of these sigmas, in low-resolution pixels.
_BAND_SIGMAS = (0.5, 0.75, 1.2, 2.0, 4.0)


def without_noise(residual: Floats, weight: Floats) -> Floats:
    """Attenuate each frequency band of the residual by the share of noise in it (a Wiener filter).

    White noise has a known variance in each band; what a band has beyond it is worth keeping.

    Args:
        residual: 3 x h x w.
        weight: h x w.
    """
    noise = _noise_variance(residual, weight)
    kept = np.zeros_like(residual)
    finer, coarser, work = residual.copy(), np.empty_like(residual), np.empty_like(residual)
    numerator, denominator = residual * weight, weight
    total = 3 * float(weight.sum())
    previous = 0.0
    for sigma in _BAND_SIGMAS:
        step = math.sqrt(sigma**2 - previous**2)
        for plane in numerator:
            plane[...] = _smoothed(plane, step)
        denominator = _smoothed(denominator, step)
        np.divide(numerator, np.maximum(denominator, 1e-6), out=coarser)
        band = np.subtract(finer, coarser, out=finer)
        energy = float(np.vdot(band, np.multiply(band, weight, out=work))) / total
        share = noise * _white_noise_gain(previous, sigma) / max(energy, 1e-20)
        band *= max(0.0, 1.0 - share)
        kept += band
        finer, coarser, previous = coarser, band, sigma
    kept += finer
    return kept


def _noise_variance(residual: Floats, weight: Floats) -> float:
    """The variance of the white noise in a residual: its nugget, in the words of geostatistics.

    The half mean squared difference of pixels one and two apart, carried on to pixels no distance
    apart, is what neighbours do not share. It is taken locally, and a low quantile of it counts:
    noise is everywhere, unexplained texture only in places.
    """
    sums = cv2.merge([one for lag in (1, 2) for one in _apart(residual, weight, lag)])
    # All are smooth, and so of half the resolution.
    squares, support, further, behind = cv2.split(_smoothed(_halved(cast(Floats, sums)), 2.0))
    one, two = squares / np.maximum(6 * support, 1e-6), further / np.maximum(6 * behind, 1e-6)
    inner = (_halved(weight) > 0.5 * weight.max()) & (support > 0)
    estimates = np.sort((2 * one - two)[inner])
    if len(estimates) < 8:  # too few to tell noise from signal
        return 0.0
    # So low a quantile of estimates from some 100 pixels each lies below their mean.
    return 1.1 * max(0.0, float(estimates[len(estimates) // 20]))


def _apart(residual: Floats, weight: Floats, lag: int) -> tuple[Floats, Floats]:
    """Squared differences of pixels ``lag`` apart, down and across, and the weight behind them."""
    total, support = np.zeros_like(weight), np.zeros_like(weight)
    for first, second in (
        (np.s_[..., :-lag], np.s_[..., lag:]),
        (np.s_[..., :-lag, :], np.s_[..., lag:, :]),
    ):
        both = np.minimum(weight[first], weight[second])
        difference = residual[first] - residual[second]
        total[first] += both * np.einsum("cij,cij->ij", difference, difference)
        support[first] += both
    return total, support


def _halved(values: Floats) -> Floats:
    height, width = values.shape[:2]
    size = max(1, width // 2), max(1, height // 2)
    return cast(Floats, cv2.resize(values, size, interpolation=cv2.INTER_AREA))


@cache
def _white_noise_gain(finer: float, coarser: float) -> float:
    """Return the variance that white noise of variance 1 has in the band between two Gaussians."""
    positions = np.arange(-40, 41)
    lines = [np.exp(-0.5 * (positions / max(s, 1e-3)) ** 2) for s in (finer, coarser)]
    one, other = (line / line.sum() for line in lines)
    # The squares of the difference of two products of lines, summed.
    return float((one @ one) ** 2 - 2 * (one @ other) ** 2 + (other @ other) ** 2)


def _smoothed(values: Floats, sigma: float) -> Floats:
    """Gaussian smoothing with nothing beyond the border."""
    return cast(Floats, cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT))
