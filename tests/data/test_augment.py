"""Augmentation: the authors' ranges, all pictures alike, the same whatever the order."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import write_triplet

from harmonizer import model_info
from harmonizer.data import Augmentation, AugmentedTriplets, TripletDataset
from harmonizer.data.augment import Crop, draw_crop
from harmonizer.errors import InputError


def crops(mask: Any, count: int, **options: Any) -> Any:
    generator = np.random.default_rng(0)
    return [draw_crop(mask, 64, Augmentation(**options), generator) for _ in range(count)]


def test_area_aspect_and_flips_are_the_authors() -> None:
    mask = np.ones((600, 800), np.float32)
    drawn = crops(mask, 3000)
    areas = np.array([crop.height * crop.width for crop in drawn]) / mask.size
    ratios = np.array([crop.width / crop.height for crop in drawn])
    assert 0.498 < areas.min() < 0.52
    assert 0.97 < areas.max() <= 1.001
    assert 0.745 < ratios.min() < 0.80
    assert 1.30 < ratios.max() < 1.34
    assert abs(np.mean([crop.flipped for crop in drawn]) - 0.5) < 0.04
    assert all(0 <= crop.top <= 600 - crop.height for crop in drawn)
    assert all(0 <= crop.left <= 800 - crop.width for crop in drawn)


def test_area_is_even_where_every_shape_fits() -> None:
    areas = [c.height * c.width / 1e6 for c in crops(np.ones((1000, 1000)), 3000, area=(0.1, 0.5))]
    assert abs(np.mean(areas) - 0.3) < 0.01
    assert np.abs(np.quantile(areas, (0.25, 0.75)) - (0.2, 0.4)).max() < 0.02


def test_parts_without_foreground_are_drawn_again_but_for_one_in_twenty() -> None:
    mask = np.zeros((400, 400), np.float32)
    mask[:100, :100] = 1  # most parts of this area miss it
    small = {"area": (0.1, 0.2)}

    def empty_share(**options: Any) -> float:
        parts = (mask[c.top : c.top + c.height, c.left : c.left + c.width] for c in options["c"])
        return float(np.mean([part.sum() == 0 for part in parts]))

    never = empty_share(c=crops(mask, 400, keep_empty=0, **small))
    always = empty_share(c=crops(mask, 400, keep_empty=1, **small))
    usual = empty_share(c=crops(mask, 400, **small))
    assert never < 0.01 < usual < always
    assert always > 0.75


def test_uint8_masks_count_like_float_masks() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[0, 0] = 255
    as_float = crops(mask / np.float32(255), 50)
    assert crops(mask, 50) == as_float


def test_a_picture_too_long_for_any_shape_gives_its_middle() -> None:
    for crop in crops(np.ones((10, 1000)), 20):
        assert (crop.top, crop.height) == (0, 10)
        assert crop.width == 13


def test_no_crop_takes_the_whole_picture() -> None:
    assert {c[:4] for c in crops(np.ones((30, 50)), 20, area=None)} == {(0, 0, 30, 50)}
    assert not any(c.flipped for c in crops(np.ones((30, 50)), 20, area=None, flip=0))


def test_a_crop_takes_its_own_part_and_mirrors_it() -> None:
    plane = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    part = plane[3:11, 7:15]
    assert np.array_equal(Crop(3, 7, 8, 8, flipped=False).apply(plane, 8), part)
    assert np.array_equal(Crop(3, 7, 8, 8, flipped=True).apply(plane, 8), part[:, ::-1])


def test_parts_go_on_mirrored_beyond_their_borders() -> None:
    mask = np.ones((200, 300), np.float32)
    drawn = crops(mask, 1000, area=None, flip=0, beyond=0.05)
    beyond = np.array([crop.beyond for crop in drawn])
    assert beyond.min() == 0
    assert (beyond.max(axis=0) == 10).all()  # of the shorter side's 200
    assert 0.15 < (beyond.sum(axis=1) == 0).mean() < 0.25
    row = np.tile(np.arange(8.0, dtype=np.float32), (8, 1))
    crop = Crop(0, 0, 8, 8, False, "opencv-area", (0, 0, 2, 2))
    assert np.array_equal(crop.apply(row, 12)[0], np.float32([2, 1, *range(8), 6, 5]))


def test_a_part_is_resized_as_the_network_will_be_given_pictures() -> None:
    values = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    mask = np.ones((90, 120), np.float32)
    for resampler in ("opencv-linear", "opencv-nearest"):
        info = replace(model_info("idih").preprocessing, input_size=(64, 64), resampler=resampler)
        options = Augmentation(area=None, flip=0, resampler=resampler)
        crop = draw_crop(mask, 64, options, np.random.default_rng(0))
        assert np.array_equal(crop.apply(values, 64), info.resize(values))
    nearest = Augmentation(area=None, flip=0, resampler="opencv-nearest")
    small = draw_crop(mask, 30, nearest, np.random.default_rng(0)).apply(values, 30)
    assert np.array_equal(small, values[1::3, 2::4])  # the pixels in the middle, as they are


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"area": (0, 1)}, "area"),
        ({"area": (0.9, 0.5)}, "area"),
        ({"aspect": (2, 1)}, "aspect"),
        ({"flip": 1.5}, "flip"),
    ],
)
def test_ranges(options: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Augmentation(**options)


@pytest.fixture
def triplets(tmp_path: Path) -> TripletDataset:
    for number in range(4):
        names = (f"composites/{number}.png", f"masks/{number}.png", f"real/{number}.png")
        write_triplet(tmp_path, names, number)
    return TripletDataset.open(tmp_path)


def test_pictures_of_a_triplet_are_cut_alike(triplets: TripletDataset) -> None:
    data = AugmentedTriplets(triplets, size=64)
    for index in range(len(data)):
        composite, mask, real, _ = data.draw(index, 3)
        assert composite.shape == real.shape == (64, 64, 3)
        assert (mask.shape, mask.dtype) == ((64, 64), np.float32)
        assert np.array_equal(composite[mask == 0], real[mask == 0])
        # Inside, these composites are the real image's negative.
        assert np.abs(composite[mask == 1].astype(int) + real[mask == 1] - 255).max() <= 1
        assert ((mask > 0) & (mask < 1)).any()  # resized linearly, so the edge is soft


def test_draws_depend_on_seed_index_and_epoch_alone(triplets: TripletDataset) -> None:
    first, second = AugmentedTriplets(triplets, size=32), AugmentedTriplets(triplets, size=32)
    forth = {(i, e): first.draw(i, e) for e in (0, 1) for i in range(4)}
    for key in reversed(forth):
        for drawn, again in zip(forth[key][:3], second.draw(*key)[:3], strict=True):
            assert np.array_equal(drawn, again)
    assert not np.array_equal(forth[0, 0].real, forth[0, 1].real)
    other = AugmentedTriplets(triplets, size=32, seed=1)
    assert not np.array_equal(other.draw(0, 0).real, forth[0, 0].real)


@pytest.mark.parametrize("index", [-1, 1.0, None, True, "0"])
def test_what_is_no_place_is_refused(index: Any, triplets: TripletDataset) -> None:
    data = AugmentedTriplets(triplets, size=64)
    with pytest.raises(InputError, match="index is a whole number of at least 0; got"):
        data.draw(index, 0)
    with pytest.raises(InputError, match="epoch is a whole number of at least 0; got"):
        data.draw(0, index)
    with pytest.raises(IndexError):
        data.draw(len(data), 0)
    same = data.draw(np.int64(0), np.int64(1)).composite
    assert np.array_equal(same, data.draw(0, 1).composite)


def test_damaged_pictures_stop_or_are_named_and_replaced(
    triplets: TripletDataset, caplog: pytest.LogCaptureFixture
) -> None:
    triplets.files[1].real.write_bytes(b"broken")
    with pytest.raises(InputError, match=r"1\.png cannot be read"):
        AugmentedTriplets(triplets).draw(1, 7)
    data = AugmentedTriplets(triplets, size=32, on_error="skip")
    with caplog.at_level(logging.WARNING, "harmonizer.data"):
        drawn, again = data.draw(1, 7), data.draw(1, 7)
    assert drawn.name == again.name != "1"
    assert np.array_equal(drawn.composite, again.composite)
    assert list(data.skipped) == [1]
    assert len(caplog.records) == 1  # once, however often it is met
    assert "1.png" in caplog.text
    assert AugmentedTriplets(triplets, on_error="skip").draw(1, 7).name == drawn.name


def test_nothing_but_damaged_pictures_is_an_error(triplets: TripletDataset) -> None:
    for files in triplets.files:
        files.real.write_bytes(b"broken")
    with pytest.raises(InputError, match="one after the other"):
        AugmentedTriplets(triplets, on_error="skip").draw(0, 0)
