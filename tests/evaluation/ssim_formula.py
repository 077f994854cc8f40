"""SSIM by its formula, to compare with."""

from typing import Any

import cv2
import numpy as np


def similarity(x: Any, y: Any) -> Any:
    """SSIM's map, by its formula, with a two-dimensional window in float64."""
    steps = np.arange(11) - 5
    window = np.exp(-(steps[:, None] ** 2 + steps[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(plane: Any) -> Any:
        return cv2.filter2D(plane, cv2.CV_64F, window, borderType=cv2.BORDER_REFLECT_101)

    x, y = x.astype(np.float64), y.astype(np.float64)
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 6.5025, 58.5225
    maps = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return maps.mean(axis=2)
