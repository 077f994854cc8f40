"""Measure models and baselines on a dataset, by one protocol."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import asdict, astuple, dataclass
from typing import Any, TypeAlias

import torch
from tqdm import tqdm

from harmonizer._version import __version__
from harmonizer.data import OnError, Triplet, TripletDataset, TripletFiles
from harmonizer.data.files import ON_ERROR
from harmonizer.data.triplets import open_to_measure
from harmonizer.errors import InputError, as_whole, check_one_of
from harmonizer.evaluation.methods import Method, Model, open_methods
from harmonizer.evaluation.protocols import Protocol, find_protocol
from harmonizer.evaluation.results import Evaluation, Row
from harmonizer.evaluation.row_file import open_rows
from harmonizer.files import as_path
from harmonizer.threads import count_cores, overlap

# A picture's place in the dataset, and its rows or what was wrong with it.
_Measured: TypeAlias = tuple[int, list[Row] | InputError]


def evaluate(
    models: Model | Sequence[Model] | Mapping[str, Model],
    dataset: TripletDataset | str | os.PathLike[str],
    *,
    protocol: str | Protocol = "paper",
    output: str | os.PathLike[str] | None = None,
    batch_size: int = 8,
    workers: int | None = None,
    device: str | torch.device = "auto",
    on_error: OnError = "raise",
    progress: bool = False,
) -> Evaluation:
    """Harmonize the composites of a dataset and measure the answers against the real pictures.

    A network whose input has the protocol's size, such as the paper's under `paper`, is measured by
    its own answer. Everything else harmonizes the pictures
    at the size at which they are measured.

    Args:
        models: What to measure, one or several: a `Harmonizer`; what `Harmonizer.from_pretrained`
            takes; the name of a baseline of `harmonizer.evaluation.baselines.BASELINES`; or a
            function that takes a composite, (H, W, 3), uint8, RGB, and its mask, (H, W), float32 in
            [0, 1], and returns the harmonized picture as any kind of image that a `Harmonizer`
            takes. A mapping gives them labels.
        dataset: The pictures; a path is opened by `TripletDataset.open`, of what is split the test
            pictures: iHarmony4's test lists, or the rows of a table whose column `split` is "test".
        protocol: How to measure: one of `harmonizer.evaluation.protocols.PROTOCOLS`, or its name.
        output: A folder for a row for each picture, `images.csv`. If it holds some of this very
            evaluation, only the rest is measured; one with functions, of which nobody knows whether
            they are still the same, is begun in a folder of its own each time.
        batch_size: Pictures in one call of a network.
        workers: Threads that read and measure while a network runs; None takes one for each core.
        device: Where networks run that are loaded here.
        on_error: "raise" to stop at a picture that cannot be read or measured, or "skip" to leave
            it out and list it in `skipped`.
        progress: Whether to show a bar, if stderr is a terminal.

    Returns:
        The rows and their means.

    Raises:
        InputError: Something is not as described here; or, with `on_error="raise"`, a picture is
            missing, damaged or too small. The message names it.
        HarmonizerError: A model cannot be loaded, as `Harmonizer.from_pretrained` says.
    """
    protocol = find_protocol(protocol)
    folder = None if output is None else as_path(output, "output")
    check_one_of(on_error, "on_error", ON_ERROR)
    workers = count_cores() if workers is None else as_whole(workers, "workers", 1)
    batch_size = as_whole(batch_size, "batch_size", 1)
    if not isinstance(dataset, TripletDataset):
        dataset = open_to_measure(as_path(dataset, "dataset"), on_missing=on_error)
    methods = open_methods(models, protocol, device)

    table = None
    rows: list[Row] = []
    if folder is not None:
        configuration = _configuration(methods, dataset, protocol)
        pictures = [(files.name, files.part) for files in dataset.files]
        table, rows = open_rows(folder, configuration, pictures, [*map(_version, dataset.files)])
    done = {row.index for row in rows}
    waiting = [index for index in range(len(dataset)) if index not in done]
    skipped = list(dataset.missing)
    # Even a bar that is not shown settles for good how multiprocessing starts processes.
    bar = (
        tqdm(total=len(dataset), initial=len(done), unit="picture", disable=None)
        if progress
        else None
    )
    with bar or nullcontext():
        for index, measured in _measure_all(
            methods, dataset, protocol, waiting, batch_size=batch_size, workers=workers
        ):
            if bar is not None:
                bar.update()
            if isinstance(measured, InputError):
                text = f"{dataset.files[index].name}: {measured}"
                if on_error == "raise":
                    raise InputError(text) from measured
                skipped.append(text)
                continue
            rows += measured
            if table is not None:
                table.append(map(astuple, measured))
    if not rows:
        raise InputError("not one picture could be measured:\n  " + "\n  ".join(skipped[:20]))
    rows.sort(key=lambda row: row.index)
    labels = tuple(method.label for method in methods)
    return Evaluation(protocol, labels, tuple(rows), tuple(skipped))


def _configuration(
    methods: Sequence[Method], dataset: TripletDataset, protocol: Protocol
) -> dict[str, Any]:
    """What decides over the rows of an evaluation."""
    # Pictures of two datasets often have the same names.
    names = "\n".join(
        "\t".join((files.part, files.name, *map(os.path.abspath, files[:3])))
        for files in dataset.files
    )
    return {
        "version": __version__,
        "protocol": asdict(protocol),
        "models": {method.label: method.identity() for method in methods},
        "pictures": f"{len(dataset)}, sha256 {hashlib.sha256(os.fsencode(names)).hexdigest()}",
    }


def _version(files: TripletFiles) -> str:
    """Tell files from others of the same names; what is not there is told when it is read."""
    said: list[str] = []
    for path in files[:3]:
        with suppress(OSError):
            now = path.stat()
            said.append(f"{now.st_size} {now.st_mtime_ns}")
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Case:
    """A picture to be measured, and what each method made of it beforehand."""

    index: int
    triplet: Triplet
    prepared: list[Any]


def _measure_all(
    methods: Sequence[Method],
    dataset: TripletDataset,
    protocol: Protocol,
    indices: Sequence[int],
    *,
    batch_size: int,
    workers: int,
) -> Iterator[_Measured]:
    """Read ahead, run networks in batches, and measure, all at the same time.

    A bounded number of pictures is in memory, however many there are.
    """

    def prepare(index: int) -> _Case:
        triplet = protocol.prepare(dataset[index], dataset.files[index].part)
        return _Case(index, triplet, [method.prepare(triplet) for method in methods])

    def answer(cases: Sequence[_Case]) -> list[tuple[Any, ...]]:
        triplets = [case.triplet for case in cases]
        answers = [
            method.answer(triplets, [case.prepared[k] for case in cases])
            for k, method in enumerate(methods)
        ]
        return list(zip(*answers, strict=True))

    def measure(case: _Case, answers: tuple[Any, ...]) -> list[Row]:
        triplet = case.triplet
        height, width = triplet.mask.shape
        foreground = float((triplet.mask > 0.5).mean())
        part = dataset.files[case.index].part
        rows: list[Row] = []
        for method, prepared, found in zip(methods, case.prepared, answers, strict=True):
            scores = protocol.score(method.finish(triplet, prepared, found), triplet)
            seen = (case.index, method.label, triplet.name, part, width, height, foreground)
            rows.append(Row(*seen, *scores))
        return rows

    if protocol.size is None:
        batch_size = 1  # photographs at their own size are too large to wait for each other
    work = overlap(indices, prepare, answer, measure, batch_size=batch_size, workers=workers)
    with closing(work):
        for index, future in zip(indices, work, strict=True):
            error = future.exception()
            yield index, error if isinstance(error, InputError) else future.result()
