"""The layouts of photographs with masks, and what is said when they are broken."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from pictures import picture, save

from harmonizer.data import PhotoDataset, PhotoFiles
from harmonizer.errors import InputError


def names(data: PhotoDataset) -> list[tuple[str, str]]:
    return [(files.image.name, files.mask.name) for files in data.files]


def test_masks_beside_the_pictures(tmp_path: Path) -> None:
    image, mask = picture(0)
    for name in ("a.jpg", "b.webp", "c.png"):
        save(tmp_path / name, image)
    for name in ("a.png", "b.png", "c_mask.png"):
        save(tmp_path / name, mask)
    save(tmp_path / "d_mask.jpg", image)  # a picture that happens to be called so
    save(tmp_path / "d_mask.png", mask)
    data = PhotoDataset.from_folder(tmp_path)
    expected = [("a.jpg", "a.png"), ("b.webp", "b.png"), ("c.png", "c_mask.png")]
    assert names(data) == [*expected, ("d_mask.jpg", "d_mask.png")]
    photo = data[2]
    assert np.array_equal(photo.image, image)
    assert np.array_equal(photo.mask, mask)
    assert photo.mask.dtype == np.uint8
    assert photo.name == "c.png"


def test_masks_in_a_folder_of_their_own(tmp_path: Path) -> None:
    image, mask = picture(0)
    for name in ("a", "b"):
        save(tmp_path / "images" / f"{name}.png", image)
    save(tmp_path / "masks/a.png", mask)
    save(tmp_path / "masks/b_mask.jpg", mask)
    data = PhotoDataset.from_folder(tmp_path / "images", tmp_path / "masks")
    assert names(data) == [("a.png", "a.png"), ("b.png", "b_mask.jpg")]


def test_all_missing_masks_are_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.jpg", picture(0)[0])
    save(tmp_path / "b.png", picture(0)[1])
    with pytest.raises(InputError, match="2 missing") as raised:
        PhotoDataset.from_folder(tmp_path)
    assert "a.jpg" in str(raised.value)
    assert "c.jpg" in str(raised.value)
    assert "ID_mask.png" in str(raised.value)  # what to do


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.webp"):
        save(tmp_path / name, picture(0)[0])
    save(tmp_path / "a_mask.png", picture(0)[1])
    with pytest.raises(InputError, match="share a name"):
        PhotoDataset.from_folder(tmp_path)


def test_table_of_paths(tmp_path: Path) -> None:
    image, mask = picture(0)
    save(tmp_path / "x/1.jpg", image)
    save(tmp_path / "y/m.png", mask)
    table = tmp_path / "photos.csv"
    table.write_text(
        "image,mask,split,group,label\nx/1.jpg,y/m.png,train,g,cat\nx/1.jpg,y/m.png,val,h,dog\n"
    )
    assert len(PhotoDataset.from_csv(table)) == 2
    data = PhotoDataset.from_csv(table, split="val")
    assert data.files[0][2:] == ("h", "dog")
    with pytest.raises(InputError, match=r"no row has split 'test'; there are \['train', 'val'\]"):
        PhotoDataset.from_csv(table, split="test")
    with pytest.raises(InputError, match="no column 'dataset'"):
        PhotoDataset.from_csv(table, group="dataset")


def test_table_of_ids(photo_folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    for stem in ("00", "01"):
        for name in (f"{stem}.png", f"{stem}_mask.png"):
            (tmp_path / name).write_bytes((photo_folder / name).read_bytes())
    table.write_text("id,split,label,dataset\n00,train,a,one\n01,val,b,two\n")
    data = PhotoDataset.from_csv(table, split="train", group="dataset")
    assert data.files == [PhotoFiles(tmp_path / "00.png", tmp_path / "00_mask.png", "one", "a")]
    table.write_text("id\n00\n07\n08\n")
    with pytest.raises(InputError, match="2 missing") as raised:
        PhotoDataset.from_csv(table)
    assert "07" in str(raised.value)
    assert "08" in str(raised.value)


def test_tables_that_are_none(tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    table.write_text("picture,mask\na,b\n")
    with pytest.raises(InputError, match="columns image and mask, or id"):
        PhotoDataset.from_csv(table)
    with pytest.raises(InputError, match="no column split"):
        PhotoDataset.from_csv(table, split="train")
    with pytest.raises(InputError, match="cannot be read"):
        PhotoDataset.from_csv(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="no folder"):
        PhotoDataset.from_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no pictures"):
        PhotoDataset.from_folder(tmp_path)


def test_large_pictures_are_reduced_and_small_ones_kept(photo_folder: Path) -> None:
    files = PhotoDataset.from_folder(photo_folder).files[:1]
    small = PhotoDataset(files, short_side=48)[0]
    assert small.image.shape == (48, 64, 3)
    assert small.mask.shape == (48, 64)
    for side in (96, 384, None):
        assert PhotoDataset(files, short_side=side)[0].image.shape == (96, 128, 3)
    for side in (0, "a", 1.5):
        with pytest.raises(InputError, match="short_side"):
            PhotoDataset(files, short_side=cast(Any, side))


def test_cached_pictures_need_no_file_and_cannot_be_changed(tmp_path: Path) -> None:
    for seed, stem in enumerate("ab"):
        image, mask = picture(seed)
        save(tmp_path / f"{stem}.jpg", image)
        save(tmp_path / f"{stem}.png", mask)
    (tmp_path / "b.jpg").write_bytes(b"broken")
    data = PhotoDataset.from_folder(tmp_path, cache=True)
    assert data.preload() == 1
    first = data[0]
    (tmp_path / "a.jpg").unlink()
    assert data[0] is first
    with pytest.raises(ValueError, match="read-only"):
        first.image[0] = 0
    with pytest.raises(InputError, match=r"b\.jpg cannot be read"):
        data[1]


def test_masks_of_another_size_and_empty_masks_name_the_file(tmp_path: Path) -> None:
    image, mask = picture(0)
    save(tmp_path / "a.jpg", image)
    save(tmp_path / "a.png", mask[::2, ::2])
    data = PhotoDataset.from_folder(tmp_path)
    with pytest.raises(InputError, match=r"a\.png: .*128 x 96, the mask 64 x 48") as raised:
        data[0]
    assert "resize_mask" not in str(raised.value)  # no such option here
    save(tmp_path / "a.png", mask * 0)
    with pytest.raises(InputError, match="empty"):
        data[0]
