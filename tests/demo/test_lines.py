"""What the page says that it has done does the same."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXAMPLES
from PIL import Image
from small_networks import small_idih

from harmonizer.cli import main
from harmonizer.demo import callbacks, work
from harmonizer.demo.lines import Origin, command_line
from harmonizer.demo.shelf import Kept
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
    by_command = np.asarray(Image.open(written))
    # The page mixes two rounded pictures, their lightness by itself; the library rounds once.
    assert np.abs(by_command.astype(int) - expected).max() <= (1 if strength.is_one_number else 2)
    written.unlink()
    exec(python, {})  # noqa: S102 - our own lines
    by_python = np.asarray(Image.open(written)).astype(int)
    assert np.abs(by_python - by_command).max() <= 1  # a mask is inverted before or after reading


def test_other_choices_are_said(tmp_path: Path) -> None:
    pixels = np.asarray(Image.open(COMPOSITE)).astype(np.uint16) * 257
    from harmonizer.imaging.saving import save_image

    save_image(pixels, tmp_path / "deep.tif")
    layers = work.open_composite(str(tmp_path / "deep.tif"), str(MASK))
    small_idih().save_pretrained(tmp_path / "small")
    outcome = work.harmonize_layers(layers, str(tmp_path / "small"), "cpu")
    _, shell, python = callbacks.describe(Kept(outcome), 100, 100, "JPEG", True)
    assert shell == (
        "harmonizer run deep.tif mask.png -o deep_harmonized.jpg --depth 8 "
        f"--model {tmp_path}/small"
    )
    assert "cv2.imwrite('deep_harmonized.jpg', (result / 257)" in python
    assert f"model='{tmp_path}/small'" in python


def test_a_name_like_an_option_is_none() -> None:
    origin = Origin("-rf.png", "-m.png", Scene())
    line = command_line(origin, ".png", model=None, strength=Strength(), eight_bits=False)
    assert line == "harmonizer run ./-rf.png ./-m.png -o ./-rf_harmonized.png"
