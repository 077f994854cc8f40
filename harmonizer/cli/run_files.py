"""Harmonize files: the work of `harmonizer run`."""

import argparse
import glob
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from harmonizer.cli.options import check_cutouts, shares
from harmonizer.cli.process import freed_memory_kept
from harmonizer.cli.terminal import check_apart, check_output, complain, say
from harmonizer.errors import (
    LACK_OF_MEMORY,
    InputError,
    collected_warnings,
    is_lack_of_memory,
)

if TYPE_CHECKING:
    from harmonizer.jobs.scene import Scene
    from harmonizer.pipeline import Harmonizer

FORMATS = ("png", "jpg", "jpeg", "tif", "tiff", "webp", "bmp", "jp2", "ppm", "gif")
_WITH_ALPHA = ("png", "tif", "tiff", "webp", "jp2")
_PIPE = Path("-")


def run_files(parsed: argparse.Namespace) -> int:
    """Harmonize what the arguments name; return the exit code."""
    if parsed.max_megapixels is None:
        return _run(parsed)
    from harmonizer.imaging.files import limited_pixels

    with limited_pixels(parsed.max_megapixels * 1_000_000):
        return _run(parsed)


def _run(parsed: argparse.Namespace) -> int:
    check_cutouts(parsed)
    given: list[Path] = parsed.images
    mask: Path | None = parsed.mask
    if parsed.on is not None:  # every picture is a cut-out
        given, mask = given + ([mask] if mask is not None else []), None
        if parsed.page is not None or parsed.resize_mask or parsed.invert_mask:
            return parsed.usage_error(
                "--page, --resize-mask and --invert-mask are for pictures with masks"
            )
    elif mask is None:
        return parsed.usage_error(
            "MASK is missing: the picture whose white marks what to change; or, for a cut-out "
            "with transparency, --on BACKGROUND"
        )
    images = [found for path in given for found in _expand(path)]
    strip = len(parsed.strength) > 1
    if strip and (parsed.lut is not None or parsed.cutout_only):
        return parsed.usage_error("--lut and --cutout-only take one --strength")
    if len(images) == 1 and not images[0].is_dir() and not (mask and mask.is_dir()):
        return _run_one(parsed, images[0], mask)
    if strip:
        return parsed.usage_error("several strengths are drawn of one picture; got several")
    if parsed.output is None:
        return parsed.usage_error("several pictures need a folder to be written to: -o FOLDER")
    ending = parsed.output.suffix.lower().removeprefix(".")
    if ending in FORMATS and not parsed.output.exists():
        if parsed.on is not None:
            return parsed.usage_error(
                "--on takes cut-outs, whose transparency is the mask, and no MASK; several are "
                f"written to a folder, and {parsed.output} is called like a file"
            )
        return parsed.usage_error(
            f"a folder of pictures or masks needs a folder to be written to; {parsed.output} "
            "is called like a file"
        )
    if parsed.lut is not None:
        return parsed.usage_error("--lut is the change of one picture; got several")
    with freed_memory_kept():
        return _run_many(parsed, images, mask, parsed.output)


def _expand(path: Path) -> list[Path]:
    """Return the files that a pattern stands for, where the shell has not put them in already."""
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    found = sorted(Path(one) for one in glob.glob(str(path)))  # noqa: PTH207 - may be absolute
    if not found:
        raise InputError(f"no file matches {path}")
    return found


def _run_one(parsed: argparse.Namespace, image: Path, mask: Path | None) -> int:
    if image == _PIPE and mask == _PIPE:
        return parsed.usage_error("image and mask cannot both come from stdin")
    if parsed.recursive:
        return parsed.usage_error("--recursive is for a folder; got one picture")
    if parsed.lut == _PIPE:
        return parsed.usage_error("--lut names a file to write, such as out.cube; got -")
    output, format_name = _destination(parsed, image)
    if parsed.lut is not None:
        check_output(parsed.lut, force=parsed.force)
        check_apart([output, parsed.lut])

    from harmonizer.files import write_atomically
    from harmonizer.imaging.saving import encode_image
    from harmonizer.jobs.folder import Job, check_outputs, harmonize_file

    written = [one for one in (output, parsed.lut) if one is not None]
    check_outputs([Job(image, mask, one) for one in written], read=parsed.on)
    _check_layer(parsed, format_name)
    harmonizer, scene = _load(parsed), _scene(parsed)
    picture = sys.stdin.buffer.read() if image == _PIPE else image
    its_mask = sys.stdin.buffer.read() if mask == _PIPE else mask
    if len(parsed.strength) > 1:
        from harmonizer.jobs.strip import strength_strip

        opened, plane = scene.open(picture, its_mask)
        some = [shares(parsed, one) for one in parsed.strength]
        sheet = strength_strip(harmonizer, opened, plane, some)
        space = opened.space
        info = {"icc_profile": space.profile} if space and space.mode == "RGB" else {}
        encoded = encode_image(sheet, format_name, info, quality=parsed.quality)
    else:
        encoded = harmonize_file(
            harmonizer,
            picture,
            its_mask,
            format_name,
            scene=scene,
            strength=shares(parsed, parsed.strength[0]),
            quality=parsed.quality,
            lut=parsed.lut,
        )
    if output is None:
        sys.stdout.buffer.write(encoded)
        sys.stdout.buffer.flush()
        return 0
    write_atomically(output, encoded)
    if parsed.output is None or sys.stdout.isatty():
        say(output)
    return 0


def _destination(parsed: argparse.Namespace, image: Path) -> tuple[Path | None, str]:
    """Choose the file to write, None for stdout, and its format: better known before the work.

    Raises:
        InputError: It must not be written, or the format is not known or another than was said.
    """
    layer_in_png = parsed.cutout_only and image.suffix.lower()[1:] not in _WITH_ALPHA
    ending = parsed.format or ("png" if layer_in_png else None)
    output = parsed.output or (_PIPE if image == _PIPE else _beside(image, ending))
    to_stdout = output == _PIPE
    if not to_stdout:
        if output.is_dir() and image != _PIPE:  # as cp does
            output /= image.name if ending is None else f"{image.stem}.{ending}"
        check_output(output, force=parsed.force)
    elif sys.stdout.isatty():
        raise InputError("stdout is a terminal; redirect it, or name a file with -o")

    from harmonizer.imaging.saving import output_format

    if parsed.format is not None:
        format_name = output_format(Path(f"any.{parsed.format}"))
        if not to_stdout and output.suffix and output_format(output) != format_name:
            raise InputError(f"{output} does not end as --format {parsed.format} says")
    elif to_stdout:
        format_name = output_format(_beside(image, ending) if image != _PIPE else Path("stdin.png"))
    else:
        if parsed.output is not None and not output.suffix:
            raise InputError(
                f"{output} is no folder that exists, and has no ending that says which format to "
                "write; make the folder first, or end the name in .png, .jpg, ..."
            )
        format_name = output_format(output)
    return None if to_stdout else output, format_name


def _load(parsed: argparse.Namespace) -> "Harmonizer":
    from harmonizer.pipeline import Harmonizer

    return Harmonizer.from_pretrained(
        parsed.model, device=parsed.device, backend=parsed.backend, dtype=parsed.dtype
    )


def _scene(parsed: argparse.Namespace) -> "Scene":
    from harmonizer.jobs.scene import Scene

    return Scene(
        background=parsed.on,
        position=parsed.at and tuple(parsed.at),
        scale=parsed.scale,
        cutout_only=parsed.cutout_only,
        resize_mask=parsed.resize_mask,
        invert_mask=parsed.invert_mask,
        eight_bits=parsed.depth == 8,
        page=parsed.page,
    )


def _check_layer(parsed: argparse.Namespace, format_name: str) -> None:
    if not parsed.cutout_only:
        return
    from harmonizer.imaging.saving import output_format

    kept = {output_format(Path(f"any.{ending}")) for ending in _WITH_ALPHA}
    if format_name not in kept:
        raise InputError(
            f"{format_name} has no transparency, which --cutout-only needs; write .png, .tif or "
            ".webp"
        )


def _beside(image: Path, ending: str | None) -> Path:
    """Return where a picture goes when nothing is said: beside the original, in its format."""
    if ending is None:
        own = image.suffix.lower().removeprefix(".")
        ending = image.suffix.removeprefix(".") if own in FORMATS else "png"
    return image.with_name(f"{image.stem}_harmonized.{ending}")


def _run_many(
    parsed: argparse.Namespace, images: list[Path], mask: Path | None, output: Path
) -> int:
    if output.is_file() or output == _PIPE:
        raise InputError(f"several pictures need a folder to be written to; got {output}")
    if len(images) > 1 and (folders := [str(path) for path in images if path.is_dir()]):
        raise InputError(f"give one folder, or files; got the folder {folders[0]} beside others")
    ending = parsed.format or ("png" if parsed.cutout_only else None)
    if ending is not None:
        from harmonizer.imaging.saving import output_format

        _check_layer(parsed, output_format(Path(f"any.{ending}")))

    from tqdm import tqdm

    from harmonizer.jobs.folder import check_outputs, find_jobs, run_jobs

    # Jobs name the picture that is too large; Pillow does not.
    warnings.filterwarnings("ignore", r"Image size \(\d+ pixels\) exceeds limit")

    noted: list[str] = []
    with collected_warnings(noted):
        jobs = find_jobs(
            images[0] if images[0].is_dir() else images,
            mask,
            output,
            ending=f".{ending}" if ending else None,
            recursive=parsed.recursive,
        )
    if parsed.on is not None:
        check_outputs(jobs, read=parsed.on)

    def load() -> "Harmonizer":
        harmonizer = _load(parsed)
        # A misspelt model leaves no empty folder behind.
        for folder in {output, *(job.output.parent for job in jobs)}:
            folder.mkdir(parents=True, exist_ok=True)
        return harmonizer

    results = run_jobs(
        load,
        jobs,
        scene=_scene(parsed),
        strength=shares(parsed, parsed.strength[0]),
        quality=parsed.quality,
        force=parsed.force,
        batch_size=parsed.batch_size,
        workers=parsed.workers,
    )
    written = failed = there = 0
    notes = [f"warning: {text}" for text in noted]  # beside the others, where they are seen
    try:
        for one in tqdm(results, total=len(jobs), unit="picture", disable=None):
            name = str(one.job.output.parent.relative_to(output) / one.job.image.name)
            notes += [f"warning: {name}: {text}" for text in one.warnings]
            there += one.skipped
            if one.error is not None:
                failed += 1
                lacking = is_lack_of_memory(one.error)
                notes.append(f"{name}: {LACK_OF_MEMORY if lacking else one.error}")
            elif not one.skipped:
                written += 1
    finally:  # Ctrl-C included: what went wrong is not lost
        for note in notes:
            complain(note)
    said = f"{'error: ' if failed else ''}{written} written, {failed} failed, {there} skipped"
    why = " (they were there already; --force harmonizes them again)" if there else ""
    complain(said + why)
    return 1 if failed else 0
