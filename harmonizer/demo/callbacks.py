"""Answer each control of the page: Gradio's values in, Gradio's values out.

Sliders give per cents; files come as the path of the upload, or None.
"""

import base64
import html
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from harmonizer.demo import gate, work
from harmonizer.demo.lines import command_line, python_lines
from harmonizer.demo.shelf import Kept
from harmonizer.errors import InputError
from harmonizer.imaging.saving import encode_image, save_image
from harmonizer.lifting import Strength
from harmonizer.preprocessing import Array

MASK = "The mask, as PNG"
FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WebP, lossless": ".webp", "TIFF": ".tif", MASK: ".png"}
_EXAMPLE, _EXAMPLE_FILES = Path(__file__).parent / "example", ("astronaut.webp", "launch.jpg")
_EXAMPLE_PLACE = (30.0, 60.0, 82.0)  # per cents, as the sliders have them
_FAR = 1_000_000  # beyond what any control gives
_THUMBNAIL = 320  # pixels of the longest side
_NOT_CUT_OUT = "Nothing of it is transparent: cut the object out first. Or is it the background?"
_NOT_OPAQUE = "Parts of it are transparent: is it the cut-out?"

Pair: TypeAlias = tuple[Array, Array]  # before and after, as they are shown


def harmonize_composite(
    device: str,
    image: str | None,
    mask: str | None,
    invert: bool,
    stretch: bool,
    page: float | None,
    model: str,
    light: float,
    color: float,
) -> tuple[work.Harmonized, Pair]:
    """Harmonize a composite by its mask."""
    layers = work.open_composite(
        _given(image, "composite"),
        _given(mask, "mask"),
        invert=invert,
        stretch=stretch,
        page=int(_number(page, "page")) if page else None,
    )
    return _harmonized(layers, model, device, _strength(light, color))


def harmonize_cutout(
    device: str,
    cutout: str | None,
    background: str | None,
    x: float,
    y: float,
    size: float,
    model: str,
    light: float,
    color: float,
) -> tuple[work.Harmonized, Pair]:
    """Paste a cut-out into a background, and harmonize that."""
    place = work.Placement(*(share / 100 for share in _numbers(x=x, y=y, size=size)))
    layers = work.paste(_given(cutout, "cut-out"), _given(background, "background"), place)
    return _harmonized(layers, model, device, _strength(light, color))


def harmonize_painted(
    device: str,
    image: str | None,
    strokes: str | bytes | None,
    model: str,
    light: float,
    color: float,
) -> tuple[work.Harmonized, Pair]:
    """Harmonize a composite where it was painted over: `strokes` is a picture of these alone."""
    path = _given(image, "composite")
    return _harmonized(work.open_painted(path, strokes), model, device, _strength(light, color))


def show_placed(cutout: str | None, background: str | None, x: float, y: float, size: float) -> str:
    """Return the cut-out over the background, as HTML, as soon as there are both files.

    There the browser moves it: `page.css` places it as `work.paste` does.
    """
    if cutout is None or background is None:
        return ""
    x, y, size = _numbers(x=x, y=y, size=size)
    (height, width), (room_height, room_width) = map(work.size_of, (cutout, background))
    fits = min(1, room_height * width / (room_width * height))
    below, above = map(_source, (work.show_file(background), work.show_layer(cutout)))
    style = f"--fits: {fits:.6f}; --x: {x}; --y: {y}; --size: {size}"
    return (
        '<div class="stage" tabindex="0" role="application" aria-describedby="how-to-move"'
        f' aria-label="The cut-out on the background" style="{style}">'
        f'<img class="below" src="{below}" alt=""><img class="above" src="{above}" alt=""></div>'
        '<p id="how-to-move">Drag the cut-out, or click where its centre goes. '
        "By keyboard: arrows move it, + and - size it.</p>"
    )


def show_thumbnail(opaque: bool | None, path: str | None) -> str:
    """Return a small copy of an upload, as HTML; nothing where there is none.

    What is `opaque` and should not be, or the other way round, is told; None is for either.
    """
    if path is None:
        return ""
    shown, (height, width) = work.show_layer(path, _THUMBNAIL), work.size_of(path)
    caption = f"{width} x {height}"
    if opaque is not None and opaque != bool((shown[..., 3] == 255).all()):
        caption += f'<p role="alert">{_NOT_OPAQUE if opaque else _NOT_CUT_OUT}</p>'
    name = html.escape(Path(path).name)
    picture = f'<img src="{_source(shown)}" alt="{name}">'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _source(pixels: Array) -> str:
    """Return a picture, (H, W, 3 or 4), uint8, as the address of an `img`."""
    picture = encode_image(Image.fromarray(pixels), "WEBP", {}, quality=90)
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


def example_composite(folder: Path) -> tuple[str, str]:
    """Write the example's composite and mask into a new folder in `folder`."""
    cutout, background, *place = example_cutout(folder)
    layers = work.paste(cutout, background, work.Placement(*(each / 100 for each in place)))
    target = Path(cutout).parent
    image, mask = target / "example.png", target / "example_mask.png"
    save_image(layers.picture.restore(layers.picture.pixels, layers.mask), image)
    layers.save_mask(mask)
    return str(image), str(mask)


def example_painted(folder: Path) -> str:
    """Write the example's composite into a new folder in `folder`."""
    return example_composite(folder)[0]


def example_cutout(folder: Path) -> tuple[str, str, float, float, float]:
    """Copy the example's cut-out and background into a new folder; and say where it goes."""
    target = Path(tempfile.mkdtemp(dir=folder))
    cutout, background = (str(shutil.copy(_EXAMPLE / one, target)) for one in _EXAMPLE_FILES)
    return cutout, background, *_EXAMPLE_PLACE


def load_editor(image: str | None) -> dict[str, Any] | None:
    """Put a small copy of a composite under the brush."""
    if image is None:
        return None
    return {"background": work.show_file(image), "layers": [], "composite": None}


def show_strength(kept: Kept | None, light: float, color: float) -> Pair | None:
    """Show other shares of what was harmonized, without the network."""
    outcome = kept and kept.picture
    if outcome is None:
        return None
    return outcome.shown(0), outcome.shown(_strength(light, color))


def describe(
    kept: Kept | None, light: float, color: float, kind: str, eight_bits: bool
) -> tuple[str, str, str]:
    """Say what was done: in a sentence, as a line of the command line, and in Python."""
    outcome = kept and kept.picture
    if outcome is None:
        return "", "", ""
    origin, ending = outcome.layers.origin, ".png" if kind == MASK else FORMATS[kind]
    how: dict[str, Any] = {
        "model": outcome.model,
        "strength": _strength(light, color),
        "eight_bits": eight_bits,
    }
    height, width = outcome.layers.mask.shape
    much = f"{light:g} % light, {color:g} % colour"
    if light == color:
        much = f"a strength of {light:g} %"
    said = html.escape(f"{origin.image}, {width} x {height}, is harmonized at {much}.")
    return said, command_line(origin, ending, **how), python_lines(origin, ending, **how)


def write_file(
    folder: Path,
    kept: Kept | None,
    light: float,
    color: float,
    kind: str,
    eight_bits: bool,
) -> str:
    """Write the result at full size into a new folder in `folder`, and return its path."""
    outcome = kept and kept.picture
    if outcome is None:
        raise InputError(
            "there is no picture to download; harmonize one first, or once more: only the last "
            "ones are kept, for an hour"
        )
    if not gate.has_room(folder):
        raise InputError(gate.NO_ROOM)
    target = Path(tempfile.mkdtemp(dir=folder))
    if kind == MASK:
        path = target / f"{Path(outcome.layers.origin.image).stem}_mask.png"
        outcome.layers.save_mask(path)
        return str(path)
    return str(outcome.save(target, FORMATS[kind], _strength(light, color), eight_bits=eight_bits))


def _harmonized(
    layers: work.Layers, model: str, device: str, strength: Strength
) -> tuple[work.Harmonized, Pair]:
    outcome = work.harmonize_layers(layers, model, device)
    return outcome, (outcome.shown(0), outcome.shown(strength))


def _strength(light: float, color: float) -> Strength:
    return Strength(*(share / 100 for share in _numbers(light=light, colour=color)))


def _numbers(**values: object) -> Iterator[float]:
    return (_number(value, name) for name, value in values.items())


def _number(value: object, name: str) -> float:
    """Return what a control gives; whoever speaks to the page's server may send anything."""
    if not isinstance(value, int | float) or not -_FAR <= value <= _FAR:
        raise InputError(f"{name} is a number that its control can give; got {str(value)[:40]}")
    return value


def _given(path: str | None, what: str) -> str:
    if path is None:
        raise InputError(f"the {what} is missing; drop a file first")
    return path
