"""Files of pictures: find their masks, harmonize what is not done yet, go on past bad files."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from harmonizer.errors import InputError
from harmonizer.image import open_image
from harmonizer.pipeline import Harmonizer
from harmonizer.saving import encode_image, output_format, write_atomically


@dataclass(frozen=True)
class Job:
    """One picture of many.

    Attributes:
        image: The composite's file.
        mask: The mask's file; None if the folder of masks has none for it.
        output: Where the harmonized picture goes.
    """

    image: Path
    mask: Path | None
    output: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: The job.
        error: What went wrong; None if it is done, or was done before.
        warnings: What the user should know about the picture.
    """

    job: Job
    error: Exception | None
    warnings: tuple[str, ...]


def find_jobs(
    images: Path | Sequence[Path], masks: Path, output: Path, *, ending: str | None = None
) -> list[Job]:
    """Pair pictures with the masks of a folder.

    The mask of `a.jpg` is called `a` or `a_mask`, with the ending of any image format. That of
    `a_composite.jpg` may be called `a_mask`, that of `composite.jpg` `mask`, and that of
    `a_b_c.jpg`, as in iHarmony4, `a_b`.

    Args:
        images: A folder of composites (folders in it are not looked at), or their files.
        masks: A folder of masks, which may be the same one.
        output: The folder to write to, with the names of the composites.
        ending: The ending to write instead of the composites' own, such as `.png`.

    Raises:
        InputError: A folder is missing, there is no picture in it, two masks have the same name but
            for the ending, two pictures would be written to the same file, or the output would
            replace the input.
    """
    files = _pictures(images) if isinstance(images, Path) else list(images)
    folders = {path.parent.resolve() for path in files}
    if not masks.is_dir():
        raise InputError(f"there is no folder {masks} with the masks of the pictures")
    if output.resolve() in folders | {masks.resolve()}:
        raise InputError(f"the output {output} would replace the pictures themselves; name another")
    together = masks.resolve() in folders
    composites = [path for path in files if not (together and _is_mask(path.stem))]
    if not composites:
        raise InputError(f"{images if isinstance(images, Path) else masks} holds no pictures")
    by_stem: dict[str, Path] = {}
    for path in _pictures(masks):
        if together and not _is_mask(path.stem):
            continue  # a picture is no mask of its own
        if path.stem in by_stem:
            raise InputError(
                f"two masks are called {path.stem}: {by_stem[path.stem].name} and {path.name}; "
                "keep one of them"
            )
        by_stem[path.stem] = path
    stems = {path.stem for path in composites}
    written: dict[Path, Path] = {}
    for path in composites:
        target = output / (path.name if ending is None else path.stem + ending)
        if target in written:
            raise InputError(
                f"{written[target]} and {path} would both be written to {target}; rename one"
            )
        written[target] = path
    return [Job(path, _mask_for(path.stem, by_stem, stems), to) for to, path in written.items()]


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    endings = Image.registered_extensions()
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in endings and not path.name.startswith(".")
    )


def _is_mask(stem: str) -> bool:
    return stem == "mask" or stem.endswith("_mask")


def _mask_for(stem: str, masks: dict[str, Path], stems: set[str]) -> Path | None:
    base, _, last = stem.rpartition("_")
    candidates = [f"{stem}_mask", stem]
    if last.lower() in ("composite", "comp", "image"):
        candidates += [f"{base}_mask", base] if base else ["mask"]
    elif "_" in base and base not in stems:  # a_b_c; but IMG_1 has nothing to do with IMG
        candidates.append(base)
    return next((masks[name] for name in candidates if name in masks), None)


def harmonize_file(
    harmonizer: Harmonizer,
    image: Path | bytes,
    mask: Path | bytes,
    format_name: str,
    *,
    strength: float = 1.0,
    resize_mask: bool = False,
    quality: int | None = None,
) -> bytes:
    """Harmonize one file into another; metadata is kept.

    Args:
        harmonizer: The model.
        image: The composite's file, or its bytes.
        mask: The mask's file, or its bytes.
        format_name: What `harmonizer.saving.output_format` returned.
        strength: From 0 (no change) to 1 (the full change).
        resize_mask: Accept a mask of another size but the same aspect, and resize it.
        quality: As for `harmonizer.saving.encode_image`.

    Returns:
        The bytes of the harmonized file.

    Raises:
        InputError: A file is not what it should be; the message says what.
    """
    picture = open_image(image)
    result = harmonizer(picture, mask, strength=strength, resize_mask=resize_mask)
    return encode_image(result, format_name, picture.info, quality=quality)


def run_jobs(
    load: Callable[[], Harmonizer],
    jobs: list[Job],
    *,
    strength: float = 1.0,
    resize_mask: bool = False,
    quality: int | None = None,
    force: bool = False,
) -> Iterator[Outcome]:
    """Harmonize pictures one after the other.

    Args:
        load: Gives the model; only called if there is something to do. Its errors end the work.
        jobs: What to do.
        strength: From 0 (no change) to 1 (the full change).
        resize_mask: Accept masks of another size but the same aspect, and resize them.
        quality: As for `harmonizer.saving.encode_image`.
        force: Do again what is already there.

    Yields:
        What became of each job, once it is done or skipped.
    """
    harmonizer: Harmonizer | None = None
    for job in jobs:
        if job.output.exists() and not force:
            yield Outcome(job, None, ())
            continue
        if job.mask is None:
            missing = InputError(f"no mask is called {job.image.stem} or {job.image.stem}_mask")
            yield Outcome(job, missing, ())
            continue
        harmonizer = harmonizer or load()
        failure: Exception | None = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                encoded = harmonize_file(
                    harmonizer,
                    job.image,
                    job.mask,
                    output_format(job.output),
                    strength=strength,
                    resize_mask=resize_mask,
                    quality=quality,
                )
                write_atomically(job.output, encoded)
            # One bad file must not stop a night's work, whatever is wrong with it.
            except Exception as error:
                failure = error
        yield Outcome(job, failure, tuple(str(warning.message) for warning in caught))
