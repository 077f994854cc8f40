"""Answer each control of the page: Gradio's values in, Gradio's values out.

Sliders give per cents; files come as the path of the upload, or None.
"""

import tempfile
from pathlib import Path
from typing import Any, TypeAlias

from harmonizer.demo import work
from harmonizer.errors import InputError
from harmonizer.preprocessing import Array

FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WebP, lossless": ".webp", "TIFF": ".tif"}

Pair: TypeAlias = tuple[Array, Array]  # before and after, as they are shown


def harmonize_composite(
    device: str, image: str | None, mask: str | None, model: str, strength: float
) -> tuple[work.Harmonized, Pair]:
    """Harmonize a composite by its mask."""
    layers = work.open_composite(_given(image, "composite"), _given(mask, "mask"))
    return _harmonized(layers, model, device, strength)


def harmonize_cutout(
    device: str,
    cutout: str | None,
    background: str | None,
    x: float,
    y: float,
    size: float,
    model: str,
    strength: float,
) -> tuple[work.Harmonized, Pair]:
    """Paste a cut-out into a background, and harmonize that."""
    place = work.Placement(x / 100, y / 100, size / 100)
    layers = work.paste(_given(cutout, "cut-out"), _given(background, "background"), place)
    return _harmonized(layers, model, device, strength)


def harmonize_painted(
    device: str,
    image: str | None,
    strokes: str | bytes | None,
    model: str,
    strength: float,
) -> tuple[work.Harmonized, Pair]:
    """Harmonize a composite where it was painted over: `strokes` is a picture of these alone."""
    path = _given(image, "composite")
    return _harmonized(work.open_painted(path, strokes), model, device, strength)


def show_placed(
    cutout: str | None, background: str | None, x: float, y: float, size: float
) -> Array | None:
    """Draw where the cut-out goes, as soon as there are both files."""
    if cutout is None or background is None:
        return None
    return work.show_pasted(cutout, background, work.Placement(x / 100, y / 100, size / 100))


def load_editor(image: str | None) -> dict[str, Any] | None:
    """Put a small copy of a composite under the brush."""
    if image is None:
        return None
    return {"background": work.show_file(image), "layers": [], "composite": None}


def show_strength(outcome: work.Harmonized | None, strength: float) -> Pair | None:
    """Show another strength of what was harmonized, without the network."""
    return None if outcome is None else (outcome.shown(0), outcome.shown(strength / 100))


def write_file(folder: Path, outcome: work.Harmonized | None, strength: float, kind: str) -> str:
    """Write the result at full size into a new folder in `folder`, and return its path."""
    if outcome is None:
        raise InputError("there is nothing to download yet; harmonize a picture first")
    target = Path(tempfile.mkdtemp(dir=folder))
    return str(outcome.save(target, FORMATS[kind], strength / 100))


def _harmonized(
    layers: work.Layers, model: str, device: str, strength: float
) -> tuple[work.Harmonized, Pair]:
    outcome = work.harmonize_layers(layers, model, device)
    return outcome, (outcome.shown(0), outcome.shown(strength / 100))


def _given(path: str | None, what: str) -> str:
    if path is None:
        raise InputError(f"the {what} is missing; drop a file first")
    return path
