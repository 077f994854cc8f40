"""Made-up pictures for the other benchmarks."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def sides(megapixels: float) -> tuple[int, int]:
    """Height and width of a picture of 4:3."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    return round(width * 3 / 4), width


def make_picture(height: int, width: int, seed: int = 0) -> tuple[Picture, Picture]:
    """Coarse noise in many colours with some grain, and the mask of an ellipse, a quarter of it."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (height // 10, width // 10, 3), np.uint8)
    grain = generator.normal(0, 3, (height, width, 3)).astype(np.int8)
    picture = cv2.add(cv2.resize(small, (width, height)), grain, dtype=cv2.CV_8U)
    mask = np.zeros((height, width), np.uint8)
    centre = (int(width * generator.uniform(0.4, 0.6)), int(height * generator.uniform(0.4, 0.6)))
    cv2.ellipse(mask, centre, (int(width * 0.27), int(height * 0.3)), seed * 20, 0, 360, 255, -1)
    return picture.astype(np.uint8, copy=False), cv2.GaussianBlur(mask, (0, 0), 2).astype(np.uint8)


def write_picture(image: Path, mask: Path, height: int, width: int, seed: int = 0) -> None:
    """Write one, as JPEG of the usual size for its pixels or as PNG, and its mask."""
    picture, plane = make_picture(height, width, seed)
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if image.suffix == ".jpg" else []
    cv2.imwrite(str(image), picture, options)
    cv2.imwrite(str(mask), plane)
