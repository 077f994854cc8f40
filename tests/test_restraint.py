"""Answers that are too close to the picture to be told from the network's error."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import Brighten, box_mask

from harmonizer import Harmonizer, model_info
from harmonizer.restraint import share_of_answer

# What `Brighten` changes, in grey levels: 0.3 of each channel's standard deviation.
CHANGE = 0.3 * 255 * np.sqrt(np.square(model_info("idih").preprocessing.std).mean())


@pytest.mark.parametrize(
    ("change", "share"), [(0.0, 0.0), (8.0, 0.0), (9.0, 0.5), (10.0, 1.0), (99.0, 1.0)]
)
def test_a_change_counts_by_its_size_in_the_foreground(change: float, share: float) -> None:
    before = np.full((16, 16, 3), 0.4, np.float32)
    mask = box_mask(16, 16)
    after = np.where(mask[..., None], before + np.float32(change / 255), 1)
    taken = share_of_answer(before, after, mask.astype(np.float32), (8, 10))
    assert taken == pytest.approx(share, abs=1e-4)


def test_an_object_that_the_small_mask_does_not_show_is_harmonized() -> None:
    """Nothing is known of its change; to leave it alone would be a guess."""
    info = replace(model_info("idih"), least_change=(254.0, 255.0))
    image = np.full((2000, 2000, 3), 100, np.uint8)
    mask = np.zeros((2000, 2000), bool)
    mask[1000, 1000] = True
    assert not info.preprocessing.resize(mask.astype(np.float32)).any()
    harmonizer = Harmonizer(Brighten(), info, device="cpu")
    composite = harmonizer.prepare(image, mask)
    (answer,) = harmonizer.answer([composite])
    assert answer is not None
    assert harmonizer.finish(composite, answer + 0.3)[mask].min() > 110


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    ("least_change", "share"),
    [
        (None, 1.0),
        ((CHANGE - 2, CHANGE - 1), 1.0),
        ((CHANGE - 1, CHANGE + 1), 0.5),
        ((CHANGE + 1, CHANGE + 2), 0.0),
    ],
)
def test_a_model_takes_only_changes_that_it_can_tell(
    least_change: tuple[float, float] | None, share: float, dtype: str
) -> None:
    info = replace(model_info("idih"), least_change=least_change)
    white = 1 if dtype == "float32" else np.iinfo(dtype).max
    image = np.full((256, 256, 3), 0.4 * white, dtype)
    mask = box_mask(256, 256)
    result = Harmonizer(Brighten(), info, device="cpu")(image, mask)
    change = (result[mask].astype(float) - image[mask]).mean() * 255 / white
    assert change == pytest.approx(share * CHANGE, abs=0.6)
    assert np.array_equal(result[~mask], image[~mask])
    assert np.array_equal(result, image) == (share == 0)
