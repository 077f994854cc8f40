"""Before and after, side by side, for a notebook or a page."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.drawing import LINE_HEIGHT, PAPER, preview, write_line
from harmonizer.errors import InputError
from harmonizer.image import Array, ImageLike, open_image
from harmonizer.mask import MaskLike, open_mask

_GAP = 6  # pixels between two pictures


def show_comparison(
    before: ImageLike, after: ImageLike, mask: MaskLike | None = None, *, width: int = 1200
) -> Image.Image:
    """Draw a picture before and after, and its mask, side by side.

    A notebook shows the result if it is the last line of a cell; elsewhere `.save` and `.show` do.

    Args:
        before: The composite, of any kind that `harmonizer.harmonize` takes.
        after: The harmonized picture, of the same size.
        mask: The mask, drawn as a third picture; None draws two.
        width: Of the whole drawing, in pixels. Small pictures are not enlarged to fill it.

    Returns:
        An RGB `PIL.Image.Image`, 8 bits, without alpha, with a title above each picture.

    Raises:
        InputError: The sizes differ, or one of the pictures is not what it should be.
    """
    first, second = open_image(before), open_image(after)
    if first.size != second.size:
        raise InputError(
            "before and after must have the same size; got "
            f"{first.size[1]} x {first.size[0]} and {second.size[1]} x {second.size[0]}"
        )
    panels: dict[str, Array] = {"before": first.pixels, "after": second.pixels}
    if mask is not None:
        panels["mask"] = cv2.cvtColor(open_mask(mask, first.size), cv2.COLOR_GRAY2RGB)
    room = (width - _GAP * (len(panels) - 1)) // len(panels)
    if room < 1:
        raise InputError(f"the width is too small for {len(panels)} pictures; got {width}")
    strips = [_titled(preview(panel, room), title) for title, panel in panels.items()]
    gap = np.full((len(strips[0]), _GAP, 3), PAPER, np.uint8)
    return Image.fromarray(np.hstack([strips[0], *(part for s in strips[1:] for part in (gap, s))]))


def _titled(panel: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    line = np.full((LINE_HEIGHT, panel.shape[1], 3), PAPER, np.uint8)
    write_line(line, title)
    return np.vstack([line, panel])
