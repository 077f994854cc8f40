"""The same object gets the same colours when a picture is cropped a little or mirrored."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers import small_idih

from harmonizer import Harmonizer
from harmonizer.pipeline.look import part_to_show

SIZE = (600, 800)
INPUT = (256, 256)
BOX = (slice(150, 420), slice(230, 560))


def mask() -> Any:
    plane = np.zeros(SIZE, np.float32)
    plane[BOX] = 1
    return plane


def crops(most: int) -> Iterator[tuple[slice, slice]]:
    for count in range(1, most + 1):
        yield slice(count, None), slice(count, None)
        yield slice(None, -count), slice(None, -count)
        yield slice(count, -count), slice(count, -count)


@pytest.fixture(params=["a map of colours", "a picture"])
def answering(request: pytest.FixtureRequest, model: Harmonizer) -> Harmonizer:
    return model if request.param == "a map of colours" else small_idih()


def test_a_small_crop_changes_nothing(answering: Harmonizer, noise: Any) -> None:
    """Unless a step falls into what is cut off."""
    image, plane = noise(*SIZE), mask()
    result = answering(image, plane)
    assert np.abs(result.astype(int) - image)[BOX].mean() > 1
    for crop in crops(5):
        assert np.array_equal(answering(image[crop], plane[crop]), result[crop])


def test_of_all_crops_few_change_anything() -> None:
    """Wherever the object lies; without steps each of them would."""
    generator = np.random.default_rng(0)
    moved = []
    for _ in range(300):
        top, left = generator.integers(1, 300), generator.integers(1, 400)
        plane = np.zeros(SIZE, np.float32)
        plane[top : top + 200, left : left + 250] = 1
        rows, columns = part_to_show(plane, INPUT)
        for count in (1, 5):
            cut = part_to_show(plane[count:-count, count:-count], INPUT)
            same = (rows.start, columns.start) == (cut[0].start + count, cut[1].start + count)
            moved.append(
                not same or (rows.stop - count, columns.stop - count) != (cut[0].stop, cut[1].stop)
            )
    assert np.mean(moved) < 0.3


def test_a_mirrored_picture_gets_a_mirrored_answer(answering: Harmonizer, noise: Any) -> None:
    image, plane = noise(*SIZE), mask()
    plane[BOX[0], 560:640] = 0.5  # which way it faces is seen
    there, back = answering(image, plane), answering(image[:, ::-1], plane[:, ::-1])
    assert np.abs(there.astype(int) - image)[BOX].mean() > 1
    # Reducing rounds its last bit by the direction.
    assert np.abs(there.astype(int) - back[:, ::-1]).max() <= 1


def test_a_picture_of_the_inputs_size_is_shown_as_it_is(answering: Harmonizer, noise: Any) -> None:
    height, width = answering.info.preprocessing.input_size
    image, plane = noise(height, width), np.zeros((height, width), np.float32)
    plane[30:80, 60:110] = 1
    for flip in (slice(None), slice(None, None, -1)):
        composite = answering.prepare(image[:, flip], plane[:, flip])
        assert not composite.mirrored
        assert np.array_equal(composite.low_res, image[:, flip])


@pytest.mark.parametrize("seed", range(40))
def test_all_of_the_foreground_is_shown_and_nothing_enlarged(seed: int) -> None:
    generator = np.random.default_rng(seed)
    height, width = generator.integers(200, 1500, 2)
    plane = np.zeros((height, width), np.float32)
    rows, columns = (
        np.sort(generator.integers(0, height, 2)),
        np.sort(generator.integers(0, width, 2)),
    )
    plane[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = 1
    part = part_to_show(plane, INPUT)
    assert plane[part].sum() == plane.sum()
    for one, least, length in zip(plane[part].shape, INPUT, plane.shape, strict=True):
        assert one >= min(least, length)


def test_little_is_left_out_around_a_large_object() -> None:
    rows, columns = part_to_show(mask(), INPUT)
    assert (rows.stop - rows.start) / SIZE[0] > 0.7
    assert (columns.stop - columns.start) / SIZE[1] > 0.7


def test_a_cut_edge_counts_no_steps() -> None:
    """An object that the border cuts is shown up to there, however much of it is cut off."""
    plane = np.zeros(SIZE, np.float32)
    plane[200:, 230:560] = 1
    rows, columns = part_to_show(plane, INPUT)
    shorter = part_to_show(plane[:-5], INPUT)
    assert rows.stop == SIZE[0]
    assert shorter == (slice(rows.start, SIZE[0] - 5), columns)


def test_an_object_over_the_whole_width_is_shown_with_all_of_it() -> None:
    plane = np.zeros(SIZE, np.float32)
    plane[200:400] = 1
    assert part_to_show(plane, INPUT)[1] == slice(0, SIZE[1])
