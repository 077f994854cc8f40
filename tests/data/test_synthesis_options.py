"""No setting of synthesis is ignored."""

from typing import Any

import cv2
import numpy as np
import pytest

from harmonizer.data import Augmentation, CompositeSynthesizer, PhotoDataset, Synthesis
from harmonizer.data.camera import _CHANGES, as_by_another_camera
from harmonizer.data.color_transfer import TRANSFER_METHODS
from harmonizer.data.synthesis import _paste

WHOLE = Augmentation(area=None, flip=0)


def transfers(photos: PhotoDataset, **options: Any) -> CompositeSynthesizer:
    """Composites by transfer alone, of targets that nothing edits."""
    plain: dict[str, Any] = {"edited": 0, "redraws": 0, "methods": ("reinhard",)}
    synthesis = Synthesis(rendition=0, transfer=1, **(plain | options))
    return CompositeSynthesizer(photos, size=32, augmentation=WHOLE, synthesis=synthesis)


def changes(data: CompositeSynthesizer) -> list[np.ndarray[Any, Any]]:
    """What each composite's foreground differs by."""
    drawn = [data.draw(index, epoch) for epoch in range(3) for index in range(24)]
    return [(one.composite.astype(float) - one.real)[one.mask == 1] for one in drawn]


def test_a_soft_mask_weighs_what_is_pasted_and_scaled_back() -> None:
    target, changed = np.full((9, 101, 3), 100, np.uint8), np.full((9, 101, 3), 200, np.uint8)
    mask = np.tile(np.linspace(0, 1, 101, dtype=np.float32), (9, 1))
    for most_change, share in ((20_000.0, 1.0), (2_500.0, 0.5)):
        pasted = _paste(changed, target, mask, most_change)
        expected = 100 + 100 * share * mask[..., None]
        assert np.abs(pasted - expected).max() <= 1


def test_least_strength_makes_changes_stronger(photos: PhotoDataset) -> None:
    weak, full = (
        np.mean([np.square(one).mean() for one in changes(transfers(photos, least_strength=s))])
        for s in (0.0, 1.0)
    )
    assert full > 1.5 * weak


def test_keep_light_keeps_the_mean_brightness(photos: PhotoDataset) -> None:
    none, much = (
        np.mean([abs(one.mean()) for one in changes(transfers(photos, keep_light=k))])
        for k in (0.0, 1.0)
    )
    assert much < 0.8 * none


def test_a_foreign_mask_is_another_photographs(photos: PhotoDataset) -> None:
    resized = [cv2.resize(photo.mask, (32, 32)) > 127 for photo in photos]
    for foreign, own in ((0.0, 24), (1.0, 4)):
        data = transfers(photos, foreign=foreign)
        drawn = [data.draw(index, 0).mask > 0.5 for index in range(24)]
        overlaps = [
            [(one & other).sum() / (one | other).sum() for other in resized] for one in drawn
        ]
        assert all(max(row) > 0.7 for row in overlaps), "every mask is some photograph's"
        matches = sum(row[index] == max(row) for index, row in enumerate(overlaps))
        assert matches >= own if foreign == 0 else matches <= own


def test_noise_lies_over_composite_and_target_alike(photos: PhotoDataset) -> None:
    plain, noisy = transfers(photos), transfers(photos, noise=6.0)
    deviations = []
    for index in range(24):
        before, after = plain.draw(index, 0), noisy.draw(index, 0)
        inner = (before.real > 30) & (before.real < 225) & (before.mask == 0)[..., None]
        added = (after.real.astype(int) - before.real)[inner]
        assert np.array_equal(after.composite[after.mask == 0], after.real[after.mask == 0])
        deviations.append(float(added.std()))
    assert max(deviations) < 7
    assert max(deviations) - min(deviations) > 2


def test_what_a_file_loses_composite_and_target_lose_alike(photos: PhotoDataset) -> None:
    options = {"least_strength": 0.3, "keep_light": 0.0}
    plain, saved = transfers(photos, **options), transfers(photos, compressed=1.0, **options)
    off = []
    for index in range(24):
        before, after = plain.draw(index, 0), saved.draw(index, 0)
        assert np.array_equal(after.composite[after.mask == 0], after.real[after.mask == 0])
        off.append(float(np.abs(after.composite.astype(int) - before.composite).mean()))
        # Where nothing was cut off at black or white the change of colours is what it was.
        inner = (after.real > 0) & (after.real < 255) & (before.real > 0) & (before.real < 255)
        change, kept = (one.composite.astype(int) - one.real for one in (before, after))
        assert np.abs(kept - change)[inner].max() <= 1
    assert min(off) > 0.2
    assert max(off) < 12
    assert np.std(off) > 0.2, "qualities differ"


def test_files_are_of_many_qualities(photos: PhotoDataset) -> None:
    """The background of one photograph is the same in each epoch, and loses more or less."""
    plain, saved = transfers(photos), transfers(photos, compressed=1.0)
    lost = []
    for epoch in range(12):
        before, after = plain.draw(0, epoch), saved.draw(0, epoch)
        outside = before.mask == 0
        lost.append(float(np.abs(after.real.astype(int) - before.real)[outside].mean()))
    assert np.std(lost) > 0.08 * np.mean(lost)


def test_another_cameras_texture_is_the_foregrounds_alone(photos: PhotoDataset) -> None:
    moved = []
    for index in range(24):
        photo = photos[index]
        generator = np.random.default_rng(index)
        changed = as_by_another_camera(photo.image, photo.mask / np.float32(255), 1, generator)
        assert np.array_equal(changed[photo.mask == 0], photo.image[photo.mask == 0])
        moved.append(np.abs(changed.astype(int) - photo.image)[photo.mask == 255].mean())
    assert np.mean(np.array(moved) > 0.1) > 0.8
    assert max(moved) < 30, "colours stay"


def test_pasted_objects_have_it_in_composite_and_target(
    photos: PhotoDataset, illuminants: str
) -> None:
    """So it says nothing about what was recoloured."""
    plain = transfers(photos)
    pasted = transfers(photos, pasted=1.0, right=1.0, illuminants=illuminants)
    moved = []
    for index in range(24):
        before, after = plain.draw(index, 0), pasted.draw(index, 0)
        assert np.array_equal(after.composite, after.real), "all are right"
        assert np.array_equal(before.real[before.mask == 0], after.real[after.mask == 0])
        moved.append(np.abs(before.real.astype(int) - after.real)[after.mask == 1].mean())
    assert np.mean(np.array(moved) > 0.1) > 0.5


def test_pasted_objects_come_into_another_light_and_take_no_colours(
    photos: PhotoDataset, illuminants: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"illuminants": illuminants, "right": 0.0}
    assert np.mean([np.square(one).mean() for one in changes(transfers(photos, **options))]) > 50
    monkeypatch.delattr(CompositeSynthesizer, "_transfer")
    drawn = changes(transfers(photos, pasted=1.0, **options))
    assert np.mean([np.square(one).mean() for one in drawn]) > 50


def test_each_change_of_texture_keeps_colours(photos: PhotoDataset) -> None:
    image = cv2.GaussianBlur(photos[0].image, (0, 0), 2)
    for change in _CHANGES:
        drawn = [change(image, 1.0, np.random.default_rng(seed)) for seed in range(8)]
        assert not any(np.array_equal(one, image) for one in drawn)
        means = np.mean(drawn, axis=(1, 2)) - image.mean(axis=(0, 1))
        assert np.abs(means).max() < 3


@pytest.mark.parametrize("same_label", [0.0, 1.0])
def test_same_label_decides_where_colours_are_taken_from(
    same_label: float, photos: PhotoDataset
) -> None:
    data = transfers(photos, same_label=same_label)
    generator = np.random.default_rng(0)
    labels = {files.image.name: files.label for files in photos.files}
    found = [labels[data._draw_reference(5, generator).name] for _ in range(60)]
    assert (set(found) == {photos.files[5].label}) == (same_label == 1)


def test_each_method_makes_composites_of_its_own(photos: PhotoDataset) -> None:
    drawn = [
        transfers(photos, methods=(name,)).draw(3, 0).composite.tobytes()
        for name in TRANSFER_METHODS
    ]
    assert len(set(drawn)) == len(TRANSFER_METHODS)


def test_transfers_too_strong_or_too_colourful_are_drawn_again(photos: PhotoDataset) -> None:
    def share(limit: str, most: float, redraws: int, measure: Any) -> float:
        options = {"most_transferred": 1e9, "most_colourful": 1e9, "dulled": 0.0, limit: most}
        data = transfers(photos, **options, redraws=redraws, least_strength=1, keep_light=0)
        drawn = [data.draw(index, epoch) for epoch in range(3) for index in range(24)]
        return float(np.mean([measure(one) > most for one in drawn]))

    def error(one: Any) -> float:
        inside = one.mask == 1
        return float(np.square(one.composite[inside].astype(float) - one.real[inside]).mean())

    def spread(colours: Any) -> float:
        red, green, blue = colours.astype(float).T
        return float(((red - green).var() + ((red + green) / 2 - blue).var()) ** 0.5)

    def growth(one: Any) -> float:
        inside = one.mask == 1
        return spread(one.composite[inside]) / max(spread(one.real[inside]), 1)

    for limit, most, measure in (
        ("most_transferred", 1500.0, error),
        ("most_colourful", 1.1, growth),
    ):
        often = share(limit, most, 0, measure)
        assert often > 0.15
        assert share(limit, most, 8, measure) < 0.7 * often
