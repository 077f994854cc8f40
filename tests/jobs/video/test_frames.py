"""`harmonize_video` follows the clip, does not flicker, and takes frames from anywhere."""

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import EXAMPLES, box_mask
from numpy.typing import NDArray
from PIL import Image
from programs import program

from harmonizer import Harmonizer
from harmonizer.errors import InputError
from harmonizer.jobs.video import harmonize_video
from harmonizer.lifting import ColorTransform

Noise = Callable[..., NDArray[np.uint8]]
SIZE = (90, 120)
MASK = box_mask(*SIZE)


def as_dtype(frame: NDArray[np.uint8], dtype: type[Any]) -> NDArray[Any]:
    return frame if dtype is np.uint8 else frame.astype(np.uint16) * 257


def shaken(
    picture: NDArray[np.uint8], mask: NDArray[np.bool_], count: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """A still picture with noise and one pixel of shake, and its mask."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        by = generator.integers(-1, 2, 2)
        noisy = np.roll(picture, by, (0, 1)) + generator.normal(0, 3, picture.shape)
        yield np.rint(noisy.clip(0, 255)).astype(np.uint8), np.roll(mask, by, (0, 1))


def changes(
    frames: Sequence[NDArray[np.uint8]],
    model: Harmonizer,
    masks: Sequence[NDArray[np.bool_]] | None = None,
    **options: float,
) -> NDArray[np.float64]:
    """The mean change of the foreground in each frame, (N, 3)."""
    masks = masks or [MASK] * len(frames)
    results = harmonize_video(frames, masks, model, **options)
    return np.stack(
        [
            (after[mask].astype(float) - before[mask]).mean(axis=0)
            for before, after, mask in zip(frames, results, masks, strict=True)
        ]
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_clip_of_one_picture_is_changed_as_the_picture(
    model: Harmonizer, noise: Noise, dtype: type[Any]
) -> None:
    frame = as_dtype(noise(*SIZE), dtype)
    expected = model.color_transform(frame, MASK).apply(frame, MASK)
    assert (expected != frame).any()
    found = list(harmonize_video([frame] * 40, [MASK] * 40, model))
    assert len(found) == 40
    for one in found:
        assert one.dtype == dtype
        np.testing.assert_allclose(one.astype(float), expected, rtol=0, atol=1)
        np.testing.assert_array_equal(one[~MASK], frame[~MASK])


def test_a_noisy_and_shaking_picture_does_not_flicker(model: Harmonizer) -> None:
    picture = np.asarray(Image.open(EXAMPLES / "composite.png").convert("RGB"))
    mask = np.asarray(Image.open(EXAMPLES / "mask.png").convert("L")) > 127
    frames, masks = zip(*shaken(picture, mask, 40), strict=True)
    smooth, single = (
        np.abs(np.diff(changes(frames, model, masks, window=window), axis=0)).max()
        for window in (1, 0)
    )
    assert smooth <= 0.3  # 0.15 by the default
    assert smooth < single / 4


def test_a_cut_is_followed_at_once(model: Harmonizer, noise: Noise) -> None:
    dark, bright = noise(*SIZE, seed=1), 255 - noise(*SIZE, seed=1)
    together = changes([dark] * 30 + [bright] * 30, model)
    alone = [changes([one] * 30, model) for one in (dark, bright)]
    np.testing.assert_allclose(together, np.vstack(alone), rtol=0, atol=1e-9)
    assert np.abs(alone[0][0] - alone[1][0]).max() > 1


def test_cut_says_how_much_of_a_picture_another_scene_changes(
    model: Harmonizer, noise: Noise
) -> None:
    one = noise(*SIZE, seed=1)
    other = one.copy()
    other[:, :60] = 255 - other[:, :60]
    expected = changes([other] * 5, model)[0]
    parted, together = (changes([one] * 5 + [other] * 5, model, cut=c)[5] for c in (0.1, 0.9))
    np.testing.assert_allclose(parted, expected, rtol=0, atol=1e-9)
    assert np.abs(together - expected).max() > 1


def test_frames_are_drawn_while_the_network_looks(brighten: Harmonizer, noise: Noise) -> None:
    drawn = threading.Semaphore(0)
    waited: list[bool] = []

    class Slow(Harmonizer):
        def color_transform(self, image: Any, mask: Any, **_: Any) -> ColorTransform:
            waited.append(all(drawn.acquire(timeout=10) for _ in range(4)))
            return ColorTransform.identity()

    def frames() -> Iterator[NDArray[np.uint8]]:
        for index in range(30):
            if index:
                drawn.release()  # while the first key frame is looked at
            yield noise(*SIZE)

    slow = Slow(brighten._network, brighten.info, device="cpu")
    assert len(list(harmonize_video(frames(), MASK, slow))) == 30
    assert all(waited)


def test_light_that_drifts_is_no_cut(brighten: Harmonizer) -> None:
    asked: list[int] = []

    class Counting(Harmonizer):
        def color_transform(self, image: Any, mask: Any, **_: Any) -> ColorTransform:
            asked.append(int(image[0, 0, 0]))
            return ColorTransform.identity()

    counting = Counting(brighten._network, brighten.info, device="cpu")
    frames = (np.full((*SIZE, 3), 40 + index, np.uint8) for index in range(100))
    assert len(list(harmonize_video(frames, MASK, counting))) == 100
    assert len(asked) <= 4 * 4 + 1  # four in each second, and none for a cut


def test_frames_without_foreground_are_left_alone(model: Harmonizer, noise: Noise) -> None:
    frame, nothing = noise(*SIZE), np.zeros(SIZE, bool)
    masks = [nothing] * 10 + [MASK] * 10 + [nothing] * 40 + [MASK] * 2
    results = list(harmonize_video([frame] * len(masks), masks, model))
    for mask, after in zip(masks, results, strict=True):
        assert (after != frame).any() == mask.any()


def test_strength_goes_from_nothing_to_all(model: Harmonizer, noise: Noise) -> None:
    frames = [noise(*SIZE)] * 3
    whole, half, none = (changes(frames, model, strength=s) for s in (1.0, 0.5, 0.0))
    assert not none.any()
    np.testing.assert_allclose(half, whole / 2, rtol=0, atol=0.5)


def test_masks_come_in_every_kind(model: Harmonizer, noise: Noise) -> None:
    frames = [noise(*SIZE)] * 2
    (expected, _) = harmonize_video(frames, MASK, model)
    kinds: list[Any] = [
        [MASK.astype(np.uint8) * 255] * 2,
        [MASK.astype(np.uint8)] * 2,
        [MASK.astype(np.uint16) * 65535] * 2,
        [MASK.astype(np.float32)] * 2,
        np.stack([MASK] * 2),
        (np.dstack([MASK.astype(np.uint8) * 255] * 3) for _ in frames),
        MASK[..., None],  # one for the whole clip, as from here on
        np.dstack([MASK.astype(np.uint8) * 255] * 3),
        np.dstack([MASK.astype(np.uint8) * 255] * 3 + [np.full_like(MASK, 255, np.uint8)]),
        Image.fromarray(MASK),
        torch.from_numpy(MASK),
        torch.from_numpy(MASK)[None],
    ]
    for masks in kinds:
        (first, _) = harmonize_video(frames, masks, model)
        np.testing.assert_array_equal(first, expected)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.bool_, np.float32])
def test_subclasses_of_arrays_are_taken_as_plain_ones(
    dtype: type[Any], model: Harmonizer, noise: Noise
) -> None:
    frames = [noise(*SIZE)] * 2
    full = np.iinfo(dtype).max if issubclass(dtype, np.integer) else 1
    mask = MASK.astype(dtype) * dtype(full)
    (expected, _) = harmonize_video(frames, mask, model)
    covered = np.ma.MaskedArray(mask, mask=~MASK)  # pyright: ignore[reportUnknownArgumentType]
    kinds: list[Any] = [
        covered,
        [covered] * 2,
        np.matrix(mask),
        [np.matrix(mask)] * 2,
        np.ma.masked_array(np.stack([mask] * 2)),
    ]
    for masks in kinds:
        for after in harmonize_video(frames, masks, model):
            assert type(after) is np.ndarray
            np.testing.assert_array_equal(after, expected)
    half = np.ma.MaskedArray(frames[0], mask=np.broadcast_to(MASK[..., None], frames[0].shape))
    for after in harmonize_video([half] * 2, mask, model):
        assert type(after) is np.ndarray
        np.testing.assert_array_equal(after, expected)


def test_masks_are_resized_where_it_is_asked_for(model: Harmonizer, noise: Noise) -> None:
    frames = [noise(*SIZE)] * 2
    expected = model(frames[0], MASK[::2, ::2], resize_mask=True)
    small: Any
    for small in (MASK[::2, ::2], [MASK[::2, ::2]] * 2):
        with pytest.raises(InputError, match=r"frame 0: .*resize_mask=True"):
            list(harmonize_video(frames, small, model))
        for one in harmonize_video(frames, small, model, resize_mask=True):
            np.testing.assert_allclose(one.astype(float), expected, rtol=0, atol=1)
    (first, second) = harmonize_video(frames, MASK[:, ::2], model, resize_mask="stretch")
    assert (first != frames[0]).any()
    coloured = np.dstack([MASK[:, ::2].astype(np.uint8) * 255] * 3)  # no masks of its rows
    for one in harmonize_video(iter(frames), coloured, model, resize_mask="stretch"):
        np.testing.assert_array_equal(one, second)


def test_a_mask_that_fades_stays_soft(model: Harmonizer, noise: Noise) -> None:
    frame = noise(*SIZE)
    faint = MASK.astype(np.uint8) * 12  # by itself it would pass for a map of labels
    full, faded = harmonize_video([frame] * 2, [MASK.astype(np.uint8) * 255, faint], model)
    change = [one[MASK].astype(float) - frame[MASK] for one in (full, faded)]
    assert np.abs(change[1]).max() < np.abs(change[0]).max() / 4


@pytest.mark.parametrize("how", ["arrays", "images", "paths", "tensors", "one after the other"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_white_in_one_mask_is_white_in_all(
    how: str, dtype: type[Any], model: Harmonizer, noise: Noise, tmp_path: Path
) -> None:
    """By itself the faintest would be full foreground, and the next one a map of labels."""
    full = int(np.iinfo(dtype).max)
    values = [full, full // 2, 255, 100, 12, 1]
    frames = [noise(*SIZE)] * len(values)
    masks: Any = [MASK.astype(dtype) * dtype(value) for value in values]
    floats = [MASK * (np.float32(value) / np.float32(full)) for value in values]
    expected = list(harmonize_video(frames, floats, model))
    if how == "tensors":
        masks = torch.from_numpy(np.stack(masks))
    if how in ("images", "paths"):
        masks = [Image.fromarray(mask) for mask in masks]
    if how == "paths":
        for index, image in enumerate(masks):
            image.save(tmp_path / f"{index}.png")
        masks = sorted(tmp_path.iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = list(harmonize_video(frames, iter(masks) if "other" in how else masks, model))
        for one, wanted in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, wanted)
        if how != "one after the other":  # whose white is not known yet
            turned = masks.flip(0) if how == "tensors" else masks[::-1]
            backwards = harmonize_video(frames, turned, model)
            expected = harmonize_video(frames, floats[::-1], model)
            for one, wanted in zip(backwards, expected, strict=True):
                np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize("residue", [np.uint8(1), np.float32(1e-4)])
def test_what_a_program_left_in_empty_masks_counts_little(
    residue: Any, model: Harmonizer, noise: Noise
) -> None:
    """Networks are shown faint masks full, and answer something of a place with no object."""
    frames = [noise(*SIZE)] * 20
    full = MASK.astype(type(residue)) * type(residue)(255 if residue == 1 else 1)
    full[0, 0] = full[MASK][0] / 2  # masks without any values between are hard ones
    left = np.zeros_like(full)
    left[:20] = residue
    last: list[NDArray[Any]] = []
    for before in (left * 0, left):
        *_, one = harmonize_video(frames[:11], [before] * 10 + [full], model)
        last.append(one[MASK].astype(float))
    assert np.abs(last[0] - last[1]).mean() < 0.5


def test_a_clip_whose_masks_are_half_white_all_over_is_changed(
    model: Harmonizer, noise: Noise
) -> None:
    frame, half = noise(*SIZE), np.full(SIZE, 0.5, np.float32)
    (found,) = harmonize_video([frame], [half], model)
    np.testing.assert_allclose(found.astype(float), model(frame, half), rtol=0, atol=1)


def test_what_a_program_raises_of_its_masks_is_raised_in_its_turn(
    model: Harmonizer, noise: Noise
) -> None:
    class Lazy(Sequence[Any]):
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: Any) -> Any:
            if index == 4:
                raise OSError("gone")
            return MASK.astype(np.uint8)

    done = harmonize_video([noise(*SIZE)] * 6, Lazy(), model)
    assert len([next(done) for _ in range(4)]) == 4
    with pytest.raises(OSError, match="gone"):
        next(done)


def test_masks_that_are_maps_of_labels_are_refused(model: Harmonizer, noise: Noise) -> None:
    labels = MASK.astype(np.uint8) * 3
    with pytest.raises(InputError, match="looks like a label map"):
        list(harmonize_video([noise(*SIZE)] * 2, [labels] * 2, model))


def test_an_endless_clip_is_drawn_a_window_ahead(model: Harmonizer, noise: Noise) -> None:
    drawn = 0
    frame = noise(*SIZE)

    def camera() -> Iterator[NDArray[np.uint8]]:
        nonlocal drawn
        while True:
            drawn += 1
            yield frame

    results = harmonize_video(camera(), MASK, model, fps=20)
    most = 0
    for index in range(100):
        next(results)
        most = max(most, drawn - index)
    assert most <= 20 + 3 + 2 * 8


def test_mistakes_are_named(model: Harmonizer, noise: Noise) -> None:
    frame = noise(*SIZE)
    wrong: list[tuple[Any, Any, dict[str, Any], str]] = [
        ([frame] * 3, [MASK] * 2, {}, "as many masks"),
        (iter([frame] * 2), iter([MASK] * 3), {}, "as many masks"),
        ([frame] * 2, [MASK, MASK[1:]], {}, "frame 1: .*same size"),
        ([frame / 255], MASK, {}, "frame 0: .*uint8 or uint16; got float64"),
        ([frame[..., 0]], MASK, {}, r"frame 0: .*\(90, 120\)"),
        (None, MASK, {}, "frames are arrays, one after the other; got NoneType"),
        ([frame], MASK, {"fps": 0}, "fps is"),
        ([frame], MASK, {"fps": 10**400}, "fps is"),
        ([frame], MASK, {"fps": 1e-310}, "fps is"),
        ([frame], MASK, {"window": -1}, "the window is"),
        ([frame], MASK, {"window": 1e300}, "the window is"),
        ([frame], MASK, {"window": 10**400}, "the window is"),
        ([frame], MASK, {"cut": 0}, "cut is"),
        ([frame], MASK, {"strength": 2}, "strength"),
    ]
    for frames, masks, options, message in wrong:
        with pytest.raises(InputError, match=message):
            list(harmonize_video(frames, masks, model, **options))


def test_it_runs_without_torch_and_pyav() -> None:
    program(
        """
        from harmonizer.jobs.video import harmonize_video
        frames = [image] * 30
        done = list(harmonize_video(frames, mask))
        assert len(done) == 30 and (done[0] != image).any()
        """,
        begin="""
import sys
for name in ("torch", "huggingface_hub", "httpx", "av"):
    sys.modules[name] = None
import numpy as np
image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
mask = np.zeros((96, 128), bool)
mask[20:70, 30:90] = True
""",
    )
