"""Do the page's work without the page: files in, a harmonized picture of any strength out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.errors import InputError
from harmonizer.imaging.color import apply
from harmonizer.imaging.compositing import compose
from harmonizer.imaging.drawing import preview
from harmonizer.imaging.files import open_file, open_header
from harmonizer.imaging.image import open_image
from harmonizer.imaging.mask import open_mask
from harmonizer.imaging.picture import Picture
from harmonizer.imaging.saving import save_image
from harmonizer.pipeline import apply_strength, harmonize
from harmonizer.preprocessing import Array

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

    `full` has the composite's pixels with the full change; `before` and `after` are small copies.
    """

    layers: Layers
    full: Array
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]

    def shown(self, strength: float) -> Array:
        """Return a small copy of the picture at a strength from 0 to 1, uint8, sRGB."""
        return _as_srgb(apply_strength(self.before, self.after, strength), self.layers.picture)

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


def open_painted(image: str, strokes: str | bytes | None) -> Layers:
    """Read a composite whose mask was painted on a small copy of it.

    Args:
        image: The composite.
        strokes: A file, or the bytes of one, whose alpha says where there was painted.
    """
    _check_file(image)
    painted = None if strokes is None else _alpha(strokes)
    if painted is None or not painted.any():
        raise InputError("nothing is painted; paint over the foreground first")
    picture = open_image(image)
    return Layers(picture, open_mask(painted, picture.size, resize=True), Path(image).stem)


def _alpha(strokes: str | bytes) -> NDArray[np.bool_]:
    def check(size: tuple[int, int]) -> None:
        if max(size) > _PREVIEW:
            raise InputError(f"what is painted has up to {_PREVIEW} pixels a side; got {size}")

    layer: Any = open_file(strokes, check=check)[0]
    if isinstance(layer, np.ndarray):  # which no browser draws
        raise InputError("what is painted has more than 8 bits a channel")
    return np.asarray(layer.convert("RGBA").getchannel("A")) > 0


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
    """Draw quickly what `paste` would make: (H, W, 3), uint8, sRGB, reduced."""
    _check_file(cutout)
    _check_file(background)
    layer, _ = open_file(cutout)
    below = _small(open_image(background), _PLACEMENT)
    return _place(layer, below, placement)[0]


def show_file(image: str) -> NDArray[np.uint8]:
    """Read a file and return a small copy, uint8, sRGB."""
    _check_file(image)
    return _small(open_image(image), _PREVIEW)


def _small(picture: Picture, side: int) -> NDArray[np.uint8]:
    return _as_srgb(preview(picture.pixels, side, side), picture)


def _as_srgb(shown: NDArray[np.uint8], picture: Picture) -> NDArray[np.uint8]:
    """Bring colours of a picture's own space to what browsers take numbers for."""
    return shown if picture.space is None else apply(shown, picture.space, None)


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
