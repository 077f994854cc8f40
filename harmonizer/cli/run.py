"""Harmonize a picture, or many: `harmonizer run`."""

import argparse
import glob
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harmonizer.cli.options import Commands, shared, whole_number
from harmonizer.cli.process import freed_memory_kept
from harmonizer.cli.terminal import check_output, complain, say
from harmonizer.errors import InputError

if TYPE_CHECKING:
    from harmonizer.pipeline import Harmonizer

_FORMATS = ("png", "jpg", "jpeg", "tif", "tiff", "webp", "bmp", "jp2", "ppm", "gif")
_PIPE = Path("-")
_RESIZE = "--resize-mask"


def add_run(commands: Commands) -> None:
    """Add the command to the command line."""
    run = commands.add_parser(
        "run",
        parents=shared("--model", "--device", "--force"),
        help="harmonize a picture, or many",
        description="Harmonize a picture, or many with a folder of masks. "
        "The mask's white (255, or 1) is the foreground to change.",
        epilog="In folders, the mask of a.jpg is a.png or a_mask.png (any image format). What the "
        "output folder already holds is skipped, so a stopped job can be started again. "
        "Metadata (ICC profile, EXIF, XMP, resolution) is kept.",
    )
    run.add_argument(
        "images",
        type=Path,
        nargs="+",
        metavar="IMAGE",
        help="a composite, several, a pattern such as 'photos/*.jpg', a folder, or - for stdin",
    )
    run.add_argument(
        "mask", type=Path, metavar="MASK", help="its mask, a folder of masks, or - for stdin"
    )
    run.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        help="the file to write, its ending says which format, or - for stdout; for several "
        "pictures, a folder (default for one picture: IMAGE_harmonized beside it)",
    )
    run.add_argument(
        "--strength",
        type=_strength,
        default=1.0,
        metavar="S",
        help="from 0, no change, to 1, the full change (default: 1)",
    )
    run.add_argument(
        "--format",
        choices=_FORMATS,
        help="the format to write (default: what OUT ends in, else that of IMAGE)",
    )
    run.add_argument(
        "--quality",
        type=whole_number(1, 100),
        metavar="Q",
        help="of JPEG and WebP, 1 to 100 (default: 95, and lossless WebP); others are lossless",
    )
    run.add_argument(
        "--lut",
        type=Path,
        metavar="CUBE",
        help="also write the change of one picture's foreground as a 3-D lookup table (.cube), for "
        "Photoshop, Resolve, Affinity, ffmpeg",
    )
    run.add_argument(
        _RESIZE,
        nargs="?",
        const=True,
        default=False,
        type=_resize_mask,
        metavar="stretch",
        help="accept a mask of another size but the same aspect; with stretch, of any size",
    )
    run.add_argument(
        "--page",
        type=whole_number(1),
        metavar="N",
        help="which picture of a file that holds several, from 1 (default: the first or main one; "
        "animations are refused)",
    )
    run.add_argument(
        "--max-megapixels",
        type=whole_number(1),
        metavar="N",
        help="take pictures of up to N million pixels without a warning, and refuse those of more "
        "than 2 N, which may be made to exhaust memory (default: 89, as Pillow has it)",
    )
    speed = run.add_argument_group("speed")
    speed.add_argument(
        "--backend",
        choices=("auto", "opencv", "torch", "onnx", "openvino"),
        default="auto",
        help="what runs the network (default: auto, which is opencv for bundled models on the CPU, "
        "else torch); onnx and openvino are for many pictures on a CPU",
    )
    speed.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="the network's arithmetic (default: auto, which is float32)",
    )
    speed.add_argument(
        "--batch-size",
        type=whole_number(1),
        metavar="N",
        help="of many pictures, how many the network takes at a time (default: 8 on a GPU, else 1)",
    )
    speed.add_argument(
        "--workers",
        type=whole_number(1),
        metavar="N",
        help="threads that read and write many pictures (default: one for each core, up to 8, and "
        "one more); N + 2 * BATCH_SIZE pictures are in memory at a time",
    )
    run.set_defaults(command=_run, usage_error=run.error)


def settle_resize_mask(arguments: Sequence[str]) -> list[str]:
    """Join `--resize-mask` with what it is given: argparse would take any word behind it."""
    settled: list[str] = []
    for word in arguments:
        if settled and settled[-1] == _RESIZE and word == "stretch":
            settled[-1] = f"{_RESIZE}=stretch"
        else:
            settled.append(word)
    return [f"{_RESIZE}=aspect" if word == _RESIZE else word for word in settled]


def _resize_mask(text: str) -> bool | str:
    if text not in ("aspect", "stretch"):
        raise argparse.ArgumentTypeError(f"expected nothing or stretch, got {text!r}")
    return text if text == "stretch" else True


def _strength(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def _run(parsed: argparse.Namespace) -> int:
    if parsed.max_megapixels is not None:
        from harmonizer.imaging.files import limit_pixels

        limit_pixels(parsed.max_megapixels * 1_000_000)
    images = [found for path in parsed.images for found in _expand(path)]
    if len(images) > 1 or images[0].is_dir() or parsed.mask.is_dir():
        if parsed.output is None:
            return parsed.usage_error("several pictures need a folder to be written to: -o FOLDER")
        ending = parsed.output.suffix.lower().removeprefix(".")
        if ending in _FORMATS and not parsed.output.exists():
            return parsed.usage_error(
                f"a folder of pictures or masks needs a folder to be written to; {parsed.output} "
                "is called like a file"
            )
        if parsed.lut is not None:
            return parsed.usage_error("--lut is the change of one picture; got several")
        with freed_memory_kept():
            return _run_many(parsed, images, parsed.output)
    return _run_one(parsed, images[0])


def _expand(path: Path) -> list[Path]:
    """Return the files that a pattern stands for, where the shell has not put them in already."""
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    found = sorted(Path(one) for one in glob.glob(str(path)))  # noqa: PTH207 - may be absolute
    if not found:
        raise InputError(f"no file matches {path}")
    return found


def _run_one(parsed: argparse.Namespace, image: Path) -> int:
    if image == _PIPE and parsed.mask == _PIPE:
        return parsed.usage_error("image and mask cannot both come from stdin")
    output = parsed.output or (_PIPE if image == _PIPE else _beside(image, parsed.format))
    to_stdout = output == _PIPE
    if not to_stdout:
        check_output(output, force=parsed.force)
    elif sys.stdout.isatty():
        raise InputError("stdout is a terminal; redirect it, or name a file with -o")
    if parsed.lut is not None:
        check_output(parsed.lut, force=parsed.force)

    from harmonizer.files import write_atomically
    from harmonizer.imaging.image import open_image
    from harmonizer.imaging.saving import output_format
    from harmonizer.jobs.folder import Job, check_outputs, harmonize_file

    if not to_stdout:
        check_outputs([Job(image, parsed.mask, output)])
    # An unknown ending is better known before the work than after.
    if parsed.format is None:
        source = _beside(image, None) if image != _PIPE else Path("stdin.png")
        format_name = output_format(source if to_stdout else output)
    else:
        format_name = output_format(Path(f"any.{parsed.format}"))
        if not to_stdout and output.suffix and output_format(output) != format_name:
            raise InputError(f"{output} does not end as --format {parsed.format} says")
    harmonizer = _load(parsed)
    picture, mask = (
        sys.stdin.buffer.read() if path == _PIPE else path for path in (image, parsed.mask)
    )
    encoded = harmonize_file(
        harmonizer,
        picture,
        mask,
        format_name,
        strength=parsed.strength,
        resize_mask=parsed.resize_mask,
        quality=parsed.quality,
        page=parsed.page,
    )
    if parsed.lut is not None:
        opened = open_image(picture, page=parsed.page)
        change = harmonizer.color_transform(opened, mask, resize_mask=parsed.resize_mask)
        change.at(parsed.strength).to_cube(parsed.lut)
    if to_stdout:
        sys.stdout.buffer.write(encoded)
        sys.stdout.buffer.flush()
        return 0
    write_atomically(output, encoded)
    if parsed.output is None:
        say(output)
    return 0


def _load(parsed: argparse.Namespace) -> "Harmonizer":
    from harmonizer.pipeline import Harmonizer

    return Harmonizer.from_pretrained(
        parsed.model, device=parsed.device, backend=parsed.backend, dtype=parsed.dtype
    )


def _beside(image: Path, ending: str | None) -> Path:
    """Return where a picture goes when nothing is said: beside the original, in its format."""
    if ending is None:
        own = image.suffix.lower().removeprefix(".")
        ending = image.suffix.removeprefix(".") if own in _FORMATS else "png"
    return image.with_name(f"{image.stem}_harmonized.{ending}")


def _run_many(parsed: argparse.Namespace, images: list[Path], output: Path) -> int:
    if output.is_file() or output == _PIPE:
        raise InputError(f"several pictures need a folder to be written to; got {output}")
    if len(images) > 1 and (folders := [str(path) for path in images if path.is_dir()]):
        raise InputError(f"give one folder, or files; got the folder {folders[0]} beside others")

    from tqdm import tqdm

    from harmonizer.jobs.folder import find_jobs, run_jobs

    # Jobs name the picture that is too large; Pillow does not.
    warnings.filterwarnings("ignore", r"Image size \(\d+ pixels\) exceeds limit")

    jobs = find_jobs(
        images[0] if images[0].is_dir() else images,
        parsed.mask,
        output,
        ending=f".{parsed.format}" if parsed.format else None,
    )

    def load() -> "Harmonizer":
        harmonizer = _load(parsed)
        output.mkdir(parents=True, exist_ok=True)  # a misspelt model leaves no empty folder behind
        return harmonizer

    results = run_jobs(
        load,
        jobs,
        strength=parsed.strength,
        resize_mask=parsed.resize_mask,
        quality=parsed.quality,
        page=parsed.page,
        force=parsed.force,
        batch_size=parsed.batch_size,
        workers=parsed.workers,
    )
    failed = there = 0
    notes: list[str] = []
    try:
        for one in tqdm(results, total=len(jobs), unit="picture", disable=None):
            there += one.skipped
            name = one.job.image.name
            notes += [f"warning: {name}: {text}" for text in one.warnings]
            if one.error is not None:
                failed += 1
                notes.append(f"{name}: {one.error}")
    finally:  # Ctrl-C included: what went wrong is not lost
        for note in notes:
            complain(note)
    if there:
        complain(f"{there} of {len(jobs)} were there already; --force harmonizes them again")
    if failed:
        complain(f"error: {failed} of {len(jobs)} pictures failed")
    return 1 if failed else 0
