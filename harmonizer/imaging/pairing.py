"""Find which mask belongs to which picture, by the names of their files.

The mask of `a.jpg` is called `a` or `a_mask`, with the ending of any image format. That of
`a_composite.jpg` may be called `a_mask`, that of `composite.jpg` `mask`, and that of `a_b_c.jpg`,
as in iHarmony4, `a_b`. Both may lie in one folder.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
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
        count = Counter(path.stem for path in found)
        files = [path for path in files if not _is_mask(path, count)]
        found = [path for path in found if _is_mask(path, count)]
    by_stem: dict[str, Path] = {}
    for path in found:
        if path.stem in by_stem:
            raise InputError(
                f"two masks are called {path.stem}: {by_stem[path.stem].name} and {path.name}; "
                "keep one of them"
            )
        by_stem[path.stem] = path
    stems = {path.stem for path in files}
    return [(path, find_mask(path.stem, by_stem, stems)) for path in files]


def find_mask(stem: str, masks: Mapping[str, Path], pictures: Collection[str] = ()) -> Path | None:
    """Find the mask of a picture.

    Args:
        stem: The picture's name, without its ending.
        masks: Masks by their names, without their endings.
        pictures: The names of all pictures: what one of them is called is no part of another's.
    """
    base, _, last = stem.rpartition("_")
    candidates = [f"{stem}_mask", stem]
    if last.lower() in ("composite", "comp", "image"):
        candidates += [f"{base}_mask", base] if base else ["mask"]
    elif "_" in base and base not in pictures:  # a_b_c; but IMG_1 has nothing to do with IMG
        candidates.append(base)
    return next((masks[name] for name in candidates if name in masks), None)


def _is_mask(path: Path, count: Mapping[str, int]) -> bool:
    """Return whether a file is a mask, of a folder where so many have each name."""
    if count[path.stem] > 1 and f"{path.stem}_mask" not in count:
        return path.suffix.lower() == ".png"  # the PNG beside the picture
    return path.stem == "mask" or path.stem.endswith("_mask")
