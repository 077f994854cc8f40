"""What is white in one mask of a clip is white in all, wherever they come from."""

import io
import warnings
from collections.abc import Sequence
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


def save(folder: Path, values: Sequence[int], dtype: type[Any]) -> Path:
    folder.mkdir()
    for index, value in enumerate(values):
        Image.fromarray(MASK.astype(dtype) * dtype(value)).save(folder / f"{index}.png")
    return folder


def opened(values: Sequence[int], dtype: type[Any], *, ahead: bool = True) -> list[float]:
    """The largest numbers of masks of these values, once they are opened."""
    many = [MASK.astype(dtype) * dtype(value) for value in values]
    masks = FrameMasks(coming=(lambda index: many[index:]) if ahead else None)
    return [float(masks.open(mask, SIZE).max()) for mask in many]


FADES = [
    (np.uint8, [1, 2, 21, 255, 200, 1, 0], 255),  # an object that comes, and goes
    (np.uint8, [0, 1, 1, 0, 1], 1),
    (np.uint8, [255, 1, 1, 255], [255, 1, 1, 255]),  # hard masks, some of them of 0 and 1
    (np.uint16, [1, 12, 255, 256, 5000, 65535, 200], 65535),
    (np.uint16, [255, 0, 255], 255),
    (np.int32, [200, 3000, 65535, 200], 65535),
]


@pytest.mark.parametrize(("dtype", "values", "white"), FADES)
def test_masks_of_a_clip_have_one_range(dtype: type[Any], values: list[int], white: Any) -> None:
    np.testing.assert_allclose(opened(values, dtype), np.array(values) / white, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "values", "white"), [one for one in FADES if one[0] != np.int32])
def test_masks_of_a_folder_have_one_range(
    dtype: type[Any], values: list[int], white: Any, tmp_path: Path
) -> None:
    folder = save(tmp_path / "masks", values, dtype)
    found = [float(mask.max()) for mask in read_masks(Masks(folder), SIZE)]
    np.testing.assert_allclose(found, np.array(values) / white, rtol=1e-6)
    inverted = next(read_masks(Masks(folder, invert=True), SIZE))
    np.testing.assert_allclose(inverted, 1 - MASK * found[0], rtol=1e-6)


def test_one_mask_for_all_is_taken_as_that_of_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    for dtype, value in ((np.uint8, 1), (np.uint8, 255), (np.uint16, 255), (np.uint16, 65535)):
        Image.fromarray(MASK.astype(dtype) * dtype(value)).save(path)
        np.testing.assert_array_equal(next(read_masks(Masks(path), SIZE)), MASK)


@pytest.mark.parametrize("values", [[0, 1, 3, 2], [1] * 300 + [2], [2] + [1] * 300])
@pytest.mark.parametrize("ahead", [True, False])
def test_maps_of_labels_are_refused(values: list[int], ahead: bool) -> None:
    with pytest.raises(InputError, match="looks like a label map"):
        opened(values, np.uint8, ahead=ahead)


def test_where_masks_to_come_are_not_known_those_until_now_count() -> None:
    found = opened([1, 255, 128, 12, 1], np.uint8, ahead=False)
    np.testing.assert_allclose(found, [1, 1, 128 / 255, 12 / 255, 1 / 255], rtol=1e-6)


def test_masks_of_both_depths_count_by_their_own() -> None:
    masks = FrameMasks()
    deep, shallow = MASK.astype(np.uint16) * 65535, MASK.astype(np.uint8) * 255
    found = [masks.open(mask, SIZE).max() for mask in (deep, shallow, deep // 255, shallow // 2)]
    np.testing.assert_allclose(found, [1, 1, 257 / 65535, 127 / 255], rtol=1e-6)


def test_a_damaged_mask_is_told_of_when_its_turn_comes(tmp_path: Path) -> None:
    folder = save(tmp_path / "masks", [1, 1, 255, 128], np.uint8)
    (folder / "1.png").write_bytes(b"no picture")
    masks = read_masks(Masks(folder), SIZE)
    assert float(next(masks).max()) == pytest.approx(1 / 255)
    with pytest.raises(InputError, match=r"^1\.png: "):
        next(masks)


@pytest.mark.parametrize(
    ("values", "looks"), [([255, 254, 1], 0), ([1, 1, 1, 1], 3), ([1, 128, 1, 1], 1), ([0, 0], 0)]
)
def test_masks_to_come_are_looked_at_where_it_takes_them(values: list[int], looks: int) -> None:
    drawn: list[int] = []

    def coming(index: int) -> Any:
        for value in values[index:]:
            drawn.append(value)
            yield MASK.astype(np.uint8) * np.uint8(value)

    masks = FrameMasks(coming=coming)
    for value in values:
        masks.open(MASK.astype(np.uint8) * np.uint8(value), SIZE)
    assert len(drawn) == looks


def test_so_many_are_looked_at_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_masks, "_ENOUGH", 3)
    one = MASK.astype(np.uint8)
    masks = FrameMasks(coming=lambda _: [one, one, one, one * 128])
    assert masks.open(one, SIZE).max() == 1


def test_files_that_are_read_once_are_not_looked_at() -> None:
    kept = io.BytesIO()
    Image.fromarray(MASK.astype(np.uint8)).save(kept, "PNG")
    many = [io.BytesIO(kept.getvalue()) for _ in range(2)]
    masks = FrameMasks(coming=lambda index: many[index:])
    masks.open(many[0], SIZE)
    assert many[1].tell() == 0


@pytest.mark.parametrize(
    ("value", "invert", "said"),
    [
        (0.0, False, "every mask of the clip is empty"),
        (0.004, False, "0.4% white at most"),
        (0.5, False, None),
        (0.0, True, None),
        (1.0, True, "every mask of the clip is empty"),
    ],
)
def test_a_clip_in_which_nothing_changes_says_so(
    value: float, invert: bool, said: str | None
) -> None:
    masks = FrameMasks(invert=invert)
    for _ in range(2):
        masks.open(np.full(SIZE, value, np.float32), SIZE)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        masks.finish()
    assert [said is not None and said in str(one.message) for one in given] == [True] * bool(said)
