"""Find and read files of datasets, and say which are missing."""

from collections.abc import Iterable, MutableMapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError, printable
from harmonizer.imaging.depth import eight_bits
from harmonizer.imaging.image import open_image
from harmonizer.imaging.mask import MaskSizeError, open_mask

# What to do with a file that cannot be read: stop, or name it and take another one.
OnError: TypeAlias = Literal["raise", "skip"]
ON_ERROR: tuple[str, ...] = get_args(OnError)

_LISTED = 20  # how many missing files an error names before it only counts them
_TRIES = 20  # how many damaged files in a row are a damaged dataset

_logger = getLogger("harmonizer.data")
_Item = TypeVar("_Item", covariant=True)


class _Readable(Protocol[_Item]):
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> _Item: ...


def refuse_missing(missing: Sequence[str], where: Path | str, advice: str) -> None:
    """Stop if anything is missing `where` we looked, and say everything that is and what to do."""
    if not missing:
        return
    listed = "".join(f"\n  {text}" for text in missing[:_LISTED])
    more = f"\n  and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
    raise InputError(f"{where}: {len(missing)} missing:{listed}{more}\n{advice}")


def is_there(path: Path) -> bool:
    """Return whether there is a file; there is none whose name no file can have."""
    try:
        return path.is_file()
    except OSError:  # too long
        return False


def refuse_missing_files(files: Iterable[Path], where: Path | str) -> None:
    """Stop if any of these files does not exist, and list all that do not."""
    missing = [str(path) for path in dict.fromkeys(files) if not is_there(path)]
    refuse_missing(missing, where, "relative paths are taken from the table's own folder")


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a picture: (H, W, 3), RGB, upright, 8 bits a channel."""
    return eight_bits(open_image(path).pixels)


def read_mask(path: Path, size: tuple[int, int]) -> NDArray[np.float32]:
    """Read a mask that has a foreground, for a picture of a height and width: (H, W), in [0, 1]."""
    try:
        mask = open_mask(path, size)
    except InputError as error:
        # Of what is advised to a caller with a mask in hand, nothing applies to a file.
        text = error.sizes if isinstance(error, MaskSizeError) else str(error)
        raise InputError(text if str(path) in text else f"{path}: {text}") from error
    if not mask.any():
        raise InputError(
            f"{path}: the mask is empty, so there is no foreground to learn from; expected values "
            "above 0 where the object is"
        )
    return mask


def read_or_replace(
    dataset: _Readable[_Item],
    index: int,
    generator: np.random.Generator,
    on_error: OnError,
    skipped: MutableMapping[int, str],
) -> tuple[int, _Item]:
    """Read a sample; with `on_error="skip"`, another one drawn in place of a damaged one.

    `skipped` takes the index and the reason of every sample that could not be read. Returned are
    the index of the sample that was read, and the sample. Many damaged ones in a row are an error.
    """
    for _ in range(_TRIES):
        try:
            return index, dataset[index]
        except InputError as error:
            if on_error == "raise":
                raise
            if index not in skipped:
                skipped[index] = str(error)
                _logger.warning("skipped (%d so far): %s", len(skipped), printable(str(error)))
            index = int(generator.integers(len(dataset)))
    raise InputError(
        f"{_TRIES} samples drawn one after the other cannot be read; the last: "
        f"{list(skipped.values())[-1]}"
    )


def no_split(folder: Path, split: str) -> InputError:
    """Return the error of a folder whose pictures are not split, though a split is asked for."""
    return InputError(
        f"{folder} has no split {split!r}: it is a plain folder, whose pictures are taken all; use "
        "one folder for each, or a table with a column split"
    )
