"""The layouts of triplets, and what is said when they are broken."""

from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest
from pictures import save, write_triplet
from PIL import Image

from harmonizer.data import IHARMONY4_PARTS, AugmentedTriplets, PhotoDataset, TripletDataset
from harmonizer.data.triplets import open_to_measure
from harmonizer.errors import InputError

SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")


def write_part(root: Path, part: str, train: list[str], test: list[str]) -> None:
    """One part of iHarmony4: PNGs stand in for its JPEGs, as in resized copies."""
    for stem in train + test:
        mask = stem.rpartition("_")[0]
        real = mask.rpartition("_")[0]
        seed = sum(real.encode())  # composites of one photograph share it
        names = (f"composite_images/{stem}.png", f"masks/{mask}.png", f"real_images/{real}.png")
        write_triplet(root / part, names, seed)
    for split, stems in (("train", train), ("test", test)):
        listing = "".join(f"{part}/composite_images/{stem}.jpg\n" for stem in stems)
        (root / part / f"{part}_{split}.txt").write_text(listing + "\n")


@pytest.fixture
def iharmony4(tmp_path: Path) -> Path:
    root = tmp_path / "iHarmony4"
    write_part(root, "HCOCO", ["c1_10_1", "c1_10_2", "c2_20_1"], ["c3_30_1"])
    write_part(root, "Hday2night", ["d90000014-10_1_9"], ["d1-2_1_3", "d1-2_1_4"])
    return root


def test_iharmony4_by_its_own_lists(iharmony4: Path) -> None:
    train, test = (TripletDataset.open(iharmony4, split=split) for split in ("train", "test"))
    assert [files.name for files in train.files] == [
        "HCOCO/c1_10_1",
        "HCOCO/c1_10_2",
        "HCOCO/c2_20_1",
        "Hday2night/d90000014-10_1_9",
    ]
    assert len(test) == 3
    composite, mask, real, name = test[1]
    assert name == "Hday2night/d1-2_1_3"
    assert np.array_equal(real, np.asarray(Image.open(test.files[1].real)))
    assert real.shape == composite.shape == (*mask.shape, 3)
    assert (composite.dtype, mask.dtype, real.dtype) == (np.uint8, np.float32, np.uint8)
    assert np.array_equal(composite[mask == 0], real[mask == 0])
    assert (composite[mask == 1] != real[mask == 1]).any()


def test_parts_of_iharmony4_in_any_mix(iharmony4: Path) -> None:
    assert len(TripletDataset.open(iharmony4, parts=["HCOCO"])) == 3
    assert len(TripletDataset.open(iharmony4 / "Hday2night", split="test")) == 2
    with pytest.raises(InputError, match="wanted HFlickr, found HCOCO, Hday2night"):
        TripletDataset.open(iharmony4, parts=["HFlickr"])
    with pytest.raises(InputError, match="train"):
        TripletDataset.from_iharmony4(iharmony4, split="val")
    assert set(IHARMONY4_PARTS) == {"HCOCO", "HFlickr", "HAdobe5k", "Hday2night"}


def test_parts_are_not_letters_of_a_text(iharmony4: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("composite,mask,real,part\na.png,m.png,r.png,A\n")
    given: Any = "HCOCO"
    for call in (
        lambda: TripletDataset.open(iharmony4, parts=given),
        lambda: TripletDataset.from_iharmony4(iharmony4, parts=given),
        lambda: TripletDataset.open(table, parts=given, on_missing="skip"),
        lambda: TripletDataset.from_csv(table, parts=given, on_missing="skip"),
        lambda: TripletDataset.open(tmp_path, parts=given),
    ):
        with pytest.raises(InputError, match=r"parts is a list of names, such as \['HCOCO'\]"):
            call()


def test_all_that_is_missing_is_named_at_once(iharmony4: Path) -> None:
    (iharmony4 / "HCOCO/masks/c1_10.png").unlink()
    (iharmony4 / "HCOCO/real_images/c2.png").unlink()
    (iharmony4 / "Hday2night/Hday2night_train.txt").unlink()
    with pytest.raises(InputError) as raised:
        TripletDataset.open(iharmony4)
    message = str(raised.value)
    assert "4 missing" in message
    for text in ("masks for c1_10_1", "masks for c1_10_2", "real_images for c2_20_1", "train.txt"):
        assert text in message


def test_a_long_list_of_missing_files_is_cut(tmp_path: Path) -> None:
    for name in ("composites", "masks", "real"):
        (tmp_path / name).mkdir()
    for number in range(50):
        save(tmp_path / f"composites/{number}.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match="100 missing") as raised:
        TripletDataset.open(tmp_path)
    assert "and 80 more" in str(raised.value)
    assert str(raised.value).count("\n") < 25


def test_plain_folder(tmp_path: Path) -> None:
    write_triplet(tmp_path, ("composites/a.png", "masks/a.png", "real/a.jpg"))
    write_triplet(tmp_path, ("composites/b_1_2.png", "masks/b_1.png", "real/b.jpg"), 1)
    (tmp_path / "composites/.DS_Store").write_bytes(b"")
    (tmp_path / "composites/notes.txt").write_text("not a picture")
    data = TripletDataset.open(tmp_path)
    assert [data[i].name for i in range(len(data))] == ["a", "b_1_2"]


def test_files_side_by_side_and_folders_of_them(tmp_path: Path) -> None:
    names = ("composite.png", "mask.png", "real.jpg")
    for number, base in enumerate(("b", "a", "more/a_1_2")):
        write_triplet(tmp_path, tuple(f"{base}_{name}" for name in names), number)  # pyright: ignore[reportArgumentType]
    (tmp_path / "README.md").write_text("not a picture")
    data = TripletDataset.open(tmp_path)
    assert [(files.name, files.part) for files in data.files] == [
        ("a", ""),
        ("b", ""),
        ("more/a_1_2", "more"),
    ]
    assert data[2].composite.shape == (96, 128, 3)
    (tmp_path / "a_mask.png").unlink()
    (tmp_path / "more/a_1_2_real.jpg").unlink()
    with pytest.raises(InputError, match="2 missing") as raised:
        TripletDataset.open(tmp_path)
    assert "a_mask" in str(raised.value)
    assert "a_1_2_real" in str(raised.value)
    assert [files.name for files in TripletDataset.open(tmp_path, on_missing="skip").files] == ["b"]


def test_two_pictures_that_differ_in_their_ending_are_not_taken_for_one(tmp_path: Path) -> None:
    write_triplet(tmp_path, ("composites/a.png", "masks/a.png", "real/a.jpg"))
    (tmp_path / "composites/a.jpg").write_bytes((tmp_path / "real/a.jpg").read_bytes())
    with pytest.raises(InputError, match=r"a\.jpg and a\.png differ in their ending alone"):
        TripletDataset.open(tmp_path)
    beside = tmp_path / "beside"
    write_triplet(beside, ("b_composite.png", "b_mask.png", "b_real.jpg"))
    for name in ("notes.png", "notes.jpg"):  # no part of a triplet
        (beside / name).write_bytes(b"")
    assert len(TripletDataset.open(beside)) == 1
    (beside / "b_composite.jpg").write_bytes((beside / "b_real.jpg").read_bytes())
    with pytest.raises(InputError, match="differ in their ending alone"):
        TripletDataset.open(beside)


def test_a_table_is_split_by_its_columns(tmp_path: Path) -> None:
    write_triplet(tmp_path, ("c.png", "m.png", "r.jpg"))
    table = tmp_path / "table.csv"
    rows = [f"c.png,m.png,r.jpg,{split},{part}" for split, part in ("ap", "aq", "bq")]
    table.write_text("\n".join(["composite,mask,real,split,part", *rows]))

    def parts(**options: Any) -> list[str]:
        return [one.part for one in TripletDataset.open(table, **options).files]

    assert parts() == ["p", "q", "q"]
    assert parts(split="a") == ["p", "q"]
    assert parts(parts=["q"]) == ["q", "q"]
    assert parts(split="a", parts=["q"]) == ["q"]
    with pytest.raises(InputError, match=r"no row has split 'test'; there are \['a', 'b'\]"):
        parts(split="test")
    with pytest.raises(InputError, match="no row has part 'HCOCO'"):
        parts(parts=["q", "HCOCO"])
    table.write_text("composite,mask,real\nc.png,m.png,r.jpg\n")
    assert parts() == [""]
    for options in ({"split": "a"}, {"parts": ["q"]}):
        with pytest.raises(InputError, match="has no column"):
            parts(**options)


def test_a_plain_folder_has_no_splits(tmp_path: Path) -> None:
    write_triplet(tmp_path, ("composites/a.png", "masks/a.png", "real/a.jpg"))
    with pytest.raises(InputError, match="has no split 'test': it is a plain folder"):
        TripletDataset.open(tmp_path, split="test")


def test_the_lists_of_all_parts_are_enough(iharmony4: Path) -> None:
    before = {split: TripletDataset.open(iharmony4, split=split).files for split in SPLITS}
    for split in SPLITS:
        lines: list[str] = []
        for listing in sorted(iharmony4.glob(f"*/*_{split}.txt")):
            part = listing.parent.name
            lines += [f"{part}/composite_images/{one}" for one in listing.read_text().split()]
            listing.unlink()
        (iharmony4 / f"IHD_{split}.txt").write_text("\n".join(lines))
    for split in SPLITS:
        assert len(before[split]) > 1
        assert TripletDataset.open(iharmony4, split=split).files == before[split]
    one = TripletDataset.open(iharmony4 / "HCOCO", split="train").files
    assert one == [files for files in before["train"] if files.part == "HCOCO"]


def test_other_datasets_of_this_layout(iharmony4: Path) -> None:
    hcoco = TripletDataset.open(iharmony4, parts=["HCOCO"]).files
    (iharmony4 / "HCOCO").rename(iharmony4 / "HVIDIT")
    for split in SPLITS:
        listing = iharmony4 / "HVIDIT" / f"HCOCO_{split}.txt"
        listing.rename(listing.with_name(f"HVIDIT_{split}.txt"))
    by_part = TripletDataset.open(iharmony4, parts=["HVIDIT"]).files
    assert by_part == TripletDataset.open(iharmony4 / "HVIDIT").files
    names = [files.name.replace("HCOCO", "HVIDIT") for files in hcoco]
    assert [files.name for files in by_part] == names
    assert names
    # iHarmony4 itself is its own four parts.
    assert {one.part for one in TripletDataset.open(iharmony4).files} == {"Hday2night"}


def test_realhm(tmp_path: Path) -> None:
    """Its files lie in three folders, with small copies beside them."""
    for place in ("vendor_testing_1/1", "vendor_testing_2/deep/2"):
        write_triplet(tmp_path, [f"{place}_{kind}.jpg" for kind in ("composite", "mask", "gt")])
        (tmp_path / f"{place}_small.jpg").write_bytes(b"")
    data = TripletDataset.open(tmp_path)
    assert [(files.name, files.part) for files in data.files] == [
        ("vendor_testing_1/1", "vendor_testing_1"),
        ("vendor_testing_2/deep/2", "vendor_testing_2/deep"),
    ]
    assert [files.real.name for files in data.files] == ["1_gt.jpg", "2_gt.jpg"]


def test_what_is_missing_is_left_out_by_choice(iharmony4: Path, tmp_path: Path) -> None:
    (iharmony4 / "HCOCO/masks/c1_10.png").unlink()
    data = TripletDataset.open(iharmony4, on_missing="skip")
    assert [files.name for files in data.files] == ["HCOCO/c2_20_1", "Hday2night/d90000014-10_1_9"]
    assert [files.part for files in data.files] == ["HCOCO", "Hday2night"]
    assert data.missing == ("HCOCO/masks for c1_10_1", "HCOCO/masks for c1_10_2")
    write_triplet(tmp_path, ("x/1.png", "x/m.png", "x/r.png"))
    table = tmp_path / "list.csv"
    table.write_text(
        "composite,mask,real,part\nx/1.png,x/m.png,x/r.png,first\nx/2.png,x/m.png,x/q.png,\n"
    )
    data = TripletDataset.open(table, on_missing="skip")
    assert [(files.name, files.part) for files in data.files] == [("x/1.png", "first")]
    assert [Path(text).name for text in data.missing] == ["2.png", "q.png"]
    with pytest.raises(InputError, match="2 missing"):
        TripletDataset.open(table)


@pytest.mark.parametrize("word", ["Raise", "error", "", None, True])
def test_a_misspelt_word_does_not_mean_to_skip(iharmony4: Path, tmp_path: Path, word: Any) -> None:
    write_triplet(tmp_path, ("composites/1.png", "masks/1.png", "real/1.png"))
    table = tmp_path / "list.csv"
    table.write_text("composite,mask,real\ncomposites/1.png,masks/1.png,real/1.png\n")
    whole = TripletDataset.open(table)
    for call in (
        lambda: TripletDataset.open(iharmony4, on_missing=word),
        lambda: TripletDataset.open(tmp_path, on_missing=word),
        lambda: TripletDataset.open(table, on_missing=word),
        lambda: open_to_measure(table, on_missing=word),
    ):
        with pytest.raises(InputError, match='on_missing is "raise" or "skip"; got'):
            call()
    with pytest.raises(InputError, match='on_error is "raise" or "skip"; got'):
        AugmentedTriplets(whole, on_error=word)


@pytest.mark.parametrize(
    "wrong", [{"size": 96.5}, {"size": "96"}, {"size": True}, {"seed": -1}, {"seed": 1.5}]
)
def test_sizes_and_seeds_are_whole_numbers(iharmony4: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"(size|seed) is a whole number of at least"):
        AugmentedTriplets(TripletDataset.open(iharmony4), **wrong)


@pytest.mark.parametrize("given", [None, 5, ["a"], b"list.csv", "", "a\0b"])
def test_what_is_no_path_is_refused(given: Any) -> None:
    for call in (
        TripletDataset.open,
        TripletDataset.from_csv,
        TripletDataset.from_folder,
        TripletDataset.from_iharmony4,
        open_to_measure,
        PhotoDataset.from_csv,
        PhotoDataset.from_folder,
    ):
        with pytest.raises(InputError, match=r"is a path|is empty"):
            call(given)


@pytest.mark.parametrize("parts", [[], [1], 5, b"HCOCO", [None]])
def test_parts_are_names(iharmony4: Path, parts: Any) -> None:
    with pytest.raises(InputError, match="parts is a list of names"):
        TripletDataset.open(iharmony4, parts=parts)


def test_a_split_is_a_name(tmp_path: Path) -> None:
    table, given = tmp_path / "list.csv", cast(Any, 3)
    table.write_text("composite,mask,real,split\na,b,c,3\n")
    with pytest.raises(InputError, match=r"split is text, .*; got 3"):
        TripletDataset.open(table, split=given)


def test_a_table_as_spreadsheets_and_people_write_it(tmp_path: Path) -> None:
    """Blanks behind commas, and rows of nothing."""
    write_triplet(tmp_path, ("x/1.png", "y/m.png", "z/1.png"))
    table = tmp_path / "list.csv"
    table.write_text("composite, mask, real ,note\nx/1.png, y/m.png, z/1.png\n,,,\n   \n\n")
    assert [files.name for files in TripletDataset.open(table).files] == ["x/1.png"]
    table.write_text("composite,mask,real\n x/1.png,y/m.png,z/1.png\n")  # a name with a blank
    with pytest.raises(InputError, match=r"1 missing:\n.*/ x/1\.png"):
        TripletDataset.open(table)
    table.write_text("composite,mask,real\nx/1.png,,z/1.png\n")
    with pytest.raises(InputError, match=r"a row has no mask: x/1\.png, z/1\.png"):
        TripletDataset.open(table)


def test_table_with_paths_of_its_own_folder(tmp_path: Path) -> None:
    write_triplet(tmp_path, ("x/1.png", "y/m.png", "z/1.png"))
    table = tmp_path / "list.csv"
    table.write_text("real,composite,mask,note\nz/1.png,x/1.png,y/m.png,hello\n")
    assert TripletDataset.open(table)[0].name == "x/1.png"
    table.write_text("composite,mask,real\nx/1.png,y/m.png,z/2.png\nx/2.png,y/m.png,z/2.png\n")
    with pytest.raises(InputError, match="2 missing") as raised:
        TripletDataset.open(table)
    assert "2.png" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("composite,mask\na,b\n", "columns composite, mask and real; it has composite, mask"),
        ("composite,mask,real\n", "no rows"),
        ("composite,mask,real\na,b,c\na,b,c,d\n", "line 3: more fields"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    table = tmp_path / "list.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=said):
        TripletDataset.open(table)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder or table"):
        TripletDataset.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match="composites, masks and real"):
        TripletDataset.open(tmp_path)
    with pytest.raises(InputError, match="only iHarmony4 has parts"):
        TripletDataset.open(tmp_path, parts=["HCOCO"])
    with pytest.raises(InputError, match="at least one"):
        TripletDataset([])


def test_sizes_that_differ_and_masks_that_are_empty_name_the_file(tmp_path: Path) -> None:
    write_triplet(tmp_path, ("composites/a.png", "masks/a.png", "real/a.png"))
    data = TripletDataset.open(tmp_path)
    save(tmp_path / "masks/a.png", np.full((48, 64), 255, np.uint8))
    with pytest.raises(InputError, match=r"masks.a\.png: .*128 x 96, the mask 64 x 48"):
        data[0]
    save(tmp_path / "masks/a.png", np.zeros((96, 128), np.uint8))
    with pytest.raises(InputError, match=r"masks.a\.png: the mask is empty"):
        data[0]
    save(tmp_path / "real/a.png", np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(InputError, match=r"real.a\.png is 64 x 48"):
        data[0]
    (tmp_path / "composites/a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(InputError, match=r"composites.a\.png cannot be read"):
        data[0]


def test_turned_photographs_stand_upright(tmp_path: Path) -> None:
    write_triplet(tmp_path, ("composites/a.jpg", "masks/a.png", "real/a.jpg"))
    for name in ("composites", "real"):
        path = tmp_path / name / "a.jpg"
        image = Image.open(path).transpose(Image.Transpose.ROTATE_90)
        exif = image.getexif()
        exif[0x0112] = 6  # turn by 90 degrees clockwise to stand upright
        image.save(path, exif=exif)
    composite, mask, real, _ = TripletDataset.open(tmp_path)[0]
    assert composite.shape[:2] == real.shape[:2] == mask.shape == (96, 128)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    import cv2

    write_triplet(tmp_path, ("composites/a.png", "masks/a.png", "real/a.png"))
    cv2.imwrite(str(tmp_path / "real/a.png"), np.full((96, 128, 3), 257 * 100, np.uint16))
    assert (TripletDataset.open(tmp_path)[0].real == 100).all()


def test_a_list_that_is_no_text_is_named(iharmony4: Path) -> None:
    (iharmony4 / "HCOCO" / "HCOCO_test.txt").write_bytes(b"\xff\xfe\0\xd8")
    with pytest.raises(InputError, match=r"the list .*HCOCO_test\.txt cannot be read"):
        TripletDataset.open(iharmony4, split="test")


def test_names_that_no_folder_can_have_are_of_no_folder(iharmony4: Path) -> None:
    with pytest.raises(InputError, match="there is no folder or table"):
        TripletDataset.open(iharmony4 / ("x" * 5000))
    with pytest.raises(InputError, match="wanted xxx"):
        TripletDataset.open(iharmony4, parts=["x" * 5000])
    with pytest.raises(InputError, match="there is no folder xxx"):
        PhotoDataset.from_folder("x" * 5000)


@pytest.mark.parametrize("line", ["../../../{}", "{}\0", "..", "/", ".", "/etc/{}"])
def test_a_list_names_pictures_of_its_part_alone(line: str, iharmony4: Path) -> None:
    (iharmony4.parent / "out_1_1.jpg").touch()
    for listing in iharmony4.glob("*/*_train.txt"):
        listing.write_text(line.format("out_1_1.jpg"))
    with pytest.raises(InputError, match="composite_images for"):
        TripletDataset.open(iharmony4)
