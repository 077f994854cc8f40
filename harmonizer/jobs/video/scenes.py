"""What of each frame is harmonized: a composite by its mask, or a cut-out on a background."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from harmonizer.errors import InputError
from harmonizer.imaging.compositing import covered, place
from harmonizer.jobs.video.background import Background
from harmonizer.jobs.video.frames import look_at
from harmonizer.jobs.video.mask_sources import Masks, read_masks
from harmonizer.jobs.video.pictures import is_still
from harmonizer.jobs.video.reading import Clip
from harmonizer.jobs.video.writing import Output
from harmonizer.jobs.video.yuv import (
    Box,
    Floats,
    Layout,
    change_colors,
    has_planes,
    is_coloured,
    paste_colors,
    picture_of,
    planes_of,
    rgb_of,
    turned,
)
from harmonizer.lifting import ColorTransform
from harmonizer.pipeline import Harmonizer
from harmonizer.preprocessing import Array, bounding_box, full_scale


@dataclass(frozen=True)
class Shot:
    """A frame to be written, and what of it is to be changed.

    Attributes:
        frame: Of PyAV, in the format of the output.
        planes: Views of its memory that stand upright.
        layout: How they are stored.
        box: Outside which nothing is changed.
        mask: Of the box; empty where nothing is.
    """

    frame: Any
    planes: list[Array]
    layout: Layout
    box: Box
    mask: Floats

    @classmethod
    def of(cls, frame: Any, rotation: int) -> Self:  # noqa: ANN401 - a frame of PyAV
        """Take a frame of which nothing is to be changed."""
        planes, layout = planes_of(frame, rotation), Layout.of(frame, rotation)
        return cls(frame, planes, layout, ((0, 0), (0, 0)), np.zeros((0, 0), np.float32))

    def where(self, mask: Floats) -> Self:
        """Return the same frame, to be changed by a mask of its own size."""
        box = bounding_box(mask)
        if box is None:
            return self
        box = self.layout.aligned(box)
        return replace(self, box=box, mask=mask[slice(*box[0]), slice(*box[1])].copy())

    def like(self, other: "Shot") -> Self:
        """Return the same frame, to be changed where another one is."""
        return replace(self, box=other.box, mask=other.mask)

    def with_layer(self, layer: Floats, target: tuple[slice, slice]) -> Self:
        """Lay a layer of `place` over the frame; return it, to be changed there."""
        (rows, columns), (height, width) = target, self.planes[0].shape
        (top, bottom), (left, right) = self.layout.aligned(
            ((rows.start, rows.stop), (columns.start, columns.stop))
        )
        box = ((top, min(bottom, height)), (left, min(right, width)))
        whole = np.zeros((box[0][1] - top, box[1][1] - left, 4), np.float32)
        first, begin = rows.start - top, columns.start - left
        whole[first : first + layer.shape[0], begin : begin + layer.shape[1]] = layer
        paste_colors(self.planes, self.layout, box, whole)
        mask = covered(whole)
        return replace(self, box=box, mask=mask) if mask.any() else self

    def look(self, harmonizer: Harmonizer) -> ColorTransform:
        """Ask the network for the change of this frame."""
        pixels = picture_of(self.planes, self.layout)
        mask = np.zeros(pixels.shape[:2], np.float32)
        mask[slice(*self.box[0]), slice(*self.box[1])] = self.mask
        return look_at(harmonizer, pixels, mask)

    def changed(self, change: ColorTransform) -> Any:  # noqa: ANN401 - a frame of PyAV
        """Change it, and return the frame."""
        change_colors(self.planes, self.layout, self.box, self.mask, change)
        return self.frame


def composites(clip: Clip, masks: Masks | None, written: Output) -> Iterator[Shot]:
    """Yield the frames of a clip with their masks; None is the clip's alpha channel."""
    mask_before, before = None, None
    for frame, mask in _with_masks(clip, masks):
        ready = written.prepared(frame)
        shot = Shot.of(ready, written.rotation)
        if mask is None:
            yield shot.where(_alpha(ready, shot.planes[3]))
            continue
        # One mask for all frames is looked at once.
        shot = shot.like(before) if before and mask is mask_before else shot.where(mask)
        mask_before, before = mask, shot
        yield shot


def pasted(
    clip: Clip,
    masks: Masks | None,
    background: Background,
    written: Output,
    *,
    position: tuple[int, int] | None,
    scale: float | None,
) -> Iterator[Shot]:
    """Yield the frames of a cut-out clip over those of a background.

    Masks say what of the clip is opaque; None is its alpha channel. Position and scale are those of
    `compose`.
    """
    begin: float | None = None
    for index, (frame, mask) in enumerate(_with_masks(clip, masks)):
        time = clip.time_of(index, frame)
        begin = time if begin is None else begin
        ready = background.at(time - begin, written)
        ready.pts, ready.time_base = frame.pts, frame.time_base
        shot = Shot.of(ready, written.rotation)
        colours, alpha = _colours(frame, mask)
        room = (shot.planes[0].shape[0], shot.planes[0].shape[1])
        layer, target = place(colours, alpha, room, position, scale)
        yield shot.with_layer(layer, target) if layer.size else shot


def _with_masks(clip: Clip, source: Masks | None) -> Iterator[tuple[Any, Floats | None]]:
    """Yield the frames of a clip, and upright masks for them, if there is a source of them."""
    masks, index = None, 0
    for index, frame in enumerate(clip.frames()):
        if source is None:
            yield frame, None
            continue
        size = (frame.height, frame.width)
        masks = masks or read_masks(source, size[::-1] if frame.rotation % 180 else size)
        mask = next(masks, None)
        if mask is None:
            raise InputError(f"{source.path} has masks for {index} frames, and the clip has more")
        yield frame, mask
    if masks and source and not is_still(source.path) and next(masks, None) is not None:
        raise InputError(f"the clip has {index + 1} frames, and {source.path} more masks")


def _alpha(frame: Any, plane: Array) -> Floats:  # noqa: ANN401 - a frame of PyAV
    white = (1 << frame.format.components[3].bits) - 1
    return np.divide(plane, np.float32(white), dtype=np.float32)


def _colours(frame: Any, mask: Floats | None) -> tuple[Floats, Floats]:  # noqa: ANN401 - of PyAV
    """Return a cut-out's colours, (H, W, 3), and how opaque it is, (H, W); upright, in [0, 1]."""
    parts, rotation = frame.format.components, int(frame.rotation)
    if frame.format.is_rgb or not is_coloured(frame.format) or not has_planes(frame.format):
        name = "rgba64le" if parts[0].bits > 8 else "rgba"
        pixels = turned(frame.to_ndarray(format=name), rotation)
        values = np.divide(pixels, np.float32(full_scale(pixels.dtype)), dtype=np.float32)
        return values[..., :3], values[..., 3] if mask is None else mask
    planes, layout = planes_of(frame, rotation), Layout.of(frame, rotation)
    alpha = _alpha(frame, planes[3]) if mask is None else mask
    colours = np.zeros((*alpha.shape, 3), np.float32)
    box = bounding_box(alpha)
    if box is not None:
        colours[slice(*box[0]), slice(*box[1])] = rgb_of(planes, layout, box)
    return colours, alpha
