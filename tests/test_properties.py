"""What holds of every picture, and what holds of the pure functions, by drawing many.

The drawn examples are the same in every run (`derandomize`), and few.
"""

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from helpers import EXAMPLES, box_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from harmonizer import Harmonizer, compose
from harmonizer.errors import InputError
from harmonizer.evaluation import fmse, fpsnr, fssim, mse, psnr, ssim
from harmonizer.imaging.image import open_image
from harmonizer.imaging.mask import open_mask
from harmonizer.lifting import LIFTING_METHODS, LiftingMethod, lift

DTYPES = ("uint8", "uint16", "float16", "float32", "float64")
FULL = {"uint8": 255, "uint16": 65535}


@st.composite
def pictures(draw: st.DrawFn, dtypes: tuple[str, ...] = DTYPES, most: int = 40) -> Any:
    """A picture of any dtype and of any size up to `most`; noise between two levels."""
    height, width = draw(st.integers(1, most)), draw(st.integers(1, most))
    dtype = draw(st.sampled_from(dtypes))
    low, high = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = generator.uniform(low, high, (height, width, 3)) * FULL.get(dtype, 1)
    return (np.rint(values) if dtype in FULL else values).astype(dtype)


@st.composite
def masks(draw: st.DrawFn, height: int, width: int) -> Any:
    """Empty, full, a box or noise; hard or soft."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    match draw(st.sampled_from(["empty", "full", "box", "hard", "soft"])):
        case "empty":
            return np.zeros((height, width), np.float32)
        case "full":
            return np.ones((height, width), np.float32)
        case "box":
            return box_mask(height, width).astype(np.float32)
        case "hard":
            return (generator.random((height, width)) < 0.5).astype(np.float32)
        case _:
            soft = generator.uniform(-0.3, 1.3, (height, width)).clip(0, 1)
            return soft.astype(np.float32)


def bits(array: Any) -> bytes:
    return np.ascontiguousarray(array).tobytes()


# --- lifting --------------------------------------------------------------------------------------


@given(st.data(), pictures(), st.sampled_from(LIFTING_METHODS))
def test_lifting_keeps_the_background_and_its_range(
    data: st.DataObject, image: Any, method: LiftingMethod
) -> None:
    mask = data.draw(masks(*image.shape[:2]))
    side = data.draw(st.sampled_from([(1, 1), (3, 8), (32, 32)]))
    full = FULL.get(image.dtype.name, 1)
    seed = data.draw(st.integers(0, 2**32))
    low = cv2.resize(image.astype(np.float32), side[::-1]).reshape(*side, 3)
    # Answers of any kind, also far out of range.
    answer = low + full * np.random.default_rng(seed).normal(0, 0.5, low.shape).astype(np.float32)
    before = image.copy()
    out = lift(image, mask, low, answer, method=method)
    assert (out.shape, out.dtype) == (image.shape, image.dtype)
    assert bits(out[mask == 0]) == bits(before[mask == 0])
    assert np.isfinite(out).all()
    assert out.min() >= 0
    assert out.max() <= full
    assert bits(image) == bits(before)
    assert bits(lift(image, mask, low, answer, method=method)) == bits(out)


@given(st.data(), pictures(most=64), st.sampled_from([0, 1]))
def test_the_flipped_picture_is_the_picture_flipped(
    data: st.DataObject, image: Any, axis: int
) -> None:
    """To within a grey level, given the same low-resolution answer."""
    mask = data.draw(masks(*image.shape[:2]))
    low = cv2.resize(image.astype(np.float32), (32, 32))
    full = FULL.get(image.dtype.name, 1)
    answer = np.clip(low * np.float32(0.8) + np.float32(0.1 * full), 0, full)
    out = lift(image, mask, low, answer)
    turned = lift(*(np.flip(one, axis) for one in (image, mask, low, answer)))
    assert np.abs(out.astype(float) - np.flip(turned, axis)).max() * 255 / full <= 1


@given(pictures(dtypes=("float32", "float64")), st.floats(allow_nan=True), st.data())
def test_lifting_takes_no_float_out_of_range(image: Any, value: float, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, image.size - 1))
    with np.errstate(over="ignore"):
        image.flat[place] = value
    low = np.full((4, 4, 3), 0.5, np.float32)
    mask = np.ones(image.shape[:2], np.float32)
    if -1e-3 <= image.flat[place] <= 1 + 1e-3:
        assert np.isfinite(lift(image, mask, low, low)).all()
    else:
        with pytest.raises(InputError):
            lift(image, mask, low, low)


# --- what users hand over -------------------------------------------------------------------------


@given(pictures(), st.sampled_from(["array", "grey", "alpha", "tensor", "strided"]), st.data())
def test_an_image_that_is_not_changed_comes_back_bit_for_bit(
    pixels: Any, kind: str, data: st.DataObject
) -> None:
    if kind == "tensor" and pixels.dtype == np.uint16:
        kind = "array"
    match kind:
        case "grey":
            image = pixels[..., 0]
        case "alpha":
            image = np.dstack([pixels, pixels[..., 1]])
        case "tensor":
            image = torch.from_numpy(pixels).permute(2, 0, 1)
        case "strided":
            image = pixels[::-1, ::-1]
        case _:
            image = pixels
    picture = open_image(image)
    mask = data.draw(masks(*picture.size))
    assert picture.pixels.shape == (*pixels.shape[:2], 3)
    assert bits(picture.restore(picture.pixels, np.zeros_like(mask))) == bits(image)
    result = picture.restore(picture.pixels, mask)
    assert type(result) is type(image)
    assert (result.shape, result.dtype) == (image.shape, image.dtype)
    if pixels.dtype.kind == "u" and kind != "grey":
        assert bits(result) == bits(image)  # RGB is what it is stored as


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30), st.just(3))))
@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_a_picture_of_any_mode_keeps_its_background(mode: str, pixels: Any) -> None:
    image = Image.fromarray(pixels).convert(mode)
    picture = open_image(image)
    mask = np.zeros(picture.size, np.float32)
    mask[::2] = 0.5
    result = picture.restore(255 - picture.pixels, mask)
    assert (result.mode, result.size) == (image.mode, image.size)
    assert bits(np.asarray(result)[1::2]) == bits(np.asarray(image)[1::2])


@given(st.data(), st.integers(1, 30), st.integers(1, 30))
def test_a_mask_means_the_same_in_every_kind(data: st.DataObject, height: int, width: int) -> None:
    hard = data.draw(masks(height, width)) > 0.5
    expected = hard.astype(np.float32)
    grey = hard.astype(np.uint8) * 255
    kinds = [hard, grey, hard.astype(np.uint8), grey.astype(np.uint16) * 257, expected]
    kinds += [Image.fromarray(grey), torch.from_numpy(grey), np.dstack([grey] * 3)]
    for mask in kinds:
        assert np.array_equal(open_mask(mask, (height, width)), expected)


@given(hnp.arrays(np.float64, (3, 4), elements=st.floats(allow_nan=True, width=64)))
def test_a_mask_is_in_range_or_refused(values: Any) -> None:
    try:
        plane = open_mask(values, (3, 4))
    except InputError:
        assert not ((values >= 0) & (values <= 1)).all()
    else:
        assert np.isfinite(plane).all()
        assert plane.min() >= 0
        assert plane.max() <= 1


# --- metrics --------------------------------------------------------------------------------------


@given(st.data(), pictures(dtypes=("uint8",), most=30))
def test_metrics_agree_with_each_other_and_with_their_bounds(
    data: st.DataObject, target: Any
) -> None:
    height, width = target.shape[:2]
    mask = data.draw(masks(height, width))
    seed = data.draw(st.integers(0, 2**32))
    noise = np.random.default_rng(seed).normal(0, 20, target.shape)
    answer = (target + noise).clip(0, 255).astype(np.float32)
    error = mse(answer, target)
    assert error == pytest.approx(mse(target, answer))
    assert 0 <= error <= 255**2
    assert mse(target, target) == fmse(target, target, mask) == 0
    inside, outside = mse(answer, target, mask=mask), mse(answer, target, mask=1 - mask)
    assert inside + outside == pytest.approx(error, rel=1e-5, abs=1e-6)
    everywhere = np.ones((height, width), np.float32)
    assert fmse(answer, target, everywhere) == pytest.approx(error, rel=1e-5)
    assert psnr(answer, target, peak=255) <= psnr(target, target, peak=255)
    assert np.isfinite(fpsnr(answer, target, mask, peak=255))
    if min(height, width) >= 11:
        assert ssim(target, target) == pytest.approx(1, abs=1e-6)
        assert -1 <= ssim(answer, target) <= 1
        assert -1 <= fssim(answer, target, mask) <= 1 + 1e-6
    else:
        with pytest.raises(InputError, match="SSIM needs"):
            ssim(answer, target)


@given(st.data(), pictures(dtypes=("uint8", "uint16", "float32")), st.floats(0.1, 3))
def test_pasting_changes_nothing_outside_its_mask(
    data: st.DataObject, background: Any, scale: float
) -> None:
    cutout = data.draw(hnp.arrays(np.uint8, (5, 7, 4)))
    x, y = data.draw(st.integers(-9, 40)), data.draw(st.integers(-9, 40))
    height, width = (max(1, round(side * scale)) for side in cutout.shape[:2])
    rows, columns = background.shape[:2]
    if not (-height < y < rows and -width < x < columns):
        with pytest.raises(InputError, match="nothing of the cut-out"):
            compose(cutout, background, (x, y), scale)
        return
    composite, mask = compose(cutout, background, (x, y), scale)
    assert (composite.shape, composite.dtype) == (background.shape, background.dtype)
    assert bits(composite[mask == 0]) == bits(background[mask == 0])
    assert mask.min() >= 0
    assert mask.max() <= 1


# --- the whole way --------------------------------------------------------------------------------


@settings(max_examples=10)
@given(data=st.data(), image=pictures(most=80), strength=st.floats(0, 1))
def test_a_harmonized_picture_keeps_its_background_and_its_range(
    model: Harmonizer, data: st.DataObject, image: Any, strength: float
) -> None:
    mask = data.draw(masks(*image.shape[:2]).filter(lambda one: one.any() and one.min() < 1))
    result = model(image, mask, strength=strength)
    assert (result.shape, result.dtype) == (image.shape, image.dtype)
    assert bits(result[mask == 0]) == bits(image[mask == 0])
    assert np.isfinite(result).all()
    assert result.min() >= 0
    assert result.max() <= FULL.get(image.dtype.name, 1)
    assert bits(model(image, mask, strength=strength)) == bits(result)


def examples(count: int) -> list[tuple[Any, Any]]:
    """Parts of the example composite, of different sizes."""
    composite = np.asarray(Image.open(EXAMPLES / "composite.png"))
    mask = np.asarray(Image.open(EXAMPLES / "mask.png"))
    parts: list[tuple[Any, Any]] = []
    for number in range(count):
        rows, columns = slice(10 * number, None), slice(None, 640 - 17 * number)
        parts.append((composite[rows, columns], mask[rows, columns]))
    return parts


def test_harmonizing_twice_changes_less_than_once(model: Harmonizer) -> None:
    """Of composites; a picture that already fits changes little either time."""
    for image, mask in examples(3):
        once = model(image, mask)
        twice = model(once, mask)
        selected = mask > 127
        first = np.abs(once.astype(float) - image)[selected].mean()
        second = np.abs(twice.astype(float) - once)[selected].mean()
        assert first > 0.5, "the picture came back as it was"
        assert second < first
