"""A dataset on a local cluster of two workers; one of them is killed in the middle."""

import csv
import os
import signal
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import box_mask
from PIL import Image

from harmonizer import Harmonizer
from harmonizer.errors import InputError, UnknownModelError
from harmonizer.jobs import cluster as cluster_jobs
from harmonizer.jobs.cluster import DatasetSummary, harmonize_dataset
from harmonizer.jobs.folder import Job, unfinished

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray: Any = import_module("ray")

    ray.init(num_cpus=2, num_gpus=0, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def make_pictures(folder: Path, noise: Any, count: int, size: tuple[int, int]) -> None:
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for index in range(count):
        Image.fromarray(noise(*size, seed=index)).save(folder / "images" / f"{index}.bmp")
        Image.fromarray(box_mask(*size)).save(folder / "masks" / f"{index}.bmp")


def harmonize(folder: Path, **options: Any) -> DatasetSummary:
    return harmonize_dataset(
        *(folder / "images", folder / "out"),
        masks=folder / "masks",
        cpus_per_worker=1,
        **options,
    )


def report_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def workers() -> list[int]:
    """The processes that this one's cluster gave work to."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            names[int(process.name)] = (process / "cmdline").read_text()
            status = (process / "stat").read_text().rpartition(")")[2].split()
            parents[int(process.name)] = int(status[1])
        except OSError:  # it has ended meanwhile
            continue
    found: list[int] = []
    for process, name in names.items():
        ancestor = process
        while ancestor in parents and ancestor != os.getpid():
            ancestor = parents[ancestor]
        if ancestor == os.getpid() and name.startswith("ray::MapWorker"):
            found.append(process)
    return found


@needs_ray
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker in /proc")
@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_loses_nothing(tmp_path: Path, noise: Any, model: Harmonizer) -> None:
    make_pictures(tmp_path, noise, 16, (700, 900))
    (tmp_path / "images" / "3.bmp").write_bytes(b"not a picture")
    (tmp_path / "masks" / "5.bmp").unlink()
    Image.new("L", (900, 700)).save(tmp_path / "masks" / "7.bmp")
    killed: list[int] = []

    def kill() -> None:
        while not list(tmp_path.glob("out/*.bmp")):
            time.sleep(0.005)
        process = workers()[0]
        os.kill(process, signal.SIGKILL)
        killed.append(process)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    summary = harmonize(tmp_path)
    killer.join(10)
    assert len(killed) == 1

    assert (summary.harmonized, summary.skipped, summary.failed) == (14, 0, 2)
    rows = {Path(row["image"]).name: row for row in report_of(tmp_path)}
    assert sorted(rows) == ["3.bmp", "5.bmp", "7.bmp"]
    assert "cannot be read" in rows["3.bmp"]["error"]
    assert "no mask is called 5" in rows["5.bmp"]["error"]
    assert (rows["7.bmp"]["error"], rows["7.bmp"]["warnings"][:17]) == ("", "the mask is empty")
    for index in {*range(16)} - {3, 5}:
        expected = model(
            tmp_path / "images" / f"{index}.bmp",
            tmp_path / "masks" / f"{index}.bmp",
        )
        found = Image.open(tmp_path / "out" / f"{index}.bmp")
        # A worker's network runs on fewer threads, which may round an answer otherwise.
        apart = np.abs(np.asarray(found, np.int16) - np.asarray(expected, np.int16))
        assert apart.max() <= 1
        composite = np.asarray(Image.open(tmp_path / "images" / f"{index}.bmp"))
        assert np.array_equal(np.asarray(found), composite) == (index == 7)  # its mask is empty

    # Started again, it does what is missing and nothing else.
    (tmp_path / "out" / "2.bmp").unlink()
    Image.fromarray(noise(700, 900)).save(tmp_path / "images" / "3.bmp")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/*.bmp")}
    summary = harmonize(tmp_path, workers=1)
    assert (summary.harmonized, summary.skipped, summary.failed) == (2, 13, 1)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [Path(row["image"]).name for row in report_of(tmp_path)] == ["5.bmp"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_names_the_pictures(tmp_path: Path, kind: str) -> None:
    columns = {
        "image": ["images/0.png", "/elsewhere/1.png"],
        "mask": ["masks/0.png", "masks/1.png"],
        "output": ["first/a.png", None],
    }
    table = tmp_path / f"table.{kind}"
    if kind == "csv":
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([columns, *zip(*columns.values(), strict=True)])
    else:
        pyarrow = pytest.importorskip("pyarrow", reason="the extra `ray` is not installed")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), table)
    out = tmp_path / "out"
    masks = [tmp_path / "masks" / name for name in ("0.png", "1.png")]
    assert cluster_jobs._find(table, None, out, ending=".webp") == [
        Job(tmp_path / "images" / "0.png", masks[0], out / "first" / "a.webp"),
        Job(Path("/elsewhere/1.png"), masks[1], out / "1.webp"),
    ]
    assert cluster_jobs._find(table, None, out, ending=None)[1].output == out / "1.png"


def test_numbers_in_a_table_are_names(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra `ray` is not installed")
    table = pyarrow.table({"image": [0, 1], "mask": [10, 11], "output": [None, 7]})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "table.parquet")
    assert cluster_jobs._find(tmp_path / "table.parquet", None, tmp_path / "out", ".png") == [
        Job(tmp_path / "0", tmp_path / "10", tmp_path / "out" / "0.png"),
        Job(tmp_path / "1", tmp_path / "11", tmp_path / "out" / "7.png"),
    ]


def test_odd_columns_and_bytes_of_a_table(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra `ray` is not installed")
    parquet, place = pytest.importorskip("pyarrow.parquet"), tmp_path / "table.parquet"
    taken = pyarrow.array([2**62], pyarrow.timestamp("us"))  # when no clock of Python's was there
    parquet.write_table(pyarrow.table({"image": [b"a.png"], "mask": ["m"], "taken": taken}), place)
    out = tmp_path / "out"
    assert cluster_jobs._find(place, None, out, None) == [
        Job(tmp_path / "a.png", tmp_path / "m", out / "a.png")
    ]
    for image in ([b"\xff.png"], [["a.png"]]):
        parquet.write_table(pyarrow.table({"image": image, "mask": ["m"]}), place)
        with pytest.raises(InputError, match=r"table\.parquet cannot be read"):
            cluster_jobs._find(place, None, out, None)


def test_a_table_that_says_one_row_very_often(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra `ray` is not installed")
    place, count = tmp_path / "table.parquet", 3_000_000
    same = pyarrow.DictionaryArray.from_arrays(np.zeros(count, np.int32), ["a.png"])
    table = pyarrow.table({"image": same, "mask": same})
    pytest.importorskip("pyarrow.parquet").write_table(table, place, compression="zstd")
    tracemalloc.start()
    with pytest.raises(InputError, match="both be written"):
        cluster_jobs._find(place, None, tmp_path / "out", None)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_names_too_long_for_files_are_errors_of_their_own(tmp_path: Path) -> None:
    long, folder = "a" * 300 + ".png", tmp_path / "out.png"
    folder.mkdir()
    (tmp_path / "table.csv").write_text(f"image,mask,output\n{long},m.png,b{long}\n")
    jobs = cluster_jobs._find(tmp_path / "table.csv", None, tmp_path, None)
    jobs.append(Job(tmp_path / "b.png", tmp_path / "m.png", folder))
    assert unfinished(jobs, force=False) == jobs


@pytest.mark.parametrize("name", ["input", "output", "masks", "report"])
@pytest.mark.parametrize("path", ["", 5])
def test_no_path_is_the_folder_that_one_stands_in(name: str, path: Any, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    paths: dict[str, Any] = {"input": tmp_path, "output": tmp_path / "out", name: path}
    with pytest.raises(InputError, match=rf"the path of {name} is empty|{name} is a path"):
        harmonize_dataset(**paths)


@pytest.mark.parametrize("ending", ["png", "/../../x.png", ".xyz", 3])
def test_an_ending_is_one(ending: Any, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with pytest.raises(InputError, match=r"ending is one of a file's|cannot write the format"):
        harmonize_dataset(tmp_path, tmp_path / "out", ending=ending)


@pytest.mark.parametrize(
    ("workers", "cpus", "gpus"), [(1.5, 1, 0), (1, 1.5, 0), (1, 1, np.nan), (1, 1, "1")]
)
def test_workers_and_their_cores_are_whole_numbers(workers: Any, cpus: Any, gpus: Any) -> None:
    with pytest.raises(InputError, match=r"is a whole number of at least 1|not below 0"):
        cluster_jobs._find_room({"CPU": 4}, "torch", workers, cpus, gpus)


@needs_ray
@pytest.mark.usefixtures("cluster")
def test_wrong_arguments_are_refused(tmp_path: Path, noise: Any) -> None:
    make_pictures(tmp_path, noise, 1, (40, 60))
    with pytest.raises(UnknownModelError, match="nonsense"):
        harmonize(tmp_path, model="nonsense")
    with pytest.raises(InputError, match="strength is a number from 0"):
        harmonize(tmp_path, strength=2)
    with pytest.raises(InputError, match="no worker with 1 CPUs and 1 GPUs fits"):
        harmonize(tmp_path, gpus_per_worker=1)
    with pytest.raises(InputError, match="workers is a whole number of at least 1"):
        harmonize(tmp_path, workers=0)
    with pytest.raises(InputError, match="batch_size is a whole number of at least 1; got 0"):
        harmonize(tmp_path, batch_size=0)
    with pytest.raises(InputError, match=r"there is no folder [^ ]*missing$"):
        harmonize_dataset(tmp_path / "missing", tmp_path / "out")
    tables = {
        "empty.csv": ("image,mask\n", "has no rows"),
        "comma.csv": ("image,mask\na,1.png,b.png\n", "line 2: more fields than the header"),
        "columns.csv": ("picture,mask\na.png,b.png\n", "row 1 of .* lacks an image or a mask"),
        "folder.csv": ("image,mask,output\na.png,b.png,.\n", "names no file to write"),
        "double.csv": ("image,mask\nx/a.png,b.png\ny/a.png,b.png\n", "both be written"),
        "broken.parquet": ("nothing", "cannot be read"),
    }
    for name, (text, message) in tables.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=message):
            harmonize_dataset(tmp_path / name, tmp_path / "out")
    with pytest.raises(InputError, match="leave out masks="):
        harmonize_dataset(tmp_path / "empty.csv", tmp_path / "out", masks=tmp_path)
    (tmp_path / "same.csv").write_text("image,mask\nimages/0.bmp,masks/0.bmp\n")
    with pytest.raises(InputError, match="would replace"):
        harmonize_dataset(tmp_path / "same.csv", tmp_path / "images")
    before = (tmp_path / "images/0.bmp").read_bytes()
    for output, message in (
        ("../images/0.bmp", "leads out of the output folder"),
        ("/nowhere/0.bmp", "leads out of the output folder"),
        ("x/../report.csv", "the report would replace"),
    ):
        row = f"image,mask,output\nimages/0.bmp,masks/0.bmp,{output}\n"
        (tmp_path / "away.csv").write_text(row)
        with pytest.raises(InputError, match=message):
            harmonize_dataset(tmp_path / "away.csv", tmp_path / "out", force=True)
    for own in ("images/0.bmp", "masks/0.bmp", "same.csv"):
        with pytest.raises(InputError, match="the report would replace"):
            harmonize_dataset(tmp_path / "same.csv", tmp_path / "out", report=tmp_path / own)
    assert (tmp_path / "images/0.bmp").read_bytes() == before
    assert not (tmp_path / "out").exists()
    # What only a worker can know comes back as it said it, and not as its death.
    with pytest.raises(InputError, match=r"a worker cannot load the model: .*cuda:9"):
        harmonize(tmp_path, device="cuda:9")


@needs_ray
def test_nothing_to_do_needs_no_cluster(
    tmp_path: Path, noise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray: Any = import_module("ray")

    make_pictures(tmp_path, noise, 2, (40, 60))
    (tmp_path / "out").mkdir()
    for name in ("0.bmp", "1.bmp"):
        (tmp_path / "out" / name).write_bytes(b"done before")
    monkeypatch.delattr(ray, "cluster_resources")
    summary = harmonize(tmp_path)
    assert (summary.harmonized, summary.skipped, summary.failed) == (0, 2, 0)
    assert report_of(tmp_path) == []


def test_a_picture_that_takes_its_workers_down_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray hands a lost worker's task to the next one; each of these is as good as killed."""

    class KilledError(BaseException):
        pass

    def deadly(*_: Any, **__: Any) -> Any:
        raise KilledError

    monkeypatch.setattr(cluster_jobs, "run_jobs", deadly)
    settings = cluster_jobs._Settings(None, "cpu", "auto", "torch", {}, 1, tmp_path)
    monkeypatch.setattr(cluster_jobs._Settings, "load", lambda _: None)
    monkeypatch.setattr(cluster_jobs, "set_threads", lambda _: None)
    for task in (["a.png", "b.png"], ["a.png"]):  # a task, and then one by one
        batch = dict.fromkeys(("image", "mask", "output"), task)
        for _ in range(3):
            with pytest.raises(KilledError):
                cluster_jobs._Worker(settings)(batch)
        rows = cluster_jobs._Worker(settings)(batch)
        assert rows["output"] == task
        assert all("its worker was lost again and again" in error for error in rows["error"])


def test_without_ray_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'image-harmonizer\[ray\]'"):
        harmonize_dataset(tmp_path, tmp_path / "out")
