"""A change of colour on its own: applied, weakened, written as a table, fitted to an answer."""

import copy
import pickle
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from harmonizer.errors import InputError
from harmonizer.lifting import ColorTransform, fit_color_transform

# Warmer, softer, and with a bend in green.
COEFFICIENTS = np.zeros((3, 10))
COEFFICIENTS[:, 0] = 0.05, 0.02, 0.08
COEFFICIENTS[:, 1:4] = np.diag([1.1, 0.8, 0.6]) + 0.03
COEFFICIENTS[1, 4:] = 0.05, 0.1, -0.05, 0.04, 0.0, 0.02
TRANSFORM = ColorTransform(COEFFICIENTS)


def by_hand(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the transform says, term by term; (..., 3) in [0, 1]."""
    r, g, b = np.moveaxis(colours, -1, 0)
    terms = np.stack([np.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b], axis=-1)
    return (terms @ COEFFICIENTS.T).clip(0, 1)


@pytest.fixture
def pixels() -> NDArray[np.float64]:
    return np.random.default_rng(0).random((37, 53, 3))


@pytest.fixture
def mask() -> NDArray[np.float32]:
    plane = np.zeros((37, 53), np.float32)
    plane[5:30, 8:50] = np.random.default_rng(1).random((25, 42))
    plane[10:20, 20:40] = 1
    return plane


@pytest.mark.parametrize(
    ("dtype", "scale", "tolerance"),
    [(np.uint8, 255, 0.51), (np.uint16, 65535, 0.6), (np.float32, 1, 1e-6), (np.float64, 1, 1e-6)],
)
def test_pixels_are_mapped_and_blended(
    pixels: NDArray[Any], mask: NDArray[Any], dtype: Any, scale: float, tolerance: float
) -> None:
    before = (pixels * scale).round() if scale > 1 else pixels
    before = before.astype(dtype)
    after = TRANSFORM.apply(before, mask)
    unit = before.astype(np.float64) / scale
    expected = (unit + mask[..., None] * (by_hand(unit) - unit)) * scale
    assert after.dtype == before.dtype
    assert np.abs(after - expected).max() <= tolerance
    assert np.array_equal(after[mask == 0], before[mask == 0])
    assert not np.array_equal(after, before)


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_get_what_floats_get(
    pixels: NDArray[Any], mask: NDArray[Any], order: str
) -> None:
    """Networks answer with small factors, and smaller ones are none to OpenCV."""
    gentle = np.eye(3, 10, k=1)
    gentle[:, 4:] = np.random.default_rng(2).normal(0, 0.004, (3, 6))
    transform = ColorTransform(gentle)
    before = (pixels * 65535).round().astype(f"{order}u2")
    after = transform.apply(before, mask)
    expected = transform.apply(before / 65535.0, mask) * 65535
    assert after.dtype == before.dtype
    assert np.abs(after - expected).max() < 1
    assert np.abs(expected - before).max() > 100


def test_strength_is_linear_and_0_is_no_change(pixels: NDArray[Any], mask: NDArray[Any]) -> None:
    full = TRANSFORM.apply(pixels, mask)
    for strength in (0.25, 0.5):
        expected = pixels + strength * (full - pixels)
        assert np.abs(TRANSFORM.at(strength).apply(pixels, mask) - expected).max() < 1e-6
    assert np.array_equal(TRANSFORM.at(0).apply(pixels, mask), pixels)


def test_a_cube_holds_the_transform(tmp_path: Path) -> None:
    TRANSFORM.at(0.7).to_cube(tmp_path / "change.cube", size=9)
    lines = (tmp_path / "change.cube").read_text().splitlines()
    assert "LUT_3D_SIZE 9" in lines
    rows = np.array([line.split() for line in lines if line[:1] in "-0123456789"], float)
    steps = np.linspace(0, 1, 9)
    colours = np.array([[r, g, b] for b in steps for g in steps for r in steps])
    expected = colours + 0.7 * (by_hand(colours) - colours)
    assert np.abs(rows - expected).max() < 1e-6


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_ffmpeg_makes_the_same_picture_of_a_cube(tmp_path: Path) -> None:
    picture = cv2.GaussianBlur(
        np.random.default_rng(2).integers(0, 256, (64, 96, 3), np.uint8), (0, 0), 3
    )
    picture = cv2.normalize(picture, np.zeros_like(picture), 0, 255, cv2.NORM_MINMAX)
    Image.fromarray(picture).save(tmp_path / "before.png")
    TRANSFORM.to_cube(tmp_path / "change.cube")
    command = ["ffmpeg", "-loglevel", "error", "-i", "before.png", "-vf", "lut3d=change.cube"]
    subprocess.run([*command, "-pix_fmt", "rgb24", "after.png"], cwd=tmp_path, check=True)
    after = np.asarray(Image.open(tmp_path / "after.png")).astype(int)
    expected = TRANSFORM.apply(picture, np.ones(picture.shape[:2]))
    assert np.abs(after - expected).max() <= 2


@pytest.mark.parametrize("scale", [1, 255, 65535])
def test_a_fit_finds_the_map_that_made_an_answer(scale: int) -> None:
    generator = np.random.default_rng(3)
    low = cv2.GaussianBlur(generator.random((64, 64, 3)).astype(np.float32), (0, 0), 2)
    low = cv2.normalize(low, np.zeros_like(low), 0, 1, cv2.NORM_MINMAX)
    image = cv2.resize(low, (256, 256), interpolation=cv2.INTER_LINEAR)
    mask = np.zeros((256, 256), np.float32)
    mask[40:220, 30:200] = 1
    harmonized = by_hand(low.astype(np.float64)).astype(np.float32)
    dtype = {1: np.float32, 255: np.uint8, 65535: np.uint16}[scale]
    own = (np.rint(image * scale) if scale > 1 else image).astype(dtype)
    found = fit_color_transform(own, mask, low * scale, harmonized * scale)
    expected = by_hand(image.astype(np.float64))
    error = found.apply(image, mask)[mask == 1] - expected[mask == 1]
    assert np.sqrt(np.square(error).mean()) < 0.5 / 255


def test_what_is_wrong_is_said(pixels: NDArray[Any], mask: NDArray[Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="strength is a number from 0"):
        TRANSFORM.at(1.5)
    for size in (1, 130, 33.5, "33", None):
        with pytest.raises(InputError, match="whole number from 2 to 129"):
            TRANSFORM.to_cube(tmp_path / "change.cube", size=cast(int, size))
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="the path of a table of colours is empty"):
        TRANSFORM.to_cube("")
    with pytest.raises(InputError, match="height and width"):
        TRANSFORM.apply(pixels, mask[1:])
    with pytest.raises(InputError, match="floating point"):
        TRANSFORM.apply(pixels * 255, mask)
    for value in (np.nan, np.inf):
        with pytest.raises(InputError, match="finite numbers"):
            ColorTransform(np.full((3, 10), value))
    masked = np.ma.masked_less(COEFFICIENTS, 0)
    for odd in (masked, COEFFICIENTS.astype(complex), COEFFICIENTS.astype(str)):
        with pytest.raises(InputError, match="finite numbers"):
            ColorTransform(odd)


@pytest.mark.parametrize(
    "like",
    [np.asmatrix, np.ma.asarray, np.asfortranarray, lambda a: a.astype(">f4"), lambda a: a * 0 + 1],
)
def test_any_array_of_numbers_becomes_a_plain_one(
    like: Any, pixels: NDArray[Any], mask: NDArray[Any], tmp_path: Path
) -> None:
    given = like(COEFFICIENTS)
    made = ColorTransform(given)
    assert type(made.coefficients) is np.ndarray
    assert made.coefficients.dtype == np.float64
    assert np.array_equal(made.coefficients, np.asarray(given))
    made.apply(pixels, mask)
    made.to_cube(tmp_path / "change.cube", size=np.int64(3))


def test_nobody_changes_a_transform_afterwards() -> None:
    given = COEFFICIENTS.copy()
    transform = ColorTransform(given, 0.5)
    given[:] = np.nan
    copies = [transform.at(1), copy.copy(transform), copy.deepcopy(transform)]
    copies.append(pickle.loads(pickle.dumps(transform)))  # noqa: S301 - our own
    for one in (transform, *copies):
        assert np.array_equal(one.coefficients, COEFFICIENTS)
        with pytest.raises(ValueError, match="read-only"):
            one.coefficients[0, 0] = np.nan
    assert [one.strength for one in copies] == [1, 0.5, 0.5, 0.5]
