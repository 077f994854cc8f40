"""Prepare a picture for a network."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import WeightsCorruptedError
from harmonizer.imaging.color import change_within, convert
from harmonizer.imaging.image import ImageLike, open_image
from harmonizer.imaging.mask import MaskLike, ResizeMask, open_mask
from harmonizer.imaging.picture import Picture
from harmonizer.lifting import ColorTransform
from harmonizer.pipeline.framing import Frame, frame_around, lies_right
from harmonizer.pipeline.rims import on_the_edge
from harmonizer.preprocessing import Array, Preprocessing, full_scale

_COLORS = 4096  # of a foreground are enough to know it by
_LEAST_SOLID = 0.5  # of a mask, to be an object; JPEG leaves less around it
_LEAST_SHARE = 0.5 / 255  # of a place; less is dust
_FEW = 256  # up to so many places, to look at each is quicker than to sum up the whole mask


@dataclass(frozen=True)
class Composite:
    """One picture and its mask, ready for the network.

    Attributes:
        picture: The composite.
        mask: (H, W), in [0, 1]; 1 is the foreground to change.
        low_res: The part of it at the size of the network's input, in its own dtype.
        low_res_mask: The same part of the mask, for the network: its rim lies on the edge.
        frame: The part of the picture that the network sees.
        mirrored: Whether it sees that mirrored.
        changes: Whether there is anything to harmonize.
    """

    picture: Picture
    mask: NDArray[np.float32]
    low_res: Array
    low_res_mask: NDArray[np.float32]
    frame: Frame
    mirrored: bool = False
    changes: bool = True

    @property
    def shown(self) -> NDArray[np.float32]:
        """The small picture as networks see it: sRGB, in [0, 1]."""
        return convert(self._own, self.picture.space, None)

    def seen(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mirror planes (C, h, w) if the network sees the picture so; twice is not at all."""
        return planes[..., ::-1] if self.mirrored else planes

    def in_own_space(self, answer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring what a network makes of `shown`, in [0, 1], to the picture's own numbers."""
        changed = change_within(self.picture.space, self._own, self.shown, answer)
        return changed * np.float32(self.scale)

    @property
    def _own(self) -> NDArray[np.float32]:
        return self.low_res.astype(np.float32) / np.float32(self.scale)

    def completed(self, changed: Array) -> Array:
        """Put what became of the frame's part into a copy of the whole picture."""
        pixels = self.picture.pixels
        if self.frame == Frame.whole(pixels):
            return changed
        completed = pixels.copy()
        self.frame.put(changed, completed)
        return completed

    def restored(self, changed: Array) -> Any:  # noqa: ANN401 - the kind that came in
        """Hand a new array, the picture with its foreground changed, back as what came in."""
        picture = self.picture
        return picture.rebuild(changed) if picture.rebuild else picture.restore(changed, self.mask)

    def of_own_colors(self, change: ColorTransform) -> ColorTransform:
        """Find the map of the picture's own numbers that is nearest to one of sRGB colours."""
        space = self.picture.space
        if space is None:
            return change
        foreground = self.picture.pixels[self.mask > 0]
        some = foreground[:: 1 + len(foreground) // _COLORS].astype(np.float32)

        def changed(colours: NDArray[np.float64]) -> NDArray[np.float64]:
            own = colours.astype(np.float32)[None]
            before = convert(own, space, None)
            after = change.of_colours(before[0].T).T[None]
            return change_within(space, own, before, after)[0].astype(np.float64)

        return ColorTransform.from_function(changed, near=some / np.float32(self.scale))

    @property
    def scale(self) -> float:
        """What white is: 255, 65535 or 1."""
        return full_scale(self.picture.pixels.dtype)


@np.errstate(all="ignore")  # whatever the program around asks for
def open_composite(
    image: ImageLike,
    mask: MaskLike,
    preprocessing: Preprocessing,
    *,
    resize_mask: ResizeMask = False,
    whole: bool = False,
) -> Composite:
    """Open a picture and its mask, and reduce them to the size of a network's input.

    Args:
        image: As `Harmonizer.harmonize` takes it.
        mask: As `Harmonizer.harmonize` takes it.
        preprocessing: The network's.
        resize_mask: As `Harmonizer.harmonize` takes it.
        whole: Show the network the whole picture and the mask as they are, and not the frame around
            the foreground, and a mask whose rim lies on its edge.
    """
    picture = open_image(image)
    plane = open_mask(mask, picture.size, resize=resize_mask)
    frame = Frame.whole(plane) if whole else frame_around(plane, preprocessing.input_size)
    framed = frame.of(picture.pixels)
    low_res, low_res_mask = _reduced(framed, frame.of(plane), preprocessing)
    mirrored = not whole and lies_right(low_res_mask)
    if not whole:
        low_res_mask = on_the_edge(framed, low_res_mask, mirrored=mirrored)
    return Composite(picture, plane, low_res, low_res_mask, frame, mirrored)


def _reduced(
    pixels: Array, mask: NDArray[np.float32], preprocessing: Preprocessing
) -> tuple[Array, NDArray[np.float32]]:
    """Reduce a picture and its mask so that every object of the mask is still there.

    Where all of an object fell between the pixels, it is given those that it touches, in its own
    mean colour there.
    """
    low, low_mask = preprocessing.resize(pixels), preprocessing.resize(mask)
    height, width = preprocessing.input_size
    if mask.shape[0] <= height or mask.shape[1] <= width:
        return low, low_mask
    missed = cv2.dilate(low_mask, np.ones((3, 3), np.uint8)) <= _LEAST_SOLID
    if preprocessing.resampler == "opencv-area":  # which leaves nothing out: most end here
        missed &= low_mask > 0
    places = np.argwhere(missed)
    if not len(places):
        return low, low_mask
    low, low_mask = low.copy(), low_mask.copy()
    # The pixels that each place touches: from, to, of rows and columns.
    scales = np.array(mask.shape) / (height, width)
    starts, ends = (places * scales).astype(int), np.ceil((places + 1) * scales).astype(int)
    ends = np.minimum(ends, mask.shape)  # which rounding may pass
    least = _LEAST_SHARE * scales.prod()
    if len(places) > _FEW:
        sums = cv2.integral((mask > _LEAST_SOLID).view(np.uint8))
        (top, left), (bottom, right) = starts.T, ends.T
        counts = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        worthy = counts > least
        places, starts, ends = places[worthy], starts[worthy], ends[worthy]
    for (row, column), (top, left), (bottom, right) in zip(places, starts, ends, strict=True):
        there = mask[top:bottom, left:right] > _LEAST_SOLID
        if np.count_nonzero(there) > least:
            colour = pixels[top:bottom, left:right][there].mean(axis=0)
            low[row, column] = np.rint(colour) if low.dtype.kind == "u" else colour
            low_mask[row, column] = 1
    return low, low_mask


def is_map(answer: NDArray[np.float32]) -> bool:
    """Whether a network has answered with a map of colours (3, 10), not a picture (3, h, w)."""
    return answer.ndim == 2


def check_finite(answer: NDArray[np.float32], name: str) -> None:
    """Refuse an answer of the model of this name that holds NaN or infinity."""
    if not np.isfinite(answer).all():
        raise WeightsCorruptedError(
            f"the network of {name} answers with NaN or infinity: its weights or its normalisation "
            "are wrong, or it needs float32"
        )
