"""Harmonize files: find their masks, skip what is done, go on past bad files."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError, collected_warnings, warn
from harmonizer.files import is_stream, write_atomically
from harmonizer.imaging.files import is_folder, list_pictures, list_unread
from harmonizer.imaging.pairing import pair_masks
from harmonizer.imaging.saving import encode_image, output_format
from harmonizer.jobs.scene import Scene
from harmonizer.lifting import Strength
from harmonizer.pipeline import Composite, Harmonizer
from harmonizer.threads import overlap, usual_workers

_COMPOSITES = Scene()
_MOST_NAMED = 3  # of what is left out


@dataclass(frozen=True)
class Job:
    """One picture of many: its file, its mask's (None: there is none), and the result's."""

    image: Path
    mask: Path | None
    output: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    `error` is None if it is done, or was done before (`skipped`); `warnings` is what the user
    should know about the picture.
    """

    job: Job
    error: Exception | None
    warnings: tuple[str, ...]
    skipped: bool = False


def find_jobs(
    images: Path | Sequence[Path],
    masks: Path | None,
    output: Path,
    *,
    ending: str | None = None,
    recursive: bool = False,
) -> list[Job]:
    """List what is to be done with pictures and their masks, which `imaging.pairing` finds.

    Pictures of kinds that are not read, and linked folders, are left out with a warning.

    Args:
        images: A folder of composites, or their files.
        masks: A folder of masks, which may be the same one; a file, which is the mask of all; or
            None for cut-outs, which need none.
        output: The folder to write to, with the names of the composites.
        ending: The ending to write instead of the composites' own, such as `.png`.
        recursive: Look at the folders in `images`, too, and keep them in `masks` and `output`.

    Raises:
        InputError: Something is missing, or would be replaced; the message names it.
    """
    if masks is not None and not masks.exists():
        whose = "" if masks == images else " with the masks of the pictures"
        raise InputError(f"there is no folder {masks}{whose}")
    pairs: list[tuple[Path, Path | None, Path]] = []  # with the folder of the result
    parts, links = [Path()], list[Path]()
    if recursive and isinstance(images, Path):
        parts, links = _folders(images, [output, *([] if masks is None else [masks])])
    for part in parts:
        here = images / part if isinstance(images, Path) else images
        if masks is None or masks.is_file():
            files = list_pictures(here) if isinstance(here, Path) else here
            for path in files:
                if masks is None or not path.exists() or not path.samefile(masks):
                    pairs.append((path, masks, output / part))
        else:
            beside = masks / part
            found = pair_masks(here, beside if beside.is_dir() else None)
            pairs += [(path, mask, output / part) for path, mask in found]
    sources = {path.parent.resolve() for path, _, _ in pairs}
    if masks is not None and masks.is_dir():
        sources.add(masks.resolve())
    if output.resolve() in sources:
        raise InputError(f"the output {output} would replace the pictures themselves; name another")
    jobs = [
        Job(path, mask, folder / (path.name if ending is None else path.stem + ending))
        for path, mask, folder in pairs
    ]
    left_out = _said_of_left_out(images, parts, links) if isinstance(images, Path) else []
    if not jobs:
        whose = images if isinstance(images, Path) else masks
        raise InputError("; ".join([f"{whose} holds no pictures", *left_out]))
    for said in left_out:
        warn(said)
    if masks is not None and all(job.mask is None for job in jobs):
        first = jobs[0].image
        raise InputError(
            f"{masks} holds no mask of these pictures; that of {first.name} is called "
            f"{_names_of_mask(first)}"
        )
    check_outputs(jobs)
    return jobs


def _folders(root: Path, others: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Return a folder and those in it, as seen from it, and those that are links, not followed.

    Hidden ones are left out, and others: those of the results and of the masks.
    """
    found: list[Path] = []
    links: list[Path] = []
    apart = {other.resolve() for other in others}
    for place, inner, _ in os.walk(root):
        kept = [name for name in inner if name[0] != "."]
        inner[:] = sorted(name for name in kept if Path(place, name).resolve() not in apart)
        here = Path(place).relative_to(root)
        found.append(here)
        links += [here / name for name in inner if Path(place, name).is_symlink()]
    return found, links


def _said_of_left_out(root: Path, parts: Sequence[Path], links: Sequence[Path]) -> list[str]:
    """Say what of a folder and its `parts` looks like pictures, and is no job."""
    unread = [path for part in parts for path in list_unread(root / part)]
    said: list[str] = []
    if unread:
        endings = ", ".join(sorted({path.suffix.lower() for path in unread}))
        said.append(
            f"pictures left out, of kinds that are not taken from folders: {len(unread)} "
            f"({endings}); save them as JPEG, PNG or TIFF, or register a plug-in of Pillow's"
        )
    if links:
        more = ["..."] if len(links) > _MOST_NAMED else []
        names = ", ".join([*map(str, links[:_MOST_NAMED]), *more])
        said.append(
            f"linked folders left out, as links are not followed: {len(links)} ({names}); "
            "harmonize each by itself"
        )
    return said


def check_outputs(jobs: Sequence[Job], *, read: Path | None = None) -> None:
    """Refuse jobs whose results would replace each other, or a picture.

    Args:
        jobs: What is read and written.
        read: A file that is read as well, such as the background of all.

    Raises:
        InputError: They would.
    """
    where = real_paths()
    paths = (read, *(path for job in jobs for path in (job.image, job.mask)))
    inputs = {where(path) for path in paths if path is not None}
    written: dict[Path, Path] = {}
    for job in jobs:
        output = where(job.output)
        if output in written:
            raise InputError(
                f"{written[output]} and {job.image} would both be written to {job.output}; "
                "rename one"
            )
        if output in inputs:
            raise InputError(f"the output would replace {output}; name another")
        written[output] = job.image


def real_paths() -> Callable[[Path], Path]:
    """Return what finds the file that a path means, and asks for each folder once.

    `os.path.realpath` does not mind links in a circle, which `Path.resolve` may refuse.
    """
    folders: dict[Path, Path] = {}

    def where(path: Path) -> Path:
        if path.parent not in folders:
            folders[path.parent] = Path(os.path.realpath(path.parent))
        place = folders[path.parent] / path.name
        linked = os.path.islink(place)  # noqa: PTH114 - which minds no name that is too long
        return Path(os.path.realpath(place)) if linked else place

    return where


def unfinished(jobs: Iterable[Job], *, force: bool) -> list[Job]:
    """Return the jobs whose results are not there yet, or all of them.

    A link is there, though it may name a file that is yet to come.
    """
    there = os.path.lexists  # which minds no name that is too long: that is one job's error
    return [job for job in jobs if force or not there(job.output) or is_folder(job.output)]


def missing_mask(job: Job) -> InputError:
    """Return the error of a job whose mask was not found."""
    return InputError(f"no mask is called {_names_of_mask(job.image)}")


def _names_of_mask(image: Path) -> str:
    return f"{image.stem}.png, {image.stem}_mask.png or {image.stem}-mask.png"


def harmonize_file(
    harmonizer: Harmonizer,
    image: Path | bytes,
    mask: Path | bytes | None,
    format_name: str,
    *,
    scene: Scene = _COMPOSITES,
    strength: float | Strength = 1.0,
    quality: int | None = None,
    lut: Path | None = None,
) -> bytes:
    """Harmonize one file, or its bytes, into the bytes of another; metadata is kept.

    Args:
        harmonizer: The model.
        image: The composite, or the cut-out of a `scene` that has a background.
        mask: White where the foreground is; None for a cut-out.
        format_name: What to write: "PNG", "TIFF", "WEBP", "JPEG", "BMP", "JPEG2000", "PPM" or
            "GIF", or an ending of such files, with its dot or without.
        scene: How pictures are opened.
        strength: As for `Harmonizer.harmonize`.
        quality: From 1 to 100, for JPEG (None is 95) and WebP (None is lossless).
        lut: Where the change goes as a table (.cube), if anywhere.

    Returns:
        What the file is to hold.

    Raises:
        InputError: A picture cannot be read, the format cannot hold the result, or an argument is
            not as described here.
        OSError: `lut` cannot be written.
    """
    picture, plane = scene.open(image, mask)
    composite = harmonizer.prepare(picture, plane)
    (answer,) = harmonizer.answer([composite])
    result = harmonizer.finish(composite, answer, strength=strength)
    encoded = encode_image(result, format_name, picture.info, quality=quality)
    if lut is not None:
        harmonizer.change(composite, answer).at(strength).to_cube(lut)
    return encoded


def run_jobs(
    load: Callable[[], Harmonizer],
    jobs: Sequence[Job],
    *,
    scene: Scene = _COMPOSITES,
    strength: float | Strength = 1.0,
    quality: int | None = None,
    force: bool = False,
    batch_size: int | None = None,
    workers: int | None = None,
) -> Iterator[Outcome]:
    """Harmonize pictures: threads read and write them, while another one runs the network.

    At most `2 * batch_size + workers` pictures are in memory at a time.

    Args:
        load: Gives the model; only called if there is something to do. Its errors end the work.
        jobs: What to do.
        scene: How their files are opened.
        strength: From 0 (no change) to 1 (the full change).
        quality: Of JPEG and WebP, from 1 to 100.
        force: Do again what is already there.
        batch_size: Pictures in one call of the network; None takes 8 on a GPU, and 1 on a CPU,
            whose cores are busy with one.
        workers: Threads that read and write; None takes one for each core, up to 8, and one more,
            because writing waits for the disk.

    Yields:
        What became of each job, in their order, once it is done or skipped.
    """
    waiting = unfinished(jobs, force=force)
    lacking = {job.output for job in waiting if job.mask is None and not scene.background}
    tasks = {job.output: _Task(job) for job in waiting if job.output not in lacking}
    finished: Iterator[Future[None]] = iter(())
    with ExitStack() as stack:
        if tasks:
            steps = _Steps(load(), scene, strength, quality)
            harmonizer = steps.harmonizer
            on_cpu = harmonizer.backend != "torch" or harmonizer.device.type == "cpu"
            working = overlap(
                list(tasks.values()),
                steps.read,
                steps.answer,
                steps.write,
                batch_size=batch_size or (1 if on_cpu else 8),
                workers=workers or usual_workers() + 1,
            )
            finished = stack.enter_context(closing(working))
        for job in jobs:
            if job.output in tasks:
                error = next(finished).exception()
                noted = tuple(tasks.pop(job.output).warnings)
                yield Outcome(job, cast(Exception | None, error), noted)
            elif job.output in lacking:
                yield Outcome(job, missing_mask(job), ())
            else:
                yield Outcome(job, None, (), skipped=True)


@dataclass(frozen=True)
class _Task:
    """A job that is to be done, and what there is to say about its picture."""

    job: Job
    warnings: list[str] = field(default_factory=list[str])


def _check_format(output: Path) -> None:
    try:
        output_format(output)
    except InputError as error:
        raise InputError(
            f"{error}; all of a folder at once: --format png, or ending='.png' in Python"
        ) from error


@dataclass(frozen=True)
class _Steps:
    """The steps of a job, for `overlap`."""

    harmonizer: Harmonizer
    scene: Scene
    strength: float | Strength
    quality: int | None

    def read(self, task: _Task) -> tuple[_Task, Composite]:
        with collected_warnings(task.warnings):
            _check_format(task.job.output)  # better known before the work than after
            opened = self.harmonizer.prepare(*self.scene.open(task.job.image, task.job.mask))
        return task, opened

    def answer(self, opened: Sequence[tuple[_Task, Composite]]) -> list[NDArray[np.float32] | None]:
        return self.harmonizer.answer([composite for _, composite in opened])

    def write(self, opened: tuple[_Task, Composite], answer: NDArray[np.float32] | None) -> None:
        task, composite = opened
        with collected_warnings(task.warnings):
            result = self.harmonizer.finish(composite, answer, strength=self.strength)
            format_name = output_format(task.job.output)
            if is_stream(task.job.output):  # perhaps a pipe that nobody reads
                raise InputError(f"{task.job.output} is no file; remove it, or write elsewhere")
            encoded = encode_image(
                result, format_name, composite.picture.info, quality=self.quality
            )
            write_atomically(task.job.output, encoded)
