"""The contact sheet shows what is drawn."""

import numpy as np
import pytest

from harmonizer.data import CompositeSynthesizer, PhotoDataset, contact_sheet
from harmonizer.errors import InputError


def test_sheet_shows_composite_mask_and_real_of_each(photos: PhotoDataset) -> None:
    data = CompositeSynthesizer(photos, size=40)
    sheet = contact_sheet(data, 6, 2, side=40)
    assert sheet.dtype == np.uint8
    height, width = (sheet.shape[0] + 6) // 3, (sheet.shape[1] + 6) // 2
    composite, mask, real, _ = data.draw(12, 0)  # the fourth of six, spread over 24
    cell = sheet[height : 2 * height, width:]
    found = [
        any(
            np.array_equal(cell[top : top + 40, left : left + 40], plane)
            for top in range(height - 39)
            for left in range(width - 39)
        )
        for plane in (composite, np.rint(mask * 255).astype(np.uint8)[..., None] + 0 * real, real)
    ]
    assert found == [True] * 3
    title = cell[:18]
    assert title.min() < 100  # something is written there


def test_more_samples_than_photographs_go_on_with_the_next_epoch(photos: PhotoDataset) -> None:
    data = CompositeSynthesizer(PhotoDataset(photos.files[:2]), size=32)
    sheet = contact_sheet(data, 5, 9, side=16)
    assert sheet.shape[1] == 5 * (3 * 16 + 6) - 6  # no more columns than samples
    with pytest.raises(InputError, match="at least 1"):
        contact_sheet(data, 0)
