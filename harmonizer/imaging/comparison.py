"""Draw before and after side by side, for a notebook or a page."""

from PIL import Image

from harmonizer.errors import InputError, as_whole
from harmonizer.imaging.drawing import lay_out, preview
from harmonizer.imaging.image import ImageLike, open_image
from harmonizer.imaging.mask import MaskLike, open_mask
from harmonizer.preprocessing import Array

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
        panels["mask"] = open_mask(mask, first.size)
    gaps = _GAP * (len(panels) - 1)
    width = as_whole(width, f"the width of {len(panels)} pictures", gaps + len(panels))
    small = [preview(panel, (width - gaps) // len(panels)) for panel in panels.values()]
    return Image.fromarray(lay_out(small, len(small), titles=list(panels), gap=_GAP))
