"""What the page says that it has done does the same."""

import itertools
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXAMPLES, box_mask
from PIL import Image
from small_networks import small_idih

from harmonizer.cli import main
from harmonizer.demo import callbacks, work
from harmonizer.demo.lines import Origin, command_line
from harmonizer.demo.shelf import Kept
from harmonizer.errors import InputError
from harmonizer.imaging.saving import encode_image, save_image
from harmonizer.jobs.scene import Scene
from harmonizer.lifting import Strength

COMPOSITE, MASK = EXAMPLES / "composite.png", EXAMPLES / "mask.png"


def files(folder: Path) -> None:
    """Files of every kind, with names that need quotes."""
    picture, mask = Image.open(COMPOSITE), Image.open(MASK).convert("L")
    picture.save(folder / "it's a composite.png")
    mask.save(folder / "mask.png")
    mask.point(lambda value: 255 - value).save(folder / "inverted.png")
    mask.resize((320, 214)).save(folder / "half.png")
    mask.resize((100, 100)).save(folder / "square.png")
    cutout = picture.convert("RGBA")
    cutout.putalpha(mask)
    cutout.save(folder / "cut out.png")
    Image.new("RGB", (500, 400), (90, 60, 40)).save(folder / "b.png")
    Image.new("RGB", (64, 64)).save(
        folder / "two.tif", save_all=True, append_images=[picture.convert("RGB")]
    )


CASES: list[tuple[tuple[str, str], dict[str, Any]]] = [
    (("it's a composite.png", "mask.png"), {}),
    (("it's a composite.png", "inverted.png"), {"invert": True}),
    (("it's a composite.png", "half.png"), {}),
    (("it's a composite.png", "square.png"), {"stretch": True}),
    (("two.tif", "mask.png"), {"page": 2}),
    (("cut out.png", "b.png"), {"place": work.Placement(0.4, 0.7, 0.77)}),
]


@pytest.mark.parametrize("shares", [(100, 100), (35, 35), (80, 10)])
@pytest.mark.parametrize(("names", "options"), CASES)
def test_the_lines_do_what_the_page_did(
    names: tuple[str, str],
    options: dict[str, Any],
    shares: tuple[float, float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    files(tmp_path)
    (one, other), place = (str(tmp_path / name) for name in names), options.get("place")
    layers = work.paste(one, other, place) if place else work.open_composite(one, other, **options)
    outcome = work.harmonize_layers(layers, None, "cpu")
    (tmp_path / "page").mkdir()
    strength = Strength(*(one / 100 for one in shares))
    expected = np.asarray(Image.open(outcome.save(tmp_path / "page", ".png", strength)))
    said, shell, python = callbacks.describe(Kept(outcome), *shares, "PNG", False)
    assert f"{shares[0]} %" in said
    written = tmp_path / f"{layers.origin.name}.png"

    words = shlex.split(shell)
    assert words[0] == "harmonizer"
    assert main([*words[1:], "--device", "cpu"]) == 0
    of_command = written.read_bytes()
    by_command = np.asarray(Image.open(written))
    # The page mixes two rounded pictures, their lightness by itself; the library rounds once.
    assert np.abs(by_command.astype(int) - expected).max() <= (1 if strength.is_one_number else 2)
    written.unlink()
    exec(python, {})  # noqa: S102 - our own lines
    assert written.read_bytes() == of_command


DEPTHS: dict[str, tuple[Any, int]] = {
    "8 bits": (np.uint8, 3),
    "8 bits and alpha": (np.uint8, 4),
    "16 bits": (np.uint16, 3),
    "16 bits and alpha": (np.uint16, 4),
    "floats": (np.float32, 3),
    "grey": (np.uint8, 1),
}
MASKS: dict[str, tuple[Any, int, bool]] = {
    "plain": (np.uint8, 255, False),
    "inverted": (np.uint8, 255, True),
    "inverted, of 0 and 1": (np.uint8, 1, True),
    "inverted, of 16 bits": (np.uint16, 65535, True),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_the_lines_write_the_files_that_the_page_does(
    depth: str, mask: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    dtype, channels = DEPTHS[depth]
    pixels = noise(40, 50, channels)
    if dtype == np.uint16:
        pixels = pixels.astype(dtype) * 257 + 3
    elif dtype == np.float32:
        pixels = pixels.astype(dtype) / 255
    elif channels == 1:
        pixels = Image.fromarray(pixels[..., 0])
    name = "of floats.tif" if dtype == np.float32 else "picture.png"
    save_image(pixels, tmp_path / name, {"dpi": (300, 300)})
    kind, white, invert = MASKS[mask]
    plane = (box_mask(40, 50) != invert).astype(kind) * white
    Image.fromarray(plane.astype(kind)).save(tmp_path / "mask.png")
    (tmp_path / "page").mkdir()
    layers = work.open_composite(name, "mask.png", invert=invert)
    kept = Kept(work.harmonize_layers(layers, None, "cpu"))
    for form, eight_bits in itertools.product(callbacks.FORMATS, (False, True)):
        if form == callbacks.MASK:
            continue
        asked = kept, 100, 100, form, eight_bits
        _, _, python = callbacks.describe(*asked)
        try:
            expected = Path(callbacks.write_file(tmp_path / "page", *asked))
        except InputError:  # which this format cannot hold
            with pytest.raises(InputError):
                exec(python, {})  # noqa: S102 - our own lines
            continue
        exec(python, {})  # noqa: S102
        assert Path(expected.name).read_bytes() == expected.read_bytes()


def test_a_painted_mask_is_the_one_that_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    save_image(noise(41, 53), tmp_path / "picture.png")
    strokes = np.zeros((20, 26, 4), np.uint8)
    strokes[5:12, 7:20] = 255
    layers = work.open_painted("picture.png", encode_image(strokes, "PNG", {}))
    kept = Kept(work.harmonize_layers(layers, None, "cpu"))
    drawn = Path(callbacks.write_file(tmp_path, kept, 100, 100, callbacks.MASK, False))
    drawn.rename("picture_mask.png")
    expected = Path(callbacks.write_file(tmp_path, kept, 100, 100, "PNG", False)).read_bytes()
    exec(callbacks.describe(kept, 100, 100, "PNG", False)[2], {})  # noqa: S102 - our own lines
    assert Path("picture_harmonized.png").read_bytes() == expected


def test_other_choices_are_said(tmp_path: Path) -> None:
    pixels = np.asarray(Image.open(COMPOSITE)).astype(np.uint16) * 257
    save_image(pixels, tmp_path / "deep.tif")
    layers = work.open_composite(str(tmp_path / "deep.tif"), str(MASK))
    small_idih().save_pretrained(tmp_path / "small")
    outcome = work.harmonize_layers(layers, str(tmp_path / "small"), "cpu")
    _, shell, python = callbacks.describe(Kept(outcome), 100, 100, "JPEG", True)
    assert shell == (
        "harmonizer run deep.tif mask.png -o deep_harmonized.jpg --depth 8 "
        f"--model {tmp_path}/small"
    )
    assert (
        python
        == f"""\
from pathlib import Path

from harmonizer import Harmonizer
from harmonizer.jobs.folder import harmonize_file
from harmonizer.jobs.scene import Scene

data = harmonize_file(
    Harmonizer.from_pretrained('{tmp_path}/small'),
    Path('deep.tif'),
    Path('mask.png'),
    'JPEG',
    scene=Scene(eight_bits=True),
)
Path('deep_harmonized.jpg').write_bytes(data)"""
    )


def test_a_name_like_an_option_is_none() -> None:
    origin = Origin("-rf.png", "-m.png", Scene())
    line = command_line(origin, ".png", model=None, strength=Strength(), eight_bits=False)
    assert line == "harmonizer run ./-rf.png ./-m.png -o ./-rf_harmonized.png"
