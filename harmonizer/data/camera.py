"""Give a picture, or a part of it, the texture that another camera or file would have given it."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
# A change of texture: of a picture (H, W, 3), by how many times it will be reduced at least.
Change = Callable[[Pixels, float, np.random.Generator], Pixels]


def as_by_another_camera(
    image: Pixels, mask: NDArray[np.float32], reduction: float, generator: np.random.Generator
) -> Pixels:
    """Make what a mask covers softer, sharper, noisier or more compressed than the rest.

    Args:
        image: (H, W, 3), RGB.
        mask: (H, W), in [0, 1].
        reduction: How many times smaller the picture will be made; what is done is to be seen then.
        generator: Decides what is done, and how strongly.
    """
    change = _CHANGES[generator.integers(len(_CHANGES))]
    changed = change(image, max(reduction, 1.0), generator)
    return cv2.blendLinear(changed, image, mask, 1 - mask).astype(np.uint8, copy=False)


def as_jpeg(image: Pixels, quality: int) -> Pixels:
    """Return what a JPEG file of half the resolution in colour keeps of a picture.

    Args:
        image: (H, W, 3), RGB.
        quality: From 1 to 100.
    """
    blue_first = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    coded = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _softer(image: Pixels, reduction: float, generator: np.random.Generator) -> Pixels:
    return _blurred(image, reduction * generator.uniform(0.3, 1.5))


def _sharper(image: Pixels, reduction: float, generator: np.random.Generator) -> Pixels:
    soft = _blurred(image, reduction * generator.uniform(0.5, 1.0))
    amount = generator.uniform(0.3, 1.2)
    return cv2.addWeighted(image, 1 + amount, soft, -amount, 0).astype(np.uint8, copy=False)


def _noisier(image: Pixels, reduction: float, generator: np.random.Generator) -> Pixels:
    """Add noise that is mostly of brightness, as sensors and their software leave it."""
    deviation = np.float32(reduction * generator.uniform(1, 6))
    light = generator.standard_normal((*image.shape[:2], 1), np.float32)
    noise = light + np.float32(0.5) * generator.standard_normal(image.shape, np.float32)
    return np.rint(image + deviation * noise).clip(0, 255).astype(np.uint8)


def _compressed(image: Pixels, reduction: float, generator: np.random.Generator) -> Pixels:
    return as_jpeg(image, int(generator.integers(15, 80)))


def _blurred(image: Pixels, deviation: float) -> Pixels:
    return cv2.GaussianBlur(image, (0, 0), deviation).astype(np.uint8, copy=False)


_CHANGES: tuple[Change, ...] = (_softer, _sharper, _noisier, _compressed)
