"""Read photographs with object masks, from which composites can be made."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.data.files import (
    read_mask,
    read_rgb,
    refuse_missing,
    refuse_missing_files,
)
from harmonizer.errors import InputError, as_whole
from harmonizer.files import as_path
from harmonizer.files.tables import read_table, refuse_gaps, rows_with
from harmonizer.imaging.pairing import pair_masks

_HOW_TO_NAME = (
    "a picture ID.jpg (.webp, .png, ...) has the mask ID.png or ID_mask.png beside it, or ID.* in "
    "a folder of masks"
)


class PhotoFiles(NamedTuple):
    """A photograph's files, its collection (for balanced sampling) and its object's label."""

    image: Path
    mask: Path
    group: str = ""
    label: str = ""


class Photo(NamedTuple):
    """A photograph and the mask of an object in it.

    Attributes:
        image: (H, W, 3), uint8, RGB.
        mask: (H, W), uint8; 255 is the object.
        name: The picture's file, without folder.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    name: str


class PhotoDataset:
    """Photographs with object masks, read when they are asked for.

    Args:
        photos: The files.
        short_side: Larger pictures are reduced, when read, until their shorter side has so many
            pixels; None keeps them. Training at 256 needs no more than 384, and an original of 12
            megapixels would be decoded, cut and thrown away for each sample.
        cache: Keep what has been read in memory: 4 bytes a pixel, so 5,000 photographs of
            288 x 384 are 2.2 GB. Call `preload` before worker processes are started, so
            that they share it.

    Raises:
        InputError: There are none.
    """

    def __init__(
        self,
        photos: Iterable[PhotoFiles],
        *,
        short_side: int | None = 384,
        cache: bool = False,
    ) -> None:
        """Keep the list; nothing is read yet."""
        self.files = list(photos)
        if short_side is not None:
            short_side = as_whole(short_side, "short_side", 1)
        self.short_side = short_side
        self._cache: dict[int, Photo] | None = {} if cache else None
        if not self.files:
            raise InputError("a dataset of photographs needs at least one; got none")

    @classmethod
    def from_folder(
        cls,
        images: Path | str,
        masks: Path | str | None = None,
        *,
        short_side: int | None = 384,
        cache: bool = False,
    ) -> "PhotoDataset":
        """Open a folder of pictures and masks, side by side or in two folders.

        The mask of `ID.jpg` is `ID.png` or `ID_mask.png` beside it; in a folder of its own it is
        `ID` or `ID_mask`, with any ending.
        """
        images = as_path(images, "a folder of pictures")
        masks = None if masks is None else as_path(masks, "a folder of masks")
        pairs, missing = _pair(images, masks)
        refuse_missing(missing, images, _HOW_TO_NAME)
        if not pairs:
            raise InputError(f"there are no pictures in {images}")
        photos = [PhotoFiles(*pair) for pair in pairs.values()]
        return cls(photos, short_side=short_side, cache=cache)

    @classmethod
    def from_csv(
        cls,
        path: Path | str,
        *,
        split: str | None = None,
        group: str = "group",
        label: str = "label",
        short_side: int | None = 384,
        cache: bool = False,
    ) -> "PhotoDataset":
        """Open a table of photographs.

        It has the columns `image` and `mask`, paths that are relative to the table's folder; or the
        column `id`, for pictures and masks in the table's folder named as in `from_folder`.
        Columns with groups and labels are used if they are there.

        Args:
            path: The CSV file, with a header.
            split: Takes only rows with this in the column `split`; None takes all.
            group: Name of the column with the collections.
            label: Name of the column that says what the object is.
            short_side: As in the constructor.
            cache: As in the constructor.
        """
        path = as_path(path, "a table")
        columns, rows = read_table(path)
        if split is not None:
            rows = rows_with(rows, columns, "split", [split], path)
        for name, default in ((group, "group"), (label, "label")):
            if name != default and name not in columns:
                raise InputError(f"the table {path} has no column {name!r}; it has {columns}")
        if {"image", "mask"} <= set(columns):
            refuse_gaps(rows, ("image", "mask"), path)
            pairs = [(path.parent / row["image"], path.parent / row["mask"]) for row in rows]
            refuse_missing_files((file for pair in pairs for file in pair), path)
        elif "id" in columns:
            found, _ = _pair(path.parent, None)
            absent = [row["id"] for row in rows if row["id"] not in found]
            refuse_missing(absent, f"{path}, picture or mask", _HOW_TO_NAME)
            pairs = [found[row["id"]] for row in rows]
        else:
            raise InputError(
                f"the table {path} needs the columns image and mask, or id; it has {columns}"
            )
        photos = [
            PhotoFiles(*pair, group=row.get(group, ""), label=row.get(label, ""))
            for pair, row in zip(pairs, rows, strict=True)
        ]
        return cls(photos, short_side=short_side, cache=cache)

    def __len__(self) -> int:
        """Return how many photographs there are."""
        return len(self.files)

    def __getitem__(self, index: int) -> Photo:
        """Read one photograph; an error names the damaged file."""
        if self._cache is None:
            return self._read(index)
        photo = self._cache.get(index)
        if photo is None:
            photo = self._cache[index] = self._read(index)
        return photo

    def preload(self) -> int:
        """Read every photograph into the cache; return how many could not be read."""
        failed = 0
        for index in range(len(self)):
            try:
                self[index]
            except InputError:
                failed += 1
        return failed

    def _read(self, index: int) -> Photo:
        files = self.files[index]
        image = read_rgb(files.image)
        height, width = image.shape[:2]
        mask = np.rint(read_mask(files.mask, (height, width)) * 255).astype(np.uint8)
        if self.short_side is not None and min(height, width) > self.short_side:
            scale = self.short_side / min(height, width)
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            mask = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        if not mask.any():
            raise InputError(f"the mask of {files.image} is so small or faint that nothing is left")
        # Whoever changed a cached picture would change all later samples.
        image.flags.writeable = mask.flags.writeable = False
        return Photo(image, mask, files.image.name)  # pyright: ignore[reportArgumentType]


def _pair(images: Path, masks: Path | None) -> tuple[dict[str, tuple[Path, Path]], list[str]]:
    """Pictures with their masks by name, and the pictures that have none."""
    pairs: dict[str, tuple[Path, Path]] = {}
    missing: list[str] = []
    for image, mask in pair_masks(images, masks):
        if mask is None:
            missing.append(f"the mask of {image.name}")
        elif image.stem in pairs:
            raise InputError(
                f"{pairs[image.stem][0]} and {image.name} share a name, so it is unclear which of "
                "them is the picture; rename one"
            )
        else:
            pairs[image.stem] = (image, mask)
    return pairs, missing
