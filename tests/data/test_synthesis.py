"""Synthesis: what it promises of every composite, and how wrong composites are on the whole."""

import math
import multiprocessing
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import picture, save

from harmonizer.data import (
    Augmentation,
    CompositeSynthesizer,
    EditStrengths,
    PhotoDataset,
    PhotoFiles,
    Synthesis,
)
from harmonizer.data.edits import draw_edit
from harmonizer.data.illumination import Illuminations
from harmonizer.errors import InputError

RECIPES = ("rendition", "transfer", "illumination")
STRENGTHS = [field.name for field in fields(EditStrengths)]
WHOLE = Augmentation(area=None, flip=0)


@pytest.fixture
def only(illuminants: str) -> Callable[..., Synthesis]:
    def make(recipe: str, **options: Any) -> Synthesis:
        weights = {name: float(name == recipe) for name in RECIPES}
        return Synthesis(**weights, illuminants=illuminants, **options)

    return make


Only: TypeAlias = Callable[..., Synthesis]


def foreground_error(triplet: Any) -> float:
    difference = triplet.composite.astype(np.float32) - triplet.real
    return float(((difference**2).mean(axis=2) * triplet.mask).sum() / max(triplet.mask.sum(), 1))


@pytest.mark.parametrize("recipe", RECIPES)
def test_composites_equal_the_target_outside_the_mask(
    photos: PhotoDataset, recipe: str, only: Only
) -> None:
    data = CompositeSynthesizer(photos, size=64, synthesis=only(recipe))
    changed = 0
    for index in range(len(data)):
        composite, mask, real, name = data.draw(index, 0)
        assert composite.shape == real.shape == (64, 64, 3)
        assert composite.dtype == real.dtype == np.uint8
        assert (mask.shape, mask.dtype) == ((64, 64), np.float32)
        assert 0 <= mask.min() <= mask.max() <= 1
        assert name == photos.files[index].image.name
        assert np.array_equal(composite[mask == 0], real[mask == 0])
        changed += (composite[mask == 1] != real[mask == 1]).any()
    assert changed > 0.9 * len(data)


def test_the_error_is_distributed_like_iharmony4s(photos: PhotoDataset) -> None:
    data = CompositeSynthesizer(photos, size=64)
    errors = [foreground_error(data.draw(i, epoch)) for epoch in range(25) for i in range(24)]
    # Made-up pictures have stronger colours than photographs, of which the mean is about 1,460.
    assert 1000 < np.mean(errors) < 2600
    first, median, third = np.quantile(errors, (0.25, 0.5, 0.75))
    assert 200 < first < 1100
    assert 500 < median < 2000
    assert 1200 < third < 3600
    assert max(errors) < 1.1 * Synthesis().most_change


def test_targets_are_often_edited(photos: PhotoDataset, only: Only) -> None:
    data = CompositeSynthesizer(photos, size=64, augmentation=WHOLE, synthesis=only("transfer"))
    never = CompositeSynthesizer(
        photos, size=64, augmentation=WHOLE, synthesis=only("transfer", edited=0)
    )
    same = [
        np.array_equal(data.draw(i, epoch).real, never.draw(i, 0).real)
        for epoch in range(15)
        for i in range(24)
    ]
    assert abs(np.mean(same) - 1 / 3) < 0.08


def test_flat_targets_are_darker_than_their_foregrounds(photos: PhotoDataset, only: Only) -> None:
    data = CompositeSynthesizer(photos, size=64, synthesis=only("rendition", flat=1))
    brighter = []
    for triplet in (data.draw(i, epoch) for epoch in range(4) for i in range(24)):
        inside = triplet.mask == 1
        difference = triplet.composite[inside].astype(float) - triplet.real[inside]
        brighter.append(difference.mean())
    assert np.mean(np.array(brighter) > 0) > 0.8
    assert 15 < np.median(brighter) < 60  # grey levels; HAdobe5k: about 35


def test_a_change_too_strong_is_scaled_back(photos: PhotoDataset) -> None:
    data = CompositeSynthesizer(photos, size=64, synthesis=replace(Synthesis(), most_change=50))
    errors = [foreground_error(data.draw(i, 0)) for i in range(24)]
    assert max(errors) < 60
    assert np.median(errors) > 30


def test_transfers_that_a_person_would_sort_out_are_drawn_again(
    photos: PhotoDataset, only: Only
) -> None:
    def share_of_large_errors(redraws: int) -> float:
        limits = {"most_transferred": 1500.0, "most_colourful": 100.0}
        synthesis = only("transfer", redraws=redraws, **limits)
        data = CompositeSynthesizer(photos, size=32, synthesis=synthesis)
        errors = [foreground_error(data.draw(i, epoch)) for epoch in range(5) for i in range(24)]
        return float(np.mean(np.array(errors) > 1600))

    often = share_of_large_errors(0)
    assert often > 0.3
    assert share_of_large_errors(8) < 0.5 * often


def made(folder: Path, pictures: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Any:
    files = [
        PhotoFiles(save(folder / f"{name}.png", image), save(folder / f"{name}_mask.png", mask))
        for name, (image, mask) in pictures.items()
    ]
    return PhotoDataset(files, cache=True)


def test_a_change_of_light_is_one_quadratic_map(tmp_path: Path, only: Only) -> None:
    photos = made(tmp_path, {str(seed): picture(seed, 64, 64) for seed in range(8)})
    data = CompositeSynthesizer(
        photos, size=64, augmentation=WHOLE, synthesis=only("illumination", edited=0)
    )
    for index in range(8):
        composite, mask, real, _ = data.draw(index, 0)
        assert not np.array_equal(composite, real)
        unclipped = (mask == 1) & ((composite > 0) & (composite < 255)).all(axis=2)
        r, g, b = real[unclipped].T / 255
        terms = [np.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b]
        design, wanted = np.stack(terms, axis=1), composite[unclipped] / 255
        left = wanted - design @ np.linalg.lstsq(design, wanted, rcond=None)[0]
        assert np.sqrt(np.square(left).mean()) < 0.5 / 255


def test_no_levels_are_left_out(tmp_path: Path, only: Only) -> None:
    """Two stops more leave most levels out; in a picture that is reduced afterwards, none."""
    ramp = np.linspace(5, 60, 256)[:, None, None].repeat(256, 1).repeat(3, 2)
    noisy = np.random.default_rng(0).normal(ramp, 2).clip(0, 255).astype(np.uint8)
    photos = made(tmp_path, {"ramp": (noisy, np.full((256, 256), 255, np.uint8))})
    brighter = EditStrengths(**dict.fromkeys(STRENGTHS, 0.0) | {"exposure_mean": 2.0})
    synthesis = only("rendition", flat=0, edited=0, foreground=brighter, most_change=1e6)
    left_out = {}
    for size in (64, 256):
        data = CompositeSynthesizer(photos, size=size, augmentation=WHOLE, synthesis=synthesis)
        levels = data.draw(0, 0).composite.ravel()
        low, high = np.quantile(levels, (0.05, 0.95)).astype(int)
        assert high - low > 60
        left_out[size] = (np.bincount(levels, minlength=256)[low:high] == 0).mean()
    assert left_out[256] > 0.35, "this test needs an edit that leaves levels out"
    assert left_out[64] < 0.02


def test_a_pair_of_charts_gives_the_change_between_them() -> None:
    chart = np.random.default_rng(0).uniform(20, 200, (24, 3))
    brighter = chart * [1.2, 1.0, 0.8]
    found = Illuminations(np.stack([chart, brighter])).draw(np.random.default_rng(1))
    pairs = [(chart, brighter), (brighter, chart)]  # either may have been drawn
    errors = [
        np.abs(found.of_colours(before.T / 255).T * 255 - after).mean() for before, after in pairs
    ]
    assert min(errors) < 2
    assert max(errors) > 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("photo,r0,g0,b0\na,1,2,3\n", "10 patches or more"),
        (",".join(f"{c}{i}" for i in range(10) for c in "rgb") + "\n" + "x," * 29 + "x", "number"),
        (",".join(f"{c}{i}" for i in range(10) for c in "rgb") + "\n" + "9," * 29 + "9", "differ"),
    ],
)
def test_tables_of_charts_that_are_none(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "charts.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        Illuminations.from_csv(tmp_path / "charts.csv")


def test_draws_depend_on_seed_index_and_epoch_alone(photos: PhotoDataset) -> None:
    first, second = (CompositeSynthesizer(photos, size=48, balance=0.5) for _ in range(2))
    forth = {(i, e): first.draw(i, e) for e in (0, 1) for i in range(24)}
    for key in reversed(forth):
        for drawn, again in zip(forth[key][:3], second.draw(*key)[:3], strict=True):
            assert np.array_equal(drawn, again)
    other = CompositeSynthesizer(photos, size=48, balance=0.5, seed=1)
    same = [np.array_equal(other.draw(*key).composite, forth[key].composite) for key in forth]
    assert not any(same)
    epochs = [np.array_equal(forth[i, 0].composite, forth[i, 1].composite) for i in range(24)]
    assert not any(epochs)


@pytest.mark.parametrize("balance", [1.0, 0.5])
def test_what_is_no_place_is_refused(balance: float, photos: PhotoDataset) -> None:
    data = CompositeSynthesizer(photos, size=64, balance=balance)
    for index, epoch in ((-1, 0), (0, -1), (0.0, 0)):
        with pytest.raises(InputError, match="is a whole number of at least 0; got"):
            data.draw(index, epoch)


def _sums(folder: Path, indices: list[int]) -> list[tuple[int, int]]:
    data = CompositeSynthesizer(PhotoDataset.from_folder(folder), size=48)
    drawn = (data.draw(index, 2) for index in indices)
    return [(int(t.composite.astype(int).sum()), int(t.real.astype(int).sum())) for t in drawn]


def test_another_process_draws_the_same(photo_folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        elsewhere = pool.submit(_sums, photo_folder, [7, 3, 3]).result()
    assert elsewhere == _sums(photo_folder, [7, 3, 3])


def test_photographs_in_memory_are_not_changed(photos: PhotoDataset) -> None:
    before = [photos[i].image.copy() for i in range(24)]
    data = CompositeSynthesizer(photos, size=48)
    for index in range(24):
        triplet = data.draw(index, 0)
        triplet.composite[:] = 0
        triplet.real[:] = 0
    assert all(np.array_equal(photos[i].image, before[i]) for i in range(24))


def test_balance_evens_out_the_groups(photos: PhotoDataset) -> None:
    """18 photographs are of one group, 6 of the other."""

    def small_share(balance: float) -> float:
        data = CompositeSynthesizer(photos, size=8, balance=balance, augmentation=WHOLE)
        drawn = Counter(int(data.draw(i % 24, i).name[:2]) >= 18 for i in range(400))
        return drawn[True] / 400

    assert small_share(1) == pytest.approx(0.25, abs=0.02)
    assert small_share(0) == pytest.approx(0.5, abs=0.07)
    assert 0.28 < small_share(0.5) < 0.45


def test_one_photograph_is_enough(photos: PhotoDataset) -> None:
    data = CompositeSynthesizer(PhotoDataset(photos.files[:1]), size=32)
    assert [data.draw(0, epoch).name for epoch in range(5)] == ["00.png"] * 5


def test_damaged_photographs_stop_or_are_replaced(photo_folder: Path, tmp_path: Path) -> None:
    for path in photo_folder.iterdir():
        broken = path.name == "05.png"
        (tmp_path / path.name).write_bytes(b"broken" if broken else path.read_bytes())
    photos = PhotoDataset.from_folder(tmp_path, cache=True)
    with pytest.raises(InputError, match=r"05\.png cannot be read"):
        CompositeSynthesizer(photos).draw(5, 0)
    data = CompositeSynthesizer(photos, size=32, on_error="skip")
    drawn = [data.draw(i, 0).name for i in range(24)]
    assert "05.png" not in drawn
    assert list(data.skipped) == [5]
    assert [data.draw(i, 0).name for i in range(24)] == drawn


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rendition": 0, "transfer": 0}, "one of rendition, transfer, illumination"),
        ({"illumination": -1}, "illumination"),
        ({"rendition": math.nan}, "rendition is a number from 0"),
        ({"most_colourful": math.nan}, "most_colourful is above 0"),
        ({"redraws": 2**63}, "redraws"),
        ({"illumination": 1}, "illuminants"),
        ({"redraws": -1}, "redraws"),
        ({"most_transferred": 0}, "most_transferred"),
        ({"flat": 1.1}, "flat"),
        ({"keep_light": -0.1}, "keep_light"),
        ({"foreign": 1.5}, "foreign"),
        ({"noise": -1.0}, "noise"),
        ({"pasted": 1.1, "illuminants": "some.csv"}, "pasted"),
        ({"right": -0.1}, "right"),
        ({"pasted": 0.5}, "illumination and pasted need"),
        ({"methods": ("reinhardt",)}, "reinhard, xiao"),
        ({"noise": "a little"}, "noise is a number from 0 to 255"),
        ({"methods": ()}, "methods"),
        ({"most_change": 0}, "most_change"),
    ],
)
def test_ranges(options: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Synthesis(**options)


def test_ranges_of_edits_and_balance(photos: PhotoDataset) -> None:
    with pytest.raises(InputError, match="gamma"):
        EditStrengths(gamma=-0.1)
    with pytest.raises(InputError, match="black_mean is a number from -10 to 10; got nan"):
        EditStrengths(black_mean=math.nan)
    with pytest.raises(InputError, match="balance"):
        CompositeSynthesizer(photos, balance=2)
    with pytest.raises(InputError, match="size is a whole number of at least 1"):
        CompositeSynthesizer(photos, size=0)


NONE = {name: 0.0 for name in EditStrengths.__dataclass_fields__ if not name.endswith("_mean")}


def test_an_edit_without_strength_changes_nothing() -> None:
    levels = np.arange(256, dtype=np.uint8)
    image = np.stack([levels, levels[::-1], np.roll(levels, 99)], axis=1)[None]
    edit = draw_edit(EditStrengths(**NONE), np.random.default_rng(0))
    assert np.array_equal(edit.apply(image), image)


@pytest.mark.parametrize("name", sorted(NONE))
def test_each_strength_does_something_and_breaks_nothing(name: str) -> None:
    levels = np.arange(256, dtype=np.uint8)
    image = np.stack([levels, levels, levels // 2], axis=1)[None]
    strengths = EditStrengths(**{**NONE, name: getattr(EditStrengths(), name)})
    generator = np.random.default_rng(1)
    changed = 0
    for _ in range(20):
        edit = draw_edit(strengths, generator)
        assert np.isfinite(edit.table).all()
        assert edit.table.min() >= 0
        assert edit.table.max() <= 255
        # What is brighter stays brighter, up to rounding.
        assert np.diff(edit.table, axis=0).min() > -1e-3
        changed += not np.array_equal(edit.apply(image), image)
    assert changed > 10  # the weakest may round to nothing


def test_one_stop_doubles_the_light() -> None:
    strengths = EditStrengths(**NONE, exposure_mean=-1.0)
    grey = np.full((1, 1, 3), 188, np.uint8)  # half of the light of white
    edit = draw_edit(strengths, np.random.default_rng(0))
    assert np.abs(edit.apply(grey).astype(int) - 137).max() <= 1  # a quarter


def test_matrices_and_saturation_leave_grey_alone() -> None:
    strengths = EditStrengths(**{**NONE, "matrix": 0.2, "saturation": 0.5})
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    generator = np.random.default_rng(0)
    for _ in range(20):
        assert np.array_equal(draw_edit(strengths, generator).apply(grey), grey)


@pytest.mark.parametrize("recipe", RECIPES)
def test_parts_without_an_object_and_soft_objects_are_fine(
    recipe: str, tmp_path: Path, only: Only
) -> None:
    """One crop in twenty has no object; and some masks are nowhere more than half."""
    image, _ = picture(0)
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[:12, :12] = 100
    save(tmp_path / "a.png", image)
    save(tmp_path / "a_mask.png", mask)
    data = CompositeSynthesizer(
        PhotoDataset.from_folder(tmp_path),
        size=32,
        synthesis=only(recipe),
        augmentation=Augmentation(area=(0.2, 0.3), keep_empty=1),
    )
    drawn = [data.draw(0, epoch) for epoch in range(40)]
    empty = [one for one in drawn if not one.mask.any()]
    assert 0 < len(empty) < 40
    assert all(np.array_equal(one.composite, one.real) for one in empty)
