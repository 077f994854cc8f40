"""A cut-out over a background, against values worked out by hand."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from harmonizer import Harmonizer, compose
from harmonizer.errors import InputError
from harmonizer.imaging.saving import save_image


def layer(colour: int, alpha: Any, size: tuple[int, int] = (4, 4)) -> Any:
    """A cut-out of one colour, (H, W, 4), uint8."""
    result = np.full((*size, 4), colour, np.uint8)
    result[..., 3] = alpha
    return result


def paper(value: int, size: tuple[int, int] = (6, 8)) -> Any:
    return np.full((*size, 3), value, np.uint8)


def test_alpha_mixes_linearly() -> None:
    composite, mask = compose(layer(200, 128), paper(100), (2, 1))
    assert composite.dtype == np.uint8
    assert mask.dtype == np.float32
    expected = paper(100)
    expected[1:5, 2:6] = 150  # 200 * 128 / 255 + 100 * 127 / 255 = 150.2
    assert np.array_equal(composite, expected)
    assert mask[1:5, 2:6] == pytest.approx(128 / 255)
    assert mask.sum() == pytest.approx(16 * 128 / 255)


def test_position_is_x_and_y_of_the_upper_left_corner() -> None:
    _, mask = compose(layer(0, 255, (1, 2)), paper(9), (5, 3))
    assert np.argwhere(mask == 1).tolist() == [[3, 5], [3, 6]]


def test_full_size_and_full_alpha_is_the_cut_out_bit_for_bit() -> None:
    generator = np.random.default_rng(0)
    for dtype, top in ((np.uint8, 256), (np.uint16, 65536)):
        cutout = generator.integers(0, top, (40, 30, 4)).astype(dtype)
        cutout[..., 3] = np.where(generator.random((40, 30)) < 0.5, 0, top - 1)
        background = generator.integers(0, top, (50, 60, 3)).astype(dtype)
        composite, mask = compose(cutout, background, (7, 5))
        inside = mask[5:45, 7:37] == 1
        assert np.array_equal(inside, cutout[..., 3] > 0)
        assert np.array_equal(composite[5:45, 7:37][inside], cutout[..., :3][inside])
        assert np.array_equal(composite[mask == 0], background[mask == 0])


def test_shrinking_averages_what_is_seen() -> None:
    cutout = np.zeros((2, 2, 4), np.uint8)
    cutout[0, 0] = (100, 100, 100, 255)  # of the others only the transparency counts
    composite, mask = compose(cutout, paper(20, (1, 1)), (0, 0), 0.5)
    assert mask.item() == 0.25
    assert composite.tolist() == [[[40, 40, 40]]]  # 100 / 4 + 20 * 3 / 4


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.9, 1.0, 1.7, 4.0])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_there_is_no_halo(scale: float, value: int) -> None:
    """A disc of the background's own colour vanishes, whatever its transparent pixels hold."""
    rows, columns = np.mgrid[:40, :40]
    disc = (rows - 20) ** 2 + (columns - 20) ** 2 < 200
    cutout = np.full((40, 40, 4), 255 - value, np.uint8)  # the opposite where nothing shows
    cutout[disc] = value
    cutout[..., 3] = disc * 255
    composite, mask = compose(cutout, paper(value, (160, 160)), (3, 3), scale)
    assert np.array_equal(composite, paper(value, (160, 160)))
    assert mask.sum() == pytest.approx(disc.sum() * scale**2, rel=0.02)
    assert 0 < mask.max() <= 1


@pytest.mark.parametrize(
    ("position", "rows", "columns"),
    [((-3, -1), (0, 3), (0, 1)), ((6, 4), (4, 6), (6, 8)), ((-1, 5), (5, 6), (0, 3))],
)
def test_what_lies_outside_is_cut_off(
    position: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    cutout = layer(0, 255)
    cutout[..., 0] = np.arange(16).reshape(4, 4)
    composite, mask = compose(cutout, paper(200), position)
    seen = np.zeros((6, 8), bool)
    seen[slice(*rows), slice(*columns)] = True
    assert np.array_equal(mask == 1, seen)
    left, top = position
    expected = cutout[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left, 0]
    assert np.array_equal(composite[slice(*rows), slice(*columns), 0], expected)


def test_a_cut_out_larger_than_its_background() -> None:
    composite, mask = compose(layer(7, 255, (30, 30)), paper(200), (-10, -10))
    assert (composite == 7).all()
    assert (mask == 1).all()


def test_kinds_follow_the_background(tmp_path: Path) -> None:
    cutout = layer(200, 255)
    image, mask = compose(Image.fromarray(cutout), Image.fromarray(paper(100)), (2, 1))
    assert (image.mode, image.size, mask.mode, mask.size) == ("RGB", (8, 6), "L", (8, 6))
    assert np.asarray(mask)[1, 2] == 255
    assert np.asarray(image)[1, 2].tolist() == [200, 200, 200]

    tensor = torch.from_numpy(paper(100)).permute(2, 0, 1) / 255
    image, mask = compose(cutout, tensor, (2, 1))
    assert (image.dtype, image.shape, mask.shape) == (torch.float32, (3, 6, 8), (1, 6, 8))
    assert image[:, 1, 2].tolist() == pytest.approx([200 / 255] * 3)

    path = tmp_path / "background.png"
    Image.fromarray(paper(100)).convert("L").save(path)
    image, mask = compose(torch.from_numpy(cutout).permute(2, 0, 1), path, (2, 1))
    assert (image.mode, mask.mode) == ("L", "L")
    assert np.asarray(image)[1, 2] == 200

    save_image(paper(100).astype(np.uint16) * 257, path, {})
    image, mask = compose(cutout.astype(np.float32) / 255, path, (2, 1))
    assert (image.dtype, image[1, 2].tolist()) == (np.uint16, [200 * 257] * 3)
    assert (mask.dtype, mask.shape) == (np.float32, (6, 8))


@pytest.mark.parametrize("mode", ["LA", "La", "RGBa", "P", "RGB"])
def test_every_way_to_store_transparency(mode: str) -> None:
    cutout = Image.fromarray(layer(200, np.tri(4, dtype=np.uint8) * 255))
    if mode == "P":
        stored = cutout.convert("RGB").quantize(8)
        stored.paste(7, mask=Image.fromarray(255 - np.tri(4, dtype=np.uint8) * 255))
        stored.info["transparency"] = 7
    elif mode == "RGB":
        stored = Image.new("RGB", (4, 4), (1, 2, 3))
        stored.paste(cutout, mask=cutout.getchannel("A"))
        stored.info["transparency"] = (1, 2, 3)
    else:
        stored = (cutout.convert("LA") if mode == "La" else cutout).convert(mode)
    expected = compose(cutout, paper(100), (1, 1))
    for one, other in zip(compose(stored, paper(100), (1, 1)), expected, strict=True):
        assert np.array_equal(one, other)


def test_a_cut_out_is_turned_upright() -> None:
    cutout = Image.fromarray(layer(200, 255, (2, 4)))
    cutout.getexif()[0x0112] = 6
    _, mask = compose(cutout, paper(9), (0, 0))
    assert np.array_equal(mask > 0, np.pad(np.ones((4, 2), bool), ((0, 2), (0, 6))))


def test_what_comes_out_is_what_harmonize_takes(brighten: Harmonizer) -> None:
    background = Image.fromarray(paper(100, (60, 80)))
    composite, mask = compose(Image.fromarray(layer(100, 255, (30, 30))), background, (9, 9))
    result = np.asarray(brighten(composite, mask))
    assert (result[np.asarray(mask) == 255] > 100).all()
    assert (result[np.asarray(mask) == 0] == 100).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"foreground": paper(5)}, "no alpha channel"),
        ({"foreground": Image.new("RGB", (4, 4))}, "no alpha channel"),
        ({"foreground": "no-such-file.png"}, "there is no file"),
        ({"background": layer(5, 100)}, "transparent pixels"),
        ({"position": (8, 0)}, "nothing of the cut-out, 4 x 4 at \\(8, 0\\)"),
        ({"position": (0, -4)}, "nothing of the cut-out"),
        ({"position": (0.5, 0)}, "whole pixels"),
        ({"position": (float("nan"), 0)}, "whole pixels"),
        ({"position": 3}, "whole pixels"),
        ({"position": (1, 2, 3)}, "whole pixels"),
        ({"scale": 0}, "above 0"),
        ({"scale": float("nan")}, "above 0"),
        ({"scale": "1"}, "above 0"),
        ({"scale": 1e5}, "smaller scale"),
    ],
)
def test_wrong_input_is_refused(change: dict[str, Any], message: str) -> None:
    arguments = {"foreground": layer(5, 255), "background": paper(9), "position": (0, 0)}
    with pytest.raises(InputError, match=message):
        compose(**(arguments | change))


def test_the_arguments_are_left_alone() -> None:
    cutout, background = layer(5, 255), paper(9)
    before = cutout.copy(), background.copy()
    compose(cutout, background, (1, 1))
    assert np.array_equal(cutout, before[0])
    assert np.array_equal(background, before[1])


def test_without_a_place_a_cut_out_stands_in_the_middle_and_fits() -> None:
    background = np.full((60, 100, 3), 50, np.uint8)
    for side, shown in ((20, 20), (240, 60)):
        cutout = np.full((side, side, 4), 255, np.uint8)
        composite, mask = compose(cutout, background)
        rows, columns = np.nonzero(mask)
        top, left = (60 - shown) // 2, (100 - shown) // 2
        assert (rows.min(), rows.max() + 1) == (top, top + shown)
        assert (columns.min(), columns.max() + 1) == (left, left + shown)
        assert (composite[mask == 1] == 255).all()


@pytest.mark.parametrize("position", [(-900, -700), (-3, 5), (2, -1200)])
def test_what_is_enlarged_and_cut_off_is_the_whole_cut_off(position: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    cutout = Image.fromarray(rng.integers(0, 256, (37, 29, 4), np.uint8))
    background = rng.integers(0, 256, (60, 80, 3)).astype(np.uint16)
    composite, mask = compose(cutout, background, position, 40)
    left, top = max(-position[0], 0), max(-position[1], 0)
    large = np.zeros((37 * 40 + 1300, 29 * 40 + 1300, 3), np.uint16)
    right, down = position[0] + left, position[1] + top
    large[top : top + 60, left : left + 80] = background
    whole, its_mask = compose(cutout, large, (right, down), 40)
    shown = whole[top : top + 60, left : left + 80]
    assert np.abs(np.subtract(composite, shown, dtype=int)).max() <= 1
    assert np.abs(mask - its_mask[top : top + 60, left : left + 80]).max() < 1e-5


def test_what_is_cut_off_of_an_enlarged_cut_out_is_not_made() -> None:
    cutout = Image.new("RGBA", (400, 400), (200, 100, 50, 255))
    tracemalloc.start()
    composite, _ = compose(cutout, np.zeros((60, 80, 3), np.uint8), (-500, -500), 30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (composite == (200, 100, 50)).all()
    assert peak < 100 << 20  # the whole has 2.3 GB
