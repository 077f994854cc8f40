"""Harmonize a file: decode, look, change, encode, and copy the rest."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from harmonizer.errors import HarmonizerError, InputError
from harmonizer.jobs.video.cuts import histogram
from harmonizer.jobs.video.frames import change_ahead
from harmonizer.jobs.video.mask_sources import alpha_of, count_masks, is_still, read_masks, turned
from harmonizer.jobs.video.reading import Clip
from harmonizer.jobs.video.track import Moment, Track
from harmonizer.jobs.video.writing import CODECS, Output, usual_codec
from harmonizer.jobs.video.yuv import Box, Floats, Layout, change_colors, picture_of, planes_of
from harmonizer.lifting import ColorTransform
from harmonizer.pipeline import Harmonizer
from harmonizer.preprocessing import bounding_box


@dataclass(frozen=True)
class ClipOptions:
    """How a clip is harmonized and written.

    Attributes:
        strength: From 0 (no change) to 1.
        window: Seconds over which changes are smoothed.
        cut: Share of pixels that another scene changes.
        codec: A key of `harmonizer.jobs.video.writing.CODECS`; None is what suits the file.
        quality: Of the codec, by its own scale; None is the usual one.
        leave_out: Kinds of streams that are not copied: `audio`, `subtitle`.
    """

    strength: float = 1.0
    window: float = 1.0
    cut: float = 0.3
    codec: str | None = None
    quality: int | None = None
    leave_out: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Done:
    """What became of a clip.

    Attributes:
        frames: How many were written.
        change: The mean change of colour.
        error: Why it ended before its end; None if it did not.
        stopped: Whether that was Ctrl-C.
    """

    frames: int
    change: ColorTransform
    error: HarmonizerError | None = None
    stopped: bool = False


@dataclass(frozen=True)
class _Part:
    """A frame, and what of it is to be changed."""

    frame: Any
    layout: Layout
    box: Box
    mask: Floats


def harmonize_clip(
    load: Callable[[], Harmonizer],
    source: Path,
    masks: Path | None,
    output: Path,
    options: ClipOptions,
    progress: Callable[[int | None], Callable[[], object]],
) -> Done:
    """Harmonize a video file.

    Args:
        load: Gives what harmonizes; called when the files are found to be sound.
        source: The clip.
        masks: What `read_masks` takes; None is the clip's alpha channel.
        output: The file to write; what is there already is replaced when the new one is finished.
        options: How.
        progress: Given how many frames are expected; returns what is called after each.

    Returns:
        What became of it. Where it ended early, the file holds what was done by then.

    Raises:
        InputError: The files do not go together, and nothing is written.
        OSError: The file cannot be written.
    """
    track = Track(window=options.window, cut=options.cut)
    with Clip(source, others=True) as clip:
        clip.others = [one for one in clip.others if one.type not in options.leave_out]
        _check_count(clip, masks)
        if masks is None and not clip.alpha:
            raise InputError(f"{source} has no alpha channel to take for the mask; name the masks")
        codec = CODECS[options.codec or usual_codec(output, alpha=clip.alpha)]
        written = Output(output, clip, codec, options.quality)
        try:
            harmonizer = load()
            step = progress(clip.expected)
            moments = _moments(clip, masks, written, harmonizer)
            apply = partial(_apply, strength=options.strength)
            error, stopped = None, False
            try:
                with closing(change_ahead(track.follow(moments), apply, _leave)) as results:
                    for frame in results:
                        written.write(frame)
                        step()
            except HarmonizerError as problem:
                error = problem
            except KeyboardInterrupt:
                stopped = True
            if written.frames:
                written.finish(whole=error is None and not stopped)
            elif error:
                raise error
            return Done(written.frames, track.mean().at(options.strength), error, stopped)
        finally:
            written.discard()


def _check_count(clip: Clip, masks: Path | None) -> None:
    count, frames = count_masks(masks) if masks else None, int(clip.stream.frames)
    if count and frames and count != frames:
        raise InputError(f"{clip.path} has {frames} frames, and {masks} {count} masks")


def _moments(
    clip: Clip, source: Path | None, written: Output, harmonizer: Harmonizer
) -> Iterator[Moment[_Part]]:
    frames = (written.prepared(frame) for frame in clip.frames())
    first = next(frames)
    shape, rotation = (first.height, first.width), written.rotation
    upright = shape[::-1] if rotation % 180 else shape
    masks = read_masks(source, upright) if source else None
    index, time, rate = 0, 0.0, float(clip.stream.average_rate or 25)
    for index, frame in enumerate(chain([first], frames)):
        if (frame.height, frame.width) != shape:
            raise InputError(
                f"frame {index} of {clip.path} is {frame.width} x {frame.height}, those before are "
                f"{shape[1]} x {shape[0]}; cut the clip there first"
            )
        mask = alpha_of(frame) if masks is None else next(masks, None)
        if mask is None:
            raise InputError(f"{source} has masks for {index} frames, and the clip has more")
        mask = mask if masks is None else turned(mask, -rotation)
        planes, layout = planes_of(frame), Layout.of(frame)
        box, look = bounding_box(mask), None
        part = _Part(frame, layout, ((0, 0), (0, 0)), np.zeros((0, 0), np.float32))
        if box is not None:
            box = layout.aligned(box)
            part = _Part(frame, layout, box, mask[slice(*box[0]), slice(*box[1])].copy())
            look = partial(_look, part, rotation, harmonizer)
        found = index / rate if frame.time is None else float(frame.time)
        time = max(time, found)
        yield Moment(time, part, histogram(planes[:3], layout.bits), look)
    if masks is not None and source and not is_still(source) and next(masks, None) is not None:
        raise InputError(f"the clip has {index + 1} frames, and {source} more masks")


def _look(part: _Part, rotation: int, harmonizer: Harmonizer) -> ColorTransform:
    pixels = picture_of(planes_of(part.frame), part.layout)
    mask = np.zeros(pixels.shape[:2], np.float32)
    mask[slice(*part.box[0]), slice(*part.box[1])] = part.mask
    return harmonizer.color_transform(turned(pixels, rotation), turned(mask, rotation))


def _apply(part: _Part, change: ColorTransform, *, strength: float) -> Any:  # noqa: ANN401 - PyAV
    planes = planes_of(part.frame)
    change_colors(planes, part.layout, part.box, part.mask, change.at(strength))
    return part.frame


def _leave(part: _Part) -> Any:  # noqa: ANN401 - a frame of PyAV
    return part.frame
