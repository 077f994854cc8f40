"""Harmonize a file: decode, look, change, encode, and copy the rest."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harmonizer.errors import HarmonizerError, InputError
from harmonizer.imaging.mask import ResizeMask
from harmonizer.imaging.video_codecs import codec_for
from harmonizer.jobs.video.background import Background
from harmonizer.jobs.video.cuts import histogram
from harmonizer.jobs.video.frames import change_ahead
from harmonizer.jobs.video.mask_sources import Masks, count_masks
from harmonizer.jobs.video.reading import Clip
from harmonizer.jobs.video.scenes import Shot, composites, pasted
from harmonizer.jobs.video.track import Moment, Track
from harmonizer.jobs.video.writing import Output
from harmonizer.lifting import ColorTransform, Strength
from harmonizer.pipeline import Harmonizer
from harmonizer.threads import ahead

_AHEAD = 4  # decoded frames that wait


@dataclass(frozen=True)
class ClipOptions:
    """How a clip is harmonized and written.

    Attributes:
        strength: From 0 (no change) to 1, or a `Strength`.
        window: Seconds over which changes are smoothed.
        cut: Share of pixels that another scene changes.
        codec: A key of `CODECS`; None is what suits the file.
        quality: Of the codec, by its own scale; None is the usual one.
        leave_out: Kinds of streams that are not copied: `audio`, `subtitle`.
        on: A background, a clip or a picture: the clip is a cut-out then, which is pasted into it.
        position: Where, as `compose` takes it.
        scale: How large, as `compose` takes it.
        fps: Frames in a second, of a clip that is a folder of pictures.
        resize_mask: Accept masks of another size, and resize them: see `open_mask`.
        invert_mask: Take the masks' black for the foreground.
    """

    strength: float | Strength = 1.0
    window: float = 1.0
    cut: float = 0.3
    codec: str | None = None
    quality: int | None = None
    leave_out: frozenset[str] = frozenset()
    on: Path | None = None
    position: tuple[int, int] | None = None
    scale: float | None = None
    fps: float = 25.0
    resize_mask: ResizeMask = False
    invert_mask: bool = False


@dataclass(frozen=True)
class Done:
    """What became of a clip.

    Attributes:
        frames: How many were written.
        change: The mean change of colour.
        error: Why it ended before its end; None if it did not.
        stopped: Whether that was Ctrl-C, or what is taken for it.
    """

    frames: int
    change: ColorTransform
    error: HarmonizerError | None = None
    stopped: bool = False


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
        source: The clip, or a folder of pictures that is one.
        masks: What `Masks` says; None is the clip's alpha channel.
        output: The file to write; what is there already is replaced when the new one is finished.
        options: How.
        progress: Given how many frames are expected; returns what is called after each.

    Returns:
        What became of it. Where it ended early, the file holds what was done by then.

    Raises:
        InputError: The files do not go together, or the format does not hold them at its end, and
            nothing is written.
        KeyboardInterrupt: It was stopped before there was a frame to write.
        OSError: The file cannot be written.
    """
    track = Track(window=options.window, cut=options.cut)
    with ExitStack() as opened:
        clip = opened.enter_context(Clip(source, others=True, fps=options.fps))
        clip.others = [one for one in clip.others if one.type not in options.leave_out]
        _check_count(clip, masks)
        if masks is None and not clip.alpha:
            raise InputError(f"{source} has no alpha channel to take for the mask; name the masks")
        behind = opened.enter_context(Background(options.on)) if options.on else None
        alpha = behind is None and clip.alpha
        codec = codec_for(output, options.codec, alpha=alpha)
        written = Output(output, clip, codec, options.quality, behind and behind.stored)
        opened.callback(written.discard)
        harmonizer = load()
        step = progress(clip.expected)
        taken = masks and Masks(masks, options.resize_mask, options.invert_mask)
        if behind is None:
            shots = composites(clip, taken, written)
        else:
            shots = pasted(
                *(clip, taken, behind, written), position=options.position, scale=options.scale
            )
        # Decoding runs in a thread of its own, beside the network, the change and the encoder.
        moments = opened.enter_context(closing(ahead(_moments(shots, clip, harmonizer), _AHEAD)))
        # Ctrl-C interrupts this thread. In the middle of a frame it would take that frame away, of
        # which those behind it are made; while the file is ended, all of it.
        writing = opened.enter_context(ThreadPoolExecutor(1, thread_name_prefix="harmonizer-out"))
        error, stopped = None, False
        try:
            apply = partial(_apply, strength=options.strength)
            with closing(change_ahead(track.follow(moments), apply, _leave)) as results:
                for frame in results:
                    writing.submit(written.write, frame).result()
                    step()
        except HarmonizerError as problem:
            error = problem
        except MemoryError:
            stored = written.stored
            error = InputError(
                f"there is not enough memory for frames of {stored.width} x {stored.height}"
            )
        except KeyboardInterrupt:
            stopped = True
        ending = writing.submit(written.finish, whole=error is None and not stopped)
        stopped = _interrupted(ending) or stopped
        try:
            ending.result()
        except HarmonizerError as problem:
            error = error or problem
        if not written.kept:
            raise error or KeyboardInterrupt
        return Done(written.frames, track.mean().at(options.strength), error, stopped)


def _interrupted(ending: Future[None]) -> bool:
    """Wait for what is done nevertheless; return whether Ctrl-C came meanwhile."""
    interrupted = False
    while not ending.done():
        try:
            wait([ending])
        except KeyboardInterrupt:
            interrupted = True
    return interrupted


def _check_count(clip: Clip, masks: Path | None) -> None:
    count, frames = count_masks(masks) if masks else None, clip.counted
    if count and frames and count != frames:
        raise InputError(f"{clip.path} has {frames} frames, and {masks} {count} masks")


def _moments(shots: Iterable[Shot], clip: Clip, harmonizer: Harmonizer) -> Generator[Moment[Shot]]:
    time, weight, mask_before = 0.0, 0.0, None
    for index, shot in enumerate(shots):
        time = max(time, clip.time_of(index, shot.frame))
        look = partial(shot.look, harmonizer) if shot.mask.size else None
        size = sum(plane.nbytes for plane in shot.planes)
        if shot.mask is not mask_before:  # one mask for all frames is held once
            size += shot.mask.nbytes
            weight, mask_before = float(shot.mask.max(initial=0)), shot.mask
        spread = histogram(shot.planes[:3], shot.layout.bits)
        yield Moment(time, shot, spread, look, size, weight)


def _apply(shot: Shot, change: ColorTransform, *, strength: float | Strength) -> Any:  # noqa: ANN401 - PyAV
    return shot.changed(change.at(strength))


def _leave(shot: Shot) -> Any:  # noqa: ANN401 - a frame of PyAV
    return shot.frame
