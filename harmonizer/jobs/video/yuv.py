"""Decoded frames as they are stored: planes of brightness and colour, changed where a mask says.

What lies outside the mask is never converted to RGB and back, so that it stays as it was decoded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.lifting import ColorTransform
from harmonizer.lifting.color_transform import AddedColor
from harmonizer.lifting.correction import PIECE_PIXELS
from harmonizer.preprocessing import Array, Range, bounding_box

Box = tuple[Range, Range]
Floats = NDArray[np.float32]
# Colours have numbers of ITU-T H.273, which FFmpeg has; ranges have FFmpeg's own.
UNSPECIFIED, BT709 = 2, 1
LIMITED_RANGE, FULL_RANGE = 1, 2
# Kr and Kb of the matrices, by their numbers.
_KR_KB = {
    BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}
_NO_MATRIX = 0
_COLOURED = 3  # components of a format that is not grey
# From this height on players take a clip that says nothing for BT.709.
_HD_HEIGHT = 720


@dataclass(frozen=True)
class Layout:
    """How a format stores colours.

    Attributes:
        bits: Of a value.
        subsampling: Pixels to a value of the colour planes, down and across.
        to_rgb: (3, 4): stored values and 1 to RGB in [0, 1].
        from_rgb: (3, 3): a change of RGB to one of stored values.
    """

    bits: int
    subsampling: tuple[int, int]
    to_rgb: Floats
    from_rgb: Floats

    @classmethod
    def of(cls, frame: Any, rotation: int = 0) -> Self:  # noqa: ANN401 - a frame of PyAV
        """Find how the planes of a planar YUV frame are stored, as `planes_of` gives them.

        Raises:
            InputError: Its matrix is one that this library does not know.
        """
        bits = int(frame.format.components[0].bits)
        chroma = frame.planes[1]
        down = 1 if chroma.height == frame.height else 2
        across = 1 if chroma.width == frame.width else 2
        subsampling = (across, down) if rotation % 180 else (down, across)
        number = matrix_of(frame)
        if number not in _KR_KB:
            raise InputError(
                f"the clip's colour matrix is number {number} of ITU-T H.273; known are BT.601, "
                "BT.709, BT.2020, FCC and SMPTE 240M. Convert it first"
            )
        kr, kb = _KR_KB[number]
        kg = 1 - kr - kb
        matrix = np.array(
            [
                [kr, kg, kb],
                [-kr / (1 - kb) / 2, -kg / (1 - kb) / 2, 0.5],
                [0.5, -kg / (1 - kr) / 2, -kb / (1 - kr) / 2],
            ]
        )
        step = 1 << (bits - 8)
        if is_full_range(frame):
            white = np.full(3, (1 << bits) - 1.0)
            black = np.array([0, 128 * step, 128 * step])
        else:
            white = np.array([219.0, 224, 224]) * step
            black = np.array([16, 128, 128]) * step
        forward = matrix * white[:, None]
        backward = np.linalg.inv(forward)
        to_rgb = np.column_stack([backward, -backward @ black])
        return cls(bits, subsampling, to_rgb.astype(np.float32), forward.astype(np.float32))

    def aligned(self, box: Box) -> Box:
        """Grow a box of pixels until it holds whole values of the colour planes."""
        (top, bottom), (left, right) = box
        down, across = self.subsampling
        return (
            (top // down * down, -(-bottom // down) * down),
            (left // across * across, -(-right // across) * across),
        )

    def chroma(self, box: Box) -> tuple[slice, slice]:
        """Return where an aligned box lies in the colour planes."""
        return (
            slice(box[0][0] // self.subsampling[0], box[0][1] // self.subsampling[0]),
            slice(box[1][0] // self.subsampling[1], box[1][1] // self.subsampling[1]),
        )


def matrix_of(frame: Any) -> int:  # noqa: ANN401 - a frame of PyAV
    """Return the number of a YUV frame's matrix; what players take, where it does not say."""
    number = int(frame.colorspace)
    return number if number != UNSPECIFIED else BT709 if frame.height >= _HD_HEIGHT else 6


def is_full_range(frame: Any) -> bool:  # noqa: ANN401 - a frame of PyAV
    """Return whether black and white are the ends of a frame's values; FFmpeg takes grey so."""
    form, said = frame.format, int(frame.color_range)
    if not is_coloured(form):
        return True
    return said == FULL_RANGE or (not said and form.name.startswith("yuvj"))


def is_rgb(form: Any, matrix: int) -> bool:  # noqa: ANN401 - a format of PyAV
    """Return whether a format, with such a matrix, holds RGB, or the grey or palette of it."""
    grey = not is_coloured(form) and matrix == _NO_MATRIX
    return bool(form.is_rgb or form.has_palette or grey)


def is_coloured(form: Any) -> bool:  # noqa: ANN401 - a format of PyAV
    """Return whether a format has more components than grey, or numbers of a palette, and alpha."""
    return len(form.components) >= _COLOURED


def has_planes(form: Any) -> bool:  # noqa: ANN401 - a format of PyAV
    """Return whether `planes_of` can tell a format's components, or someone has to convert it."""
    apart = len({one.plane for one in form.components}) == len(form.components)
    return apart and not form.is_big_endian


def has_alpha(form: Any) -> bool:  # noqa: ANN401 - a format of PyAV
    """Return whether a format has an alpha channel."""
    return len(form.components) in (2, 4) and not form.has_palette


def planes_of(frame: Any, rotation: int = 0) -> list[Array]:  # noqa: ANN401 - a frame of PyAV
    """Return the planes of a planar frame, (H, W) each, as views of its memory.

    Args:
        frame: A frame of PyAV.
        rotation: Degrees by which it is shown turned, counter-clockwise; the views stand upright.
    """
    dtype = np.dtype(np.uint8 if frame.format.components[0].bits <= 8 else "<u2")
    arrays: list[Array] = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, dtype).reshape(plane.height, plane.line_size // dtype.itemsize)
        arrays.append(turned(rows[:, : plane.width], rotation))
    return arrays


def turned(plane: Array, rotation: int) -> Array:
    """Return a view of a picture that stands upright."""
    return np.rot90(plane, round(rotation / 90)) if rotation else plane


def rgb_of(planes: list[Array], layout: Layout, box: Box) -> Floats:
    """Return a part of a picture as RGB, (h, w, 3), in [0, 1]."""
    rgb = _stored_rgb(planes, layout, box)
    return np.clip(rgb, 0, 1, out=rgb)


def _stored_rgb(planes: list[Array], layout: Layout, box: Box) -> Floats:
    """Return RGB that may lie beyond black and white, as YUV can."""
    (top, bottom), (left, right) = box
    luma = np.ascontiguousarray(planes[0][top:bottom, left:right])
    colours = (plane[layout.chroma(layout.aligned(box))] for plane in planes[1:3])
    stretched = [
        cv2.resize(np.ascontiguousarray(one), luma.shape[::-1], interpolation=cv2.INTER_NEAREST)
        for one in colours
    ]
    rgb = cv2.transform(cv2.merge([luma, *stretched]).astype(np.float32), layout.to_rgb)
    return rgb.astype(np.float32, copy=False)


def picture_of(planes: list[Array], layout: Layout) -> NDArray[np.uint8]:
    """Return a whole picture as RGB, (H, W, 3), of 8 bits."""
    height, width = planes[0].shape
    picture = np.empty((height, width, 3), np.uint8)
    rows = max(2, PIECE_PIXELS // width // 2 * 2)
    for top in range(0, height, rows):
        part = rgb_of(planes, layout, ((top, min(top + rows, height)), (0, width)))
        part *= 255
        picture[top : top + rows] = np.rint(part, out=part)
    return picture


def change_colors(
    planes: list[Array], layout: Layout, box: Box, mask: Floats, change: ColorTransform
) -> None:
    """Change a part of a picture, in place.

    Args:
        planes: (H, W) each; written to.
        layout: How they are stored.
        box: Of the part; aligned.
        mask: Of the part, (h, w), in [0, 1]. Where it is 0 the picture stays bit for bit.
        change: Of the colours.
    """
    added_to = AddedColor.on_scale(change, 1.0)
    for part, inner in _strips(layout, box, mask):
        colours = rgb_of(planes, layout, part)
        added = added_to(np.ascontiguousarray(colours.reshape(-1, 3).T))
        added *= mask[inner].ravel()
        _add_planes(planes, layout, part, added.reshape(3, *colours.shape[:2]))


def paste_colors(planes: list[Array], layout: Layout, box: Box, layer: Floats) -> None:
    """Lay colours over a part of a picture, in place.

    Args:
        planes: (H, W) each; written to.
        layout: How they are stored.
        box: Of the part; aligned.
        layer: Of the part, (h, w, 4), in [0, 1]: RGB, multiplied by alpha, and alpha. Where that is
            0 the picture stays bit for bit.
    """
    for part, inner in _strips(layout, box, layer[..., 3]):
        over = layer[inner]
        below = _stored_rgb(planes, layout, part)
        added = np.subtract(over[..., :3], over[..., 3:] * below, dtype=np.float32)
        _add_planes(planes, layout, part, np.ascontiguousarray(added.transpose(2, 0, 1)))


def _strips(layout: Layout, box: Box, mask: Floats) -> Iterator[tuple[Box, tuple[slice, slice]]]:
    """Cut a box into parts that a core's cache holds; yield each, and where it is in the mask."""
    (top, _), (left, right) = box
    rows = max(2, PIECE_PIXELS // (right - left) // 2 * 2)
    for start in range(0, len(mask), rows):
        # An object is seldom as wide as its box.
        inner = bounding_box(mask[start : start + rows])
        if inner is not None:
            bottom = min(start + rows, len(mask))
            columns = (left + inner[1][0], left + inner[1][1])
            part = layout.aligned(((top + start, top + bottom), columns))
            yield part, (slice(start, bottom), slice(part[1][0] - left, part[1][1] - left))


def _add_planes(planes: list[Array], layout: Layout, box: Box, added_rgb: Floats) -> None:
    """Add a change of RGB, (3, h, w), to a part."""
    (top, bottom), (left, right) = box
    added = np.matmul(layout.from_rgb, added_rgb.reshape(3, -1)).reshape(added_rgb.shape)
    _add(planes[0][top:bottom, left:right], added[0], layout.bits)
    for index in (1, 2):
        part = planes[index][layout.chroma(box)]
        size = (part.shape[1], part.shape[0])
        _add(
            part,
            cv2.resize(np.asarray(added[index]), size, interpolation=cv2.INTER_AREA),
            layout.bits,
        )


def _add(part: Array, added: Array, bits: int) -> None:
    """Add, round once, and keep to the values that there are."""
    total = np.rint(added)
    total += part
    part[...] = np.clip(total, 0, (1 << bits) - 1, out=total)
