"""Turn a picture into a network's input, and the network's answer back to the picture's scale.

What a network was trained on has to be done to its input again: its size, the way it was resized
and its normalisation travel with the weights, as one `Preprocessing`.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Range: TypeAlias = tuple[int, int]
# Floats may overshoot [0, 1] by rounding; more than this is taken for another scale.
RANGE_TOLERANCE = 1e-3
Resampler: TypeAlias = Literal["opencv-linear", "opencv-nearest", "opencv-area"]
_LEAST_FACTOR = 8  # of a reduction along both axes, from which pixels are halved first
_LONG = 1 << 15  # a side from which OpenCV 4, told to take pixels, reads what lies elsewhere
_BLOCK_ROWS = 64  # whose pixels stay in a core's cache


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the input of a network.

    Attributes:
        input_size: Height and width of the network's input, in pixels. The aspect is not kept
            (paper, section 4.2).
        mean: Mean of each channel, R, G, B, of images in [0, 1].
        std: Standard deviation of each channel.
        resampler: `opencv-linear` interpolates between the nearest pixels, as the paper's authors
            did; `opencv-nearest` takes one pixel of many, so that what was done to the colours of
            a foreground stays what it was, pixel by pixel, at any size; `opencv-area` averages
            over all of them, so that no pixel decides.
    """

    input_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resampler: Resampler

    def resize(self, values: Array) -> Array:
        """Resize an image (H, W, 3) or a mask (H, W) to the input size, in its own dtype."""
        if values.shape[:2] == self.input_size:
            return values
        return resample(values, self.input_size, self.resampler)

    @np.errstate(all="ignore")  # whatever the program around asks for
    def to_network(self, image: Array, full_scale: float) -> NDArray[np.float32]:
        """Normalise a resized image, (H, W, 3) from 0 to `full_scale`: (3, H, W), contiguous."""
        planes = np.array(image.transpose(2, 0, 1), np.float32, order="C")
        planes /= np.float32(full_scale)
        planes -= np.array(self.mean, np.float32)[:, None, None]
        planes /= np.array(self.std, np.float32)[:, None, None]
        return planes

    @np.errstate(all="ignore")  # whatever the program around asks for
    def from_network(self, answer: Array, full_scale: float) -> NDArray[np.float32]:
        """Undo the normalisation of a network's answer, (3, H, W).

        Returned are (H, W, 3), from 0 to `full_scale`, clamped and not rounded.
        """
        std, mean = np.array(self.std, np.float32), np.array(self.mean, np.float32)
        unit = answer.transpose(1, 2, 0) * std + mean
        return np.ascontiguousarray(unit.clip(0, 1) * np.float32(full_scale))


def resample(values: Array, size: tuple[int, int], resampler: Resampler) -> Array:
    """Resize an image (H, W, 3) or a plane (H, W) to a height and width, in its own dtype.

    Areas of 8 x 8 pixels and more are averages of blocks of 2 x 2: integers are rounded twice, and
    where a side is odd, what becomes a pixel lies up to one pixel beside its place.
    """
    height, width = size
    if resampler == "opencv-nearest":
        return _nearest(values, size)
    if resampler == "opencv-linear":
        return cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    far = (have >= _LEAST_FACTOR * wanted for have, wanted in zip(values.shape, size, strict=False))
    if all(far):
        values = _halved(values)
    tall, wide = height > values.shape[0], width > values.shape[1]
    if not (tall or wide):
        return cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
    # OpenCV neither averages nor interpolates then: one axis after the other, and last the one that
    # gets longer, for a line of a million pixels would be many of them in between.
    between = (width, values.shape[0]) if tall else (values.shape[1], height)
    first, last = (wide, tall) if tall else (tall, wide)
    for side, longer in ((between, first), ((width, height), last)):
        mode = cv2.INTER_LINEAR if longer else cv2.INTER_AREA
        values = cv2.resize(values, side, interpolation=mode)
    return values


def _nearest(values: Array, size: tuple[int, int]) -> Array:
    """Take the pixel that the middle of each lies in."""
    height, width = values.shape[:2]
    if max(height, width) < _LONG:
        return cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    rows = (2 * np.arange(size[0]) + 1) * height // (2 * size[0])
    columns = (2 * np.arange(size[1]) + 1) * width // (2 * size[1])
    return values[rows[:, None], columns]


def _halved(values: Array) -> Array:
    """Average over blocks of 2 x 2 pixels, in a fraction of the time that other factors take.

    A row or column that is left over at the end is a block of its own.
    """
    height, width = values.shape[:2]
    blocks = np.empty((-(-height // 2), -(-width // 2), *values.shape[2:]), values.dtype)
    pairs = width // 2
    for top in range(0, len(blocks), _BLOCK_ROWS):
        part = blocks[top : top + _BLOCK_ROWS]
        strip = values[2 * top : 2 * (top + len(part))]
        if len(strip) < 2 * len(part):
            strip = cv2.copyMakeBorder(strip, 0, 1, 0, 0, cv2.BORDER_REPLICATE)
        size = pairs, len(part)
        cv2.resize(strip[:, : 2 * pairs], size, dst=part[:, :pairs], interpolation=cv2.INTER_AREA)
        if pairs < part.shape[1]:
            twice = np.repeat(strip[:, -1:], 2, axis=1)
            part[:, -1:] = cv2.resize(twice, (1, len(part)), interpolation=cv2.INTER_AREA)
    return blocks


def mirrored_beyond(values: Array, top: int, bottom: int, left: int, right: int) -> Array:
    """Let an image (H, W, 3) or a plane (H, W) go on mirrored, so far beyond its borders."""
    if not (top or bottom or left or right):
        return values
    return np.asarray(cv2.copyMakeBorder(values, top, bottom, left, right, cv2.BORDER_REFLECT_101))


def is_opencv_kind(dtype: np.dtype[Any]) -> bool:
    """Tell whether OpenCV takes arrays of a dtype as they are: of 8 or 16 bits, or float32."""
    return dtype.isnative and dtype in (np.uint8, np.uint16, np.float32)  # pyright: ignore[reportUnnecessaryContains] - dtypes equal their types


def full_scale(dtype: np.dtype[Any]) -> float:
    """Return what white is for images of a dtype: 255, 65535, or 1 for floats."""
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0


def bounding_box(mask: NDArray[Any]) -> tuple[Range, Range] | None:
    """Find the half-open ranges of rows and columns outside which a mask (H, W) is 0, or None."""
    rows, columns = np.empty(mask.shape[0], mask.dtype), mask[0].copy()
    for top in range(0, len(rows), _BLOCK_ROWS):  # each is read once from memory
        strip = mask[top : top + _BLOCK_ROWS]
        strip.max(axis=1, out=rows[top : top + _BLOCK_ROWS])
        np.maximum(columns, strip.max(axis=0), out=columns)
    held = [np.flatnonzero(side) for side in (rows, columns)]
    if not len(held[0]):
        return None
    top, left = (int(side[0]) for side in held)
    bottom, right = (int(side[-1]) + 1 for side in held)
    return (top, bottom), (left, right)
