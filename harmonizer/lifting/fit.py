"""Fit the change from one low-resolution image to another."""

import math
from dataclasses import replace
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.lifting.checks import check_image, check_low_res, checked_mask
from harmonizer.lifting.color_transform import ColorTransform, quadratic_terms
from harmonizer.lifting.correction import Correction, Curve, Floats, cubic_monomials
from harmonizer.lifting.noise import without_noise
from harmonizer.lifting.resampling import GREY_LEVEL, filled, interpolation, low_res_weight
from harmonizer.preprocessing import Range, bounding_box, full_scale

# A blur of the answer is looked for up to two low-resolution pixels; finer steps change nothing.
_BLURS = (0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0)
# Pixels of evidence that a coefficient must outweigh, by degree: with few foreground pixels the
# cubic shrinks to an affine map and that to an offset, without a switch.
_RIDGE = np.repeat([1e-6, 5.0, 100.0, 400.0], [1, 3, 6, 10])
_QUADRATIC_RIDGE = np.repeat([1e-6, 5.0, 50.0], [1, 3, 6])
# A cubic runs away from colours that hardly took part in its fit. So what it adds to the affine
# part stays within what it adds to all but a few of the fitted pixels, and is not followed further
# out than so many standard deviations.
_CURVE_QUANTILES = (0.002, 0.998)
# A blur is taken only if it leaves at most this share of what the sharp image leaves unexplained:
# an answer that is not blurred keeps the image as it is.
_LEFT_BY_A_BLUR = 0.97
# Low-resolution pixels around the mask that take part: a blur reaches so far.
_MARGIN = 8
# So many pixels, spread over the foreground, say as much as all of them.
_MAX_FIT_PIXELS = 1 << 12
_MAX_BLUR_PIXELS = 1 << 11


def fit_around(
    box: tuple[Range, Range],
    shape: tuple[int, ...],
    before: Floats,
    after: Floats,
    weight: Floats,
) -> Correction:
    """Fit on the part of the low-resolution images that the box of the mask needs."""
    part: list[slice] = []
    for ends, size, low_size in zip(box, shape, weight.shape, strict=True):
        needed, _ = interpolation(slice(*ends), size, low_size)
        part.append(slice(max(0, needed.start - _MARGIN), needed.stop + _MARGIN))
    rows, columns = part
    correction = _fit(before[rows, columns], after[rows, columns], weight[rows, columns])
    field = np.zeros_like(before)
    field[rows, columns] = correction.field
    return replace(correction, field=field)


@np.errstate(all="ignore")  # whatever the program around asks for
def fit_color_transform(
    image: NDArray[Any], mask: Floats, low_res_image: Floats, low_res_harmonized: Floats
) -> ColorTransform:
    """Fit one quadratic map of colours to a network's answer.

    Args:
        image: As for `lift`.
        mask: As for `lift`.
        low_res_image: As for `lift`, float32.
        low_res_harmonized: As for `lift`, float32.

    Returns:
        The map; no change where the mask is 0 everywhere.

    Raises:
        InputError: As for `lift`.
    """
    check_image(image)
    check_low_res(low_res_image, low_res_harmonized)
    mask = checked_mask(mask, image.shape[:2])
    scale = full_scale(image.dtype)
    before, after = (low * np.float32(1 / scale) for low in (low_res_image, low_res_harmonized))
    weight = low_res_weight(image, mask, before, scale)
    if not weight.any():
        return ColorTransform.identity()
    before = _blurred_alike(before, after, weight)
    w = weight.ravel().astype(np.float64)
    colours = before.reshape(-1, 3).T.astype(np.float64)
    whitening = _whitening(colours, w)
    whitened = whitening[:, :3] @ colours + whitening[:, 3:]
    target = (after - before).reshape(-1, 3).T.astype(np.float64)
    coefficients = _ridge(quadratic_terms(whitened), target, w, _QUADRATIC_RIDGE)

    def changed(colours: NDArray[np.float64]) -> NDArray[np.float64]:
        whitened = whitening[:, :3] @ colours.T + whitening[:, 3:]
        return colours + (coefficients @ quadratic_terms(whitened)).T

    return ColorTransform.from_function(changed)


def _fit(before: Floats, after: Floats, weight: Floats) -> Correction:
    """Fit the change from one low-resolution image to the other where ``weight`` is not 0."""
    before = _blurred_alike(before, after, weight)
    change = after - before
    chosen = _some(weight > 0, _MAX_FIT_PIXELS)
    w = weight.ravel()[chosen].astype(np.float64)
    colours = before.reshape(-1, 3)[chosen].T.astype(np.float64)
    target = change.reshape(-1, 3)[chosen].T.astype(np.float64)
    whitening = _whitening(colours, w)
    whitened = whitening[:, :3] @ colours + whitening[:, 3:]
    # First the affine part alone: it is what goes on where the curve has ended.
    affine = _ridge(np.vstack([np.ones_like(w), whitened]), target, w, _RIDGE)
    target -= affine[:, 1:] @ whitened
    monomials = cubic_monomials(whitened)
    coefficients = _ridge(monomials, target, w, _RIDGE)
    added = np.sort(coefficients @ monomials, axis=1)  # faster than to look for two quantiles
    bounds = (added[:, [round(q * (added.shape[1] - 1))]] for q in _CURVE_QUANTILES)
    by_fours = np.vstack([coefficients, np.zeros((1, coefficients.shape[1]))])
    curve = Curve(*(part.astype(np.float32) for part in (by_fours, *bounds)))
    linear = affine[:, 1:].astype(np.float32)
    correction = Correction(whitening.astype(np.float32), linear, curve, change)
    # 3 x h x w: with colours innermost, numpy is slow.
    residual = np.zeros((3, *weight.shape), np.float32)
    counts = bounding_box(weight)
    if counts is not None:  # beyond it nothing counts, and `filled` makes it up
        part = tuple(slice(*ends) for ends in counts)
        own = np.stack(cv2.split(change[part]))
        own -= correction.of_colours(before[part].reshape(-1, 3).T).reshape(own.shape)
        residual[:, *part] = without_noise(own, weight[part])
    field = filled(residual, weight)
    return replace(correction, field=field)


def _blurred_alike(before: Floats, after: Floats, weight: Floats) -> Floats:
    """Blur the image as the network's answer is blurred, so that the two differ in colour alone.

    A fit to a blurred answer would take the lost contrast for a wish of less contrast. The blur is
    the one under which an affine map explains the answer best; an answer that is not blurred keeps
    the image as it is.
    """
    pixels = _some(weight > 0.3 * weight.max(), _MAX_BLUR_PIXELS)
    w = weight.ravel()[pixels]
    target = after.reshape(-1, 3)[pixels] * w[:, None]

    def unexplained(image: Floats) -> float:
        colours = image.reshape(-1, 3)[pixels]
        design: Floats = np.column_stack([colours, np.ones_like(w)]) * w[:, None]
        gram = (design.T @ design).astype(np.float64)
        moment = (design.T @ target).astype(np.float64)
        gram[np.diag_indices(3)] += 1e-6 * len(w)
        return float(np.square(target - design @ np.linalg.solve(gram, moment)).sum())

    best, least = before, _LEFT_BY_A_BLUR * unexplained(before)
    for sigma in _BLURS:
        candidate = cast(Floats, cv2.GaussianBlur(before, (0, 0), sigma))
        left = unexplained(candidate)
        if left >= least:
            break
        best, least = candidate, left
    return best


def _some(pixels: NDArray[np.bool_], most: int) -> NDArray[np.intp]:
    """Return where pixels are set, of many only each so manieth."""
    places = np.flatnonzero(pixels)
    return places[:: max(1, math.ceil(len(places) / most))]


def _whitening(colours: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the 3 x 4 map that gives weighted colours (3 x n) mean 0 and unit covariance."""
    mean = (colours @ w / w.sum())[:, None]
    centred = colours - mean
    variances, axes = np.linalg.eigh((centred * w) @ centred.T / w.sum())
    # One grey level at least: below it is noise, which must not be stretched to unit size.
    rotation = axes.T / np.sqrt(np.maximum(variances, GREY_LEVEL**2))[:, None]
    return np.hstack([rotation, -rotation @ mean])


def _ridge(
    features: NDArray[np.float64],
    target: NDArray[np.float64],
    w: NDArray[np.float64],
    ridge: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weighted ridge regression of target (3 x n) on features (k x n): 3 x k coefficients."""
    weighted = features * w
    gram = weighted @ features.T + np.diag(ridge[: len(features)])
    return cast(NDArray[np.float64], np.linalg.solve(gram, weighted @ target.T).T)
