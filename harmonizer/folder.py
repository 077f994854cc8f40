"""A folder of pictures: find their masks, harmonize what is not done yet, go on past bad files."""

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


def find_jobs(images: Path, masks: Path, output: Path) -> list[Job]:
    """Pair the pictures of one folder with the masks of another.

    The mask of `a.jpg` is called `a` or `a_mask`, with the ending of any image format. What follows
    the last underscore may be left out: `a_composite.jpg` has the mask `a_mask.png`, and
    `a_b_c.jpg`, as in iHarmony4, the mask `a_b.png`.

    Args:
        images: A folder of composites; folders in it are not looked at.
        masks: A folder of masks, which may be the same one.
        output: The folder to write to, with the names of the composites.

    Raises:
        InputError: A folder is missing, or there is no picture in it.
    """
    for folder in (images, masks):
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}")
    together = images.resolve() == masks.resolve()
    by_stem = {path.stem: path for path in _pictures(masks)}
    composites = [
        path for path in _pictures(images) if not (together and path.stem.endswith("_mask"))
    ]
    if not composites:
        raise InputError(f"the folder {images} holds no pictures")
    return [Job(path, _mask_for(path, by_stem), output / path.name) for path in composites]


def _pictures(folder: Path) -> list[Path]:
    endings = Image.registered_extensions()
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in endings and not path.name.startswith(".")
    )


def _mask_for(image: Path, masks: dict[str, Path]) -> Path | None:
    stem = image.stem
    base = stem.rpartition("_")[0]
    for candidate in (f"{stem}_mask", stem, f"{base}_mask", base):
        found = masks.get(candidate)
        if found is not None and found != image:
            return found
    return None


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
    harmonizer: Callable[[], Harmonizer],
    jobs: list[Job],
    *,
    strength: float = 1.0,
    resize_mask: bool = False,
    force: bool = False,
) -> Iterator[tuple[Job, Exception | None]]:
    """Harmonize the pictures of a folder one after the other.

    Args:
        harmonizer: Gives the model; only called if there is something to do.
        jobs: What to do.
        strength: From 0 (no change) to 1 (the full change).
        resize_mask: Accept masks of another size but the same aspect, and resize them.
        force: Do again what is already there.

    Yields:
        Each job, once it is done or skipped, with None; or with what went wrong.
    """
    model: Harmonizer | None = None
    for job in jobs:
        failure: Exception | None = None
        try:
            if force or not job.output.exists():
                if job.mask is None:
                    raise InputError(f"no mask is called {job.image.stem} or {job.image.stem}_mask")
                model = model or harmonizer()
                harmonize_file(
                    model,
                    job.image,
                    job.mask,
                    job.output,
                    strength=strength,
                    resize_mask=resize_mask,
                )
        # One bad file must not stop a night's work, whatever is wrong with it.
        except Exception as error:
            failure = error
        yield job, failure
