"""What is white in one mask of a clip is white in all, wherever they come from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import box_mask
from PIL import Image

from harmonizer.errors import InputError
from harmonizer.jobs.video import frame_masks
from harmonizer.jobs.video.frame_masks import FrameMasks
from harmonizer.jobs.video.mask_sources import Masks, read_masks

SIZE = (20, 30)
MASK = box_mask(*SIZE)


def save(folder: Path, values: list[int], dtype: type[Any]) -> Path:
    folder.mkdir()
    for index, value in enumerate(values):
        Image.fromarray(MASK.astype(dtype) * dtype(value)).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize(
    ("dtype", "values", "white"),
    [
        (np.uint8, [1, 2, 21, 255, 200, 1, 0], 255),  # an object that fades in, and out
        (np.uint8, [0, 1, 1, 0, 1], 1),
        (np.uint16, [1, 12, 255, 256, 5000, 65535, 200], 65535),
        (np.uint16, [200, 100, 1], 65535),
    ],
)
def test_masks_of_a_folder_have_one_range(
    dtype: type[Any], values: list[int], white: int, tmp_path: Path
) -> None:
    folder = save(tmp_path / "masks", values, dtype)
    found = [float(mask.max()) for mask in read_masks(Masks(folder), SIZE)]
    np.testing.assert_allclose(found, np.array(values) / white, rtol=1e-6)
    inverted = next(read_masks(Masks(folder, invert=True), SIZE))
    np.testing.assert_allclose(inverted, 1 - MASK * (values[0] / white), rtol=1e-6)


def test_a_folder_of_labels_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "masks", [0, 1, 3, 2], np.uint8)
    with pytest.raises(InputError, match=r"^masks: .*looks like a label map"):
        next(read_masks(Masks(folder), SIZE))


def test_a_damaged_mask_is_told_of_when_its_turn_comes(tmp_path: Path) -> None:
    folder = save(tmp_path / "masks", [1, 1, 255], np.uint8)
    (folder / "1.png").write_bytes(b"no picture")
    masks = read_masks(Masks(folder), SIZE)
    assert float(next(masks).max()) == pytest.approx(1 / 255)
    with pytest.raises(InputError, match=r"^1\.png: "):
        next(masks)


def test_so_many_of_0_and_1_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_masks, "_ENOUGH", 3)
    looked: list[int] = []

    def draw() -> Any:
        for index in range(10):
            looked.append(index)
            yield MASK.astype(np.uint8) * np.uint8(index % 2)

    masks = FrameMasks()
    masks.look_at(draw())
    assert looked == list(range(6))
    assert masks.open(MASK.astype(np.uint8), SIZE).max() == 1


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32])
def test_integers_of_other_dtypes_count_by_the_largest_range_so_far(dtype: type[Any]) -> None:
    masks = FrameMasks()
    found = [masks.open(MASK.astype(dtype) * value, SIZE).max() for value in (1, 200, 1, 300, 200)]
    np.testing.assert_allclose(found, [1, 200 / 255, 1 / 255, 300 / 65535, 200 / 65535], rtol=1e-6)
    with pytest.raises(InputError, match="mask values are"):
        masks.open(MASK.astype(dtype) * 70_000, SIZE)


def test_masks_of_both_depths_count_by_their_own() -> None:
    masks = FrameMasks()
    deep, shallow = MASK.astype(np.uint16) * 65535, MASK.astype(np.uint8) * 255
    found = [masks.open(mask, SIZE).max() for mask in (deep, shallow, deep // 255, shallow // 255)]
    np.testing.assert_allclose(found, [1, 1, 257 / 65535, 1 / 255], rtol=1e-6)
