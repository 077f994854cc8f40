"""Harmonize frames as arrays, whoever decodes them."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from os import PathLike
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.imaging.arrays import is_tensor, plain
from harmonizer.imaging.batch import pairs
from harmonizer.imaging.files import is_file_like
from harmonizer.imaging.mask import MaskLike, ResizeMask
from harmonizer.jobs.video.cuts import histogram
from harmonizer.jobs.video.frame_masks import FrameMasks
from harmonizer.jobs.video.track import Content, Moment, Track
from harmonizer.lifting import ColorTransform, Strength, as_strength
from harmonizer.pipeline import Harmonizer
from harmonizer.pipeline.one_call import ready
from harmonizer.preprocessing import Array
from harmonizer.threads import overlap, usual_workers

_BITS = {"uint8": 8, "uint16": 16}
_CHANNELS = 4  # at most, of a mask
_SLOWEST, _FASTEST = 1e-5, 1_000_000  # frames in a second: one a day, and what no camera reaches


@dataclass(frozen=True)
class _Frame:
    pixels: Array
    mask: NDArray[np.float32]


def harmonize_video(
    frames: Iterable[Array],
    masks: Iterable[MaskLike] | MaskLike,
    model: str | PathLike[str] | Harmonizer | None = None,
    *,
    fps: float = 25.0,
    strength: float | Strength = 1.0,
    window: float = 1.0,
    cut: float = 0.3,
    resize_mask: ResizeMask = False,
) -> Iterator[Array]:
    """Harmonize the frames of a clip, without flicker.

    The network looks at some frames of each second and at the first one after a cut; what it asks
    for is smoothed over a window of time and applied to every frame. A window of frames is held in
    memory, to look ahead, however long the clip is.

    Args:
        frames: (H, W, 3) each, RGB, uint8 or uint16, from anything that decodes: OpenCV (which
            gives BGR: `frame[..., ::-1]`), PyAV, imageio, a camera. May be endless. Each has to be
            an array of its own, not one buffer that is written to again.
        masks: As many masks, each of a kind that `Harmonizer.harmonize` takes; or a single one for
            the whole clip. White (1) is the foreground to change. Of integers the range
            of all counts, 1, 255 or 65535, not that of each; where they come from an iterator, of
            those until now. Where a mask is empty, the frame is left alone.
        model: As `harmonize` takes it.
        fps: Frames in a second.
        strength: How much of the change to apply, from 0 (none) to 1, or a `Strength`.
        window: Seconds over which the change is smoothed; 0 looks at every frame by itself.
        cut: The share of pixels whose colours differ from one frame to the next, from 0 to 1, from
            which on it is another scene.
        resize_mask: True accepts masks of another size but the same aspect, and resizes them;
            `"stretch"` accepts any.

    Returns:
        An iterator over the harmonized frames: same shape and dtype. Where the mask is 0 they equal
        the input bit for bit.

    Raises:
        InputError: Something is not as described here; the message says what, and in which frame.
    """
    if not isinstance(fps, int | float | np.number) or not _SLOWEST <= fps <= _FASTEST:
        raise InputError(
            f"fps is the number of frames in a second, {_SLOWEST} to {_FASTEST:,}; got {fps!r}"
        )
    as_strength(strength)
    if not isinstance(frames, Iterable):
        raise InputError(f"frames are arrays, one after the other; got {type(frames).__name__}")
    track = Track(window=window, cut=cut)
    moments = _moments(frames, masks, ready(model, None), float(fps), resize_mask)

    def apply(frame: _Frame, change: ColorTransform) -> Array:
        return change.at(strength).apply(frame.pixels, frame.mask)

    return change_ahead(track.follow(moments), apply, lambda frame: frame.pixels)


def change_ahead(
    changes: Iterable[tuple[Content, ColorTransform | None]],
    apply: Callable[[Content, ColorTransform], Array],
    leave: Callable[[Content], Array],
) -> Generator[Array]:
    """Apply changes in threads, a few frames ahead; yield the results in order."""

    def changed(both: tuple[Content, ColorTransform | None]) -> Array:
        content, change = both
        return leave(content) if change is None else apply(content, change)

    results = overlap(
        changes,
        changed,
        lambda done: done,
        lambda done, _: done,
        batch_size=1,
        workers=usual_workers(),
    )
    with closing(results):
        for future in results:
            yield future.result()


def _moments(
    frames: Iterable[Array],
    masks: Iterable[MaskLike] | MaskLike,
    harmonizer: Harmonizer,
    fps: float,
    resize_mask: ResizeMask,
) -> Iterator[Moment[_Frame]]:
    still = _is_single(masks)
    many = repeat(cast(MaskLike, masks)) if still else cast(Iterable[MaskLike], masks)
    both = zip(frames, many, strict=False) if still else pairs(cast(Any, frames), many)
    opener = FrameMasks(resize_mask, coming=None if still else _from_an_index_on(masks))
    opened, weight = None, 0.0
    for index, (pixels, mask) in enumerate(both):
        try:
            pixels = _checked(pixels)
            if not still or opened is None or opened.shape != pixels.shape[:2]:
                opened = opener.open(mask, pixels.shape[:2])
                weight = float(opened.max())
        except InputError as error:
            raise InputError(f"frame {index}: {error}") from error
        look = partial(look_at, harmonizer, pixels, opened) if weight else None
        spread = histogram([pixels[..., i] for i in range(3)], _BITS[pixels.dtype.name])
        size = pixels.nbytes + (0 if still else opened.nbytes)
        yield Moment(index / fps, _Frame(pixels, opened), spread, look, size, weight)
    opener.finish()


def look_at(harmonizer: Harmonizer, pixels: Array, mask: NDArray[np.float32]) -> ColorTransform:
    """Ask a network for a frame's change; a faint mask is shown full: what it is of counts.

    The change is to count by the mask's largest value, or what a matting program left in a mask
    that should be empty would count as an object does.
    """
    shown = mask if mask.min() > 0 else mask / mask.max()  # without a background it stays
    return harmonizer.color_transform(pixels, shown)


def _from_an_index_on(masks: object) -> Callable[[int], Iterable[MaskLike]] | None:
    if not (isinstance(masks, Sequence | np.ndarray) or is_tensor(masks)):
        return None
    many = cast(Sequence[MaskLike], masks)
    return lambda index: (many[i] for i in range(index, len(many)))


def _is_single(masks: object) -> bool:
    """Return whether it is one mask for the whole clip."""
    if isinstance(masks, np.ndarray):
        shape = cast(NDArray[Any], masks).shape
        # A mask that was saved as a picture, or many: no frame is so narrow.
        return len(shape) == 2 or (len(shape) == 3 and shape[2] <= _CHANNELS)
    if is_tensor(masks):
        return masks.ndim == 2 or (masks.ndim == 3 and masks.shape[0] == 1)
    return is_file_like(masks) or not isinstance(masks, Iterable)


def _checked(pixels: object) -> Array:
    if (
        isinstance(pixels, np.ndarray)
        and pixels.ndim == 3
        and pixels.shape[2] == 3
        and pixels.size
        and pixels.dtype.name in _BITS
    ):
        return plain(cast(Array, pixels))
    got = (
        f"{pixels.dtype} {pixels.shape}"
        if isinstance(pixels, np.ndarray)
        else type(pixels).__name__
    )
    raise InputError(f"a frame is an array (H, W, 3), RGB, uint8 or uint16; got {got}")
