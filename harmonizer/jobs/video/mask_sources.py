"""Masks for a clip: a video, a folder of pictures, one picture, or the clip's own alpha."""

import re
from collections.abc import Generator, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from harmonizer.errors import InputError
from harmonizer.imaging.files import list_pictures
from harmonizer.jobs.video.frames import open_frame_mask
from harmonizer.jobs.video.reading import Clip
from harmonizer.jobs.video.yuv import is_full_range, planes_of
from harmonizer.preprocessing import Array

_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".pgm", ".jp2")
# What lossy compression makes of black and white, in levels of 255.
_NOISE = 4


def is_still(source: Path) -> bool:
    """Return whether a source is one picture, for all frames of a clip."""
    return not source.is_dir() and source.suffix.lower() in _PICTURES


def count_masks(source: Path) -> int | None:
    """Return how many masks a source holds; None if it fits any clip, or does not say."""
    if source.is_dir():
        return len(_sorted(source))
    if is_still(source):
        return None
    with Clip(source) as clip:
        return int(clip.stream.frames) or None


def read_masks(source: Path, size: tuple[int, int]) -> Generator[Array]:
    """Yield the masks of a clip, upright, (H, W), in [0, 1].

    Args:
        source: A folder of pictures, in the order of the numbers in their names; one picture, for
            all frames; or a video, of which what is nearly black or white counts as such.
        size: Height and width of the clip's upright frames.

    Raises:
        InputError: A mask cannot be read, or has another size; the message names it.
    """
    if source.is_dir():
        for path in _sorted(source):
            yield open_frame_mask(path, size)
    elif is_still(source):
        yield from repeat(open_frame_mask(source, size))
    else:
        with Clip(source) as clip:
            for index, grey in enumerate(_grey(clip)):
                if grey.shape != size:
                    raise InputError(
                        f"mask {index} of {source} is {grey.shape[1]} x {grey.shape[0]}, the clip "
                        f"{size[1]} x {size[0]}; scale it first"
                    )
                yield grey


def alpha_of(frame: Any) -> Array:  # noqa: ANN401 - a frame of PyAV
    """Return the alpha channel of a planar frame, (H, W), in [0, 1]."""
    white = np.float32((1 << frame.format.components[3].bits) - 1)
    return planes_of(frame)[3] / white


def turned(mask: Array, rotation: int) -> Array:
    """Turn a picture as it is stored upright; a negative rotation is the way back."""
    return np.ascontiguousarray(np.rot90(mask, round(rotation / 90))) if rotation else mask


def _sorted(folder: Path) -> list[Path]:
    """Sort `mask_2.png` before `mask_10.png`."""

    def key(path: Path) -> list[tuple[int, str]]:
        parts = re.split(r"(\d+)", path.name)
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

    found = sorted(list_pictures(folder), key=key)
    if not found:
        raise InputError(f"the folder {folder} holds no pictures")
    return found


def _grey(clip: Clip) -> Iterator[Array]:
    for frame in clip.frames():
        if frame.format.is_rgb or len(frame.format.components) < 3:
            # Numbers of a palette, or packed: red is as good as green and blue.
            values, full, bits = frame.to_ndarray(format="rgb24")[..., 0], True, 8
        else:
            values, bits = planes_of(frame)[0], int(frame.format.components[0].bits)
            full = is_full_range(frame)
        step = 1 << (bits - 8)
        black, white = (0, 255) if full else (16, 235)
        unit = (values - np.float32(black * step)) * np.float32(1 / ((white - black) * step))
        unit[unit < _NOISE / 255] = 0
        unit[unit > 1 - _NOISE / 255] = 1
        yield turned(unit, frame.rotation)
