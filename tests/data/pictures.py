"""Small pictures for the tests of training data."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image


def picture(seed: int, height: int = 96, width: int = 128) -> Any:
    """A smooth picture with texture and an ellipse of other colours, and the ellipse."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(20, 235, (2, 4, 5, 3)).astype(np.float32)
    layers = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC) for plane in coarse]
    mask = np.zeros((height, width), np.uint8)
    axes = (int(width * generator.uniform(0.15, 0.3)), int(height * generator.uniform(0.15, 0.3)))
    cv2.ellipse(mask, (width // 2, height // 2), axes, 0, 0, 360, 255, -1)
    image = np.where(mask[..., None] > 0, layers[0], layers[1])
    image += generator.normal(0, 8, image.shape)
    return image.clip(0, 255).astype(np.uint8), mask


def save(path: Path, array: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def write_triplet(folder: Path, names: tuple[str, str, str], seed: int = 0) -> None:
    """Composite, mask and real image at these paths."""
    image, mask = picture(seed)
    composite = np.where(mask[..., None] > 0, 255 - image, image).astype(np.uint8)
    for name, array in zip(names, (composite, mask, image), strict=True):
        save(folder / name, array)
