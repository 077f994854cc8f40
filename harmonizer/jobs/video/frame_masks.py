"""Open the masks of a clip: what is white in one of them is white in all."""

from collections.abc import Callable, Generator, Iterable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError, raise_if_interrupted, warn
from harmonizer.imaging.mask import (
    LEAST_WHITE,
    WHITES,
    MaskLike,
    ResizeMask,
    hint_at_faintness,
    read_mask,
    unit_mask,
    white_of,
)
from harmonizer.preprocessing import Array

# So many are looked at beforehand: enough for any fade, and read in a few seconds.
_ENOUGH = 250


class FrameMasks:
    """Opens the masks of one clip, in their order.

    By the largest value of each alone, as `open_mask` goes, what fades would be full foreground
    where it is faintest, or a map of labels. So what is white among integers is decided for all of
    a clip (for those of each dtype, should they differ): by the masks until now, and where these
    leave it open by those to come. 1 is white in a clip whose masks have no values between it and
    the largest.
    """

    def __init__(
        self,
        resize: ResizeMask = False,
        *,
        invert: bool = False,
        coming: Callable[[int], Iterable[MaskLike]] | None = None,
    ) -> None:
        """Begin a clip.

        Args:
            resize: As `open_mask` takes it.
            invert: Take black for the foreground.
            coming: Draws the masks from an index on, without taking them from those to be opened;
                None if that cannot be.
        """
        self._resize: ResizeMask = resize
        self._invert, self._coming = invert, coming
        self._opened, self._most = 0, 0.0
        self._white: dict[str, int] = {}  # by dtype
        self._between = self._bright = self._looked = False

    def open(self, mask: MaskLike, size: tuple[int, int]) -> NDArray[np.float32]:
        """Open the next one, as `open_mask` does."""
        values = read_mask(mask, size, resize=self._resize)
        self._opened += 1
        white = None
        if values.dtype.kind in "iu":
            name, highest = values.dtype.name, self._note(values)
            if highest and not self._is_known(name, highest) and not self._looked:
                self._look_ahead(size)
            white = self._white_of(name, highest)
        plane = unit_mask(values, size, resize=self._resize, white=white)
        plane = 1 - plane if self._invert else plane
        self._most = max(self._most, float(plane.max()))
        return plane

    def finish(self) -> None:
        """Warn of a clip in which nothing changes, or hardly anything, once it has been opened."""
        if not self._opened:
            return
        if not self._most:
            warn("every mask of the clip is empty: there is no foreground to harmonize")
        hint_at_faintness(self._most)

    def _note(self, values: Array) -> float:
        """Learn from a mask of integers; return its largest value."""
        highest = float(values.max())
        if highest > 1:
            name, white = values.dtype.name, white_of(highest)
            self._white[name] = max(white, self._white.get(name, 1))
            self._bright |= highest >= LEAST_WHITE
            self._between = self._between or bool(((values > 1) & (values < white)).any())
        return highest

    def _is_known(self, name: str, highest: float) -> bool:
        """Whether no mask to come can change what such a one means."""
        largest = WHITES[-1]
        if name != "uint8" and white_of(highest) < largest and self._white.get(name) != largest:
            return False
        return highest >= LEAST_WHITE or (self._bright and self._between)

    def _look_ahead(self, size: tuple[int, int]) -> None:
        """Learn from masks to come; what is wrong with one is told when its turn comes."""
        self._looked = True
        coming = self._coming(self._opened) if self._coming else ()
        for mask in islice(_until_an_error(coming), _ENOUGH):
            if hasattr(mask, "read"):  # perhaps only once
                return
            try:
                values = read_mask(mask, size, resize=self._resize)
            except InputError:
                continue
            if values.dtype.kind in "iu":
                self._note(values)
                if self._is_known(values.dtype.name, 1):
                    return

    def _white_of(self, name: str, highest: float) -> int | None:
        """What full foreground is in a mask; None for what looks like a map of labels."""
        if highest <= 1:
            return self._white.get(name, 1) if self._between else 1
        return self._white[name] if self._bright else None


def _until_an_error(masks: Iterable[MaskLike]) -> Generator[MaskLike]:
    """Draw masks while they come; what a program's own raise, they raise in their turn again."""
    try:
        yield from masks
    except Exception as error:
        raise_if_interrupted(error)
