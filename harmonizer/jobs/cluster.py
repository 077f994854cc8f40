"""Harmonize very many pictures on many processors or machines, with Ray Data (the extra `ray`)."""

import hashlib
import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harmonizer.errors import (
    HarmonizerError,
    InputError,
    as_whole,
    import_extra,
    raise_if_interrupted,
)
from harmonizer.files import as_path
from harmonizer.files.tables import RowTable, read_table
from harmonizer.imaging.mask import ResizeMask
from harmonizer.imaging.saving import output_format
from harmonizer.inference.backends import Backend
from harmonizer.jobs.folder import (
    Job,
    Outcome,
    check_outputs,
    find_jobs,
    missing_mask,
    real_paths,
    run_jobs,
    unfinished,
)
from harmonizer.jobs.scene import Scene
from harmonizer.lifting import Strength, as_strength
from harmonizer.pipeline import Harmonizer
from harmonizer.threads import set_threads
from harmonizer.zoo.names import LocalPath, parse_name

# Pictures of one task of a worker: enough that starting a task costs nothing beside them, and few
# enough that little is done again when a worker is lost.
_TASK_PICTURES = 64
# How often a task is begun: Ray hands it to another worker without end where each is lost with it.
_ATTEMPTS = 3
_TABLE_ROWS = 1024  # at a time: a table of a few kilobytes may hold billions
_LOST = "its worker was lost again and again: the picture may be too large for its memory"


@dataclass(frozen=True)
class DatasetSummary:
    """What became of a dataset.

    Attributes:
        harmonized: Pictures that were written now.
        skipped: Pictures that the output folder held before.
        failed: Pictures that could not be harmonized.
        report: The file that says why.
    """

    harmonized: int
    skipped: int
    failed: int
    report: Path


@dataclass(frozen=True)
class _Settings:
    """What a worker needs to know."""

    model: str | None
    device: str
    dtype: str
    backend: Backend
    options: Mapping[str, Any]  # of `run_jobs`
    cores: int
    attempts: Path  # the folder where workers note what they begin

    def load(self) -> Harmonizer:
        return Harmonizer.from_pretrained(
            self.model, device=self.device, dtype=self.dtype, backend=self.backend
        )


def harmonize_dataset(
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    masks: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    device: str | None = None,
    dtype: str = "auto",
    backend: Backend = "torch",
    strength: float | Strength = 1.0,
    resize_mask: ResizeMask = False,
    ending: str | None = None,
    quality: int | None = None,
    force: bool = False,
    workers: int | None = None,
    cpus_per_worker: int | None = None,
    gpus_per_worker: float | None = None,
    batch_size: int | None = None,
    report: str | os.PathLike[str] | None = None,
) -> DatasetSummary:
    """Harmonize the pictures of a folder or a table on a Ray cluster.

    Each worker holds a model of its own and overlaps reading, network and writing, as
    `harmonizer run` does. Without a cluster (`ray.init`) one is started on this machine. All
    machines must see the files under the same paths, and have this library.

    A picture appears in the output folder when it is complete. What the folder already holds is
    skipped, so that a job that was stopped, or whose machine was lost, is started again by the same
    call. The pictures of a lost worker are given to another one.

    Args:
        input: A folder of composites, whose masks are found as by `harmonizer run`; or a table,
            `.csv` or `.parquet`, with the columns `image` and `mask`: paths, from the table's
            folder where they are not absolute. In a column `output` it may name each result, from
            the output folder; otherwise that is the name of the image.
        output: The folder to write to; made if it is not there.
        masks: The folder of masks; None is the folder of composites itself. Not for a table.
        model: A name, a folder or a repository, as `Harmonizer.from_pretrained` takes it.
        device: Of each worker; None is `"cuda"` if it has a GPU, else `"cpu"`.
        dtype: Of the network's arithmetic, as `Harmonizer.from_pretrained` takes it.
        backend: What runs the network: `"torch"`, `"onnx"` or `"openvino"`.
        strength: How much of the change to apply, from 0 to 1, or a `Strength`.
        resize_mask: Accept masks of another size, and resize them: see `Harmonizer.harmonize`.
        ending: The ending to write instead of the composites' own, such as `.png`.
        quality: Of JPEG and WebP, from 1 to 100.
        force: Do again what is already there.
        workers: None is as many as the cluster has room for at the start.
        cpus_per_worker: Cores that Ray sets aside for each worker, and threads that it uses; None
            is 2, or 1 if the cluster has no more.
        gpus_per_worker: GPUs that Ray sets aside for each worker; a share such as 0.5 lets several
            use one. None is 1 if the cluster has any and the backend can use it, else 0.
        batch_size: Pictures in one call of the network; None is 8 on a GPU, else 1.
        report: Where to write the CSV file of failures and warnings; None is `report.csv` in the
            output folder. It is replaced by each call.

    Returns:
        How many pictures were harmonized, skipped and not harmonized.

    Raises:
        InputError: Ray is not installed, or an argument, the folders or the table are not as
            described here. Pictures that cannot be harmonized are in the report instead.
        UnknownModelError: No model has this name. (Its weights' errors are raised, too.)
    """
    ray = import_extra("ray", "ray")
    import_extra("ray.data", "ray")
    as_strength(strength)
    if ending is not None:
        _check_ending(ending)
    quality = None if quality is None else as_whole(quality, "quality", 1, 100)
    batch_size = None if batch_size is None else as_whole(batch_size, "batch_size", 1)
    output = as_path(output, "output").absolute()
    report = output / "report.csv" if report is None else as_path(report, "report").absolute()
    source = as_path(input, "input").absolute()
    jobs = _find(source, None if masks is None else as_path(masks, "masks"), output, ending)
    where = real_paths()
    used = (path for job in jobs for path in (job.image, job.mask, job.output))
    if where(report) in {where(source), *(where(path) for path in used if path is not None)}:
        raise InputError(f"the report would replace {report}; name another with report=")
    waiting = unfinished(jobs, force=force)
    outcomes: Iterable[Outcome] = ()
    if waiting:
        if not ray.is_initialized():
            ray.init()
        room = _find_room(
            ray.cluster_resources(), backend, workers, cpus_per_worker, gpus_per_worker
        )
        settings = _Settings(
            model=_portable(model),
            device=device or ("cuda" if room.gpus else "cpu"),
            dtype=dtype,
            backend=backend,
            options={
                "strength": strength,
                "scene": Scene(resize_mask=resize_mask),
                "quality": quality,
                "force": force,
                "batch_size": batch_size,
            },
            cores=room.cpus,
            attempts=output / f".{uuid.uuid4().hex}.tmp",
        )
        # A wrong name is better known before the work than from each worker.
        replace(settings, device="cpu").load()
        outcomes = _work(ray, settings, room, waiting)
    for folder in {output, *(job.output.parent for job in waiting)}:
        folder.mkdir(parents=True, exist_ok=True)
    failed = _write_report(report, outcomes)
    return DatasetSummary(len(waiting) - failed, len(jobs) - len(waiting), failed, report)


# --- What is to be done ---------------------------------------------------------------------------


def _check_ending(ending: Any) -> None:  # noqa: ANN401 - a caller's mistake
    if not isinstance(ending, str) or ending[:1] != "." or Path(f"any{ending}").parent != Path():
        raise InputError(f"ending is one of a file's name, such as '.png'; got {ending!r}")
    output_format(Path(f"any{ending}"))


def _find(source: Path, masks: Path | None, output: Path, ending: str | None) -> list[Job]:
    if source.suffix.lower() not in _TABLES:
        return find_jobs(
            source, source if masks is None else masks.absolute(), output, ending=ending
        )
    if masks is not None:
        raise InputError("a table names the masks itself; leave out masks=")
    jobs: list[Job] = []
    taken: set[Path] = set()
    for number, row in enumerate(_TABLES[source.suffix.lower()](source), 1):
        image, mask = row.get("image"), row.get("mask")
        if not image or not mask:
            raise InputError(
                f"row {number} of {source} lacks an image or a mask; the table has the columns "
                "image and mask (and output, if results shall not be called as the images)"
            )
        named = Path(row.get("output") or Path(image).name)
        if named.name in ("", ".."):
            raise InputError(f"row {number} of {source} names no file to write: {named}")
        target = output / (named if ending is None else named.with_suffix(ending))
        target = Path(os.path.normpath(target))
        if not target.is_relative_to(os.path.normpath(output)):
            raise InputError(f"row {number} of {source} leads out of the output folder: {named}")
        jobs.append(Job(source.parent / image, source.parent / mask, target))
        if target in taken:  # which is refused below; a small table may repeat a row for ever
            break
        taken.add(target)
    if not jobs:
        raise InputError(f"the table {source} holds no pictures")
    check_outputs(jobs)
    return jobs


def _rows_of_parquet(path: Path) -> Iterator[Mapping[str, str | None]]:
    arrow, dataset = import_extra("pyarrow", "ray"), import_extra("pyarrow.dataset", "ray")
    try:
        table: Any = dataset.dataset(path, format="parquet", partitioning="hive")
        names = [name for name in ("image", "mask", "output") if name in table.schema.names]
        batches = table.to_batches(columns=names, batch_size=_TABLE_ROWS, batch_readahead=1)
        for batch in batches:  # numbers are names, too, as they are in a CSV file
            columns = [batch[name].cast(arrow.string()).to_pylist() for name in names]
            for row in zip(*columns, strict=True):
                yield dict(zip(names, row, strict=True))
    except (OSError, ValueError, arrow.ArrowException) as error:
        raise_if_interrupted(error)
        raise InputError(f"the table {path} cannot be read: {error}") from error


_TABLES: Mapping[str, Callable[[Path], Iterable[Mapping[str, str | None]]]] = {
    ".csv": lambda path: read_table(path)[1],
    ".parquet": _rows_of_parquet,
}


def _portable(model: str | os.PathLike[str] | None) -> str | None:
    """Return the model's name, or its path from wherever a worker runs."""
    if model is None:
        return None
    place = parse_name(model)
    return str(place.path.absolute()) if isinstance(place, LocalPath) else os.fspath(model)


# --- Who does it ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Room:
    """How many workers there shall be, and what each of them gets."""

    workers: int
    cpus: int
    gpus: float


def _find_room(
    total: Mapping[str, float],
    backend: Backend,
    workers: int | None,
    cpus: int | None,
    gpus: float | None,
) -> _Room:
    if cpus is None:
        cpus = max(1, min(2, int(total.get("CPU", 0))))
    if gpus is None:
        gpus = 1 if total.get("GPU") and backend == "torch" else 0
    cpus = as_whole(cpus, "cpus_per_worker", 1)
    if not (isinstance(gpus, int | float) and gpus >= 0):
        raise InputError(f"gpus_per_worker is a number that is not below 0; got {gpus!r}")
    if workers is not None:
        workers = as_whole(workers, "workers", 1)
    else:
        fitting = int(total.get("CPU", 0) / cpus)
        workers = min(fitting, int(total.get("GPU", 0) / gpus)) if gpus else fitting
        if not workers:
            raise InputError(
                f"no worker with {cpus} CPUs and {gpus} GPUs fits into the cluster, which has "
                f"{total.get('CPU', 0):g} and {total.get('GPU', 0):g}: ask for less, or name the "
                "number of workers if the cluster grows with the work"
            )
    return _Room(workers, cpus, gpus)


class _Worker:
    """What a process of the cluster does: a model, and pictures handed to it by the task."""

    def __init__(self, settings: _Settings) -> None:
        set_threads(settings.cores)
        self.settings = settings
        # An error here would reach the caller as the death of a worker, its text among Ray's.
        try:
            self.loaded: Harmonizer | HarmonizerError = settings.load()
        except HarmonizerError as error:
            self.loaded = error

    def __call__(self, batch: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        settings, loaded = self.settings, self.loaded
        paths = zip(*(batch[name] for name in ("image", "mask", "output")), strict=True)
        jobs = [Job(*map(Path, row)) for row in paths]
        if isinstance(loaded, HarmonizerError):
            return _columns([Outcome(job, None, ()) for job in jobs], unable=_text(loaded))
        if _begin(settings.attempts, jobs) > _ATTEMPTS:
            return _columns([Outcome(job, InputError(_LOST), ()) for job in jobs])
        outcomes = run_jobs(
            lambda: loaded,
            jobs,
            **settings.options,
            workers=settings.cores + 1,  # writing waits for the disk
        )
        return _columns(list(outcomes))


def _begin(folder: Path, jobs: Sequence[Job]) -> int:
    """Note that a task is begun; return how often it was."""
    outputs = "\n".join(str(job.output) for job in jobs)
    note = folder / hashlib.sha256(os.fsencode(outputs)).hexdigest()
    with note.open("ab") as file:
        file.write(b".")
        return file.tell()


def _columns(outcomes: Sequence[Outcome], unable: str = "") -> dict[str, list[str]]:
    """Return a task's rows; `unable` is why its worker can do none at all."""
    return {
        "output": [str(one.job.output) for one in outcomes],
        "error": ["" if one.error is None else _text(one.error) for one in outcomes],
        "warnings": ["; ".join(one.warnings) for one in outcomes],
        "unable": [unable] * len(outcomes),
    }


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__


def _work(
    ray: Any,  # noqa: ANN401 - the module, which may not be there to look at
    settings: _Settings,
    room: _Room,
    jobs: Sequence[Job],
) -> Iterator[Outcome]:
    """Have jobs done; each has an outcome at the end, whatever becomes of workers."""
    left = {str(job.output): job for job in jobs}
    for job in jobs:
        if job.mask is None:
            yield Outcome(left.pop(str(job.output)), missing_mask(job), ())
    settings.attempts.mkdir()
    try:
        # What went down with its workers is tried again one by one, so that a picture that takes
        # its worker down takes no other with it.
        for pictures in (min(_TASK_PICTURES, math.ceil(len(left) / (4 * room.workers))), 1):
            if not left:
                break
            tasks = ray.data.from_items(
                [
                    {"image": str(job.image), "mask": str(job.mask), "output": output}
                    for output, job in left.items()
                ],
                override_num_blocks=math.ceil(len(left) / pictures),
            )
            done = tasks.map_batches(
                _Worker,
                fn_constructor_args=(settings,),
                batch_size=None,
                concurrency=room.workers,
                num_cpus=room.cpus,
                num_gpus=room.gpus,
            )
            for row in done.iter_rows():
                if row["unable"]:
                    raise InputError(f"a worker cannot load the model: {row['unable']}")
                if row["error"] == _LOST and pictures > 1:
                    continue
                error = InputError(row["error"]) if row["error"] else None
                noted = (row["warnings"],) if row["warnings"] else ()
                yield Outcome(left.pop(row["output"]), error, noted)
    finally:
        shutil.rmtree(settings.attempts, ignore_errors=True)


def _write_report(path: Path, outcomes: Iterable[Outcome]) -> int:
    """Write down what there is to say, as it comes; return how many jobs failed."""
    failed = 0
    table = RowTable(path, ("image", "mask", "output", "error", "warnings"))
    table.begin()
    for one in outcomes:
        failed += one.error is not None
        if one.error is not None or one.warnings:
            error = "" if one.error is None else _text(one.error)
            warned = "; ".join(one.warnings)
            table.append([[one.job.image, one.job.mask or "", one.job.output, error, warned]])
    return failed
