"""What lifting promises: nothing lost, nothing added, whatever the picture."""

import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.lifting import LIFTING_METHODS, LiftingMethod, full_resolution, lift

SCALES = {"uint8": 255, "uint16": 65535, "float16": 1, "float32": 1, "float64": 1}
FITTING = [method for method in LIFTING_METHODS if method != "resize"]


def textured(
    height: int, width: int, seed: int = 0, low: float = 0.15, high: float = 0.85
) -> NDArray[Any]:
    """A float32 picture with detail at every scale."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for octave in range(1, 9):
        cells = rng.normal(0, 1 / octave, (2**octave, 2**octave, 3)).astype(np.float32)
        picture += cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)
    picture -= picture.min()
    return low + (high - low) * picture / picture.max()


def ellipse(height: int, width: int, size: float = 0.3) -> NDArray[Any]:
    mask = np.zeros((height, width), np.float32)
    axes = (max(1, int(width * size)), max(1, int(height * size)))
    return cv2.ellipse(mask, (width // 2, height // 2), axes, 0, 0, 360, 1.0, -1)


def as_dtype(picture: NDArray[Any], dtype: str) -> NDArray[Any]:
    scaled = picture * SCALES[dtype]
    return (np.rint(scaled) if dtype.startswith("u") else scaled).astype(dtype)


def low_res(image: NDArray[Any], interpolation: int = cv2.INTER_LINEAR) -> NDArray[Any]:
    return cv2.resize(image.astype(np.float32), (256, 256), interpolation=interpolation)


def warmer(picture: NDArray[Any]) -> NDArray[Any]:
    """An affine change of colour that stays within [0, 1] on textured pictures."""
    return picture * np.float32([0.95, 0.9, 0.8]) + np.float32([0.06, 0.03, 0.0])


def greys(a: NDArray[Any], b: NDArray[Any]) -> float:
    """The largest difference in grey levels of 255."""
    return float(np.abs(a.astype(np.float64) - b).max()) * 255 / SCALES[a.dtype.name]


@pytest.mark.parametrize("method", LIFTING_METHODS)
@pytest.mark.parametrize("dtype", SCALES)
def test_dtype_and_shape_stay_and_the_background_is_bit_for_bit(
    method: LiftingMethod, dtype: str
) -> None:
    image = as_dtype(textured(300, 421), dtype)
    mask = ellipse(300, 421)
    low = low_res(image)
    before = image.copy()
    out = lift(image, mask, low, warmer(low), method=method)
    assert (out.dtype, out.shape) == (image.dtype, image.shape)
    assert np.array_equal(out[mask == 0], image[mask == 0])
    assert not np.array_equal(out[mask == 1], image[mask == 1])
    assert np.array_equal(image, before)


@pytest.mark.parametrize("method", FITTING)
@pytest.mark.parametrize("dtype", SCALES)
def test_an_answer_that_changes_nothing_gives_the_image_back(
    method: LiftingMethod, dtype: str
) -> None:
    image = as_dtype(textured(500, 400), dtype)
    low = low_res(image)
    out = lift(image, ellipse(500, 400), low, low, method=method)
    if dtype.startswith("u"):
        assert np.array_equal(out, image)
    else:
        assert greys(out, image) < 0.2 if dtype == "float16" else greys(out, image) < 1e-3


@pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_AREA])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_an_affine_change_is_recovered(dtype: str, interpolation: int) -> None:
    picture = textured(900, 700)
    image, mask = as_dtype(picture, dtype), ellipse(900, 700)
    wanted = np.where(mask[..., None] > 0, warmer(picture), picture)
    low = low_res(image, interpolation)
    answer = low_res(as_dtype(wanted, dtype), interpolation)
    out = lift(image, mask, low, answer)
    assert greys(out, as_dtype(wanted, dtype)) <= 1.01


def test_a_bent_change_of_colour_reaches_detail_that_the_answer_never_showed() -> None:
    """Stripes of one pixel: what the answer says of their colours is in the curve alone."""
    columns = np.arange(512)
    picture = textured(512, 512, low=0.35, high=0.65)
    stripes = picture + np.array([-0.3, 0, 0.3, 0], np.float32)[columns % 4][None, :, None]
    mask = ellipse(512, 512)
    low = np.empty((256, 256, 3), np.float32)
    for row in range(4):  # each row of the answer shows the stripes of one level
        low[row::4] = stripes[2 * row :: 8][:, columns[::2] // 4 * 4 + row]
    out = lift(stripes, mask, low, low**2)
    change = (stripes**2 - stripes)[mask == 1]
    error = (out - stripes)[mask == 1] - change
    assert np.sqrt(np.square(error).mean()) < 0.02 * np.sqrt(np.square(change).mean())


def test_a_noisy_answer_is_lifted_far_better_than_by_stretching_the_difference() -> None:
    image = as_dtype(textured(800, 800), "uint8")
    mask = ellipse(800, 800)
    low = low_res(image)
    noise = np.random.default_rng(1).normal(0, 6, low.shape).astype(np.float32)
    answer = cv2.GaussianBlur(low * 0.8 + 20, (0, 0), 0.6) + noise
    wanted = image[mask > 0] * 0.8 + 20

    def error(method: str) -> float:
        return float(
            np.square(lift(image, mask, low, answer, method=method)[mask > 0] - wanted).mean()
        )

    assert error("fitted") < 2
    assert error("fitted") < 0.1 * error("residual")


def test_a_soft_mask_blends_linearly() -> None:
    image = as_dtype(textured(400, 400), "float32")
    mask = cv2.GaussianBlur(ellipse(400, 400), (0, 0), 12)
    low = low_res(image)
    answer = low + 0.1
    out = lift(image, mask, low, answer)
    assert np.abs(out - (image + 0.1 * mask[..., None])).max() < 2e-3


@pytest.mark.parametrize("method", FITTING)
def test_a_hard_edge_has_no_rim(method: LiftingMethod) -> None:
    """A dark object on light grey: the correction at its rim is that of its middle."""
    mask = ellipse(1000, 1000)
    picture = np.where(mask[..., None] > 0, np.float32(0.3), np.float32(0.95)).repeat(3, axis=2)
    picture += np.random.default_rng(0).normal(0, 0.01, picture.shape).astype(np.float32)
    wanted = np.where(mask[..., None] > 0, picture + 0.2, picture)
    out = lift(picture, mask, low_res(picture), low_res(wanted), method=method)
    inside = mask > 0
    assert np.abs(out - np.clip(wanted, 0, 1))[inside].max() * 255 < 2  # of a change of 51


def test_a_gradient_gets_no_bands() -> None:
    """16 bits: the lifted gradient rises as evenly as the one that went in."""
    line = np.linspace(0.2, 0.8, 3000)
    picture = np.repeat(np.tile(line, (64, 1))[..., None], 3, axis=2)
    image = as_dtype(picture, "uint16")
    low = low_res(image)
    field = np.linspace(0, 0.1, 256, dtype=np.float32)[None, :, None] * 65535
    out = lift(image, np.ones((64, 3000), np.float32), low, low * np.float32(0.8) + field)
    steps = np.diff(out[32, 30:-30, 0].astype(np.int64))
    expected = 65535 * (0.6 * 0.8 + 0.1) / 2999
    assert np.abs(steps - expected).max() <= 2


def test_sixteen_bits_are_not_squeezed_through_eight() -> None:
    image = as_dtype(textured(300, 300), "uint16")
    low = low_res(image)
    out = lift(image, np.ones((300, 300), np.float32), low, low * 0.9)
    assert np.abs(out - np.rint(image * 0.9)).max() <= 12  # of 65535
    assert len(np.unique(out)) > 5000


@pytest.mark.parametrize("method", LIFTING_METHODS)
def test_the_size_of_the_pieces_does_not_show(
    method: LiftingMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = as_dtype(textured(333, 777), "uint16")
    mask = ellipse(333, 777, 0.45)
    low = low_res(image)
    answer = warmer(low) + 2000 * np.float32(textured(256, 256, 5))
    whole = lift(image, mask, low, answer, method=method)
    monkeypatch.setattr(full_resolution, "_TILE_WIDTH", 100)
    monkeypatch.setattr(full_resolution, "PIECE_PIXELS", 700)
    pieces = lift(image, mask, low, answer, method=method)
    assert np.abs(whole.astype(np.int64) - pieces).max() <= 1  # of 65535


@pytest.mark.parametrize("method", LIFTING_METHODS)
@pytest.mark.parametrize("axis", [0, 1])
def test_the_flipped_picture_gives_the_flipped_answer(method: LiftingMethod, axis: int) -> None:
    image = as_dtype(textured(420, 512), "uint8")
    mask = ellipse(420, 512, 0.2)
    low = low_res(image)
    answer = warmer(low) + 10 * textured(256, 256, 7)
    out = lift(image, mask, low, answer, method=method)
    flipped = lift(*(np.flip(a, axis) for a in (image, mask, low, answer)), method=method)
    assert greys(out, np.flip(flipped, axis)) <= 1


def mask_of_one_pixel(shape: tuple[int, int]) -> NDArray[np.float32]:
    mask = np.zeros(shape, np.float32)
    mask[shape[0] // 3, shape[1] // 3] = 1
    return mask


MASKS: dict[str, Callable[[tuple[int, int]], NDArray[Any]]] = {
    "empty": lambda shape: np.zeros(shape, np.float32),
    "one pixel": mask_of_one_pixel,
    "full": lambda shape: np.ones(shape, np.float32),
    "faint": lambda shape: np.full(shape, 1e-4, np.float32),
    "next to nothing": lambda shape: np.full(shape, 1e-36, np.float32),
    "below 0 by rounding": lambda shape: np.full(shape, -5e-4, np.float32),
    "one row": lambda shape: np.eye(shape[0], 1, -7, dtype=np.float32).repeat(shape[1], 1),
    "bool": lambda shape: ellipse(*shape) > 0,
    "uint8": lambda shape: (ellipse(*shape) > 0).astype(np.uint8),
}


@pytest.mark.parametrize("method", FITTING)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("shape", [(1500, 1500), (30, 40)])
def test_any_mask_gets_the_correction(
    method: LiftingMethod, mask: str, shape: tuple[int, int]
) -> None:
    image = as_dtype(textured(*shape), "uint8")
    soft = MASKS[mask](shape)
    low = low_res(image)
    out = lift(image, soft, low, low + 20, method=method)
    wanted = image + 20 * soft.astype(np.float32)[..., None]
    assert greys(out, wanted) <= 1


@pytest.mark.parametrize("shape", [(10, 30000), (30000, 10), (1, 1), (2, 300), (256, 256)])
def test_any_shape_gets_the_correction(shape: tuple[int, int]) -> None:
    image = as_dtype(textured(*shape) if min(shape) > 1 else np.full((*shape, 3), 0.5), "uint8")
    low = low_res(image)
    out = lift(image, np.ones(shape, np.float32), low, low + 20)
    assert greys(out, image + 20.0) <= 1


@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_colour_and_saturation(level: int) -> None:
    """With no colours to tell apart there is only an offset to find, and detail is not blown up."""
    image = np.full((600, 600, 3), level, np.uint8)
    mask = ellipse(600, 600)
    image[300, 300] = 255 - level  # a detail that the low-resolution image does not show
    low = low_res(np.full_like(image, level))
    wanted = min(level + 20, 255)
    out = lift(image, mask, low, np.full_like(low, wanted))
    plain = (mask > 0) & (image[..., 0] == level)
    assert np.abs(out[plain].astype(int) - wanted).max() <= 1
    assert (
        np.abs(out[300, 300].astype(int) - np.clip(255 - level + wanted - level, 0, 255)).max()
        <= 30
    )


def test_colours_outside_the_fitted_range_stay_in_order() -> None:
    """Beyond what was seen the change goes on straight: brighter stays brighter."""
    image = as_dtype(textured(512, 512, low=0.4, high=0.6), "float32")
    low = low_res(image)
    ramp = np.linspace(0, 1, 256, dtype=np.float32)
    image[100, 100:356] = ramp[:, None]
    out = lift(image, np.ones((512, 512), np.float32), low, low**1.5)
    assert np.diff(out[100, 100:356, 1]).min() > -0.01


def test_rare_colours_do_not_run_away_with_the_cubic() -> None:
    """Every corner of the colour cube, at full resolution only, under a noisy and curved answer."""
    image = as_dtype(textured(512, 512, low=0.3, high=0.7), "float32")
    low = low_res(image)
    corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), axis=-1).reshape(8, 3)
    image[100, 100:108] = corners
    noise = np.random.default_rng(0).normal(0, 0.03, low.shape).astype(np.float32)
    change = lift(image, np.ones((512, 512), np.float32), low, low**1.3 + noise) - image
    assert np.abs(change[100, 100:108]).max() < 2.5 * np.abs(low**1.3 - low).max()


def test_objects_apart_keep_their_own_corrections() -> None:
    image = as_dtype(textured(800, 800), "uint8")
    mask = np.zeros((800, 800), np.float32)
    mask[100:350, 100:350] = mask[450:700, 450:700] = 1
    low = low_res(image)
    sign = np.where(np.arange(256) < 128, 1, -1).astype(np.float32)[:, None, None]
    out = lift(image, mask, low, low + 20 * sign)
    for piece, change in ((np.s_[120:330, 120:330], 20), (np.s_[470:680, 470:680], -20)):
        assert np.abs(out[piece].astype(float) - image[piece] - change).mean() < 2


@pytest.mark.parametrize("method", LIFTING_METHODS)
def test_answers_beyond_the_range_are_clipped(method: LiftingMethod) -> None:
    image = as_dtype(textured(300, 300), "uint8")
    low = low_res(image)
    mask = np.ones((300, 300), np.float32)
    assert lift(image, mask, low, low + 400, method=method).min() == 255
    assert lift(image, mask, low, low - 400, method=method).max() == 0


def test_views_and_read_only_arrays_are_taken_as_they_are() -> None:
    image = as_dtype(textured(400, 600), "uint8")
    mask = ellipse(400, 600)
    low = low_res(image)
    wanted = lift(image, mask, low, warmer(low))
    planes = np.moveaxis(np.ascontiguousarray(np.moveaxis(image, 2, 0)), 0, 2)
    arrays = (planes, np.asfortranarray(mask), low[::-1].copy()[::-1], warmer(low))
    for array in arrays:
        array.flags.writeable = False
    assert np.array_equal(lift(*arrays), wanted)


def test_many_threads_get_the_same_answer() -> None:
    image = as_dtype(textured(400, 600), "uint8")
    low = low_res(image)
    arguments = (image, ellipse(400, 600), low, warmer(low))
    wanted = lift(*arguments)
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(lift, *arguments) for _ in range(8)]
    assert all(np.array_equal(result.result(), wanted) for result in results)


def test_memory_beyond_the_output_does_not_grow_with_the_picture() -> None:
    image = np.full((3000, 4000, 3), 100, np.uint8)
    mask = np.ones((3000, 4000), np.float32)
    low = low_res(image[::8, ::8])
    tracemalloc.start()
    lift(image, mask, low, low + 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - image.nbytes < 64e6


IMAGE = np.zeros((20, 30, 3), np.uint8)
MASK = np.ones((20, 30), np.float32)
LOW = np.zeros((8, 8, 3), np.float32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGE[..., 0], MASK, LOW, LOW), "image must be height x width x 3"),
        ((IMAGE[:0], MASK[:0], LOW, LOW), "not empty"),
        ((IMAGE.astype(np.int32), MASK, LOW, LOW), "uint8, uint16 or floating"),
        ((IMAGE, MASK.T, LOW, LOW), "mask must have the image's height and width"),
        ((IMAGE, MASK * 255, LOW, LOW), r"mask must lie in \[0, 1\]"),
        ((IMAGE, MASK * np.nan, LOW, LOW), r"mask must lie in \[0, 1\]"),
        ((IMAGE, MASK, LOW, LOW[:4]), "one shape"),
        ((IMAGE, MASK, LOW[..., :1], LOW), "low_res_image must be"),
        ((IMAGE, MASK, LOW, LOW + np.nan), "low_res_harmonized must be finite"),
        ((IMAGE, MASK, LOW + np.inf, LOW), "low_res_image must be finite"),
    ],
)
def test_bad_arrays_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lift(*arguments)


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="fitted, residual, resize"):
        lift(IMAGE, MASK, LOW, LOW, method="cubic")  # pyright: ignore[reportArgumentType]


def test_a_wrong_border_of_the_answer_leaves_no_frame() -> None:
    """Networks pad with zeros, so their outermost pixels are off; the picture must not show it."""
    generator = np.random.default_rng(0)
    small = cv2.resize(generator.integers(60, 180, (8, 8, 3), np.uint8), (256, 256))
    image = cv2.resize(small, (700, 700))
    low = cv2.resize(image, (256, 256)).astype(np.float32)
    mask = np.zeros((700, 700), np.float32)
    mask[:, 350:] = 1  # touches three sides
    answer = low - 30
    answer[0] = low[0]
    answer[:, -1] = low[:, -1] - 10
    change = lift(image, mask, low, answer).astype(int) - image
    assert np.abs(change[:, 350:] + 30).max() <= 2


def test_a_float_picture_beyond_its_range_is_refused() -> None:
    image = np.full((20, 30, 3), 0.5, np.float32)
    for wrong in (200.0, -0.1, np.nan, np.inf):
        image[3, 4, 1] = wrong
        with pytest.raises(InputError, match=r"floating point image must lie in \[0, 1\]"):
            lift(image, MASK, LOW, LOW)
    image[3, 4, 1] = 1.0005  # rounding
    assert np.isfinite(lift(image, MASK, LOW, LOW)).all()


@pytest.mark.parametrize("dtype", [complex, object, "U1"])
def test_arrays_that_hold_no_real_numbers_are_refused(dtype: Any) -> None:
    with pytest.raises(InputError, match="real numbers"):
        lift(IMAGE, MASK.astype(dtype), LOW, LOW)
    with pytest.raises(InputError, match="real numbers"):
        lift(IMAGE, MASK, LOW, LOW.astype(dtype))


def test_only_arrays_are_lifted() -> None:
    plane = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="mask must be a numpy array; got a list"):
        lift(plane, plane[..., 0].tolist(), plane, plane)
