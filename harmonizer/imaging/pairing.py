"""Find which mask belongs to which picture, by the names of their files.

The mask of `a.jpg` is called `a`, `a_mask`, `a-mask`, `mask_a`, `mask-a` or `a.jpg`, with the
ending of any image format. That of `a_composite.jpg` may be called `a_mask`, that of
`composite.jpg` `mask`, and that of `a_b_c.jpg`, as in iHarmony4, `a_b`. Both may lie in one folder.
Where no name is just that, capitals and the ways to write an accent (NFC, NFD) make no difference.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from harmonizer.errors import InputError
from harmonizer.imaging.files import list_pictures


def pair_masks(
    images: Path | Sequence[Path], masks: Path | None = None
) -> list[tuple[Path, Path | None]]:
    """Pair pictures with masks.

    Args:
        images: A folder of pictures (folders in it are not looked at), or their files.
        masks: A folder of masks; None is that of the pictures.

    Returns:
        Each picture and its mask, None where there is none of its name, sorted if from a folder.

    Raises:
        InputError: There is no such folder, or two masks have the same name but for the ending.
    """
    files = list_pictures(images) if isinstance(images, Path) else list(images)
    if masks is None and isinstance(images, Path):
        masks = images
    found = list_pictures(masks) if masks is not None else files
    folders = {path.parent.resolve() for path in files}
    if found and found[0].parent.resolve() in folders:
        count = Counter(_folded(path.stem) for path in found)
        names = {_folded(path.name) for path in found}
        files = [path for path in files if not _is_mask(path, count, names)]
        found = [path for path in found if _is_mask(path, count, names)]
    masks_by_stem = by_stem(found, "masks")
    stems = {path.stem for path in files}
    pairs = {path: find_mask(path.stem, masks_by_stem, stems, name=path.name) for path in files}
    if None not in pairs.values():
        return list(pairs.items())
    taken = set(pairs.values())  # what is just one's own name is nobody else's
    free = [path for path in found if path not in taken]
    often = Counter(_folded(path.stem) for path in free)
    loose = {key: path for path in free if often[key := _folded(path.stem)] == 1}
    loosely = {_folded(stem) for stem in stems}
    for path, mask in pairs.items():
        if mask is None:
            pairs[path] = find_mask(_folded(path.stem), loose, loosely, name=_folded(path.name))
    return list(pairs.items())


def by_stem(paths: Iterable[Path], what: str) -> dict[str, Path]:
    """Return files by their names without endings; `what` is what an error calls them.

    Raises:
        InputError: Two of them have the same name but for the ending.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise InputError(
                f"two {what} are called {path.stem}: {found[path.stem].name} and {path.name} "
                "differ in their ending alone; keep one of them"
            )
        found[path.stem] = path
    return found


def find_mask(
    stem: str, masks: Mapping[str, Path], pictures: Collection[str] = (), *, name: str = ""
) -> Path | None:
    """Find the mask of a picture.

    Args:
        stem: The picture's name, without its ending.
        masks: Masks by their names, without their endings.
        pictures: The names of all pictures: what one of them is called is no part of another's.
        name: The picture's name with its ending, which some masks have before their own.
    """
    base, _, last = stem.rpartition("_")
    candidates = [f"{stem}_mask", f"{stem}-mask", f"mask_{stem}", f"mask-{stem}", name]
    candidates.append(stem)
    if last.lower() in ("composite", "comp", "image"):
        candidates += [f"{base}_mask", base] if base else ["mask"]
    elif "_" in base and base not in pictures:  # a_b_c; but IMG_1 has nothing to do with IMG
        candidates.append(base)
    return next((masks[name] for name in candidates if name in masks), None)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _is_mask(path: Path, count: Mapping[str, int], names: Collection[str]) -> bool:
    """Return whether a file is a mask, of a folder where so many have each name."""
    stem = _folded(path.stem)
    if count[stem] > 1 and not {f"{stem}_mask", f"{stem}-mask"} & set(count):
        return path.suffix.lower() == ".png"  # the PNG beside the picture
    if stem == "mask" or stem.endswith(("_mask", "-mask")) or stem in names:
        return True
    return stem.startswith(("mask_", "mask-")) and stem[len("mask_") :] in count
