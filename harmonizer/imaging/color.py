"""Bring colours from one profile's numbers to another's, by LittleCMS through Pillow.

Relative colorimetric with black point compensation: white stays white and black black, as picture
editors do by default. LittleCMS has 8 bits here; what colours have beyond is carried over by the
mean of copies that are shifted by parts of a level.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from harmonizer.errors import raise_if_interrupted, warn
from harmonizer.preprocessing import Array

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
# Of a profile, in bytes; those of printing presses have up to four million. Few are kept, too.
_LARGEST = 8_000_000
_KEPT = 8
_MOST_TAGS = 100  # LittleCMS refuses more
_GREYS_APART = 32  # levels; what does not tell them apart cannot bring colours back
_GREYS: NDArray[np.uint8] = np.arange(64, 224, _GREYS_APART, dtype=np.uint8)
Floats = NDArray[np.float32]
# Spread evenly over a level of each channel: Roberts's sequence.
_SHIFTS = ((0.5 + np.outer(np.arange(8), (0.8191725, 0.6710436, 0.5497005))) % 1 - 0.5).astype(
    np.float32
)


@dataclass(frozen=True)
class ColorSpace:
    """What a picture's numbers mean: an ICC profile, and what it describes."""

    profile: bytes
    mode: Literal["RGB", "L", "CMYK"]


def color_space(profile: object, modes: tuple[str, ...]) -> ColorSpace | None:
    """Return what an embedded profile says of a picture; None if that is sRGB, or nothing.

    Args:
        profile: The bytes of an ICC profile, or None.
        modes: Of which modes it may be: `RGB`, `L` or `CMYK`. Another one, or one that LittleCMS
            cannot use, is ignored with a warning.
    """
    if not isinstance(profile, bytes) or not profile:
        return None
    large = f"it has more than {_LARGEST:,} bytes"
    found = _usable(profile) if len(profile) <= _LARGEST else large
    if isinstance(found, str) or found.mode not in modes:
        reason = found if isinstance(found, str) else f"it is for {found.mode}"
        warn(f"the colour profile cannot be used ({reason}); the colours are taken as sRGB")
        return None
    return None if _is_srgb(found) else found


@lru_cache(maxsize=_KEPT)
def _usable(profile: bytes) -> ColorSpace | str:
    """Return the space, or the reason why there is none."""
    try:
        opened = cast(Any, ImageCms.ImageCmsProfile(_without_chains(profile)))
        kind = str(opened.profile.xcolor_space).strip()
        if kind not in _MODES:
            return f"it is for {kind}"
        space = ColorSpace(profile, cast(Literal["RGB", "L", "CMYK"], _MODES[kind]))
        _transform(None, space)
        _transform(space, None)
    except MemoryError:
        raise
    except Exception as error:  # LittleCMS refuses what is damaged by whatever comes up
        raise_if_interrupted(error)
        return str(error) or type(error).__name__
    if space.mode != "CMYK":  # pictures in inks are brought to sRGB, and stay there
        greys = np.repeat(_GREYS, 3).reshape(1, -1, 3)
        returned = apply(apply(greys, space, None), None, space)
        if np.abs(returned.astype(np.int16) - greys).max() > _GREYS_APART // 2:
            return "greys do not come back from it"
    return space


def _without_chains(profile: bytes) -> io.BytesIO:
    """Open a profile without its chains of processing elements (D2B0 to B2D3).

    An element may stand in them any number of times: a few kilobytes take gigabytes or hours. Every
    profile has tables or curves, too (ICC.1:2022, 8.2), and 8 bits need no more.
    """
    data = bytearray(profile)
    for place in range(132, min(132 + 12 * _MOST_TAGS, len(data)), 12):
        name = profile[place : place + 4]
        if name[:3] in (b"D2B", b"B2D"):
            data[place : place + 4] = name.lower()  # a name that says nothing
    return io.BytesIO(data)


@lru_cache(maxsize=_KEPT)
def _is_srgb(space: ColorSpace) -> bool:
    """Return whether no colour changes by more than a level: many programs' sRGB differ in that."""
    if space.mode != "RGB":
        return False
    steps = np.linspace(0, 1, 6, dtype=np.float32)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    return bool(np.abs(convert(colours, space, None) - colours).max() < 1.5 / 255)


def convert(colours: Floats, source: ColorSpace | None, target: ColorSpace | None) -> Floats:
    """Bring RGB colours, (H, W, 3) in [0, 1], from one space to another; None is sRGB.

    Grey spaces take and give three equal channels.
    """
    if source == target:
        return colours
    levels = colours * 255
    stored = np.rint(levels)
    if np.abs(levels - stored).max(initial=0) < 1e-3:
        return apply(stored.astype(np.uint8), source, target) * np.float32(1 / 255)
    total = np.zeros_like(colours)
    for shift in _SHIFTS:
        total += apply(np.rint(levels + shift).clip(0, 255).astype(np.uint8), source, target)
    return total * np.float32(1 / (255 * len(_SHIFTS)))


def apply(colours: Array, source: ColorSpace | None, target: ColorSpace | None) -> Array:
    """Bring colours of 8 bits, (H, W, 3), or 4 of CMYK, from one space to another."""
    if source is not None and source.mode == "L":
        colours = colours[..., 0]
    image = Image.fromarray(np.ascontiguousarray(colours), source.mode if source else "RGB")
    converted = np.asarray(ImageCms.applyTransform(image, _transform(source, target)))
    return converted if converted.ndim == 3 else np.repeat(converted[..., None], 3, axis=2)


def change_within(
    space: ColorSpace | None, colours: Floats, before: Floats, after: Floats
) -> Floats:
    """Make to colours of a space the change that was made to them in sRGB; all in [0, 1].

    What neither sRGB nor 8 bits can hold is the same on both sides, and so no part of the change.
    """
    if space is None:
        return after
    change = convert(after, None, space) - convert(before, None, space)
    return (colours + change).clip(0, 1)


@lru_cache(maxsize=2 * _KEPT)  # there and back
def _transform(source: ColorSpace | None, target: ColorSpace | None) -> ImageCms.ImageCmsTransform:
    profiles: list[Any] = [
        _without_chains(space.profile) if space else ImageCms.createProfile("sRGB")
        for space in (source, target)
    ]
    from_mode, to_mode = (space.mode if space else "RGB" for space in (source, target))
    return ImageCms.buildTransform(profiles[0], profiles[1], from_mode, to_mode, _INTENT, _FLAGS)
