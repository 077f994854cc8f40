"""A folder of pictures: find their masks, harmonize what is not done yet, go on past bad files."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from harmonizer.errors import InputError
from harmonizer.image import open_image
from harmonizer.pipeline import Harmonizer
from harmonizer.saving import save_image


@dataclass(frozen=True)
class Job:
    """One picture of a folder.

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


def find_jobs(images: Path, masks: Path, output: Path) -> list[Job]:
    """Pair the pictures of one folder with the masks of another.

    The mask of `a.jpg` is called `a` or `a_mask`, with the ending of any image format. That of
    `a_composite.jpg` may be called `a_mask`, and that of `a_b_c.jpg`, as in iHarmony4, `a_b`.

    Args:
        images: A folder of composites; folders in it are not looked at.
        masks: A folder of masks, which may be the same one.
        output: The folder to write to, with the names of the composites.

    Raises:
        InputError: A folder is missing, there is no picture in it, two masks have the same name but
            for the ending, or the output would replace the input.
    """
    for folder in (images, masks):
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}")
    if output.resolve() in (images.resolve(), masks.resolve()):
        raise InputError(f"the output {output} would replace the pictures themselves; name another")
    together = images.resolve() == masks.resolve()
    composites = [
        path for path in _pictures(images) if not (together and path.stem.endswith("_mask"))
    ]
    if not composites:
        raise InputError(f"the folder {images} holds no pictures")
    by_stem: dict[str, Path] = {}
    for path in _pictures(masks):
        if together and not path.stem.endswith("_mask"):
            continue  # a picture is no mask of its own
        if path.stem in by_stem:
            raise InputError(
                f"two masks are called {path.stem}: {by_stem[path.stem].name} and {path.name}; "
                "keep one of them"
            )
        by_stem[path.stem] = path
    stems = {path.stem for path in composites}
    return [
        Job(path, _mask_for(path.stem, by_stem, stems), output / path.name) for path in composites
    ]


def _pictures(folder: Path) -> list[Path]:
    endings = Image.registered_extensions()
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in endings and not path.name.startswith(".")
    )


def _mask_for(stem: str, masks: dict[str, Path], stems: set[str]) -> Path | None:
    base, _, last = stem.rpartition("_")
    candidates = [f"{stem}_mask", stem]
    if last.lower() in ("composite", "comp", "image"):
        candidates += [f"{base}_mask", base]
    elif "_" in base and base not in stems:  # a_b_c; but IMG_1 has nothing to do with IMG
        candidates.append(base)
    return next((masks[name] for name in candidates if name in masks), None)


def harmonize_file(
    harmonizer: Harmonizer,
    image: Path,
    mask: Path,
    output: Path,
    *,
    strength: float = 1.0,
    resize_mask: bool = False,
) -> None:
    """Harmonize one file into another; metadata is kept, and the output is whole or not there.

    Args:
        harmonizer: The model.
        image: The composite's file.
        mask: The mask's file.
        output: Where to; its ending says which format.
        strength: From 0 (no change) to 1 (the full change).
        resize_mask: Accept a mask of another size but the same aspect, and resize it.

    Raises:
        InputError: A file is not what it should be; the message says what.
        OSError: The output cannot be written.
    """
    picture = open_image(image)
    result = harmonizer(picture, mask, strength=strength, resize_mask=resize_mask)
    save_image(result, output, picture.info)


def run_jobs(
    load: Callable[[], Harmonizer],
    jobs: list[Job],
    *,
    strength: float = 1.0,
    resize_mask: bool = False,
    force: bool = False,
) -> Iterator[Outcome]:
    """Harmonize the pictures of a folder one after the other.

    Args:
        load: Gives the model; only called if there is something to do. Its errors end the work.
        jobs: What to do.
        strength: From 0 (no change) to 1 (the full change).
        resize_mask: Accept masks of another size but the same aspect, and resize them.
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
                harmonize_file(
                    harmonizer,
                    job.image,
                    job.mask,
                    job.output,
                    strength=strength,
                    resize_mask=resize_mask,
                )
            # One bad file must not stop a night's work, whatever is wrong with it.
            except Exception as error:
                failure = error
        yield Outcome(job, failure, tuple(str(warning.message) for warning in caught))
