"""Read composites with their masks and real images: iHarmony4, a folder, or a table."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from harmonizer.data.files import (
    ON_ERROR,
    OnError,
    is_there,
    no_split,
    read_mask,
    read_rgb,
    refuse_missing,
    refuse_missing_files,
)
from harmonizer.errors import InputError, check_one_of, raise_if_interrupted, shortened
from harmonizer.files import as_path
from harmonizer.files.tables import read_table, refuse_gaps, rows_with
from harmonizer.imaging.files import is_folder, list_pictures
from harmonizer.imaging.pairing import by_stem, find_mask

IHARMONY4_PARTS = ("HCOCO", "HFlickr", "HAdobe5k", "Hday2night")

# iHarmony4's names of its sub-folders, and plain ones.
_FOLDER_NAMES = (("composite_images", "masks", "real_images"), ("composites", "masks", "real"))
# What the files of a triplet are called where they lie beside each other; RealHM has _gt for _real.
_SUFFIXES = ("_composite", "_mask", "_real")
_REAL_TOO = "_gt"


class Triplet(NamedTuple):
    """A composite and what it should become.

    Attributes:
        composite: (H, W, 3), uint8, RGB.
        mask: (H, W), float32 in [0, 1]; 1 is the foreground.
        real: (H, W, 3), uint8, RGB.
        name: Where it comes from; unique in a dataset.
    """

    composite: NDArray[np.uint8]
    mask: NDArray[np.float32]
    real: NDArray[np.uint8]
    name: str


class TrainingData(Protocol):
    """What training draws its samples from."""

    def __len__(self) -> int:
        """Return how many samples make an epoch."""
        ...

    def draw(self, index: int, epoch: int) -> Triplet:
        """Give one sample, augmented, at the training size.

        A pure function of the data's seed, `index` and `epoch`: neither the process nor the order
        of the calls plays a part.
        """
        ...


class TripletFiles(NamedTuple):
    """The files of one triplet, its name, and the part of the dataset that it belongs to."""

    composite: Path
    mask: Path
    real: Path
    name: str
    part: str = ""


class TripletDataset:
    """Triplets, read when they are asked for, at their full size.

    Args:
        triplets: The files.
        missing: What was left out because a file of it is not there, one text for each.

    Raises:
        InputError: There are none.
    """

    def __init__(self, triplets: Iterable[TripletFiles], missing: Iterable[str] = ()) -> None:
        """Keep the list; nothing is read yet."""
        self.files = list(triplets)
        self.missing = tuple(missing)
        if not self.files:
            raise InputError("a dataset of triplets needs at least one; got none")

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        split: str | None = None,
        parts: Sequence[str] | None = None,
        on_missing: OnError = "raise",
    ) -> "TripletDataset":
        """Open whatever is there: a table, iHarmony4 or one part of it, or a plain folder.

        Args:
            path: A CSV file as in `from_csv`, a folder as in `from_iharmony4`, or else one as in
                `from_folder`.
            split: Of iHarmony4, the list to take, "train" (None) or "test"; of a table, the rows
                that have it in the column `split`, None taking all. A plain folder has none.
            parts: Of iHarmony4, the parts to take, in order; of a table, those in the column
                `part`; None takes all that are there.
            on_missing: "raise" if files are missing, or "skip": leave their triplets out, and list
                them in `missing`.

        Raises:
            InputError: Something is missing or misnamed, all of which is named; or there are no
                such splits or parts.
        """
        path, parts = as_path(path, "a dataset"), _as_names(parts)
        if is_there(path):
            return cls.from_csv(path, split=split, parts=parts, on_missing=on_missing)
        if not is_folder(path):
            raise InputError(f"there is no folder or table {path}")
        if _parts_in(path, parts or ()):
            named = cast(Literal["train", "test"], split or "train")
            return cls.from_iharmony4(path, split=named, parts=parts, on_missing=on_missing)
        if parts is not None:
            raise InputError(
                f"only iHarmony4 has parts, and {path} holds none of {', '.join(IHARMONY4_PARTS)}"
            )
        if split is not None:
            raise no_split(path, split)
        return cls.from_folder(path, on_missing=on_missing)

    @classmethod
    def from_iharmony4(
        cls,
        root: Path | str,
        *,
        split: Literal["train", "test"] = "train",
        parts: Sequence[str] | None = None,
        on_missing: OnError = "raise",
    ) -> "TripletDataset":
        """Open iHarmony4 as it is released, by its own lists; the options are those of `open`.

        Each part is a folder with `composite_images`, `masks`, `real_images`, `<part>_train.txt`
        and `<part>_test.txt`; where it has no such list, its lines of `IHD_train.txt` and
        `IHD_test.txt` in `root` are taken. The composite `a_b_c.jpg` has the mask `a_b.png` and the
        real image `a.jpg`; other endings are accepted, so that a resized copy works as well.
        `root` holds the parts, or is one of them. Other datasets of this layout (HVIDIT,
        ccHarmony, one's own) are opened by their folders, or as `parts` if they lie in `root`.
        """
        root, parts = as_path(root, "iHarmony4"), _as_names(parts)
        check_one_of(on_missing, "on_missing", ON_ERROR)
        if split not in ("train", "test"):
            raise InputError(f'iHarmony4 is split in "train" and "test"; got {split!r}')
        found = _parts_in(root, parts or ())
        chosen = list(found) if parts is None else list(parts)
        absent = [name for name in chosen if name not in found]
        if absent or not chosen:
            raise InputError(
                f"{root} must hold iHarmony4's parts, a folder each; wanted "
                f"{', '.join(chosen) or 'any of ' + ', '.join(IHARMONY4_PARTS)}, found "
                f"{', '.join(found) or 'none'}"
            )
        triplets: list[TripletFiles] = []
        missing: list[str] = []
        for name in chosen:
            stems = _listed(found[name], name, split)
            if stems is None:
                missing.append(str(found[name] / f"{name}_{split}.txt"))
                continue
            more, absent = _match(found[name], _FOLDER_NAMES[0], stems, part=name)
            triplets += more
            missing += absent
        if on_missing == "raise":
            refuse_missing(missing, root, "download the part again, or correct its lists")
        return cls(triplets, missing)

    @classmethod
    def from_folder(cls, folder: Path | str, *, on_missing: OnError = "raise") -> "TripletDataset":
        """Open a folder with the sub-folders `composites`, `masks` and `real`, or plain files.

        Mask and real image have the composite's name, with any ending; or, as in iHarmony4, the
        composite `a_b_c` has the mask `a_b` and the real image `a`. The sub-folders may also be
        called `composite_images`, `masks` and `real_images`.

        Where there are no such sub-folders, the files `ID_composite`, `ID_mask` and `ID_real` (or
        `ID_gt`, as in RealHM), with any endings, are a triplet. They may also lie in folders of the
        folder, each a part.
        """
        folder = as_path(folder, "a folder of triplets")
        check_one_of(on_missing, "on_missing", ON_ERROR)
        names = next(
            (names for names in _FOLDER_NAMES if all((folder / n).is_dir() for n in names)), None
        )
        if names is None:
            triplets, missing = _side_by_side(folder) if folder.is_dir() else ([], [])
        else:
            stems = [path.stem for path in list_pictures(folder / names[0])]
            triplets, missing = _match(folder, names, stems)
        if not triplets and not missing:
            there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
            raise InputError(
                f"there are no pictures in {folder / names[0]}"
                if names
                else f"{folder} must hold the folders composites, masks and real (or iHarmony4's "
                "parts), or files ID_composite, ID_mask and ID_real; found "
                f"{', '.join(there[:10]) or 'nothing'}"
            )
        if on_missing == "raise":
            refuse_missing(missing, folder, "each composite needs a mask and a real image")
        return cls(triplets, missing)

    @classmethod
    def from_csv(
        cls,
        path: Path | str,
        *,
        split: str | None = None,
        parts: Sequence[str] | None = None,
        on_missing: OnError = "raise",
    ) -> "TripletDataset":
        """Open a table with the columns `composite`, `mask` and `real`.

        Relative paths are taken from the table's folder. A column `part` says which part of the
        dataset a triplet belongs to, and a column `split` whether it is to learn from or to measure
        on, say; the options, those of `open`, choose by them. Other columns are ignored.
        """
        path, parts = as_path(path, "a table"), _as_names(parts)
        return cls(*_chosen(path, read_table(path), split, parts, on_missing))

    def __len__(self) -> int:
        """Return how many triplets there are."""
        return len(self.files)

    def __getitem__(self, index: int) -> Triplet:
        """Read one triplet, at full size; an error names the damaged file."""
        files = self.files[index]
        composite, real = read_rgb(files.composite), read_rgb(files.real)
        if composite.shape != real.shape:
            raise InputError(
                "composite and real image must have the same size: "
                f"{files.composite} is {composite.shape[1]} x {composite.shape[0]}, "
                f"{files.real} is {real.shape[1]} x {real.shape[0]}"
            )
        mask = read_mask(files.mask, (composite.shape[0], composite.shape[1]))
        return Triplet(composite, mask, real, files.name)


def open_to_measure(
    path: Path | str, *, parts: Sequence[str] | None = None, on_missing: OnError = "raise"
) -> TripletDataset:
    """Open what is to be measured on by `TripletDataset.open`: of what is split, the test pictures.

    That is iHarmony4's test lists, or the rows of a table whose column `split` is "test".
    """
    path, parts = as_path(path, "a dataset"), _as_names(parts)
    if is_there(path):
        table = read_table(path)
        split = "test" if "split" in table[0] else None
        return TripletDataset(*_chosen(path, table, split, parts, on_missing))
    split = "test" if is_folder(path) and _parts_in(path) else None
    return TripletDataset.open(path, split=split, parts=parts, on_missing=on_missing)


def _chosen(
    path: Path,
    table: tuple[list[str], list[dict[str, str]]],
    split: str | None,
    parts: Sequence[str] | None,
    on_missing: OnError,
) -> tuple[list[TripletFiles], list[str]]:
    """Return the triplets of a table that was read, and the files that are left out as missing."""
    columns, rows = table
    check_one_of(on_missing, "on_missing", ON_ERROR)
    if not {"composite", "mask", "real"} <= set(columns):
        raise InputError(
            f"the table {path} needs the columns composite, mask and real; it has "
            f"{', '.join(columns)}"
        )
    for column, wanted in (("split", None if split is None else [split]), ("part", parts)):
        if wanted is not None:
            rows = rows_with(rows, columns, column, wanted, path)
    refuse_gaps(rows, ("composite", "mask", "real"), path)
    base = path.parent
    triplets = [
        TripletFiles(
            base / row["composite"],
            base / row["mask"],
            base / row["real"],
            row["composite"],
            row.get("part", ""),
        )
        for row in rows
    ]
    if on_missing == "raise":
        refuse_missing_files((file for files in triplets for file in files[:3]), path)
        return triplets, []
    absent = [[str(file) for file in files[:3] if not is_there(file)] for files in triplets]
    whole = [files for files, gone in zip(triplets, absent, strict=True) if not gone]
    return whole, [text for gone in absent for text in gone]


def _as_names(parts: Any) -> list[str] | None:  # noqa: ANN401 - whatever a caller has
    """Return the parts that a caller asks for; a text is no list of its letters."""
    if parts is None:
        return None
    several = isinstance(parts, Iterable) and not isinstance(parts, str | bytes)
    names = list(cast("Iterable[Any]", parts)) if several else []
    if not names or not all(isinstance(name, str) for name in names):
        said = shortened(repr(cast(object, parts)))
        raise InputError(f"parts is a list of names, such as ['HCOCO']; got {said}")
    return names


def _parts_in(root: Path, wanted: Sequence[str] = ()) -> dict[str, Path]:
    """Return the parts of iHarmony4, and others that are wanted, in a folder, which may be one."""
    composites = _FOLDER_NAMES[0][0]
    if (root / composites).is_dir():
        listed = any((root / f"{root.name}_{split}.txt").is_file() for split in ("train", "test"))
        return {root.name: root} if listed or root.name in IHARMONY4_PARTS else {}
    others = [name for name in wanted if is_folder(root / name / composites)]
    found = [name for name in IHARMONY4_PARTS if (root / name).is_dir()]
    return {name: root / name for name in dict.fromkeys([*found, *others])}


def _listed(folder: Path, part: str, split: str) -> list[str] | None:
    """Return the names of a part's composites, without endings, by its list or the root's."""
    own, common = folder / f"{part}_{split}.txt", folder.parent / f"IHD_{split}.txt"
    if own.is_file():
        lines = _lines(own)
    elif common.is_file():
        lines = [one for one in _lines(common) if Path(one.strip()).parts[:1] == (part,)]
    else:
        return None
    return [Path(line.strip()).stem for line in lines if line.strip()]


def _lines(listing: Path) -> list[str]:
    try:
        return listing.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise_if_interrupted(error)
        raise InputError(f"the list {listing} cannot be read: {error}") from error


def _match(
    folder: Path, names: tuple[str, str, str], stems: Iterable[str], part: str = ""
) -> tuple[list[TripletFiles], list[str]]:
    """Return the triplets of these composites, and what is missing of them."""
    composites, masks, reals = (by_stem(list_pictures(folder / name), "pictures") for name in names)
    triplets: list[TripletFiles] = []
    missing: list[str] = []
    for stem in stems:
        base = stem.rpartition("_")[0]
        composite = composites.get(stem)
        mask = find_mask(stem, masks)
        real = reals.get(stem) or reals.get(base.rpartition("_")[0])
        if composite and mask and real:
            name = f"{part}/{stem}" if part else stem
            triplets.append(TripletFiles(composite, mask, real, name, part))
            continue
        for name, found in zip(names, (composite, mask, real), strict=True):
            if found is None:
                missing.append(f"{folder.name}/{name} for {stem}")
    return triplets, missing


def _side_by_side(folder: Path) -> tuple[list[TripletFiles], list[str]]:
    """Return the triplets of files that differ by their suffixes, and what is missing of them."""
    triplets: list[TripletFiles] = []
    missing: list[str] = []
    suffixes = (*_SUFFIXES, _REAL_TOO)
    for place in (folder, *sorted(path for path in folder.rglob("*") if path.is_dir())):
        named = [path for path in list_pictures(place) if path.stem.endswith(suffixes)]
        files = by_stem(named, "pictures")
        part = "" if place == folder else place.relative_to(folder).as_posix()
        for stem in files:
            base = stem.removesuffix(_SUFFIXES[0])
            if base == stem:
                continue
            found = [files.get(base + suffix) for suffix in _SUFFIXES]
            found[2] = found[2] or files.get(base + _REAL_TOO)
            composite, mask, real = found
            if composite and mask and real:
                name = f"{part}/{base}" if part else base
                triplets.append(TripletFiles(composite, mask, real, name, part))
            else:
                missing += [
                    str(place / (base + suffix))
                    for suffix, path in zip(_SUFFIXES, found, strict=True)
                    if path is None
                ]
    return triplets, missing
