"""What a file says once, of all its frames: those that are to be shown otherwise are refused."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harmonizer.errors import InputError, import_extra
from harmonizer.jobs.video.yuv import (
    BT709,
    UNSPECIFIED,
    has_alpha,
    is_full_range,
    is_rgb,
    matrix_of,
)

# The kind of side data that says how a frame is to be shown, and more kinds than FFmpeg has.
_DISPLAY_MATRIX, _KINDS = 6, 64


class Alike:
    """Looks at the frames of one clip, each as it is decoded."""

    def __init__(self, path: Path) -> None:
        """Begin; the path is that of the clip, for messages."""
        self._path = path
        self._before: dict[str, str] = {}
        self._alpha: bool | None = None
        self._matrices: _Matrices | None = None

    def check(self, frame: Any, index: int) -> None:  # noqa: ANN401 - a frame of PyAV
        """Look at a frame.

        Raises:
            InputError: It is to be shown otherwise than those before, or mirrored.
        """
        for what, now in _said(frame):
            before = self._before.setdefault(what, now)
            if now != before:
                raise InputError(
                    f"the {what} of frame {index} of {self._path} is {now}, that of those before "
                    f"{before}; cut the clip there first"
                )
        alpha = has_alpha(frame.format)
        self._alpha = alpha if self._alpha is None else self._alpha
        if alpha and not self._alpha:
            raise InputError(
                f"frame {index} of {self._path} has an alpha channel, and those before have none; "
                "cut the clip there first"
            )
        if self._matrices is None or not self._matrices.fit(frame):
            self._matrices = _Matrices(frame)
        matrix = self._matrices.of(frame)
        if matrix is not None and not _is_quarter_turn(matrix):
            raise InputError(
                f"{self._path} is to be shown mirrored, or turned by other than quarter turns, "
                "which masks would not follow; encode it upright first, as ffmpeg does"
            )


class _Matrices:
    """Reads the display matrices of frames that have one.

    PyAV says by which angle a matrix turns, and nothing of mirrors. Asked for all that a frame
    brings along, it frees the name of a colour profile twice, and does not know EXIF. So FFmpeg's
    filters take a tiny copy, which brings along the matrix alone; of frames without one there is no
    copy.
    """

    def __init__(self, frame: Any) -> None:  # noqa: ANN401 - a frame of PyAV
        """Prepare for frames of the same size and format as this one."""
        self._av = import_extra("av", "video")
        self._kind = _kind_of(frame)
        self._graph = self._av.filter.Graph()
        width, height, name = self._kind
        filters = [
            self._graph.add_buffer(
                width=width, height=height, format=name, time_base=frame.time_base
            ),
            self._graph.add("sidedata", f"mode=select:type={_DISPLAY_MATRIX}"),
            self._graph.add("scale", "2:2:flags=neighbor"),
        ]
        for kind in range(_KINDS):
            if kind != _DISPLAY_MATRIX:
                filters.append(self._graph.add("sidedata", f"mode=delete:type={kind}"))
        self._graph.link_nodes(*filters, self._graph.add("buffersink")).configure()

    def fit(self, frame: Any) -> bool:  # noqa: ANN401 - a frame of PyAV
        """Return whether it is prepared for such a frame."""
        return _kind_of(frame) == self._kind

    def of(self, frame: Any) -> bytes | None:  # noqa: ANN401 - a frame of PyAV
        """Return the matrix of a frame."""
        self._graph.push(frame)
        try:
            copy = self._graph.pull()
        except self._av.error.BlockingIOError:  # there is none
            return None
        return bytes(copy.side_data["DISPLAYMATRIX"])


def _kind_of(frame: Any) -> tuple[int, int, str]:  # noqa: ANN401 - a frame of PyAV
    return frame.width, frame.height, frame.format.name


def _said(frame: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - a frame of PyAV
    """Yield what a frame says of how it is to be shown; what it does not say may be as before."""
    yield "size", f"{frame.width} x {frame.height}"
    yield "rotation", f"{frame.rotation % 360} degrees"
    converted = is_rgb(frame.format, int(frame.colorspace))  # to what `Clip.stored` says
    yield "colour range", "full" if is_full_range(frame) and not converted else "limited"
    yield "colour matrix", f"number {BT709 if converted else matrix_of(frame)} of ITU-T H.273"
    for what, number in (("primaries", frame.color_primaries), ("transfer", frame.color_trc)):
        if int(number) not in (0, UNSPECIFIED):
            yield f"colour {what}", f"number {int(number)} of ITU-T H.273"


def _is_quarter_turn(matrix: bytes) -> bool:
    """Whether a display matrix, 3 x 3 numbers of 32 bits, turns and does no more."""
    across, down, _, right, below, *_ = struct.unpack("=9i", matrix)
    return (across, down) == (below, -right) and 0 in (across, down) and (across, down) != (0, 0)
