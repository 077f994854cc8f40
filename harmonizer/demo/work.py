"""Do the page's work without the page: files in, a harmonized picture of any strength out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.demo.lines import Origin
from harmonizer.errors import InputError
from harmonizer.imaging.color import apply
from harmonizer.imaging.depth import in_eight_bits
from harmonizer.imaging.drawing import preview
from harmonizer.imaging.files import open_file, size_in_header
from harmonizer.imaging.image import open_image, open_layer
from harmonizer.imaging.mask import ResizeMask, open_mask
from harmonizer.imaging.picture import Picture, check_not_empty
from harmonizer.imaging.saving import save_image
from harmonizer.jobs.scene import Scene
from harmonizer.lifting import Strength, apply_strength
from harmonizer.pipeline import harmonize
from harmonizer.preprocessing import Array, full_scale
from harmonizer.zoo.manifest import default_model

ENDINGS: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".jp2")
_LARGEST_PIXELS = 100_000_000
_PREVIEW = 1280  # pixels; the longest side of what the page shows


@dataclass(frozen=True)
class Placement:
    """Where a cut-out's centre goes, x and y from 0 to 1; a size of 1 is as large as fits."""

    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Layers:
    """A composite at full size, its mask (H, W) in [0, 1], and what it was made of."""

    picture: Picture
    mask: NDArray[np.float32]
    origin: Origin

    def save_mask(self, path: Path) -> None:
        """Write the mask, in 8 bits."""
        save_image(Image.fromarray(np.rint(self.mask * 255).astype(np.uint8)), path)


# Compared by identity: the page's sessions hash what they keep.
@dataclass(frozen=True, eq=False)
class Harmonized:
    """A harmonized picture, from which every strength follows without the network.

    `full` has the composite's pixels with the full change; `before` and `after` are small copies.
    `model` is None for the bundled default.
    """

    layers: Layers
    model: str | None
    full: Array
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        """The memory that its pictures at full size take."""
        return self.full.nbytes + self.layers.mask.nbytes + self.layers.picture.pixels.nbytes

    def shown(self, strength: float | Strength) -> Array:
        """Return a small copy of the picture at a strength, uint8, sRGB."""
        return _as_srgb(apply_strength(self.before, self.after, strength), self.layers.picture)

    def save(
        self, folder: Path, ending: str, strength: float | Strength, *, eight_bits: bool = False
    ) -> Path:
        """Write the picture at full size with its metadata, and return where."""
        picture = self.layers.picture
        changed = apply_strength(picture.pixels, self.full, strength)
        picture = in_eight_bits(picture) if eight_bits else picture
        path = folder / f"{self.layers.origin.name}{ending}"
        save_image(picture.restore(changed, self.layers.mask), path, picture.info)
        return path


def open_composite(
    image: str, mask: str, *, stretch: bool = False, invert: bool = False, page: int | None = None
) -> Layers:
    """Read a composite and its mask from files."""
    sizes = _check_file(image, page), _check_file(mask)
    resize: ResizeMask = sizes[0] != sizes[1] and ("stretch" if stretch else True)
    return _opened(image, mask, Scene(resize_mask=resize, invert_mask=invert, page=page))


def _opened(image: str, mask: str | None, scene: Scene) -> Layers:
    picture, plane = scene.open(Path(image), Path(mask) if mask else None)
    return Layers(picture, plane, Origin(Path(image).name, mask and Path(mask).name, scene))


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
    origin = Origin(Path(image).name, f"{Path(image).stem}_mask.png", Scene())
    mask = open_mask(painted, picture.size, resize=True)
    drawn = np.rint(mask * 255) / 255  # as it can be downloaded
    return Layers(picture, drawn.astype(np.float32), origin)


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
    place, scale = _place(_check_file(cutout), _check_file(background), placement)
    return _opened(cutout, None, Scene(Path(background), place, scale))


def show_layer(image: str, side: int = _PREVIEW) -> NDArray[np.uint8]:
    """Read a file and return a small copy with alpha, (h, w, 4), uint8, sRGB."""
    _check_file(image)
    picture, alpha = open_layer(image)
    alpha = np.ones(picture.size, np.float32) if alpha is None else alpha
    step = max(picture.size) // (2 * side) or 1  # large ones would take much memory as floats
    colours, alpha = picture.pixels[::step, ::step], alpha[::step, ::step, None]
    unit = colours.astype(np.float32) / np.float32(full_scale(colours.dtype))
    ratio = min(1.0, side / max(alpha.shape))
    size = [max(1, round(length * ratio)) for length in alpha.shape[1::-1]]
    layer = cv2.resize(np.dstack([unit * alpha, alpha]), size, interpolation=cv2.INTER_AREA)
    layer[..., :3] /= np.maximum(layer[..., 3:], 1e-6)
    shown = np.rint(layer.clip(0, 1) * 255).astype(np.uint8)
    return np.dstack([_as_srgb(np.ascontiguousarray(shown[..., :3]), picture), shown[..., 3]])


def size_of(image: str, page: int | None = None) -> tuple[int, int]:
    """Return a file's height and width, upright; there is none without pixels."""
    size = size_in_header(image, page=page)
    check_not_empty(*size)
    return size


def show_file(image: str) -> NDArray[np.uint8]:
    """Read a file and return a small copy, uint8, sRGB."""
    _check_file(image)
    picture = open_image(image)
    return _as_srgb(preview(picture.pixels, _PREVIEW, _PREVIEW), picture)


def _as_srgb(shown: NDArray[np.uint8], picture: Picture) -> NDArray[np.uint8]:
    """Bring colours of a picture's own space to what browsers take numbers for."""
    return shown if picture.space is None else apply(shown, picture.space, None)


def harmonize_layers(layers: Layers, model: str | None, device: str) -> Harmonized:
    """Run the network, once for all strengths."""
    full = harmonize(layers.picture.as_pixels(), layers.mask, model, device=device)
    return Harmonized(
        layers,
        None if model == default_model() else model,
        full,
        preview(layers.picture.pixels, _PREVIEW, _PREVIEW),
        preview(full, _PREVIEW, _PREVIEW),
    )


def _place(
    size: tuple[int, ...], room: tuple[int, ...], placement: Placement
) -> tuple[tuple[int, int], float]:
    """Return position and scale as `compose` takes them, of heights and widths."""
    (height, width), (room_height, room_width) = size, room
    scale = placement.size * min(room_width / width, room_height / height)
    scale = float(f"{scale:.6g}")  # what can be said in a line
    if scale**2 * width * height > _LARGEST_PIXELS:
        raise InputError(
            f"at this size the cut-out would have {scale * width:.0f} x {scale * height:.0f} "
            "pixels; make it smaller, or take a smaller background"
        )
    left = round(placement.x * room_width - scale * width / 2)
    top = round(placement.y * room_height - scale * height / 2)
    return (left, top), scale


def _check_file(path: str, page: int | None = None) -> tuple[int, int]:
    """Refuse what is no picture or would take too much memory, before it is decoded.

    Its height and width are returned.
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise InputError(f"{Path(path).name} ends in none of {', '.join(ENDINGS)}; convert it")
    height, width = size_of(path, page)
    if width * height > _LARGEST_PIXELS:
        raise InputError(
            f"{Path(path).name} has {width} x {height} pixels; this page takes up to "
            f"{_LARGEST_PIXELS // 1_000_000} megapixels: use the command line"
        )
    return height, width
