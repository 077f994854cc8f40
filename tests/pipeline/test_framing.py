"""The same object gets the same colours when a picture is cropped a little or mirrored."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from small_networks import small_idih

from harmonizer import Harmonizer
from harmonizer.pipeline.framing import Frame, frame_around

SIZE = (600, 800)
INPUT = (256, 256)
BOX = (slice(150, 415), slice(230, 553))  # no step falls into the first five pixels


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


def test_a_small_crop_changes_next_to_nothing(answering: Harmonizer, noise: Any) -> None:
    """Unless a step falls into what is cut off: only what lies beyond the border is another."""
    image, plane = noise(*SIZE), mask()
    result = answering(image, plane)
    assert np.abs(result.astype(int) - image)[BOX].mean() > 1
    for crop in crops(5):
        moved = answering(image[crop], plane[crop]).astype(int) - result[crop]
        assert np.abs(moved).mean() < 0.1 * np.abs(result.astype(int) - image).mean()


def test_of_all_crops_few_change_anything() -> None:
    """Wherever the object lies; without steps each of them would."""
    generator = np.random.default_rng(0)
    moved = []
    for _ in range(300):
        top, left = generator.integers(1, 300), generator.integers(1, 400)
        plane = np.zeros(SIZE, np.float32)
        plane[top : top + 200, left : left + 250] = 1
        frame = frame_around(plane, INPUT)
        for count in (1, 5):
            cut = frame_around(plane[count:-count, count:-count], INPUT)
            back = [(a + count, b + count) for a, b in (cut.rows, cut.columns)]
            moved.append(back != [frame.rows, frame.columns])
    assert np.mean(moved) < 0.6


def test_a_mirrored_picture_gets_a_mirrored_answer(answering: Harmonizer, noise: Any) -> None:
    image, plane = noise(*SIZE), mask()
    image[BOX] //= 2
    plane[BOX[0], 553:640] = 0.5  # which way it faces is seen
    there, back = answering(image, plane), answering(image[:, ::-1], plane[:, ::-1])
    assert np.abs(there.astype(int) - image)[BOX].mean() > 1
    # Reducing rounds its last bit by the direction.
    assert np.abs(there.astype(int) - back[:, ::-1]).max() <= 1


@pytest.mark.parametrize("seed", range(40))
def test_all_of_the_object_is_shown_and_nearly_all_around_it(seed: int) -> None:
    generator = np.random.default_rng(seed)
    height, width = generator.integers(257, 1500, 2)
    plane = np.zeros((height, width), np.float32)
    ends = [np.sort(generator.choice(length + 1, 2, replace=False)) for length in plane.shape]
    rows, columns = (slice(*one) for one in ends)
    plane[rows, columns] = 1
    frame = frame_around(plane, INPUT)
    assert plane[frame.inside].sum() == plane.sum()
    if plane.mean() < 0.03:
        return
    for shown, (first, last), length in zip(
        (frame.rows, frame.columns), ends, plane.shape, strict=True
    ):
        for left_out, at_the_border in (
            (shown[0], first == 0),
            (length - shown[1], last == length),
        ):
            most = 0.07 * length
            assert -most < left_out <= 0 if at_the_border else 0 <= left_out < most


def test_beyond_the_border_the_picture_goes_on_mirrored() -> None:
    plane = np.arange(12.0).reshape(3, 4)
    frame = Frame((-1, 3), (0, 6))
    assert np.array_equal(frame.of(plane)[0], [4, 5, 6, 7, 6, 5])
    other = np.zeros_like(plane)
    frame.put(frame.of(plane), other)
    assert np.array_equal(other, plane)
    assert np.shares_memory(Frame.whole(plane).of(plane), plane)


def test_a_crop_of_a_cut_edge_counts_from_the_other_one() -> None:
    """How much of an object the border cuts off changes nothing else."""
    plane = np.zeros(SIZE, np.float32)
    plane[200:, 230:560] = 1
    assert frame_around(plane[:-5], INPUT) == frame_around(plane, INPUT)


def test_an_object_over_the_whole_width_is_shown_with_all_of_it() -> None:
    plane = np.zeros(SIZE, np.float32)
    plane[200:400] = 1
    assert frame_around(plane, INPUT).columns == (0, SIZE[1])


@pytest.mark.parametrize("size", [40, 250])
@pytest.mark.parametrize("left", ["a speck", "a trace everywhere", "noise around it"])
def test_what_a_cut_out_leaves_behind_is_not_framed(size: int, left: str) -> None:
    plane = np.zeros(SIZE, np.float32)
    plane[200 : 200 + size, 300 : 300 + size] = 1
    frame = frame_around(plane, INPUT)
    if left == "a speck":
        plane[5, 790] = 0.004 if size == 40 else 1
    elif left == "a trace everywhere":
        plane = np.maximum(plane, np.float32(2 / 255))
    else:
        noise = np.random.default_rng(0).uniform(0, 0.015, SIZE).astype(np.float32)
        plane[180:470, 280:570] = np.maximum(plane, noise)[180:470, 280:570]
    assert frame_around(plane, INPUT) == frame


def test_a_mask_that_is_faint_everywhere_is_framed() -> None:
    frame = frame_around(mask() * np.float32(0.01), INPUT)
    for (first, end), part in zip((frame.rows, frame.columns), BOX, strict=True):
        assert first <= part.start
        assert end >= part.stop
    assert frame != Frame.whole(mask())


def test_an_object_from_border_to_border_keeps_its_scale() -> None:
    plane = np.zeros(SIZE, np.float32)
    plane[:, 200:500] = 1
    heights = set[int]()
    for count in range(6):
        frame = frame_around(plane[count:], INPUT)
        heights.add(frame.rows[1] - frame.rows[0])
        assert frame.rows[0] <= 0
        assert frame.rows[1] >= SIZE[0] - count
    assert len(heights) == 1
