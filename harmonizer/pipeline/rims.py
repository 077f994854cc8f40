"""Find where a foreground ends in the picture, near to where its mask says so.

Networks are trained on composites that end just where the mask does, and read the change of colours
from there. A mask that leaves a ring of the object out shows them an object that goes on with
unchanged colours, and they answer that nothing has changed. Masks of people and programs are some
pixels off, and are often softened; so the rim that the network is shown is moved to the edge that
is in the picture, and is as sharp as those of other masks.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.preprocessing import Array, full_scale

Floats = NDArray[np.float32]

# Lengths are in pixels of the network's input. Across the rim, differences of colour are measured
# from so far outside to so far inside; it is moved less far, the rest tells what is usual there.
_STEP, _REACH, _MOST = 0.25, 3.0, 1.5
_DEPTHS: Floats = np.arange(-_REACH, _REACH + _STEP / 2, _STEP, dtype=np.float32)
_NEAR = np.abs(_DEPTHS) <= _MOST
_HERE = len(_DEPTHS) // 2
_POINTS = 1000  # of a rim are enough to know it by, and fewer than so many are none
_FEWEST = 20
_FLOOR = 3.0  # levels of 255: lesser differences are noise
# The parts of a rim. Each counts its own points, and what is around it, so far in parts, for some
# more: few points tell little, but what a hand drew is off to both sides by turns.
_PART, _AROUND, _OF_AROUND = 6, 2.0, 2.0
# An edge stands out from what is usual (so many depths have less) at all, as a logarithm, and so
# much more than where the mask ends does: of two that are alike, noise is not to choose.
_USUAL, _LEAST, _CLEARER = 5, 0.7, 1.2
_LONGEST = (1 << 15) - 2  # side of what OpenCV samples
# The slope of a sharp rim once its mask was reduced, by the differences to both sides.
_SHARP, _FLATTEST = 0.5, 0.05
_OPAQUE = 0.9


class _Rim(NamedTuple):
    """Points of a rim, each (n,), and how much colours differ at each depth there, (n, k)."""

    x: Floats
    y: Floats
    contrast: Floats


def on_the_edge(pixels: Array, mask: Floats, *, mirrored: bool = False) -> Floats:
    """Return a mask whose rim is sharp, and on the foreground's edge where that is clear and near.

    Args:
        pixels: What the mask belongs to, (H, W, 3), at any size: the larger, the closer.
        mask: (h, w), in [0, 1], at the network's size.
        mirrored: Whether the network sees both mirrored: then they are looked at so, too.

    Returns:
        As `mask`; the same where the rim is sharp and stays.
    """
    if mirrored:
        seen = np.ascontiguousarray(mask[:, ::-1])
        return np.ascontiguousarray(_on_the_edge(pixels, seen, mirrored=True)[:, ::-1])
    return _on_the_edge(pixels, mask, mirrored=False)


def _on_the_edge(pixels: Array, mask: Floats, *, mirrored: bool) -> Floats:
    mask = _sharpened(mask)
    rim = _rim(pixels, mask, mirrored=mirrored)
    if rim is None:
        return mask
    depths = _depths(rim, mask.shape)
    if not depths.any():
        return mask
    moved = cv2.resize(depths, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    _, _, across, down = _inwards(mask, 2.0)
    rows = np.arange(mask.shape[0], dtype=np.float32)[:, None]
    columns = np.arange(mask.shape[1], dtype=np.float32)
    found = cv2.remap(
        mask,
        columns - moved * across,
        rows - moved * down,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(found, np.float32)


def _sharpened(mask: Floats) -> Floats:
    if mask.max() < _OPAQUE:  # its rim is less steep for being half transparent
        return mask
    soft, slope, _, _ = _inwards(mask, 0.5)
    slopes = slope[_near_rim(soft, slope)]
    if len(slopes) < _FEWEST or (usual := float(np.median(slopes))) >= _SHARP:
        return mask
    return ((mask - np.float32(0.5)) * np.float32(_SHARP / usual) + np.float32(0.5)).clip(0, 1)


def _inwards(mask: Floats, softness: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Return a mask, softened, its slope, and the directions, across and down, that it grows in."""
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), softness), np.float32)
    difference, here = np.array([-0.5, 0, 0.5], np.float32), np.ones(1, np.float32)
    across = np.asarray(cv2.sepFilter2D(soft, cv2.CV_32F, difference, here), np.float32)
    down = np.asarray(cv2.sepFilter2D(soft, cv2.CV_32F, here, difference), np.float32)
    # By numpy, since the last bit of `cv2.magnitude` depends on where arrays lie in memory.
    slope: Floats = np.sqrt(across * across + down * down)
    np.maximum(slope, np.float32(1e-6), out=slope)
    return soft, slope, across / slope, down / slope


def _near_rim(soft: Floats, slope: Floats) -> NDArray[np.bool_]:
    """Tell the pixels of a softened mask that its rim goes through, or past."""
    return (np.abs(soft - 0.5) < 0.25) & (slope > _FLATTEST)


def _rim(pixels: Array, mask: Floats, *, mirrored: bool) -> _Rim | None:
    """Measure the differences of colour along what crosses a mask's rim, at many points of it."""
    soft, slope, across, down = _inwards(mask, 1.0)
    rows, columns = np.nonzero(_near_rim(soft, slope))
    every = 1 + len(rows) // _POINTS
    at = rows[::every], columns[::every]
    ahead = (np.float32(0.5) - soft[at]) / slope[at]  # to the rim itself, a part of a pixel
    x = (at[1] + ahead * across[at]).astype(np.float32)
    y = (at[0] + ahead * down[at]).astype(np.float32)
    ends = np.append(_DEPTHS, _REACH + _STEP).astype(np.float32) - np.float32(_STEP / 2)
    xs, ys = (one[:, None] + to[at][:, None] * ends for one, to in ((x, across), (y, down)))
    height, width = mask.shape
    inside = ((xs > 1) & (xs < width - 2) & (ys > 1) & (ys < height - 2)).all(axis=1)
    if np.count_nonzero(inside) < _FEWEST:
        return None
    fewer = -(-max(pixels.shape[:2]) // _LONGEST)
    if fewer > 1:
        pixels = np.ascontiguousarray(pixels[::fewer, ::fewer])
    wide, tall = pixels.shape[1] / width, pixels.shape[0] / height
    lefts = (xs[inside] + 0.5) * wide - 0.5
    colours = cv2.remap(
        pixels,
        (pixels.shape[1] - 1 - lefts if mirrored else lefts).astype(np.float32),
        ((ys[inside] + 0.5) * tall - 0.5).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    ).astype(np.float32)
    steps = np.diff(colours, axis=1)
    levels = np.sqrt(np.einsum("ijk,ijk->ij", steps, steps)) * (255 / full_scale(pixels.dtype))
    return _Rim(x[inside], y[inside], np.log(levels + _FLOOR).astype(np.float32))


def _depths(rim: _Rim, size: tuple[int, int]) -> Floats:
    """Return how far inside of the mask's rim the edge lies, in each part of the plane."""
    rows, columns = (-(-side // _PART) for side in size)
    parts = (rim.y / _PART).astype(int) * columns + (rim.x / _PART).astype(int)
    held, inverse, counts = np.unique(parts, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.cumsum(counts) - counts
    sums = np.zeros((rows * columns, rim.contrast.shape[1] + 1), np.float32)
    sums[held, :-1] = np.add.reduceat(rim.contrast[order], starts)
    sums[held, -1] = counts
    around = _blurred(sums.reshape(rows, columns, -1), _AROUND).reshape(sums.shape)[held]
    more = around * (np.float32(_OF_AROUND) / around[:, -1:])
    counted = np.add(sums[held], more, dtype=np.float32)
    contrast = np.divide(counted[:, :-1], counted[:, -1:], dtype=np.float32)
    found = np.zeros((rows * columns, 2), np.float32)
    found[held, 0] = counts * _edges(contrast)
    found[held, 1] = counts
    smooth = _blurred(found.reshape(rows, columns, 2), 1.0)
    return (smooth[..., 0] / np.maximum(smooth[..., 1], 1e-4)).astype(np.float32)


def _blurred(values: Floats, softness: float) -> Floats:
    blurred = cv2.GaussianBlur(values, (0, 0), softness, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred, np.float32)


def _edges(contrast: Floats) -> Floats:
    """Return the depth of the edge in each row of contrasts; 0 where the mask may well be right."""
    clear = contrast - np.partition(contrast, _USUAL, axis=1)[:, _USUAL, None]
    best = np.where(_NEAR, clear, np.float32(-1)).argmax(axis=1)
    every = np.arange(len(contrast))
    here = np.maximum(clear[:, _HERE], clear[:, _HERE - 1 : _HERE + 2].mean(axis=1))
    before, at, behind = (contrast[every, best + one] for one in (-1, 0, 1))
    bend = np.minimum(before - 2 * at + behind, np.float32(-1e-6))
    between = ((before - behind) / (2 * bend)).clip(-0.5, 0.5)  # the top of a parabola
    depths = _DEPTHS[best] + np.float32(_STEP) * between
    stands_out = clear[every, best] > np.maximum(np.float32(_CLEARER) * here, np.float32(_LEAST))
    return np.where(stands_out, depths, np.float32(0))
