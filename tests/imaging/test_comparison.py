"""Before and after, side by side."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import EXAMPLES, box_mask
from PIL import Image

from harmonizer import show_comparison
from harmonizer.errors import InputError
from harmonizer.imaging.drawing import LINE_HEIGHT


def test_three_pictures_in_order(noise: Any) -> None:
    before, after, mask = noise(40, 60), noise(40, 60, seed=1), box_mask(40, 60)
    drawing = show_comparison(
        Image.fromarray(before), torch.from_numpy(after).permute(2, 0, 1), mask
    )
    assert (drawing.mode, drawing.size) == ("RGB", (3 * 60 + 2 * 6, LINE_HEIGHT + 40))
    pixels = np.asarray(drawing)
    assert np.array_equal(pixels[LINE_HEIGHT:, :60], before)
    assert np.array_equal(pixels[LINE_HEIGHT:, 66:126], after)
    assert np.array_equal(pixels[LINE_HEIGHT:, 132:, 0], mask * 255)
    for left in (0, 66, 132):  # a title stands above each
        assert pixels[:LINE_HEIGHT, left : left + 60].min() < 100


def test_two_pictures_reduced_to_the_width(noise: Any) -> None:
    before = np.full((100, 300, 3), 40000, np.uint16)
    after = np.full((100, 300, 3), 0.5, np.float32)
    drawing = show_comparison(before, after, width=206)
    assert drawing.size == (206, LINE_HEIGHT + 33)
    pixels = np.asarray(drawing)[LINE_HEIGHT:]
    assert (pixels[:, :100] == round(40000 / 257)).all()
    assert (pixels[:, 106:] == 128).all()


def test_what_does_not_match_is_refused() -> None:
    composite = EXAMPLES / "composite.png"
    with pytest.raises(InputError, match="640 x 427 and 4 x 4"):
        show_comparison(composite, Image.new("RGB", (4, 4)))
    with pytest.raises(InputError, match="same size"):
        show_comparison(composite, composite, box_mask(4, 4))
    width: Any
    for width in (5, "wide", 90.5):
        with pytest.raises(InputError, match="the width of 2 pictures is a whole number"):
            show_comparison(composite, composite, width=width)
