"""Carry a correction found at low resolution up to the full-resolution image.

A network answers at, say, 256 x 256. Stretching its answer over a photograph loses the photograph's
detail; this module carries the *change of colour* up instead. The change is modelled as a cubic
polynomial of the colour (which needs no resolution) plus what that leaves, a smooth field over the
picture. ``docs/full-resolution.md`` explains the method and measures it.

Nothing here knows of networks or of image files: arrays come in, arrays go out.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, TypeVar, cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError

__all__ = ["LIFTING_METHODS", "LiftingMethod", "lift"]

LiftingMethod = Literal["auto", "fitted", "residual", "resize"]
LIFTING_METHODS: tuple[LiftingMethod, ...] = get_args(LiftingMethod)

Pixel = TypeVar("Pixel", bound=np.generic)
Array = NDArray[np.float32]
Range = tuple[int, int]

# All colours are handled as fractions of the image's full scale.
_GREY_LEVEL = 1 / 255
# A blur of the answer is looked for up to two low-resolution pixels; finer steps change nothing.
_BLURS = (0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0)
# The residual is split into bands by Gaussians of these sigmas, in low-resolution pixels.
_BAND_SIGMAS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 8.0)
# Pixels of evidence that a coefficient must outweigh, by degree: with few foreground pixels the
# cubic shrinks to an affine map and that to an offset, without a switch.
_RIDGE = np.repeat([1e-6, 5.0, 100.0, 400.0], [1, 3, 6, 10])
# A cubic runs away from colours that hardly took part in its fit. So what it adds to the affine
# part stays within what it adds to all but a few of the fitted pixels, and is not followed further
# out than so many standard deviations.
_CURVE_QUANTILES = (0.002, 0.998)
_CURVE_RANGE = 5.0
# A blur is taken only if it leaves at most this share of what the sharp image leaves unexplained:
# an answer that is not blurred keeps the image as it is.
_LEFT_BY_A_BLUR = 0.97
# How much of a low-resolution pixel has to be foreground, as a share of the best pixels', before it
# counts at all: at the rim it holds the background's colour too, and less of the change.
_LEAST_SHARE = 0.97
# Rows and columns along the picture's border that do not count: networks pad with zeros, and their
# answers are off there.
_BORDER = 2
# Low-resolution pixels around the mask that take part: a blur reaches so far.
_MARGIN = 8
# Whether an image was resized by sampling is seen on each so manieth row and column.
_EVERY = 4
_DEPTHS = {"uint8": cv2.CV_8U, "uint16": cv2.CV_16U}
# Floats may overshoot [0, 1] by rounding.
_RANGE_TOLERANCE = 1e-3
# A mask that is less than this everywhere changes nothing that shows, and cannot be divided by: a
# segmentation that found no object may give 1e-30.
_LEAST_MASK = 1e-6
_MAX_FIT_PIXELS = 1 << 14
_TILE_WIDTH = 512
# Small enough for the twenty planes of a piece's monomials to stay in a core's cache.
_PIECE_PIXELS = 1 << 14
# Small enough that OpenBLAS computes the product on the calling thread: waking its own for so
# little takes longer.
_PRODUCT_PIXELS = 3072


def lift(
    image: NDArray[Pixel],
    mask: NDArray[Any],
    low_res_image: NDArray[Any],
    low_res_harmonized: NDArray[Any],
    *,
    method: LiftingMethod = "auto",
) -> NDArray[Pixel]:
    """Apply a low-resolution correction to the full-resolution image.

    Args:
        image: H x W x 3, RGB: uint8, uint16, or floating point in [0, 1].
        mask: H x W, in [0, 1], 1 = the foreground to change. float32 is used in place; other types
            (bool, uint8 of 0 and 1) are converted, which takes 4 bytes a pixel.
        low_res_image: h x w x 3, on the image's own scale (0 to 255 for uint8, 0 to 65535 for
            uint16, 0 to 1 for floats): the resized image that the network saw.
        low_res_harmonized: h x w x 3, on the same scale: the network's answer.
        method: ``"fitted"``: a colour transform plus a field for what it leaves, smoothed as far as
            the answer is noisy. ``"residual"``: the difference, stretched within the mask.
            ``"resize"``: the answer, stretched. ``"auto"``: the best of these, ``"fitted"``.

    Returns:
        A new array of the image's shape and dtype: ``image + mask * (lifted - image)``, rounded
        once and clipped to the dtype's range. Where the mask is 0 it is the image, bit for bit.

    Raises:
        InputError: an argument is not as described above.
    """
    for one in (image, mask, low_res_image, low_res_harmonized):
        if not isinstance(one, np.ndarray):
            raise InputError(f"lift takes numpy arrays; got a {type(one).__name__}")
    mask = _checked(image, mask, low_res_image, low_res_harmonized, method)
    out = image.copy()
    box = bounding_box(mask)
    if box is None or mask.max() < _LEAST_MASK:
        return out
    scale = {"uint8": 255.0, "uint16": 65535.0}.get(image.dtype.name, 1.0)
    before, after = (
        low.astype(np.float32) * np.float32(1 / scale)
        for low in (low_res_image, low_res_harmonized)
    )
    if method == "resize":
        correction = _Correction.of_field(after, keep=0.0)
    else:
        weight = _low_res_weight(image, mask, before, scale)
        if method == "residual":
            change = cast(Array, after - before)
            correction = _Correction.of_field(_filled(change, weight), keep=1.0)
        else:
            correction = _fit_around(box, mask.shape, before, after, weight)
    _apply(correction.on_scale(scale), mask, out, box)
    return out


@dataclass(frozen=True)
class _Curve:
    """The curved part of a change of colour, held within bounds: see :data:`_CURVE_QUANTILES`."""

    coefficients: Array  # 4 x 20, of the monomials; the last row is 0: by fours is faster
    lowest: Array  # 3 x 1
    highest: Array  # 3 x 1

    def __call__(self, whitened: Array) -> Array:
        """Whitened colours (3 x n) to changes (3 x n)."""
        monomials = _monomials(whitened)
        change = np.empty((4, whitened.shape[1]), np.float32)
        for piece in _pieces(0, whitened.shape[1], _PRODUCT_PIXELS):
            np.matmul(self.coefficients, monomials[:, piece], out=change[:, piece])
        return np.clip(change[:3], self.lowest, self.highest, out=change[:3])


@dataclass(frozen=True)
class _Correction:
    """A change of colour: ``linear @ whitened + curve(whitened) + field(position)``."""

    whitening: Array  # 3 x 4: whitened = whitening @ (r, g, b, 1)
    linear: Array  # 3 x 3
    curve: _Curve | None
    field: Array  # h x w x 3, stretched bilinearly over the image

    @classmethod
    def of_field(cls, field: Array, *, keep: float) -> "_Correction":
        """A correction that adds a field to ``keep`` times the colour."""
        linear = np.diag(np.full(3, keep - 1, np.float32))
        return cls(np.eye(3, 4, dtype=np.float32), linear, None, field)

    def on_scale(self, scale: float) -> "_Correction":
        """The same correction for colours from 0 to ``scale``; nothing then has to be divided."""
        factor = np.float32(scale)
        curve = self.curve and _Curve(
            self.curve.coefficients * factor,
            self.curve.lowest * factor,
            self.curve.highest * factor,
        )
        whitening = self.whitening / np.array([scale, scale, scale, 1], np.float32)
        return _Correction(whitening, self.linear * factor, curve, self.field * factor)

    def of_colours(self, colours: Array) -> Array:
        """The part of the change that depends on the colour: 3 x n to 3 x n."""
        whitened = self.whitening[:, :3] @ colours
        whitened += self.whitening[:, 3:]
        change = self.linear @ whitened
        if self.curve:
            change += self.curve(whitened)
        return cast(Array, change)


def _monomials(whitened: NDArray[Any]) -> NDArray[Any]:
    """The 20 monomials up to degree 3 of 3 x n coordinates within the curve's range: 20 x n."""
    out = np.empty((20, whitened.shape[1]), whitened.dtype)
    out[0] = 1
    x = out[1:4]
    np.clip(whitened, -_CURVE_RANGE, _CURVE_RANGE, out=x)
    np.multiply(x, x, out=out[4:7])  # aa bb cc
    np.multiply(x[:2], x[1:], out=out[7:9])  # ab bc
    np.multiply(x[0], x[2], out=out[9])  # ac
    np.multiply(x, out[4:7], out=out[10:13])  # aaa bbb ccc
    np.multiply(x[:2], out[5:7], out=out[13:15])  # abb bcc
    np.multiply(x[1:], out[4:6], out=out[15:17])  # baa cbb
    np.multiply(x[0], out[6], out=out[17])  # acc
    np.multiply(x[2], out[4], out=out[18])  # caa
    np.multiply(x[0], out[8], out=out[19])  # abc
    return out


def _fit_around(
    box: tuple[Range, Range],
    shape: tuple[int, ...],
    before: Array,
    after: Array,
    weight: Array,
) -> _Correction:
    """Fit on the part of the low-resolution images that the box of the mask needs."""
    part: list[slice] = []
    for ends, size, low_size in zip(box, shape, weight.shape, strict=True):
        needed, _ = _interpolation(slice(*ends), size, low_size)
        part.append(slice(max(0, needed.start - _MARGIN), needed.stop + _MARGIN))
    rows, columns = part
    correction = _fit(before[rows, columns], after[rows, columns], weight[rows, columns])
    field = np.zeros_like(before)
    field[rows, columns] = correction.field
    return replace(correction, field=field)


def _fit(before: Array, after: Array, weight: Array) -> _Correction:
    """Fit the change from one low-resolution image to the other where ``weight`` is not 0."""
    before = _blurred_alike(before, after, weight)
    change = after - before
    stride = math.ceil(np.count_nonzero(weight) / _MAX_FIT_PIXELS)
    chosen = np.flatnonzero(weight)[::stride]
    w = weight.ravel()[chosen].astype(np.float64)
    colours = before.reshape(-1, 3)[chosen].T.astype(np.float64)
    target = change.reshape(-1, 3)[chosen].T.astype(np.float64)

    whitening = _whitening(colours, w)
    whitened = whitening[:, :3] @ colours + whitening[:, 3:]
    # First the affine part alone: it is what goes on where the curve has ended.
    affine = _ridge(np.vstack([np.ones_like(w), whitened]), target, w)
    target -= affine[:, 1:] @ whitened
    monomials = _monomials(whitened)
    coefficients = _ridge(monomials, target, w)
    bounds = np.quantile(coefficients @ monomials, _CURVE_QUANTILES, axis=1)[..., None]
    by_fours = np.vstack([coefficients, np.zeros((1, coefficients.shape[1]))])
    curve = _Curve(*(part.astype(np.float32) for part in (by_fours, *bounds)))
    linear = affine[:, 1:].astype(np.float32)
    correction = _Correction(whitening.astype(np.float32), linear, curve, change)
    explained = correction.of_colours(before.reshape(-1, 3).T).T.reshape(before.shape)
    field = _filled(_without_noise(change - explained, weight), weight)
    return replace(correction, field=field)


def _blurred_alike(before: Array, after: Array, weight: Array) -> Array:
    """Blur the image as the network's answer is blurred, so that the two differ in colour alone.

    A fit to a blurred answer would take the lost contrast for a wish of less contrast. The blur is
    the one under which an affine map explains the answer best; an answer that is not blurred keeps
    the image as it is.
    """
    pixels = weight > 0.3 * weight.max()
    w = weight[pixels]
    target = after[pixels] * w[:, None]

    def unexplained(image: Array) -> float:
        design: Array = np.column_stack([image[pixels], np.ones_like(w)]) * w[:, None]
        gram = (design.T @ design).astype(np.float64)
        moment = (design.T @ target).astype(np.float64)
        gram[np.diag_indices(3)] += 1e-6 * len(w)
        return float(np.square(target - design @ np.linalg.solve(gram, moment)).sum())

    best, least = before, _LEFT_BY_A_BLUR * unexplained(before)
    for sigma in _BLURS:
        candidate = cast(Array, cv2.GaussianBlur(before, (0, 0), sigma))
        left = unexplained(candidate)
        if left >= least:
            break
        best, least = candidate, left
    return best


def _whitening(colours: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 3 x 4 map that gives weighted colours (3 x n) mean 0 and unit covariance."""
    mean = (colours @ w / w.sum())[:, None]
    centred = colours - mean
    variances, axes = np.linalg.eigh((centred * w) @ centred.T / w.sum())
    # One grey level at least: below it is noise, which must not be stretched to unit size.
    rotation = axes.T / np.sqrt(np.maximum(variances, _GREY_LEVEL**2))[:, None]
    return np.hstack([rotation, -rotation @ mean])


def _ridge(
    features: NDArray[np.float64], target: NDArray[np.float64], w: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted ridge regression of target (3 x n) on features (k x n): 3 x k coefficients."""
    weighted = features * w
    gram = weighted @ features.T + np.diag(_RIDGE[: len(features)])
    return cast(NDArray[np.float64], np.linalg.solve(gram, weighted @ target.T).T)


def _without_noise(residual: Array, weight: Array) -> Array:
    """Attenuate each frequency band of the residual by the share of noise in it (a Wiener filter).

    White noise has a known variance in each band; what a band has beyond it is worth keeping.
    """
    # 3 x h x w: with colours innermost, numpy is slow.
    planes = cast(Array, np.stack(cv2.split(residual)))
    noise = _noise_variance(planes, weight)
    kept = np.zeros_like(planes)
    finer = planes
    numerator, denominator = planes * weight, weight
    total = 3 * float(weight.sum())
    previous = 0.0
    for sigma in _BAND_SIGMAS:
        step = math.sqrt(sigma**2 - previous**2)
        numerator = np.stack([_smoothed(plane, step) for plane in numerator])
        denominator = _smoothed(denominator, step)
        coarser = numerator / np.maximum(denominator, 1e-6)
        band = finer - coarser
        energy = float((np.square(band) * weight).sum()) / total
        share = noise * _white_noise_gain(previous, sigma) / max(energy, 1e-20)
        kept += max(0.0, 1.0 - share) * band
        finer, previous = coarser, sigma
    return cast(Array, cv2.merge(tuple(kept + finer)))


def _noise_variance(residual: Array, weight: Array) -> float:
    """The variance of the white noise in a residual: its nugget, in the words of geostatistics.

    The half mean squared difference of pixels one and two apart, carried on to pixels no distance
    apart, is what neighbours do not share. It is taken locally, and a low quantile of it counts:
    noise is everywhere, unexplained texture only in places.
    """
    one, support = _semivariance(residual, weight, 1)
    two, _ = _semivariance(residual, weight, 2)
    inner = (weight > 0.5 * weight.max()) & (support > 0)
    if np.count_nonzero(inner) < 30:  # too few to tell noise from signal
        return 0.0
    # So low a quantile of estimates from some 100 pixels each lies below their mean.
    return 1.1 * max(0.0, float(np.quantile((2 * one - two)[inner], 0.05)))


def _semivariance(residual: Array, weight: Array, lag: int) -> tuple[Array, Array]:
    """Local half mean squared difference of pixels ``lag`` apart, and the weight behind it."""
    total, support = np.zeros_like(weight), np.zeros_like(weight)
    for first, second in (
        (np.s_[..., :-lag], np.s_[..., lag:]),
        (np.s_[..., :-lag, :], np.s_[..., lag:, :]),
    ):
        both = np.minimum(weight[first], weight[second])
        total[first] += both * np.square(residual[first] - residual[second]).mean(axis=0)
        support[first] += both
    total, support = _smoothed(total, 4.0), _smoothed(support, 4.0)
    return cast(Array, total / np.maximum(2 * support, 1e-6)), support


@cache
def _white_noise_gain(finer: float, coarser: float) -> float:
    """The variance that white noise of variance 1 has in the band between two Gaussians."""
    positions = np.arange(-40, 41)
    lines = [np.exp(-0.5 * (positions / max(s, 1e-3)) ** 2) for s in (finer, coarser)]
    one, other = (line / line.sum() for line in lines)
    # The squares of the difference of two products of lines, summed.
    return float((one @ one) ** 2 - 2 * (one @ other) ** 2 + (other @ other) ** 2)


def _filled(values: Array, weight: Array) -> Array:
    """Values where they have weight, going over into those around where they have none.

    Without it the bilinear stretch would mix the background's values in along the rim.
    """
    weighted: Array = np.dstack([values * weight[..., None], weight])
    total = weighted.copy()
    height, width = weight.shape
    share = 1.0
    for factor in (2, 8, 32):
        share *= 1e-3
        small = (max(1, width // factor), max(1, height // factor))
        around = cv2.resize(weighted, small, interpolation=cv2.INTER_AREA)
        total += share * cv2.resize(around, (width, height), interpolation=cv2.INTER_LINEAR)
    total += 1e-3 * share * weighted.mean(axis=(0, 1))
    return (total[..., :3] / np.maximum(total[..., 3:], 1e-30)).astype(np.float32)


def _smoothed(values: Array, sigma: float) -> Array:
    """Gaussian smoothing with nothing beyond the border."""
    return cast(Array, cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT))


def _low_res_weight(image: NDArray[Any], mask: Array, low: Array, scale: float) -> Array:
    """How far each low-resolution pixel (of h x w x 3) speaks for the foreground: h x w in [0, 1].

    A pixel at the rim holds the background's colour too, and less of the change, so only what shows
    next to nothing but foreground counts. Whether a pixel does depends on how the image was
    resized: by taking samples, as OpenCV's ``INTER_LINEAR``, or otherwise by averaging.
    """
    height, width = low.shape[:2]
    shown = _sampled(mask[..., None], height, width, 1)[..., 0]
    sampled = _sampled(image, height, width, _EVERY)
    sampling = np.abs(sampled / scale - low[::_EVERY, ::_EVERY]).max() < _GREY_LEVEL
    if not sampling:
        shown = np.minimum(shown, _averaged(mask, height, width))
    if shown.max() < 1e-3:  # no sample hit the object
        shown = _averaged(mask, height, width)
    # Thin objects are measured by their own best pixels.
    shown /= max(float(shown.max()), 1e-30)
    weight = np.square(np.maximum(0, (shown - _LEAST_SHARE) / (1 - _LEAST_SHARE)))
    # Networks pad with zeros: along the picture's border their answers are off, and would frame it.
    inner = np.zeros_like(weight)
    inside = (slice(_BORDER, -_BORDER),) * 2
    inner[inside] = weight[inside]
    return inner if inner.any() else weight


def _sampled(image: NDArray[Any], height: int, width: int, every: int) -> Array:
    """Resize by linear interpolation between the nearest pixels (H x W x C to h x w x C).

    Returned is each ``every``-th row and column of it.
    """
    ends: list[list[tuple[NDArray[np.intp], Array]]] = []
    for size, low_size in zip(image.shape[:2], (height, width), strict=True):
        centres = (np.arange(0, low_size, every) + 0.5) * (size / low_size) - 0.5
        position = np.minimum(np.maximum(centres, 0), size - 1)
        first = position.astype(np.intp)
        share = (position - first).astype(np.float32)
        ends.append([(first, 1 - share), (np.minimum(first + 1, size - 1), share)])
    total = np.zeros((len(ends[0][0][0]), len(ends[1][0][0]), image.shape[2]), np.float32)
    for rows, row_share in ends[0]:
        for columns, column_share in ends[1]:
            share = np.outer(row_share, column_share)[..., None]
            total += (image[np.ix_(rows, columns)] * share).astype(np.float32)
    return total


def _averaged(mask: Array, height: int, width: int) -> Array:
    """Resize by averaging, one axis after the other: OpenCV does not if either is enlarged."""
    for size in ((width, mask.shape[0]), (width, height)):
        shrinks = size[0] < mask.shape[1] or size[1] < mask.shape[0]
        mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        mask = cast(Array, cv2.resize(mask, size, interpolation=mode))
    return mask


def bounding_box(mask: NDArray[Any]) -> tuple[Range, Range] | None:
    """Find where a mask (H, W) is not 0.

    Returns:
        The half-open ranges of rows and columns outside which it is 0; None if it is 0 everywhere.
    """
    rows = np.flatnonzero(mask.max(axis=1))
    if not len(rows):
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].max(axis=0))
    return (top, bottom), (int(columns[0]), int(columns[-1]) + 1)


def _apply(
    correction: _Correction, mask: Array, out: NDArray[Any], box: tuple[Range, Range]
) -> None:
    """Correct the pixels of the box in place, in pieces of bounded size.

    One thread: a second one on a second core gained nothing measurable.
    """
    height, width = mask.shape
    strips = [
        (rows, *_interpolation(rows, height, correction.field.shape[0]))
        for rows in _pieces(*box[0], max(1, _PIECE_PIXELS // _TILE_WIDTH))
    ]
    for tile in _pieces(*box[1], _TILE_WIDTH):
        needed, weights = _interpolation(tile, width, correction.field.shape[1])
        stretched = np.moveaxis(correction.field[:, needed], 2, 0) @ weights.T  # 3 x h x m
        for rows, needed, weights in strips:
            inside = mask[rows, tile].max(axis=0).nonzero()[0]
            if len(inside):
                first, last = int(inside[0]), int(inside[-1]) + 1
                piece = (rows, slice(tile.start + first, tile.start + last))
                field = cast(Array, weights @ stretched[:, needed, first:last])
                _correct(correction, out[piece], mask[piece], field)


def _pieces(start: int, stop: int, size: int) -> Iterator[slice]:
    return (slice(first, min(first + size, stop)) for first in range(start, stop, size))


def _correct(correction: _Correction, pixels: NDArray[Any], mask: Array, field: Array) -> None:
    """Correct a piece in place: pixels n x m x 3, mask n x m, field 3 x n x m."""
    colours = np.empty(field.shape, np.float32)
    for plane, values in zip(colours, cv2.split(pixels), strict=True):
        plane[...] = values
    change = correction.of_colours(colours.reshape(3, -1)).reshape(field.shape)
    change += field
    change *= mask
    merged = cv2.merge(tuple(change))
    if pixels.dtype.kind == "u":
        # Added, rounded and clipped in one step. An integer that changes by 0 comes back as itself:
        # the background needs no further care.
        cv2.add(pixels, merged, dst=pixels, dtype=_DEPTHS[pixels.dtype.name])
    else:
        precise = np.float64 if pixels.dtype == np.float64 else np.float32
        changed = np.clip(pixels.astype(precise) + merged, 0, 1)
        np.copyto(pixels, changed, where=mask[..., None] > 0, casting="same_kind")


def _interpolation(pixels: slice, size: int, low_size: int) -> tuple[slice, Array]:
    """Linear interpolation along one axis, from ``low_size`` pixels to a range of ``size``.

    Returns the k low-resolution pixels that the range needs, and the n x k weights of each.
    """
    centres = np.arange(pixels.start, pixels.stop, dtype=np.float64) + 0.5
    position = np.minimum(np.maximum(centres * (low_size / size) - 0.5, 0), low_size - 1)
    first, last = int(position[0]), math.ceil(float(position[-1]))
    distance = np.abs(position[:, None] - np.arange(first, last + 1))
    return slice(first, last + 1), np.maximum(0, 1 - distance).astype(np.float32)


def _checked(
    image: NDArray[Any],
    mask: NDArray[Any],
    low_res_image: NDArray[Any],
    low_res_harmonized: NDArray[Any],
    method: str,
) -> Array:
    """Refuse what cannot be lifted; return the mask as contiguous float32."""
    if method not in LIFTING_METHODS:
        raise InputError(f"method must be one of {', '.join(LIFTING_METHODS)}; got {method!r}.")
    named = {
        "image": image,
        "low_res_image": low_res_image,
        "low_res_harmonized": low_res_harmonized,
    }
    for name, array in named.items():
        if array.ndim != 3 or array.shape[2] != 3 or not array.size:
            raise InputError(
                f"{name} must be height x width x 3 and not empty; got shape {array.shape}."
                " Convert it to RGB."
            )
    if image.dtype.name not in ("uint8", "uint16", "float16", "float32", "float64"):
        raise InputError(
            f"image must be uint8, uint16 or floating point in [0, 1]; got {image.dtype}."
            " Convert it first."
        )
    if low_res_image.shape != low_res_harmonized.shape:
        raise InputError(
            "low_res_image and low_res_harmonized must have one shape; got"
            f" {low_res_image.shape} and {low_res_harmonized.shape}. Resize one to the other."
        )
    if image.dtype.kind == "f":
        lowest, highest = float(image.min()), float(image.max())
        if not (lowest >= -_RANGE_TOLERANCE and highest <= 1 + _RANGE_TOLERANCE):  # NaN, too
            raise InputError(
                f"a floating point image must lie in [0, 1]; it goes from {lowest} to {highest}."
                " Divide an image of 0 to 255 by 255."
            )
    for name in ("low_res_image", "low_res_harmonized"):
        if named[name].dtype.kind not in "uif":
            raise InputError(f"{name} must hold real numbers; got {named[name].dtype}.")
        if not np.isfinite(named[name]).all():
            raise InputError(
                f"{name} must be finite; it holds NaN or infinity. Check the network's answer, and"
                " try float32 if it ran in half precision."
            )
    if mask.shape != image.shape[:2]:
        raise InputError(
            f"mask must have the image's height and width, {image.shape[:2]}; got {mask.shape}."
            " Resize the mask, or pass one channel of it."
        )
    if mask.dtype.kind not in "buif":
        raise InputError(f"mask must be bool or hold real numbers in [0, 1]; got {mask.dtype}.")
    mask = np.ascontiguousarray(mask, dtype=np.float32)
    lowest, highest = float(mask.min()), float(mask.max())
    if not (lowest >= -_RANGE_TOLERANCE and highest <= 1 + _RANGE_TOLERANCE):  # NaN, too
        raise InputError(
            f"mask must lie in [0, 1]; it goes from {lowest} to {highest}."
            " Divide a mask of 0 to 255 by 255."
        )
    return mask
