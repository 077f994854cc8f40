"""Answers that are too close to the picture to be told from the network's error."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import Brighten, box_mask
from PIL import Image

from harmonizer import Harmonizer, harmonize, model_info
from harmonizer.inference.restraint import share_of_answer
from harmonizer.jobs.folder import Job, run_jobs

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
    harmonizer = Harmonizer(Brighten(), info, device="cpu")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = harmonizer(image, mask)
    assert ["left as it is" in str(one.message) for one in caught] == [True] * (share == 0)
    change = (result[mask].astype(float) - image[mask]).mean() * 255 / white
    assert change == pytest.approx(share * CHANGE, abs=0.6)
    assert np.array_equal(result[~mask], image[~mask])
    assert np.array_equal(result, image) == (share == 0)


def test_small_changes_are_taken_if_asked_for(tmp_path: Path) -> None:
    info = replace(model_info("idih"), least_change=(200.0, 201.0))
    image, mask = np.full((256, 256, 3), 100, np.uint8), box_mask(256, 256)
    harmonizer = Harmonizer(Brighten(), info, device="cpu")
    whole = Harmonizer(Brighten(), replace(info, least_change=None), device="cpu")(image, mask)
    Image.fromarray(image).save(tmp_path / "image.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    job = Job(tmp_path / "image.png", tmp_path / "mask.png", tmp_path / "out.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(harmonizer(image, mask, small_changes=True), whole)
        assert np.array_equal(harmonize(image, mask, harmonizer, small_changes=True), whole)
        (one,) = harmonizer.harmonize_batch([image], [mask], small_changes=True)
        assert np.array_equal(one, whole)
        (outcome,) = run_jobs(lambda: harmonizer, [job], small_changes=True)
        assert outcome.warnings == ()
        assert np.array_equal(Image.open(job.output), whole)
    (outcome,) = run_jobs(lambda: harmonizer, [job], force=True)
    (said,) = outcome.warnings
    assert "small_changes=True" in said
    assert np.array_equal(Image.open(job.output), image)
