"""Masks of every kind that tools write, and refusals of what is ambiguous."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import box_mask
from numpy.typing import NDArray
from PIL import Image

from harmonizer.errors import InputError
from harmonizer.imaging.mask import open_mask, warn_if_nothing_to_do

SIZE = (40, 60)
MASK = box_mask(*SIZE)
U8 = MASK.astype(np.uint8) * 255


def palette_mask() -> Image.Image:
    """A label map as segmentation data sets store it: index 1 is dark red."""
    mask = Image.frombytes("P", SIZE[::-1], MASK.astype(np.uint8).tobytes())
    mask.putpalette([0, 0, 0, 128, 0, 0])
    return mask


def inverted_palette_mask() -> Image.Image:
    """A mask that a drawing program saved with two colours, white first."""
    mask = Image.frombytes("P", SIZE[::-1], (~MASK).astype(np.uint8).tobytes())
    mask.putpalette([255, 255, 255, 0, 0, 0])
    return mask


def small_object(colour: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[5:9, 5:9] = colour
    return mask


def nearly_grey() -> np.ndarray[Any, Any]:
    """A mask saved as RGB whose edges have picked up a little colour."""
    mask = np.stack([U8] * 3, axis=2)
    mask[10, 15:45] = (200, 180, 190)
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        MASK,
        MASK[..., None],
        MASK.astype(np.uint8),
        MASK.astype(np.int64),
        U8,
        U8.astype(">i4"),
        U8[..., None],
        MASK.astype(np.uint16) * 65535,
        MASK.astype(np.uint16) * 255,
        MASK.astype(np.float32),
        MASK.astype(np.float16),
        MASK.astype(np.float64) * 255,
        MASK[::-1][::-1],
        np.asfortranarray(U8),
        np.stack([U8] * 3, axis=2),
        np.stack([MASK.astype(np.uint8)] * 3, axis=2),
        np.stack([MASK] * 3, axis=2).astype(">f4"),
        np.stack([MASK] * 3, axis=2).astype(">u2"),
        np.dstack([U8, U8, U8, np.full_like(U8, 255)]),
        torch.from_numpy(MASK),
        torch.from_numpy(MASK)[None],
        torch.from_numpy(U8),
        torch.from_numpy(MASK.astype(np.float32)).bfloat16(),
        torch.from_numpy(MASK.astype(np.float32)).requires_grad_(),
        Image.fromarray(U8),
        Image.fromarray(MASK),
        Image.fromarray(U8).convert("RGB"),
        Image.fromarray(U8).convert("RGBA"),
        Image.fromarray(U8).convert("LA"),
        Image.fromarray(U8).convert("CMYK"),
        Image.fromarray(U8).convert("P"),
        Image.fromarray(MASK.astype(np.uint8)),
        Image.fromarray(U8.astype(np.int32)),
        Image.fromarray(MASK.astype(np.uint16) * 65535),
        Image.fromarray(MASK.astype(np.float32)),
        palette_mask(),
        inverted_palette_mask(),
    ],
)
def test_every_kind_of_hard_mask_means_the_same(mask: Any) -> None:
    plane = open_mask(mask, SIZE)
    assert plane.dtype == np.float32
    assert np.array_equal(plane, MASK)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "gif", "webp"])
def test_mask_files(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"mask.{ending}"
    Image.fromarray(U8).save(path, **({"lossless": True} if ending == "webp" else {}))
    assert np.array_equal(open_mask(path, SIZE), MASK)
    assert np.array_equal(open_mask(path.read_bytes(), SIZE), MASK)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_sixteen_bit_masks_are_not_clipped_to_white(dtype: type, tmp_path: Path) -> None:
    full = np.iinfo(dtype).max
    soft = (np.linspace(0, 1, SIZE[0] * SIZE[1]).reshape(SIZE) * full).astype(dtype)
    Image.fromarray(soft).save(tmp_path / "mask.png")
    assert np.allclose(open_mask(tmp_path / "mask.png", SIZE), soft / full, atol=1e-6)


def test_soft_values_are_kept() -> None:
    soft = np.linspace(0, 1, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    assert np.array_equal(open_mask(soft, SIZE), soft)
    assert np.allclose(open_mask((soft * 255).astype(np.uint8), SIZE), soft, atol=1 / 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, ">u2"])
def test_colour_is_seen_wherever_it_is(dtype: Any) -> None:
    mask = np.zeros((200, 60, 3), dtype)
    mask[190:, :, 2] = 200
    with pytest.raises(InputError, match="looks like a picture"):
        open_mask(mask, (200, 60))
    mask[190:] = 255
    assert np.array_equal(open_mask(mask, (200, 60)), mask[..., 0] / 255)


@pytest.mark.parametrize("channel", range(3))
@pytest.mark.parametrize("value", [np.nan, -np.inf, np.inf])
def test_what_is_no_number_is_seen_in_each_channel(channel: int, value: float) -> None:
    mask = np.repeat(MASK.astype(np.float32)[..., None], 3, axis=2)
    mask[0, 0, channel] = value
    with pytest.raises(InputError, match="NaN or infinite"):
        open_mask(mask, SIZE)


def test_nearly_grey_channels_count_as_one() -> None:
    plane = open_mask(nearly_grey(), SIZE)
    assert np.array_equal(plane > 0.5, MASK)


def seen_through(plane: NDArray[np.uint8]) -> Image.Image:
    """A mask whose alpha channel says something of its own."""
    return Image.merge("LA", [Image.fromarray(plane), Image.fromarray(U8)])


def with_palette_and_alpha() -> Image.Image:
    mask = Image.fromarray(U8).convert("RGB").convert("P").convert("PA")
    mask.putalpha(Image.fromarray(255 - U8))
    return mask


def odd_tensor(kind: str) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch finds both old
        if kind == "quantized":
            return torch.quantize_per_tensor(torch.zeros(SIZE), 0.1, 0, torch.qint8)
        return torch.nested.nested_tensor([torch.zeros(40, 60)])


def keyed(key: int) -> Image.Image:
    """A mask one of whose values is transparent."""
    mask = Image.fromarray(U8)
    mask.info["transparency"] = key
    return mask


@pytest.mark.parametrize(
    "mask",
    [seen_through(U8), seen_through(U8).convert("RGBA"), keyed(0), keyed(7)],
    ids=["LA", "RGBA", "black is transparent", "nothing is"],
)
def test_an_alpha_channel_that_says_the_same_is_no_riddle(mask: Image.Image) -> None:
    assert np.array_equal(open_mask(mask, SIZE), MASK)
    file = io.BytesIO()
    mask.save(file, "PNG")
    assert np.array_equal(open_mask(file, SIZE), MASK)


@pytest.mark.parametrize("form", ["L", "1", "RGB", "P", "GIF"])
def test_a_soft_mask_may_call_its_black_transparent(form: str) -> None:
    """Black is what it is, and no grey at the rim makes another mask of it."""
    rows, columns = np.indices(SIZE)
    plane = (20 * (15 - np.hypot(rows - 20, columns - 30))).clip(0, 255).astype(np.uint8)
    mask = Image.fromarray(plane).convert(form if form != "GIF" else "L")
    expected = np.asarray(mask.convert("L")) / 255
    file = io.BytesIO()
    key = (0, 0, 0) if form == "RGB" else 0
    mask.save(file, "GIF" if form == "GIF" else "PNG", transparency=key)
    np.testing.assert_allclose(open_mask(file, SIZE), expected, atol=1e-6)
    in_memory = Image.open(file)
    assert in_memory.has_transparency_data
    np.testing.assert_allclose(open_mask(in_memory, SIZE), expected, atol=1e-6)


def test_the_way_out_of_a_riddle_works() -> None:
    """As its message names it, also where there is no channel of alpha but a palette's."""
    for mask in (seen_through(255 - U8), seen_through(255 - U8).convert("RGBA").quantize(8)):
        assert np.array_equal(open_mask(mask.convert("RGBA").getchannel("A"), SIZE), MASK)
        assert np.array_equal(open_mask(mask.convert("RGB").convert("L"), SIZE), ~MASK)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([[0, 1]], "got list"),
        (np.zeros((40, 60, 2, 1)), r"got \(40, 60, 2, 1\)"),
        (seen_through(255 - U8), "alpha channel that varies"),
        (seen_through(255 - U8).convert("RGBA"), "alpha channel that varies"),
        (seen_through(255 - U8).convert("RGBA").quantize(8), "alpha channel that varies"),
        (with_palette_and_alpha(), "alpha channel that varies"),
        (seen_through(0 * U8).convert("RGBA").quantize(8), "alpha channel that varies"),
        (small_object((0, 0, 255)), "looks like a picture"),
        (small_object((128, 128, 0)), "looks like a picture"),
        (torch.zeros(40, 60).to_sparse(), "dense tensor"),
        (torch.zeros(40, 60, device="meta"), "dense tensor"),
        (odd_tensor("quantized"), r"a quantized one: tensor\.dequantize"),
        (odd_tensor("nested"), r"a nested one: tensor\.unbind"),
        (np.full(SIZE, 0.5) * 255, "mask values are"),
        (np.full(SIZE, 70000), "mask values are"),
    ],
)
def test_what_is_no_mask_is_refused_with_a_reason(mask: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_mask(mask, SIZE)


def sideways_mask(kind: str, side: int = 1) -> bytes:
    """The mask lying on its side, with EXIF that says so; with other sides if asked."""
    image = Image.fromarray(np.ascontiguousarray(np.rot90(U8)))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.resize((image.width * side, image.height * side)).save(buffer, kind, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_sizes_are_compared_upright_before_a_file_is_decoded(kind: str) -> None:
    for mask in (sideways_mask(kind), io.BytesIO(sideways_mask(kind))):
        assert ((open_mask(mask, SIZE) > 0.5) == MASK).all()
    with pytest.raises(InputError, match="one of them was turned"):
        open_mask(sideways_mask(kind), SIZE[::-1])
    for mask in (sideways_mask(kind, 3), Image.open(io.BytesIO(sideways_mask(kind, 3)))):
        with pytest.raises(InputError, match="the image is 60 x 40, the mask 180 x 120"):
            open_mask(mask, SIZE)
    # What is cut off behind its header shows that nothing behind it was read.
    if kind in ("PNG", "JPEG"):
        whole = sideways_mask(kind, 3)
        cut_off = whole[: len(whole) * 4 // 5]
        with pytest.raises(InputError, match="the mask 180 x 120"):
            open_mask(cut_off, SIZE)
        with pytest.raises(InputError, match="whole PNG, JPEG"):
            open_mask(cut_off, SIZE, resize=True)


@pytest.mark.parametrize("factor", [0.5, 2, 3])
def test_a_mask_of_the_same_aspect_is_resized_on_request(factor: float) -> None:
    other = box_mask(int(SIZE[0] * factor), int(SIZE[1] * factor))
    with pytest.raises(InputError, match="resize_mask=True"):
        open_mask(other, SIZE)
    plane = open_mask(other, SIZE, resize=True)
    assert plane.shape == SIZE
    assert ((plane > 0.5) == MASK).mean() > 0.97


def test_a_stretched_mask_is_resized_on_request() -> None:
    square = box_mask(64, 64)
    with pytest.raises(InputError, match=r"crop or pad .* resize_mask=\"stretch\""):
        open_mask(square, SIZE)
    with pytest.raises(InputError, match="only be resized if its shape is the image's"):
        open_mask(square, SIZE, resize=True)
    plane = open_mask(square, SIZE, resize="stretch")
    assert plane.shape == SIZE
    assert ((plane > 0.5) == MASK).mean() > 0.97
    with pytest.raises(InputError, match="True, False or 'stretch'"):
        open_mask(square, SIZE, resize="bend")  # pyright: ignore[reportArgumentType]


def test_an_array_with_its_channel_first_gets_a_hint() -> None:
    with pytest.raises(InputError, match=r"pass mask\[0\]"):
        open_mask(MASK[None], SIZE)


@pytest.mark.parametrize("shape", [SIZE, (1, *SIZE)])
def test_a_tensor_of_16_bits_is_a_mask(shape: tuple[int, ...]) -> None:
    tensor = torch.from_numpy(MASK.astype(np.uint16) * 65535).reshape(shape)
    assert np.array_equal(open_mask(tensor, SIZE), MASK)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.eye(32, dtype=np.float32) / 255, "is 0.4% white at most"),
        (np.eye(32, dtype=np.uint16) * 1023, "is 1.6% white at most"),
        (np.eye(32, dtype=np.float32)[::-1] / 5, None),
    ],
)
def test_a_mask_of_another_range_is_hinted_at(mask: Any, said: str | None) -> None:
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        assert not warn_if_nothing_to_do(open_mask(mask, (32, 32)))
    assert [said is not None and said in str(one.message) for one in given] == [True] * bool(said)


@pytest.mark.parametrize(
    ("rows", "columns", "hinted"),
    [
        (slice(10, 30), slice(20, 40), True),  # the hole of an inverted mask
        (slice(20, 40), slice(20, 40), True),  # which reaches a border
        (slice(0, 40), slice(0, 20), False),  # a person close up
        (slice(2, 38), slice(2, 58), False),  # a frame
    ],
)
def test_an_inverted_mask_is_hinted_at(rows: slice, columns: slice, hinted: bool) -> None:
    mask = np.ones((40, 60), np.float32)
    mask[rows, columns] = 0
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        assert not warn_if_nothing_to_do(mask)
    assert ["invert the mask" in str(one.message) for one in given] == [True] * hinted


def test_floats_that_resizing_took_a_little_beyond_their_range_are_clipped() -> None:
    plane = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    beyond = plane.copy()
    beyond[0, 0], beyond[-1, -1] = -5e-4, 1 + 5e-4
    assert np.array_equal(open_mask(beyond, plane.shape), plane)
