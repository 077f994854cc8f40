"""What a run learns from and is measured on, as its configuration names it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from runs import SmallRun

from harmonizer.data import AugmentedTriplets, TripletDataset, TripletFiles
from harmonizer.errors import InputError
from harmonizer.training import DataConfig, train
from harmonizer.training.pictures import listed, training_pictures, validation_pictures
from harmonizer.training.run_folder import load_checkpoint, save_checkpoint


@pytest.fixture
def triplets(tmp_path: Path) -> Path:
    """Eight triplets in three folders; the real picture is as bright as its number says."""
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:50] = 255
    for number in range(8):
        real = np.full((48, 64, 3), 30 + 20 * number, np.uint8)
        composite = np.where(mask[..., None] > 0, 255 - real, real)
        for folder, array in (("composites", composite), ("masks", mask), ("real", real)):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / "data" / folder / f"{number}.png")
    return tmp_path / "data"


def test_triplets_are_learnt_from_and_measured(small_run: SmallRun, triplets: Path) -> None:
    data = DataConfig(kind="triplets", root=str(triplets), random_crop=False, limit=4)
    config = small_run(train=data, validation=data)
    pictures = training_pictures(config)
    assert len(pictures) == 4  # evenly over all of them, the first and the last included
    shown = [pictures.draw(index, 0) for index in range(4)]
    assert [int(one.real[0, 0, 0]) for one in shown] == [30, 70, 110, 170]
    measured = validation_pictures(config)
    assert [int(one.real[0, 0, 0]) for one in measured] == [30, 70, 110, 170]
    for one in (*shown, *measured):
        assert one.composite.shape == (32, 32, 3)
        assert np.array_equal(one.composite[one.mask == 0], one.real[one.mask == 0])


def test_a_run_goes_on_with_the_pictures_that_it_began_with(
    small_run: SmallRun, triplets: Path
) -> None:
    """With fewer of them an epoch is shorter, and a run that counts epochs would be at its end."""
    data = DataConfig(kind="triplets", root=str(triplets))
    config = small_run(train=data, steps=0, epochs=1, batch_size=4)
    train(config)
    gone = triplets / "composites" / "5.png"
    content = gone.read_bytes()
    gone.rename(gone.with_name("9.png"))
    for folder in ("masks", "real"):
        (triplets / folder / "9.png").write_bytes((triplets / folder / "5.png").read_bytes())
    with pytest.raises(InputError, match=r"other pictures than the 8 here.* start a new run from"):
        train(config, resume=True)
    gone.with_name("9.png").unlink()
    with pytest.raises(InputError, match="other pictures than the 7 here"):
        train(config, resume=True)
    gone.write_bytes(content)
    assert train(config, resume=True).finished

    folder = Path(config.output)  # as versions before this one wrote it
    state = load_checkpoint(folder)
    del state["files"]
    save_checkpoint(folder, state)
    gone.rename(gone.with_name("9.png"))
    assert train(config, resume=True).finished


def test_names_that_are_no_text_tell_pictures_apart() -> None:
    """File systems take any bytes; Python reads them as halves of characters."""
    said: set[str] = set()
    for name in ("\udcfe.png", "\udcff.png"):
        files = TripletFiles(Path(name), Path("mask.png"), Path("real.png"), "a")
        said.add(listed(AugmentedTriplets(TripletDataset([files]))))
    assert len(said) == 2


def test_other_masks_are_other_pictures(small_run: SmallRun, triplets: Path) -> None:
    config = small_run(train=DataConfig(kind="triplets", root=str(triplets)), steps=1)
    train(config)
    table = triplets / "table.csv"
    for masks in (range(8), [1, 0, *range(2, 8)]):
        rows = [f"composites/{i}.png,masks/{mask}.png,real/{i}.png" for i, mask in enumerate(masks)]
        table.write_text("\n".join(["composite,mask,real", *rows]))
        found = training_pictures(
            replace(config, train=DataConfig(kind="triplets", root=str(table)))
        )
        same = listed(found) == listed(training_pictures(config))
        assert same == (list(masks) == list(range(8)))


def test_nothing_is_learnt_from_and_measured_on(small_run: SmallRun, triplets: Path) -> None:
    rows = [f"composites/{i}.png,masks/{i}.png,real/{i}.png,{'ab'[i > 5]}" for i in range(8)]
    table = triplets / "table.csv"
    table.write_text("\n".join(["composite,mask,real,split", *rows]))
    learn, measure = (DataConfig(kind="triplets", root=str(table), split=one) for one in "ab")
    config = small_run(train=learn, validation=measure)
    assert len(training_pictures(config)) == 6
    assert [int(one.real[0, 0, 0]) for one in validation_pictures(config)] == [150, 170]


def test_validation_takes_the_test_pictures_of_what_is_split(
    small_run: SmallRun, triplets: Path
) -> None:
    """Also where no split is named: of iHarmony4's lists, and of a table."""
    rows = [f"composites/{i}.png,masks/{i}.png,real/{i}.png," for i in range(8)]
    table = triplets / "table.csv"
    lines = [row + ("test" if i > 5 else "train") for i, row in enumerate(rows)]
    table.write_text("\n".join(["composite,mask,real,split", *lines]))
    part = triplets.parent / "HCOCO"
    for old, new in (("composites", "composite_images"), ("real", "real_images")):
        (part / new).mkdir(parents=True)
        for i in range(8):
            name = f"{i}_1_1.png" if old == "composites" else f"{i}.png"
            (part / new / name).write_bytes((triplets / old / f"{i}.png").read_bytes())
    (part / "masks").mkdir()
    for i in range(8):
        (part / "masks" / f"{i}_1.png").write_bytes((triplets / "masks" / f"{i}.png").read_bytes())
    for split, chosen in (("train", range(6)), ("test", range(6, 8))):
        listed = "\n".join(f"{i}_1_1.png" for i in chosen)
        (part / f"HCOCO_{split}.txt").write_text(listed)
    for root in (table, part):
        data = DataConfig(kind="triplets", root=str(root))
        measured = validation_pictures(small_run(train=data, validation=data))
        assert [int(one.real[0, 0, 0]) for one in measured] == [150, 170]


@pytest.mark.parametrize("kind", ["triplets", "photos"])
def test_what_is_drawn_is_the_runs_seeds_and_what_is_measured_on_is_not(
    kind: Any, small_run: SmallRun, triplets: Path, photographs: Path
) -> None:
    data = DataConfig(kind=kind, root=str(triplets if kind == "triplets" else photographs))
    configs = [small_run(train=data, validation=data, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (
        np.stack([training_pictures(one).draw(index, 0).composite for index in range(6)])
        for one in configs
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    for one, same in zip(*map(validation_pictures, configs[1:]), strict=True):
        assert np.array_equal(one.composite, same.composite)


@pytest.mark.parametrize("kind", ["triplets", "photos"])
def test_a_split_that_there_is_not_is_refused(
    kind: Any, small_run: SmallRun, triplets: Path, photographs: Path
) -> None:
    root = triplets if kind == "triplets" else photographs
    data = DataConfig(kind=kind, root=str(root), split="train")
    with pytest.raises(InputError, match="has no split 'train'"):
        training_pictures(small_run(train=data))


def test_what_is_measured_on_is_whole_and_not_mirrored(small_run: SmallRun, triplets: Path) -> None:
    data = DataConfig(kind="triplets", root=str(triplets))
    measured = validation_pictures(small_run(train=data, validation=data))
    assert len(measured) == 8
    for one in measured:
        columns = np.flatnonzero(one.mask.max(axis=0) > 0.5)
        assert (columns[0], columns[-1]) == (10, 24)  # of 32; of 64 they are 20 to 49


def test_damaged_triplets_stop_or_are_replaced(small_run: SmallRun, triplets: Path) -> None:
    (triplets / "real" / "3.png").write_bytes(b"no picture")
    data = DataConfig(kind="triplets", root=str(triplets))
    with pytest.raises(InputError, match=r"3\.png"):
        training_pictures(small_run(train=data)).draw(3, 0)
    skipping = training_pictures(small_run(train=replace(data, skip_broken=True)))
    assert skipping.draw(3, 0).real[0, 0, 0] != 30 + 20 * 3


@pytest.mark.parametrize("in_memory", [False, True])
def test_photographs_of_a_table_by_split_and_group(
    in_memory: bool, small_run: SmallRun, photographs: Path, tmp_path: Path
) -> None:
    rows = [
        f"{photographs}/p{i}.png,{photographs}/p{i}_mask.png,{split},g{i % 2}"
        for i, split in enumerate(["test"] * 3 + ["train"] * 9)
    ]
    table = tmp_path / "list.csv"
    table.write_text("\n".join(["image,mask,split,source", *rows]))
    options: dict[str, Any] = {"kind": "photos", "root": str(table), "group": "source"}
    data = DataConfig(**options, split="train", in_memory=in_memory, balance=0.5)
    pictures = training_pictures(small_run(train=data))
    assert len(pictures) == 9
    drawn = pictures.draw(2, 1)
    assert drawn.composite.shape == (32, 32, 3)
    again = training_pictures(small_run(train=replace(data, in_memory=not in_memory))).draw(2, 1)
    assert np.array_equal(drawn.composite, again.composite)


def test_a_run_needs_pictures_but_no_validation(small_run: SmallRun) -> None:
    with pytest.raises(InputError, match=r"train\.root is the folder"):
        training_pictures(small_run(train=DataConfig()))
    assert validation_pictures(small_run(validation=DataConfig())) == []
