"""What `evaluate` takes, what it does with bad pictures, and how it goes on after a stop."""

import csv
import os
import shutil
import sys
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import box_mask
from PIL import Image
from small_iharmony4 import PICTURES
from small_networks import Brighten, small_idih

from harmonizer import Harmonizer
from harmonizer.data import TripletDataset
from harmonizer.errors import InputError, UnknownModelError
from harmonizer.evaluation import Evaluation, Protocol, evaluate
from harmonizer.evaluation.baselines import BASELINES
from harmonizer.evaluation.protocols import PAPER, PROTOCOLS

COUNT = sum(map(len, PICTURES.values()))


def darker(image: Any, mask: Any) -> Any:
    return (image * 0.9).astype(np.uint8)


def test_a_function_may_fill_one_array_again_and_again(iharmony4: Path) -> None:
    def anew(image: Any, mask: Any) -> Any:
        return image / np.float32(255)

    held: dict[Any, Any] = {}

    def again(image: Any, mask: Any) -> Any:
        out = held.setdefault(0, np.zeros((256, 256, 3), np.float32))
        np.divide(image, 255, out=out)
        return out

    expected, found = evaluate(anew, iharmony4), evaluate(again, iharmony4)
    assert len({row.fmse for row in expected.rows}) > 1
    assert [row.fmse for row in found.rows] == [row.fmse for row in expected.rows]


def test_two_models_of_one_name_are_told_apart_by_their_folders(
    iharmony4: Path, tmp_path: Path
) -> None:
    folders = [str(tmp_path / "a" / "best"), str(tmp_path / "b" / "best")]
    for seed, folder in enumerate(folders):
        small_idih(seed).save_pretrained(folder)
    evaluation = evaluate([*folders, "composite"], iharmony4, device="cpu")
    assert evaluation.models == (*folders, "composite")
    with pytest.raises(InputError, match="two of the models are called"):
        evaluate([folders[0], folders[0]], iharmony4, device="cpu")


def test_of_a_table_that_is_split_the_test_pictures_are_measured(
    iharmony4: Path, tmp_path: Path
) -> None:
    files = TripletDataset.open(iharmony4, split="test").files
    lines = [f"{one.composite},{one.mask},{one.real}" for one in files]
    for column, splits, count in (("split", ("train", "test"), len(files) // 2), ("", "", COUNT)):
        rows = [f"{one},{splits[i % 2]}" if splits else one for i, one in enumerate(lines)]
        table = tmp_path / f"table{column}.csv"
        header = ",".join(filter(None, ("composite,mask,real", column)))
        table.write_text("\n".join([header, *rows]))
        assert len(evaluate("composite", table).rows) == count


@pytest.fixture
def copy(iharmony4: Path, tmp_path: Path) -> Path:
    """The pictures, to be damaged."""
    return Path(shutil.copytree(iharmony4, tmp_path / "copy"))


def names(evaluation: Evaluation) -> list[str]:
    return [row.name for row in evaluation.rows]


def test_models_names_baselines_and_functions_in_one_table(
    iharmony4: Path, brighten: Harmonizer
) -> None:
    models = [brighten, "composite", BASELINES["reinhard"], darker]
    evaluation = evaluate(models, iharmony4)
    assert evaluation.models == ("idih", "composite", "reinhard", "darker")
    assert len(evaluation.rows) == 4 * COUNT
    for label in evaluation.models:
        assert evaluation.summary(label)["all"]["count"] == COUNT
    fmse = {label: evaluation.summary(label)["all"]["fmse"] for label in evaluation.models}
    assert len(set(fmse.values())) == 4
    alone = evaluate(darker, iharmony4)
    assert alone.of() == evaluation.of("darker")
    assert repr(alone) == f"Evaluation(paper: darker; {COUNT} rows)"
    with pytest.raises(InputError, match="were evaluated; got 'nonsense'"):
        evaluation.summary("nonsense")


def test_any_kind_of_answer_counts_the_same(iharmony4: Path) -> None:
    def as_pil(image: Any, mask: Any) -> Any:
        return Image.fromarray(darker(image, mask))

    def as_floats(image: Any, mask: Any) -> Any:
        return darker(image, mask) / np.float32(255)

    def as_sixteen_bits(image: Any, mask: Any) -> Any:
        return darker(image, mask).astype(np.uint16) * 257

    evaluation = evaluate([darker, as_pil, as_floats, as_sixteen_bits], iharmony4)
    expected = [row.fmse for row in evaluation.of("darker")]
    for label in evaluation.models[1:]:
        assert [row.fmse for row in evaluation.of(label)] == pytest.approx(expected, rel=1e-6)


def test_a_function_is_called_from_one_thread_alone(iharmony4: Path) -> None:
    threads: set[int] = set()

    def watched(image: Any, mask: Any) -> Any:
        threads.add(threading.get_ident())
        assert image.dtype == np.uint8
        assert mask.dtype == np.float32
        return image

    evaluate(watched, iharmony4, protocol="full-resolution", workers=3)
    assert len(threads) == 1


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (3, 2), (50, 4)])
def test_neither_batches_nor_workers_change_a_number(
    iharmony4: Path, brighten: Harmonizer, batch_size: int, workers: int
) -> None:
    found = evaluate(brighten, iharmony4, batch_size=batch_size, workers=workers)
    assert names(found) == names(evaluate(brighten, iharmony4))
    expected = [row.mse for row in evaluate(brighten, iharmony4).rows]
    assert [row.mse for row in found.rows] == pytest.approx(expected, rel=1e-6)


def watch_calls(harmonizer: Harmonizer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many pictures each call of the network is given from now on."""
    sizes: list[int] = []
    running = harmonizer._running

    def watched(images: Any, masks: Any) -> Any:
        sizes.append(len(images))
        return running.run(images, masks)

    monkeypatch.setattr(harmonizer, "_running", replace(running, run=watched))
    return sizes


def test_networks_are_called_once_a_batch(
    iharmony4: Path, brighten: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = watch_calls(brighten, monkeypatch)
    evaluate(brighten, iharmony4, batch_size=5)
    assert sizes == [5, COUNT - 5]


def test_so_are_networks_for_another_size_than_that_of_the_protocol(
    iharmony4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = small_idih()
    sizes = watch_calls(bundled, monkeypatch)
    assert bundled.info.preprocessing.input_size != (256, 256)
    together = evaluate(bundled, iharmony4, batch_size=5)
    assert sizes == [5, COUNT - 5]
    alone = evaluate(bundled, iharmony4, batch_size=1)
    expected = [row.mse for row in alone.rows]
    assert [row.mse for row in together.rows] == pytest.approx(expected, rel=1e-3)


def test_what_cannot_be_evaluated_is_refused(iharmony4: Path, tmp_path: Path) -> None:
    for arguments, options, said in [
        (([], iharmony4), {}, "nothing to evaluate"),
        (({}, iharmony4), {}, "nothing to evaluate"),
        ((3, iharmony4), {}, "a model is a Harmonizer"),
        (([darker, darker], iharmony4), {}, "two of the models are called darker"),
        (({1: darker}, iharmony4), {}, "labels of models are texts, and not empty; got 1"),
        (({"": darker}, iharmony4), {}, "labels of models are texts, and not empty; got ''"),
        ((darker, tmp_path / "nowhere"), {}, "no folder or table"),
        ((darker, [("a", "b", "c")]), {}, "dataset is a path"),
        ((darker, b"data"), {}, "dataset is a path"),
        ((darker, ""), {}, "path of dataset is empty"),
        ((darker, iharmony4), {"output": ""}, "path of output is empty"),
        ((darker, iharmony4), {"protocol": ["paper"]}, "the protocols are paper"),
        ((darker, iharmony4), {"output": 3}, "output is a path"),
        ((darker, iharmony4), {"protocol": "nonsense"}, "the protocols are paper"),
        ((darker, iharmony4), {"workers": 0}, "workers is a whole number"),
        ((darker, iharmony4), {"batch_size": 1.5}, "batch_size is a whole number"),
        ((darker, iharmony4), {"on_error": "ignore"}, 'on_error is "raise" or "skip"'),
        ((lambda i, m: i[:-1], iharmony4), {}, "of the composite's size, 256 x 256; got 256 x 255"),
        ((lambda i, m: None, iharmony4), {}, "must return an image"),
        ((lambda i, m: i * 1.0, iharmony4), {}, "must return an image"),
    ]:
        with pytest.raises(InputError, match=said):
            evaluate(*arguments, **options)
    with pytest.raises(UnknownModelError, match="nonsense"):
        evaluate("nonsense", iharmony4)


def test_an_error_of_the_function_is_not_hidden(iharmony4: Path) -> None:
    def broken(image: Any, mask: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluate(broken, iharmony4, on_error="skip")


def test_damaged_and_missing_files_and_wrong_lists_stop_it(copy: Path) -> None:
    (copy / "HFlickr/real_images/x0.png").unlink()
    with (copy / "HCOCO/HCOCO_test.txt").open("a") as file:
        file.write("\nghost_1_1.jpg\n")
    with pytest.raises(InputError) as raised:
        evaluate(darker, copy)
    for text in ("real_images for x0_1_1", "composite_images for ghost_1_1", "4 missing"):
        assert text in str(raised.value)


def test_a_damaged_picture_stops_it_by_name(copy: Path) -> None:
    (copy / "HCOCO/composite_images/x1_1_1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(InputError, match=r"HCOCO/x1_1_1: .*x1_1_1\.png cannot be read"):
        evaluate(darker, copy)


def test_or_they_are_left_out_by_name(copy: Path) -> None:
    whole = evaluate(darker, copy)
    (copy / "HFlickr/real_images/x0.png").unlink()
    (copy / "HCOCO/composite_images/x1_1_1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    Image.new("L", (7, 7)).save(copy / "Hday2night/masks/x0_1.png")
    found = evaluate(darker, copy, on_error="skip")
    gone = {"HFlickr/x0_1_1", "HCOCO/x1_1_1", "Hday2night/x0_1_1"}
    assert [row.mse for row in found.rows] == [
        row.mse for row in whole.rows if row.name not in gone
    ]
    assert len(found.skipped) == 3
    said = "\n".join(found.skipped)
    assert "real_images for x0_1_1" in said
    assert "x1_1_1.png cannot be read" in said
    assert "the mask 7 x 7" in said
    assert found.to_json()["skipped"] == list(found.skipped)


def test_a_picture_that_a_function_refuses_fails_no_other(iharmony4: Path) -> None:
    def picky(image: Any, mask: Any) -> Any:
        if np.array_equal(image, refused.composite):
            raise InputError("not this one")
        return darker(image, mask)

    refused = PAPER.prepare(TripletDataset.open(iharmony4, split="test")[3])
    rest = [name for name in names(evaluate(darker, iharmony4)) if name != refused.name]
    found = evaluate(picky, iharmony4, batch_size=4, on_error="skip")
    assert found.skipped == (f"{refused.name}: not this one",)
    assert names(found) == rest
    with pytest.raises(InputError, match=f"{refused.name}: not this one"):
        evaluate(picky, iharmony4, batch_size=4)


def test_nothing_left_is_an_error(copy: Path) -> None:
    for path in copy.glob("*/composite_images/*"):
        path.write_bytes(b"broken")
    with pytest.raises(InputError, match="not one picture could be measured"):
        evaluate(darker, copy, on_error="skip")


def test_a_picture_too_small_for_ssim_is_named(tmp_path: Path) -> None:
    for name, mode in (("a_composite", "RGB"), ("a_mask", "L"), ("a_real", "RGB")):
        Image.new(mode, (8, 30), "white").save(tmp_path / f"{name}.png")
    with pytest.raises(InputError, match="a: SSIM needs pictures of at least 11 x 11; got 8 x 30"):
        evaluate(darker, tmp_path, protocol="full-resolution")


def test_rows_on_disk_are_read_back_exactly(iharmony4: Path, tmp_path: Path) -> None:
    evaluation = evaluate(["reinhard", "composite"], iharmony4, output=tmp_path / "out")
    with (tmp_path / "out/images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * COUNT
    assert [float(row["fmse"]) for row in rows] == [row.fmse for row in evaluation.rows]
    assert [row["name"] for row in rows] == names(evaluation)
    again = evaluate(["reinhard", "composite"], iharmony4, output=tmp_path / "out")
    assert again == evaluation


@pytest.mark.parametrize(
    ("lines", "more", "whole_pictures"),
    [(5, 0, 2), (5, 30, 2), (4, 20, 1), (1, 0, 0), (0, 9, 0)],
    ids=["between two", "in a line", "in a picture's second line", "after the header", "in it"],
)
def test_a_stopped_evaluation_goes_on(
    iharmony4: Path,
    tmp_path: Path,
    lines: int,
    more: int,
    whole_pictures: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two models, so two lines a picture behind a header."""
    whole = evaluate(["reinhard", "composite"], iharmony4, output=tmp_path / "out")
    path = tmp_path / "out/images.csv"
    text = path.read_bytes()
    kept = b"".join(text.splitlines(keepends=True)[:lines])
    path.write_bytes(text[: len(kept) + more])

    loaded: list[int] = []
    load = TripletDataset.__getitem__

    def watched(dataset: TripletDataset, index: int) -> Any:
        loaded.append(index)
        return load(dataset, index)

    monkeypatch.setattr(TripletDataset, "__getitem__", watched)
    again = evaluate(["reinhard", "composite"], iharmony4, output=tmp_path / "out")
    assert again == whole
    assert path.read_bytes() == text
    assert sorted(loaded) == list(range(whole_pictures, COUNT))


@pytest.mark.parametrize("later", [5, -1e6])  # what is unpacked keeps an older date
def test_pictures_that_were_replaced_are_measured_again(
    later: float, copy: Path, tmp_path: Path, brighten: Harmonizer
) -> None:
    before = evaluate({"a": brighten}, copy, output=tmp_path / "out")
    replaced = min(copy.rglob("composite_images/*"))
    Image.new("RGB", Image.open(replaced).size, "red").save(replaced)
    os.utime(replaced, (time.time() + later,) * 2)
    after = evaluate({"a": brighten}, copy, output=tmp_path / "out")
    differ = [new.name for new, old in zip(after.rows, before.rows, strict=True) if new != old]
    assert differ == [f"{replaced.parts[-3]}/{replaced.stem}"]
    assert after == evaluate({"a": brighten}, copy)


def test_rows_of_another_evaluation_are_never_mixed_in(
    iharmony4: Path, copy: Path, tmp_path: Path, brighten: Harmonizer, model: Harmonizer
) -> None:
    out = tmp_path / "out"
    evaluate({"a": brighten}, iharmony4, output=out)
    before = (out / "images.csv").read_bytes()
    sampled = replace(brighten.info.preprocessing, resampler="opencv-nearest")
    other = Harmonizer(Brighten(), replace(brighten.info, preprocessing=sampled), device="cpu")
    changed = Harmonizer(
        Brighten(), replace(brighten.info, arguments={"least_chroma": 0.5}), device="cpu"
    )
    reduced = Harmonizer(Brighten(), brighten.info, device="cpu", dtype="bfloat16")
    for models, data, options, said in [
        ({"a": changed}, iharmony4, {}, "differs in models"),
        ({"a": reduced}, iharmony4, {}, "differs in models"),
        ({"a": model}, iharmony4, {}, "differs in models"),
        ({"a": other}, iharmony4, {}, "differs in models"),
        ({"b": brighten}, iharmony4, {}, "differs in models"),
        ({"a": brighten}, iharmony4 / "HCOCO", {}, "differs in pictures"),
        ({"a": brighten}, copy, {}, "differs in pictures"),  # other ones, of the same names
        ({"a": brighten}, iharmony4, {"protocol": "dccf"}, "differs in protocol"),
    ]:
        with pytest.raises(InputError, match=said):
            evaluate(models, data, output=out, **options)
    assert (out / "images.csv").read_bytes() == before
    (out / "configuration.json").write_text("{broken")
    with pytest.raises(InputError, match=r"configuration\.json cannot be read"):
        evaluate({"a": brighten}, iharmony4, output=out)
    (out / "configuration.json").unlink()
    with pytest.raises(InputError, match=r"without the configuration\.json"):
        evaluate({"a": brighten}, iharmony4, output=out)


def test_rows_of_another_baseline_are_never_mixed_in(iharmony4: Path, tmp_path: Path) -> None:
    before = evaluate({"a": "reinhard"}, iharmony4, output=tmp_path)
    assert evaluate({"a": "reinhard"}, iharmony4, output=tmp_path) == before
    for other in ("xiao", "composite", darker):
        with pytest.raises(InputError, match="differs in models"):
            evaluate({"a": other}, iharmony4, output=tmp_path)


def test_rows_of_functions_are_never_gone_on_with(
    iharmony4: Path, tmp_path: Path, brighten: Harmonizer
) -> None:
    """Somebody changes the function, or what it calls, and runs the same script again."""
    models: dict[str, Any] = {"bright": brighten, "own": darker}
    evaluate(models, iharmony4, output=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="whether own is the function that was measured there"):
        evaluate(models, iharmony4, output=tmp_path)
    with pytest.raises(InputError, match="differs in models"):
        evaluate({"bright": brighten, "own": "xiao"}, iharmony4, output=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_function_may_draw_into_what_it_is_given(protocol: str, iharmony4: Path) -> None:
    def drawing(image: Any, mask: Any) -> Any:
        image[mask > 0] = 255
        mask[:] = 1
        return image

    def copying(image: Any, mask: Any) -> Any:
        return drawing(image.copy(), mask.copy())

    found, wanted = (
        evaluate({"own": function, "composite": "composite"}, iharmony4, protocol=protocol)
        for function in (drawing, copying)
    )
    assert found == wanted


def test_what_was_left_out_is_tried_again(copy: Path, tmp_path: Path) -> None:
    path = copy / "HCOCO/composite_images/x0_1_1.png"
    content = path.read_bytes()
    path.write_bytes(b"broken")
    assert evaluate("reinhard", copy, output=tmp_path / "out", on_error="skip").skipped
    path.write_bytes(content)
    again = evaluate("reinhard", copy, output=tmp_path / "out", on_error="skip")
    assert again.skipped == ()
    assert again.rows == evaluate("reinhard", copy).rows


def test_many_pictures_need_no_more_memory_than_few(
    iharmony4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture's row stays, its pixels do not: they are counted as long as they live."""
    alive, highest, lock = set[int](), 0, threading.Lock()
    prepare = Protocol.prepare

    def watched(protocol: Protocol, triplet: Any, part: str) -> Any:
        nonlocal highest
        prepared = prepare(protocol, triplet, part)
        with lock:
            alive.add(id(prepared.real))
            highest = max(highest, len(alive))
        weakref.finalize(prepared.real, alive.discard, id(prepared.real))
        return prepared

    monkeypatch.setattr(Protocol, "prepare", watched)
    files = TripletDataset.open(iharmony4 / "Hday2night", split="test").files
    evaluation = evaluate("composite", TripletDataset(files * 60), workers=2, batch_size=4)
    assert len(evaluation.rows) == 120
    # Ten are under way, and threads may not have let go of a batch that is done.
    assert 1 < highest <= 20


@pytest.mark.parametrize("line", ["nonsense", "1,a,b,c,wide,high" + ",0" * 20])
def test_what_is_no_row_is_measured_again(line: str, iharmony4: Path, tmp_path: Path) -> None:
    evaluation = evaluate("composite", iharmony4, output=tmp_path / "out")
    table = tmp_path / "out" / "images.csv"
    lines = table.read_text().splitlines()
    lines[3] = line
    table.write_text("\n".join([*lines, ""]))
    assert evaluate("composite", iharmony4, output=tmp_path / "out") == evaluation


def test_models_may_be_named_in_another_order(
    iharmony4: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = evaluate(["composite", "reinhard"], iharmony4, output=tmp_path / "out")
    monkeypatch.delattr(TripletDataset, "__getitem__")  # nothing is measured anew
    after = evaluate(["reinhard", "composite"], iharmony4, output=tmp_path / "out")
    for label in ("composite", "reinhard"):
        assert after.of(label) == before.of(label)


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere have names of text")
def test_names_that_are_no_text_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for folder in ("composites", "masks", "real"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        pixels = rng.integers(0, 255, (64, 64, 3), np.uint8)
        if folder == "masks":
            pixels = box_mask(64, 64) * np.uint8(255)
        path = tmp_path / "data" / folder / "\udcff.png"
        with path.open("wb") as file:
            Image.fromarray(pixels).save(file, "PNG")
    before = evaluate("composite", tmp_path / "data", output=tmp_path / "out")
    monkeypatch.delattr(TripletDataset, "__getitem__")
    assert evaluate("composite", tmp_path / "data", output=tmp_path / "out") == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "reinhard"),  # twice, then
        ("model", "rein"),
        ("name", "another"),
        ("part", "HCOCO2"),
        ("width", "0"),
        ("foreground", "-1"),
        ("foreground", "nan"),
        ("mse", "nan"),
        ("mse", "-1"),
        ("psnr", "inf"),
        ("fmse", "-0.5"),
        ("fpsnr", "-inf"),
        ("ssim", "12500"),
        ("fssim", "2"),
    ],
)
def test_damaged_rows_are_measured_again(
    field: str, value: str, iharmony4: Path, tmp_path: Path
) -> None:
    evaluation = evaluate(["composite", "reinhard"], iharmony4, output=tmp_path / "out")
    table = tmp_path / "out" / "images.csv"
    rows = list(csv.reader(table.read_text().splitlines()))
    rows[3][rows[0].index(field)] = value
    table.write_text("".join(",".join(row) + "\n" for row in rows))
    assert evaluate(["composite", "reinhard"], iharmony4, output=tmp_path / "out") == evaluation
