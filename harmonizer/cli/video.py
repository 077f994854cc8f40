"""Harmonize a clip: `harmonizer video`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harmonizer.cli.options import (
    Commands,
    add_cutouts,
    add_masks,
    check_cutouts,
    number,
    shared,
    shares,
    whole_number,
)
from harmonizer.cli.process import (
    STOPPED,
    TERMINATED,
    environment,
    freed_memory_kept,
    sigterm_as_ctrl_c,
)
from harmonizer.cli.terminal import check_apart, check_not_read, check_output, complain
from harmonizer.imaging.video_codecs import CODECS

if TYPE_CHECKING:
    from harmonizer.pipeline import Harmonizer


def add_video(commands: Commands) -> None:
    """Add the command to the command line."""
    video = commands.add_parser(
        "video",
        parents=shared("--model", "--device", "--force", "--strength", "--light", "--color"),
        help="harmonize a clip",
        description="Harmonize a clip, without flicker. Audio, subtitles, timing, rotation and "
        "colour tags are kept. It needs PyAV: pip install 'image-harmonizer[video]'.",
        epilog="Ctrl-C and SIGTERM leave a whole file of what is done by then.",
    )
    video.add_argument(
        "clip",
        type=Path,
        metavar="CLIP",
        help="a composite clip, or a folder of PNG or JPEG pictures; with --on, a cut-out, whose "
        "timing and audio OUT has",
    )
    video.add_argument(
        "masks",
        type=Path,
        metavar="MASKS",
        nargs="?",
        help="a video, a folder of pictures, or one picture for all frames; white is the "
        "foreground to change (default: the clip's alpha channel); with --on, what is opaque",
    )
    video.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        required=True,
        help="the file to write: .mp4, .m4v, .mov, .mkv or .webm",
    )
    video.add_argument(
        "--fps",
        type=number(0.01, 1000),
        help="frames in a second, of a CLIP that is a folder (default: 25)",
    )
    add_masks(video)
    add_cutouts(video, background="clip or picture")
    video.add_argument(
        "--lut",
        type=Path,
        metavar="CUBE",
        help="also write the mean change of the clip as a 3-D lookup table (.cube), for editors",
    )
    video.add_argument(
        "--window",
        type=number(0, 60),
        default=1.0,
        metavar="SECONDS",
        help="over which the change is smoothed; 0 looks at every frame by itself (default: 1)",
    )
    video.add_argument(
        "--cut",
        type=number(0.01, 1),
        default=0.3,
        metavar="SHARE",
        help="of pixels whose colours differ from one frame to the next, from which on it is "
        "another scene (default: 0.3)",
    )
    video.add_argument(
        "--codec",
        choices=tuple(CODECS),
        help="of the video (default: h264; vp9 for .webm; with alpha, prores for .mov and ffv1 for "
        ".mkv)",
    )
    video.add_argument(
        "--quality",
        type=whole_number(0, 63),
        metavar="Q",
        help="the codec's CRF, lower is better (default: 18 for h264, 20 for hevc, 24 for vp9 and "
        "av1)",
    )
    video.add_argument("--no-audio", action="store_true", help="leave audio out")
    video.add_argument("--no-subtitles", action="store_true", help="leave subtitles out")
    video.set_defaults(command=_video, usage_error=video.error)


def _video(parsed: argparse.Namespace) -> int:
    written: list[Path] = [one for one in (parsed.output, parsed.lut) if one is not None]
    for output in written:
        check_output(output, force=parsed.force)
    check_cutouts(parsed)
    check_not_read(written, (parsed.clip, parsed.masks, parsed.on))
    if parsed.fps is not None and not parsed.clip.is_dir():
        parsed.usage_error("--fps is for a CLIP that is a folder of pictures; a file has its own")
    if parsed.masks is None and (parsed.resize_mask or parsed.invert_mask):
        parsed.usage_error("--resize-mask and --invert-mask are for MASKS, and none are named")
    check_apart(written)

    from tqdm import tqdm

    from harmonizer.jobs.video.clip import ClipOptions, harmonize_clip

    leave_out = {"audio": parsed.no_audio, "subtitle": parsed.no_subtitles}
    options = ClipOptions(
        strength=shares(parsed, parsed.strength),
        window=parsed.window,
        cut=parsed.cut,
        codec=parsed.codec,
        quality=parsed.quality,
        leave_out=frozenset(kind for kind, left in leave_out.items() if left),
        on=parsed.on,
        position=tuple(parsed.at) if parsed.at else None,
        scale=parsed.scale,
        resize_mask=parsed.resize_mask,
        invert_mask=parsed.invert_mask,
        fps=ClipOptions.fps if parsed.fps is None else parsed.fps,
    )
    with (
        freed_memory_kept(),
        # AV1's encoder tells of errors then, and no longer 20 lines of itself.
        environment("SVT_LOG", "1"),
        sigterm_as_ctrl_c() as terminated,
        tqdm(unit="frame", disable=None) as bar,
    ):

        def progress(expected: int | None) -> Callable[[], object]:
            bar.reset(expected)
            return bar.update

        done = harmonize_clip(
            lambda: _load(parsed), parsed.clip, parsed.masks, parsed.output, options, progress
        )
    if done.error or done.stopped:  # said first, because the table may fail as well
        holds = f"{parsed.output} holds the {done.frames} frames before"
        complain(f"error: {done.error}; {holds}" if done.error else f"stopped; {holds}")
    if parsed.lut is not None:
        done.change.to_cube(parsed.lut)
    if done.error is None and not done.stopped:
        return 0
    return 1 if done.error else TERMINATED if terminated.is_set() else STOPPED


def _load(parsed: argparse.Namespace) -> "Harmonizer":
    from harmonizer.pipeline import Harmonizer

    return Harmonizer.from_pretrained(parsed.model, device=parsed.device)
