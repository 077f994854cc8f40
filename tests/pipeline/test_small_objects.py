"""Small and thin objects are changed like large ones: none falls between the network's pixels."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from harmonizer import Harmonizer
from harmonizer.pipeline.prepared import open_composite

SIZE = (1708, 2560)


def pole() -> Any:
    mask = np.zeros(SIZE, np.uint8)
    mask[:, 1200:1205] = 1
    return mask


def disc() -> Any:
    return cv2.circle(np.zeros(SIZE, np.uint8), (700, 900), 5, 1, -1)


def specks() -> Any:
    """Objects of 8 to 29 pixels, far apart in 12 megapixels."""
    mask = np.zeros((3000, 4000), np.uint8)
    for number, (row, column) in enumerate(((200, 300), (1501, 2222), (2800, 3700), (60, 3900))):
        mask[row : row + 4, column : column + 2 + number] = 1
    return mask


def thin_line() -> Any:
    return cv2.line(np.zeros(SIZE, np.uint8), (100, 150), (2400, 1600), 1, 3)


def noise(size: tuple[int, int]) -> Any:
    return np.random.default_rng(0).integers(60, 190, (*size, 3), np.uint8)


@pytest.mark.parametrize("make", [pole, disc, specks, thin_line])
@pytest.mark.parametrize("size", [128, 256])
@pytest.mark.parametrize("resampler", ["opencv-nearest", "opencv-area"])
def test_every_object_reaches_the_network(
    make: Any, size: int, resampler: Any, model: Harmonizer
) -> None:
    mask = make()
    preprocessing = replace(model.info.preprocessing, input_size=(size, size), resampler=resampler)
    composite = open_composite(noise(mask.shape), mask, preprocessing)
    shown = composite.frame.of(mask)
    assert mask[composite.frame.inside].sum() == mask.sum()
    small = composite.low_res_mask
    count, labels = cv2.connectedComponents(shown)
    height, width = labels.shape
    for number in range(1, count):
        where = np.argwhere(labels == number) * [small.shape[0] / height, small.shape[1] / width]
        (top, left), (bottom, right) = where.min(axis=0).astype(int), where.max(axis=0).astype(int)
        assert small[max(0, top - 1) : bottom + 2, max(0, left - 1) : right + 2].max() > 0.2


@pytest.mark.parametrize(("side", "there"), [(1, False), (4, True)])
@pytest.mark.parametrize("count", [10, 300])
def test_what_is_an_object_does_not_depend_on_how_many_there_are(
    count: int, side: int, there: bool, model: Harmonizer
) -> None:
    """Single pixels of 1,600 that become one are dust."""
    mask = np.zeros((1280, 1280), np.uint8)
    for number in range(count):
        row, column = 40 * (number // 16) + 20, 80 * (number % 16) + 20
        mask[row : row + side, column : column + side] = 1
    preprocessing = replace(model.info.preprocessing, input_size=(32, 32))
    composite = open_composite(noise(mask.shape), mask, preprocessing, whole=True)
    assert np.count_nonzero(composite.low_res_mask == 1) == (count if there else 0)


def test_objects_in_the_last_row_are_seen_whatever_the_size(model: Harmonizer) -> None:
    """19 x (122 / 19) is a little more than 122."""
    mask = np.zeros((122, 122), np.uint8)
    middles = ((np.arange(19) + 0.5) * 122 / 19).astype(int)
    mask[np.ix_(middles, middles)] = 1
    preprocessing = replace(model.info.preprocessing, input_size=(19, 19))
    composite = open_composite(noise(mask.shape), mask, preprocessing, whole=True)
    assert (composite.low_res_mask == 1).all()


@pytest.mark.parametrize("make", [pole, disc, specks, thin_line])
def test_an_object_changes_by_what_the_network_says(make: Any, brighten: Harmonizer) -> None:
    mask = make()
    pixels = noise(mask.shape)
    result = brighten(pixels, mask).astype(int)
    assert np.array_equal(result[mask == 0], pixels[mask == 0])
    change = (result - pixels)[mask == 1]
    # 0.3 in normalised space is 0.3 x 0.225 x 255 = 17 grey levels.
    assert change.mean() == pytest.approx(17.2, abs=6)
    assert np.abs(change).max() < 40


def test_surroundings_are_all_that_a_small_object_needs(model: Harmonizer) -> None:
    """What is far away changes nothing, as it would for a copy that is cut out of the picture."""
    mask, pixels = disc(), cv2.GaussianBlur(noise(SIZE), (0, 0), 9)
    far = pixels.copy()
    far[:, 1500:] = 255 - far[:, 1500:]
    one, other = model(pixels, mask), model(far, mask)
    assert np.array_equal(one[mask == 1], other[mask == 1])


@pytest.mark.parametrize("make", [disc, specks, thin_line])
def test_small_objects_are_shown_in_their_own_colours(make: Any, model: Harmonizer) -> None:
    mask = make()
    image = np.full((*mask.shape, 3), 100, np.uint8)
    image[mask > 0] = 250, 30, 60
    preprocessing = replace(model.info.preprocessing, resampler="opencv-nearest")
    composite = open_composite(image, mask, preprocessing, whole=True)
    shown = composite.low_res[composite.low_res_mask == 1]
    assert len(shown)
    assert (shown == (250, 30, 60)).all()
