"""Say what files are opened as: a composite and its mask, or a cut-out on a background."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.imaging.compositing import paste
from harmonizer.imaging.depth import in_eight_bits
from harmonizer.imaging.image import open_image
from harmonizer.imaging.layer import as_layer
from harmonizer.imaging.mask import ResizeMask, open_mask
from harmonizer.imaging.picture import Picture


@dataclass(frozen=True)
class Scene:
    """How files become what is harmonized.

    Attributes:
        background: What images, which are cut-outs then, are pasted into; None is nothing: they
            are composites with masks.
        position: Where the upper left corner of a scaled cut-out goes, as `compose` takes it.
        scale: Of a cut-out, as `compose` takes it.
        cutout_only: Write the harmonized foreground alone, with alpha.
        resize_mask: Accept masks of another size, and resize them: see `open_mask`.
        invert_mask: Take the masks' black for the foreground.
        eight_bits: Write 8 bits a channel, also of pictures that have more.
        page: Which picture of files that hold several, from 1; None is the first or main one.
    """

    background: Path | None = None
    position: tuple[int, int] | None = None
    scale: float | None = None
    cutout_only: bool = False
    resize_mask: ResizeMask = False
    invert_mask: bool = False
    eight_bits: bool = False
    page: int | None = None

    def open(
        self, image: Path | bytes, mask: Path | bytes | None
    ) -> tuple[Picture, NDArray[np.float32]]:
        """Open one picture and its mask; the picture is read for one result."""
        below = None
        if self.background is not None:
            pasted = paste(image, self.background, self.position, self.scale)
            (picture, plane), below = pasted.joined(), pasted.background.pixels
        elif mask is None:
            raise InputError("a mask is needed to know what to change")
        else:
            picture = open_image(image, once=True, page=self.page)
            plane = open_mask(mask, picture.size, resize=self.resize_mask)
            plane = 1 - plane if self.invert_mask else plane
        if self.cutout_only:
            picture = as_layer(picture, plane, below)
        return (in_eight_bits(picture) if self.eight_bits else picture), plane
