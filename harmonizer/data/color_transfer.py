"""Colour transfer without learning: give one set of pixels the colours of another.

The methods that iHarmony4 made its composites with, and that serve as baselines. All take colours,
(N, 3), and those of a reference, (M, 3), RGB from 0 to 255, and return (N, 3), float32, clipped to
this range; where the pixels stand plays no part.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Colours: TypeAlias = NDArray[np.float32]

# Added to variances, in squared grey levels of 255: an object of a single colour has none.
_LEAST_VARIANCE = 1e-2
_ROTATIONS = 10
_BINS = 256
# Reinhard's cone responses to RGB; and, of their logarithms, lightness, yellow-blue and red-green.
_TO_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
_TO_OPPONENT = np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]]) / np.sqrt([[3], [6], [2]])
_DARKEST = 1.0  # a response, in grey levels: black has no logarithm


def reinhard(source: Colours, reference: Colours) -> Colours:
    """Match mean and standard deviation of each channel in l-alpha-beta, a logarithmic space.

    Reinhard, Ashikhmin, Gooch, Shirley: Color transfer between images. IEEE CG&A, 2001. Of the
    composites of iHarmony4 that were made so, a change of each channel of this space explains more
    than one of each channel of CIELAB, which is often put in its place.
    """
    own, target = _to_opponent(source), _to_opponent(reference)
    (mean, deviation), (wanted_mean, wanted_deviation) = _statistics(own), _statistics(target)
    least = _LEAST_VARIANCE / 255**2
    scale = np.sqrt((wanted_deviation**2 + least) / (deviation**2 + least))
    return _from_opponent(own, scale, wanted_mean - mean * scale)


def xiao(source: Colours, reference: Colours) -> Colours:
    """Match mean and covariance in RGB, axis by principal axis.

    Xiao, Ma: Color transfer in correlated color space. VRCIA, 2006.
    """
    own_values, own_axes = _principal_axes(source)
    values, axes = _principal_axes(reference)
    # An axis has no sign of its own; without this, colours would come out inverted.
    axes = axes * np.where((own_axes * axes).sum(axis=0) < 0, -1, 1)
    matrix = axes @ np.diag(np.sqrt(values / own_values)) @ own_axes.T
    return _affine(source, reference, matrix)


def monge_kantorovich(source: Colours, reference: Colours) -> Colours:
    """Match mean and covariance in RGB by the linear map that moves colours least.

    Pitie, Kokaram: The linear Monge-Kantorovitch linear colour mapping for example-based colour
    transfer. CVMP, 2007.
    """
    values, axes = _principal_axes(source)
    root = axes @ np.diag(np.sqrt(values)) @ axes.T
    inverse_root = axes @ np.diag(1 / np.sqrt(values)) @ axes.T
    reference_values, reference_axes = _principal_axes(reference)
    covariance = reference_axes @ np.diag(reference_values) @ reference_axes.T
    middle_values, middle_axes = np.linalg.eigh(root @ covariance @ root)
    middle = middle_axes @ np.diag(np.sqrt(np.maximum(middle_values, 0))) @ middle_axes.T
    return _affine(source, reference, inverse_root @ middle @ inverse_root)


def histogram_matching(source: Colours, reference: Colours) -> Colours:
    """Match the cumulative histogram of each channel in RGB.

    Fecker, Barkowsky, Kaup: Histogram-based prefiltering for luminance and chrominance compensation
    of multiview video. IEEE TCSVT, 2008.
    """
    result = np.empty(source.shape, np.float32)
    for i in range(3):
        result[:, i] = _match_1d(source[:, i], reference[:, i], 0, 255)
    return result.clip(0, 255, out=result)


def iterative_distribution_transfer(source: Colours, reference: Colours) -> Colours:
    """Match the whole distribution of colours, by matching its projections again and again.

    Pitie, Kokaram, Dahyot: Automated colour grading using colour distribution transfer. CVIU, 2007;
    without its regrain step, which only concerns pictures, not colours. The rotations of the axes
    are the same each time.
    """
    generator = np.random.default_rng(0)
    # One row a channel: each step goes through memory in order.
    result = np.ascontiguousarray(source.T, np.float32)
    target = np.ascontiguousarray(reference.T, np.float32)
    for i in range(_ROTATIONS):
        rotation = np.eye(3) if i == 0 else np.linalg.qr(generator.standard_normal((3, 3)))[0].T
        rotation = rotation.astype(np.float32)
        rotated, wanted = rotation @ result, rotation @ target
        low = np.minimum(rotated.min(axis=1), wanted.min(axis=1))
        high = np.maximum(rotated.max(axis=1), wanted.max(axis=1))
        for k in range(3):
            rotated[k] = _match_1d(rotated[k], wanted[k], float(low[k]), float(high[k]))
        result = rotation.T @ rotated
    return np.ascontiguousarray(result.T).clip(0, 255)


TransferMethod: TypeAlias = Callable[[Colours, Colours], Colours]

TRANSFER_METHODS: Mapping[str, TransferMethod] = {
    "reinhard": reinhard,
    "xiao": xiao,
    "histogram": histogram_matching,
    "monge-kantorovich": monge_kantorovich,
    "distribution": iterative_distribution_transfer,
}


def _to_opponent(colours: Colours) -> Colours:
    lms = cv2.transform(colours[None], _TO_LMS)[0]
    logarithms = np.log(np.maximum(lms, np.float32(_DARKEST)))
    return cv2.transform(logarithms[None], _TO_OPPONENT)[0].astype(np.float32, copy=False)


def _from_opponent(
    opponent: Colours, scale: NDArray[np.float64], offset: NDArray[np.float64]
) -> Colours:
    """Scale and move each channel, and go back to colours."""
    back = _TO_OPPONENT.T  # its rows are orthonormal
    logarithms = cv2.transform(opponent[None], np.column_stack([back * scale, back @ offset]))
    # No cone answers to a colour with more than white's 255, but for what is clipped anyway.
    lms = np.exp(np.minimum(logarithms, np.float32(8)))
    rgb = cv2.transform(lms, np.linalg.inv(_TO_LMS))[0]
    return rgb.astype(np.float32, copy=False).clip(0, 255)


def _statistics(colours: Colours) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each channel."""
    # Faster than NumPy along the first axis of two, and summed in float64.
    mean, deviation = cv2.meanStdDev(colours[None])
    return mean.ravel().astype(np.float64), deviation.ravel().astype(np.float64)


def _principal_axes(colours: Colours) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances along the principal axes, smallest first, and the axes as columns."""
    centred = colours - _statistics(colours)[0].astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / len(colours)
    values, axes = np.linalg.eigh(covariance)
    return np.maximum(values, 0) + _LEAST_VARIANCE, axes


def _affine(source: Colours, reference: Colours, matrix: NDArray[np.float64]) -> Colours:
    offset = _statistics(reference)[0] - matrix @ _statistics(source)[0]
    # An affine map of three channels, which OpenCV has in one pass.
    moved = cv2.transform(source[None], np.column_stack([matrix, offset]))[0]
    return moved.astype(np.float32, copy=False).clip(0, 255)


def _match_1d(
    values: NDArray[np.float32], reference: NDArray[np.float32], low: float, high: float
) -> NDArray[np.float32]:
    """Map values so that their cumulative histogram becomes the reference's."""
    span = max(high - low, 1e-3)
    scale = np.float32((_BINS - 1) / span)
    positions = (values - np.float32(low)) * scale
    own = np.bincount((positions + 0.5).astype(np.intp), minlength=_BINS)
    wanted = np.bincount(
        ((reference - np.float32(low)) * scale + 0.5).astype(np.intp), minlength=_BINS
    )
    # The middle of each step of the staircase: a value is moved to the same quantile.
    own_share = (np.cumsum(own) - own / 2) / len(values)
    wanted_share = (np.cumsum(wanted) - wanted / 2) / len(reference)
    filled = wanted > 0
    table = np.interp(own_share, wanted_share[filled], np.flatnonzero(filled))
    # Between the bins linearly; they are evenly spaced, so there is nothing to search.
    table = (table / scale + low).astype(np.float32)
    below = positions.astype(np.intp)
    positions -= below
    positions *= np.append(np.diff(table), np.float32(0))[below]
    positions += table[below]
    return positions
