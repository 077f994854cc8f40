"""Masks are found by the names of files, whoever looks for them."""

from pathlib import Path

import pytest

from harmonizer.errors import InputError
from harmonizer.imaging.pairing import find_mask, pair_masks


def names(folder: Path, *files: str) -> dict[str, str | None]:
    """What is paired with what in a folder of such files."""
    for file in files:
        (folder / file).touch()
    return {image.name: mask and mask.name for image, mask in pair_masks(folder)}


def test_one_folder_holds_pictures_and_masks(tmp_path: Path) -> None:
    assert names(
        tmp_path,
        *("a.jpg", "a_mask.png", "b.jpg", "b.png", "c_composite.webp", "c_mask.bmp"),
        *("composite.png", "mask.png", "alone.jpg", "of_nothing_mask.png", "notes.txt"),
    ) == {
        "a.jpg": "a_mask.png",
        "alone.jpg": None,
        "b.jpg": "b.png",
        "c_composite.webp": "c_mask.bmp",
        "composite.png": "mask.png",
    }


def test_a_picture_that_is_called_like_a_mask_is_one_by_its_png(tmp_path: Path) -> None:
    assert names(tmp_path, "face_mask.jpg", "face_mask.png") == {"face_mask.jpg": "face_mask.png"}


def test_the_masks_of_iharmony4_are_shared() -> None:
    masks = {"a_b": Path("a_b.png"), "IMG": Path("IMG.png")}
    assert find_mask("a_b_c", masks) == Path("a_b.png")
    # it is another picture's
    assert find_mask("a_b_c", masks, pictures={"a_b", "a_b_c"}) is None
    assert find_mask("IMG_1", masks) is None


@pytest.mark.parametrize("where", ["one folder", "two folders"])
@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a.jpg", "a_mask.png"),
        ("a.jpg", "a-mask.png"),
        ("a.jpg", "mask_a.webp"),
        ("a.jpg", "mask-a.png"),
        ("a.jpg", "a.jpg.png"),
        ("IMG_7.JPG", "img_7_Mask.PNG"),
        ("IMG_7.JPG", "img_7.jpg.png"),
        ("caf\u00e9.jpg", "cafe\u0301_mask.png"),
        ("cafe\u0301.jpg", "CAF\u00c9.png"),
    ],
)
def test_masks_as_people_name_them(where: str, image: str, mask: str, tmp_path: Path) -> None:
    masks = tmp_path if where == "one folder" else tmp_path / "masks"
    masks.mkdir(exist_ok=True)
    (tmp_path / "b.jpg").touch()
    (masks / "b_mask.png").touch()
    (tmp_path / image).touch()
    (masks / mask).touch()
    found = {one.name: other and other.name for one, other in pair_masks(tmp_path, masks)}
    assert found == {"b.jpg": "b_mask.png", image: mask}


def test_a_name_that_is_just_so_comes_first(tmp_path: Path) -> None:
    for file in ("A.jpg", "a.jpg", "A_mask.png", "mask_party.jpg", "mask_party_mask.png"):
        (tmp_path / file).touch()
    if len(list(tmp_path.iterdir())) < 5:
        pytest.skip("capitals make no difference here")
    assert names(tmp_path) == {
        "A.jpg": "A_mask.png",
        "a.jpg": None,  # that mask is another one's
        "mask_party.jpg": "mask_party_mask.png",
    }
    (tmp_path / "a_Mask.png").touch()
    assert names(tmp_path)["a.jpg"] == "a_Mask.png"


def test_two_masks_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder, file in (("images", "a.jpg"), ("masks", "a.png"), ("masks", "a.bmp")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / file).touch()
    with pytest.raises(InputError, match="two masks are called a"):
        pair_masks(tmp_path / "images", tmp_path / "masks")
