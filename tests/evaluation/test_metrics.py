"""The metrics against the released evaluation's numbers, direct formulas and each other."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_iharmony4 import made_up
from ssim_formula import similarity

from harmonizer.errors import InputError
from harmonizer.evaluation import fmse, fpsnr, fssim, mse, psnr, ssim

FIXTURE = Path(__file__).parent / "fixtures/released_metrics.npz"


@pytest.fixture(scope="module")
def released() -> Any:
    """Pictures, a mask with halves, and what the released evaluation says of them."""
    return np.load(FIXTURE)


def pair(seed: int = 0, height: int = 36, width: int = 44) -> tuple[Any, Any, Any]:
    """An answer, a real picture and a soft mask."""
    target = made_up(height, width, seed)
    noise = np.random.default_rng(seed).normal(0, 9, target.shape)
    mask = np.linspace(-0.5, 1.5, width).clip(0, 1) * np.ones((height, 1))
    return (target + noise).clip(0, 255).astype(np.float32), target, mask.astype(np.float32)


def test_agrees_with_the_released_evaluation(released: Any) -> None:
    """The released one computes in float32."""
    prediction, target, mask = released["prediction"], released["target"], released["mask"]
    assert mse(prediction, target) == pytest.approx(float(released["mse"]), rel=1e-6)
    assert fmse(prediction, target, mask) == pytest.approx(float(released["fmse"]), rel=1e-6)
    assert psnr(prediction, target) == pytest.approx(float(released["psnr"]), rel=1e-6)


def test_errors_by_hand() -> None:
    target = np.zeros((20, 20, 3), np.uint8)
    target[0, 0] = 200
    prediction = target.astype(np.float32)
    prediction[:10] += 4  # half the picture is off by 4
    mask = np.zeros((20, 20), np.float32)
    mask[5:10] = 0.5
    mask[10:15] = 1  # the foreground: 50 of 150 pixels' weight are off
    assert mse(prediction, target) == pytest.approx(8)
    assert mse(prediction, target, mask=mask) == pytest.approx(16 * 50 / 400)
    assert fmse(prediction, target, mask) == pytest.approx(16 / 3)
    assert psnr(prediction, target) == pytest.approx(10 * np.log10(200**2 / 8))
    assert psnr(prediction, target, peak=255) == pytest.approx(10 * np.log10(255**2 / 8))
    assert psnr(prediction, target, peak=255, mask=mask) == pytest.approx(10 * np.log10(255**2 / 2))
    assert fpsnr(prediction, target, mask) == pytest.approx(10 * np.log10(200**2 * 3 / 16))


def test_a_perfect_answer_is_finite() -> None:
    _, target, mask = pair()
    assert mse(target, target) == fmse(target, target, mask) == 0
    assert np.isfinite(psnr(target, target))
    assert ssim(target, target) == fssim(target, target, mask) == 1


def test_an_empty_mask_has_no_error() -> None:
    prediction, target, mask = pair()
    assert fmse(prediction, target, mask * 0) == 0
    assert fssim(prediction, target, mask * 0) == 1


@pytest.mark.parametrize("seed", [0, 1])
def test_ssim_by_its_formula(seed: int) -> None:
    prediction, target, mask = pair(seed)
    similar = similarity(prediction, target)
    assert ssim(prediction, target) == pytest.approx(similar[5:-5, 5:-5].mean(), abs=2e-6)
    expected = (similar * mask).sum() / mask.sum()
    assert fssim(prediction, target, mask) == pytest.approx(expected, abs=2e-6)


def test_ssim_of_dark_and_bright_flat_pictures() -> None:
    """Where variances vanish, rounding must not show."""
    for level in (0, 3, 250):
        target = np.full((20, 20, 3), level, np.uint8)
        prediction = target + np.float32(2)
        expected = similarity(prediction, target)[5:-5, 5:-5].mean()
        assert ssim(prediction, target) == pytest.approx(expected, abs=1e-5)


def test_what_cannot_be_measured() -> None:
    small = np.zeros((10, 40, 3), np.uint8)
    with pytest.raises(InputError, match="at least 11 x 11; got 40 x 10"):
        ssim(small, small)
    with pytest.raises(InputError, match="peak of PSNR"):
        psnr(small, small)
    for peak in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="peak of PSNR"):
            psnr(small + 9, small, peak=peak)


WITH_MASK = {"mse": lambda p, t, m: mse(p, t, mask=m), "fmse": fmse, "fpsnr": fpsnr, "fssim": fssim}


@pytest.mark.parametrize("name", WITH_MASK)
def test_a_mask_with_one_channel_is_a_mask(name: str) -> None:
    prediction, target, mask = pair(height=40, width=40)
    measure = WITH_MASK[name]
    expected = measure(prediction, target, mask)
    assert measure(prediction, target, mask[..., None]) == expected
    with pytest.raises(InputError, match=r"in \[0, 1\]; got 0 to 255"):
        measure(prediction, target, (mask > 0).astype(np.uint8) * 255)
    for other in (mask[:-1], mask[None], np.repeat(mask[..., None], 3, 2)):
        with pytest.raises(InputError, match=r"the mask must be \(40, 40\)"):
            measure(prediction, target, other)


def all_of(prediction: Any, target: Any, mask: Any) -> dict[str, Any]:
    """Every metric, to be called."""
    without = {one.__name__: partial(one, prediction, target) for one in (mse, psnr, ssim)}
    return without | {
        name: partial(one, prediction, target, mask) for name, one in WITH_MASK.items()
    }


@pytest.mark.parametrize("change", [torch.from_numpy, np.ndarray.tolist, Image.fromarray])
def test_pictures_are_arrays(change: Any) -> None:
    _, target, mask = pair()
    other = change(target)
    for first, second in ((other, target), (target, other)):
        for measure in all_of(first, second, mask).values():
            with pytest.raises(InputError, match=r"must be a numpy array, uint8 or float, .*; got"):
                measure()
    for measure in WITH_MASK.values():
        with pytest.raises(InputError, match=r"the mask must be a numpy array, .*; got"):
            measure(target, target, torch.from_numpy(mask))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.astype(np.uint16) * 257,
        lambda one: one > 0,
        lambda one: one * 1j,
        lambda one: one.astype(object),
        lambda one: one * np.float32("nan"),
        lambda one: one * np.float32("inf"),
        lambda one: -1.0 * one,
        lambda one: one.astype(int) * 257,
        lambda one: np.dstack([one, one[..., 0]]),
        lambda one: one[..., :1],
        lambda one: one[:0],
    ],
)
def test_pictures_are_rgb_from_0_to_255(change: Any) -> None:
    _, target, mask = pair()
    with np.errstate(all="ignore"):
        other = change(target)
    for measure in all_of(other, other, mask[: len(other)]).values():
        with pytest.raises(InputError, match=r"must (be a numpy array|be from|be of one|have)"):
            measure()
    # What comes of arithmetic in them is taken.
    for kind in (int, np.int16, np.float16, np.float64, ">f4"):
        assert mse(target.astype(kind), target) == 0


def test_pictures_of_other_shapes_are_not_broadcast() -> None:
    prediction, target, mask = pair(height=40, width=40)
    for other in (prediction[:1], prediction[..., :1], prediction[..., 0]):
        for one, two in ((other, target), (target, other)):
            for measure in (mse, psnr, ssim):
                with pytest.raises(InputError, match=r"of one shape"):
                    measure(one, two)
            for measure in (fmse, fpsnr, fssim):
                with pytest.raises(InputError, match=r"of one shape"):
                    measure(one, two, mask)
