"""Masks for a clip: a video, a folder of pictures, one picture, or the clip's own alpha."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np

from harmonizer.errors import InputError
from harmonizer.imaging.mask import MaskLike, ResizeMask
from harmonizer.jobs.video.frame_masks import FrameMasks
from harmonizer.jobs.video.pictures import is_still, sorted_pictures
from harmonizer.jobs.video.reading import Clip
from harmonizer.jobs.video.yuv import has_planes, is_coloured, is_full_range, planes_of, turned
from harmonizer.preprocessing import Array

# What lossy compression makes of black and white, in levels of 255.
_NOISE = 4


@dataclass(frozen=True)
class Masks:
    """Where the masks of a clip come from, and how they are taken.

    Attributes:
        path: A folder of pictures, in the order of the numbers in their names; one picture, for all
            frames; or a video, of which what is nearly black or white counts as such.
        resize: Accept masks of another size, and resize them: see `open_mask`.
        invert: Take black for the foreground.
    """

    path: Path
    resize: ResizeMask = False
    invert: bool = False


def count_masks(source: Path) -> int | None:
    """Return how many masks a source holds; None if it fits any clip, or does not say."""
    if source.is_dir():
        return len(sorted_pictures(source))
    if is_still(source):
        return None
    with Clip(source) as clip:
        return clip.counted


def read_masks(masks: Masks, size: tuple[int, int]) -> Generator[Array]:
    """Yield the masks of a clip, upright, (H, W), in [0, 1].

    Args:
        masks: Where they come from.
        size: Height and width of the clip's upright frames.

    Raises:
        InputError: A mask cannot be read, or has another size; the message names it.
    """
    source = masks.path
    paths = sorted_pictures(source) if source.is_dir() else [source]
    opener = FrameMasks(masks.resize, invert=masks.invert, coming=lambda index: paths[index:])

    def taken(mask: MaskLike, name: str) -> Array:
        try:
            return opener.open(mask, size)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error

    if source.is_dir():
        yield from (taken(path, path.name) for path in paths)
    elif is_still(source):
        one = taken(source, source.name)
        opener.finish()
        yield from repeat(one)
    else:
        with Clip(source) as clip:
            for index, grey in enumerate(_grey(clip)):
                yield taken(grey, f"mask {index} of {source.name}")
    opener.finish()


def _grey(clip: Clip) -> Iterator[Array]:
    for frame in clip.frames():
        form = frame.format
        if form.is_rgb or not is_coloured(form) or not has_planes(form):
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
