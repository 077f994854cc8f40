"""What cut-out clips are pasted into: another clip, or one picture for all frames."""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from harmonizer.errors import InputError, import_extra
from harmonizer.imaging.color import convert
from harmonizer.imaging.image import open_background
from harmonizer.jobs.video.pictures import is_still
from harmonizer.jobs.video.reading import Clip, Stored
from harmonizer.jobs.video.writing import Output, copied
from harmonizer.preprocessing import full_scale

# Seconds by which the rounded times of two files may differ.
_TOLERANCE = 2e-3


class Background:
    """A clip or a picture, open to be read once.

    Attributes:
        stored: How its pictures are stored, which is how the composites will be.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            InputError: It cannot be read, or is not opaque.
        """
        self._path = path
        self._opened = ExitStack()
        if is_still(path):
            self._coming: Any = _frame_of(path)
            self.stored = Stored(self._coming.width, self._coming.height, "yuv420p")
            self._frames: Iterator[Any] = iter(())
            self._duration = np.inf
        else:
            clip = self._opened.enter_context(Clip(path))
            if clip.alpha:
                raise InputError(f"{path} has an alpha channel, and a background has to be opaque")
            self.stored = clip.stored
            self._frames = clip.frames()
            self._coming = next(self._frames)
            self._duration = 1 / clip.rate
        self._now: Any = None
        self._shown = 0.0
        self._begin = self._coming.time or 0.0

    def __enter__(self) -> "Background":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._opened.close()

    def at(self, time: float, output: Output) -> Any:  # noqa: ANN401 - a frame of PyAV
        """Return what is shown at a time, as it will be stored, in memory of its own.

        Args:
            time: In seconds from the begin; never less than the one before.
            output: What stores it.

        Raises:
            InputError: It has ended before.
        """
        due = None
        while self._coming is not None and self._time_of_coming() <= time + _TOLERANCE:
            due, self._shown = self._coming, self._time_of_coming()
            self._coming = next(self._frames, None)
        if due is not None:
            self._now = output.prepared(due)
        end = self._shown + self._duration
        if self._coming is None and time >= end - _TOLERANCE:
            raise InputError(f"{self._path} ends at {end:.2f} s, before the clip")
        return copied(self._now, self._now.format.name)

    def _time_of_coming(self) -> float:
        if self._coming.time is None:
            return self._shown + self._duration if self._now is not None else 0.0
        return self._coming.time - self._begin


def _frame_of(path: Path) -> Any:  # noqa: ANN401 - a frame of PyAV
    """Return a picture as sRGB; of an odd number of rows or columns the last one is left out."""
    picture = open_background(path, str(path))
    unit = picture.pixels.astype(np.float32) / np.float32(full_scale(picture.pixels.dtype))
    levels = np.rint(convert(unit, picture.space, None) * 255).astype(np.uint8)
    height, width = (side - side % 2 or side for side in levels.shape[:2])
    shown = np.ascontiguousarray(levels[:height, :width])
    frame = import_extra("av", "video").VideoFrame.from_ndarray(shown, format="rgb24")
    frame.pts, frame.time_base = 0, Fraction(1)
    return frame
