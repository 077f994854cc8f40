"""Open the masks of a clip: what is white in one of them is white in all."""

from collections.abc import Iterable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.imaging.mask import LEAST_WHITE, MaskLike, ResizeMask, read_mask, unit_mask
from harmonizer.preprocessing import Array

_WHOLE = {"uint8": 255, "uint16": 65535}  # ranges, by the dtypes that have them
# So many masks of nothing but 0 and 1, with some 1 in them, are not those of something that fades.
_ENOUGH = 250


class FrameMasks:
    """Opens the masks of one clip, in their order.

    By the largest value of each alone, as `open_mask` goes, what fades would be full foreground
    where it is faintest. So integers of 8 and 16 bits count by the whole range of their dtype,
    others by the largest range that one so far needs; unless all are 0 or 1.
    """

    def __init__(self, resize: ResizeMask = False) -> None:
        """Begin a clip; `resize` is as `open_mask` takes it."""
        self._resize: ResizeMask = resize
        self._white = 1

    def look_at(self, masks: Iterable[MaskLike], size: tuple[int, int] | None = None) -> None:
        """Find out beforehand whether all of them are 0 or 1, by as few as it takes.

        One that cannot be read is passed over: that is told when its turn comes.

        Raises:
            InputError: They look like maps of labels.
        """
        labels: Array | None = None
        plain = 0
        for mask in masks:
            with suppress(InputError):
                values = read_mask(mask, size, resize=self._resize)
                highest = self._note(values)
                if highest >= LEAST_WHITE:
                    return
                labels = values if highest > 1 else labels
                plain += highest == 1
                if plain == _ENOUGH and labels is None:
                    return
        if labels is not None:
            unit_mask(labels, labels.shape[:2])  # which says so

    def open(self, mask: MaskLike, size: tuple[int, int]) -> NDArray[np.float32]:
        """Open one, as `open_mask` does."""
        values = read_mask(mask, size, resize=self._resize)
        self._note(values)
        white = None if values.dtype.kind not in "iu" else self._white
        if white is not None and white > 1:
            white = _WHOLE.get(values.dtype.name, white)
        return unit_mask(values, size, resize=self._resize, white=white)

    def _note(self, values: Array) -> float:
        """Remember the range that a mask needs; return its largest number, 0 of what has none."""
        if values.dtype.kind not in "iu":
            return 0
        highest = float(values.max())
        if highest > 1:
            least = 255 if highest <= 255 else 65535
            self._white = max(self._white, _WHOLE.get(values.dtype.name, least))
        return highest
