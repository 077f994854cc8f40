"""Do the page's work without the page: files in, a harmonized picture of any strength out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.errors import InputError
from harmonizer.imaging.compositing import compose
from harmonizer.imaging.drawing import preview
from harmonizer.imaging.files import open_file, open_header
from harmonizer.imaging.image import open_image
from harmonizer.imaging.mask import open_mask
from harmonizer.imaging.picture import Picture
from harmonizer.imaging.saving import save_image
from harmonizer.pipeline import apply_strength, harmonize
from harmonizer.preprocessing import Array

LARGEST_FILE = "100mb"
ENDINGS: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".jp2")
_LARGEST_PIXELS = 100_000_000
_PREVIEW = 1280  # pixels; the longest side of what the page shows
_PLACEMENT = 640  # the same while a cut-out is moved about


@dataclass(frozen=True)
class Placement:
    """Where a cut-out's centre goes, x and y from 0 to 1; a size of 1 is as large as fits."""

    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Layers:
    """A composite at full size, its mask (H, W) in [0, 1], and what to call the result."""

    picture: Picture
    mask: NDArray[np.float32]
    name: str


# Compared by identity: the page's sessions hash what they keep.
@dataclass(frozen=True, eq=False)
class Harmonized:
    """A harmonized picture, from which every strength follows without the network.

    `full` has the composite's pixels with the full change; the others are small copies, uint8.
    """

    layers: Layers
    full: Array
    shown_before: NDArray[np.uint8]
    shown_full: NDArray[np.uint8]

    def shown(self, strength: float) -> Array:
        """Return a small copy of the picture at a strength from 0 to 1, uint8."""
        return apply_strength(self.shown_before, self.shown_full, strength)

    def save(self, folder: Path, ending: str, strength: float) -> Path:
        """Write the picture at full size with its metadata, and return where."""
        picture = self.layers.picture
        changed = apply_strength(picture.pixels, self.full, strength)
        path = folder / f"{self.layers.name}_harmonized{ending}"
        save_image(picture.restore(changed, self.layers.mask), path, picture.info)
        return path


def open_composite(image: str, mask: str) -> Layers:
    """Read a composite and its mask from files."""
    _check_file(image)
    _check_file(mask)
    picture = open_image(image)
    return Layers(picture, open_mask(mask, picture.size, resize=True), Path(image).stem)


def open_painted(image: str, painted: Array) -> Layers:
    """Read a composite whose mask, (H, W) bool, was painted on a small copy of it."""
    if not painted.any():
        raise InputError("nothing is painted; paint over the foreground first")
    _check_file(image)
    picture = open_image(image)
    return Layers(picture, open_mask(painted, picture.size, resize=True), Path(image).stem)


def paste(cutout: str, background: str, placement: Placement) -> Layers:
    """Paste a cut-out into a background."""
    _check_file(cutout)
    _check_file(background)
    layer, _ = open_file(cutout)
    below, info = open_file(background)
    composite, mask = _place(layer, below, placement)
    picture = replace(open_image(composite), info=info)
    return Layers(picture, open_mask(mask, picture.size), Path(background).stem)


def show_pasted(cutout: str, background: str, placement: Placement) -> Array:
    """Draw quickly what `paste` would make: (H, W, 3), uint8, reduced."""
    _check_file(cutout)
    _check_file(background)
    layer, _ = open_file(cutout)
    below = preview(open_image(background).pixels, _PLACEMENT, _PLACEMENT)
    return _place(layer, below, placement)[0]


def show_file(image: str) -> NDArray[np.uint8]:
    """Read a file and return a small copy, uint8."""
    _check_file(image)
    return preview(open_image(image).pixels, _PREVIEW, _PREVIEW)


def harmonize_layers(layers: Layers, model: str | None, device: str) -> Harmonized:
    """Run the network, once for all strengths."""
    picture = replace(layers.picture, restore=_as_pixels)  # with its colour space
    full = harmonize(picture, layers.mask, model, device=device)
    return Harmonized(
        layers,
        full,
        preview(layers.picture.pixels, _PREVIEW, _PREVIEW),
        preview(full, _PREVIEW, _PREVIEW),
    )


def _as_pixels(pixels: Array, _: Array) -> Array:
    return pixels


def _place(layer: Any, below: Any, placement: Placement) -> tuple[Any, Any]:  # noqa: ANN401
    (width, height), (room_width, room_height) = _size(layer), _size(below)
    scale = placement.size * min(room_width / width, room_height / height)
    if scale**2 * width * height > _LARGEST_PIXELS:
        raise InputError(
            f"at this size the cut-out would have {scale * width:.0f} x {scale * height:.0f} "
            "pixels; make it smaller, or take a smaller background"
        )
    left = round(placement.x * room_width - scale * width / 2)
    top = round(placement.y * room_height - scale * height / 2)
    return compose(layer, below, (left, top), scale)


def _size(image: Image.Image | Array) -> tuple[int, int]:
    """Width and height."""
    if isinstance(image, np.ndarray):
        return image.shape[1], image.shape[0]
    return image.size


def _check_file(path: str) -> None:
    """Refuse what is no picture or would take too much memory, before it is decoded."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise InputError(f"{Path(path).name} ends in none of {', '.join(ENDINGS)}; convert it")
    try:
        with open_header(path) as image:
            width, height = image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{Path(path).name} cannot be read as an image: {error}") from error
    if width * height > _LARGEST_PIXELS:
        raise InputError(
            f"{Path(path).name} has {width} x {height} pixels; this page takes up to "
            f"{_LARGEST_PIXELS // 1_000_000} megapixels: use the command line"
        )
