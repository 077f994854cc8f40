"""Measure models and baselines on a dataset, by one protocol."""

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from harmonizer._version import __version__
from harmonizer.data import OnError, Triplet, TripletDataset
from harmonizer.errors import InputError
from harmonizer.evaluation.methods import Method, Model, open_methods
from harmonizer.evaluation.protocols import Protocol, find_protocol
from harmonizer.evaluation.results import Evaluation, Row
from harmonizer.evaluation.row_file import RowFile
from harmonizer.overlap import count_cores

# What became of one picture: its place in the dataset, and its rows or what was wrong with it.
_Outcome: TypeAlias = tuple[int, list[Row] | InputError]


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
    its own answer. Everything else harmonizes the pictures at the size at which they are measured.

    Args:
        models: What to measure, one or several: a `Harmonizer`; what `Harmonizer.from_pretrained`
            takes; the name of a baseline of `harmonizer.baselines.BASELINES`; or a function that
            takes a composite, (H, W, 3), uint8, RGB, and its mask, (H, W), float32 in [0, 1], and
            returns the harmonized picture as any kind of image that a `Harmonizer` takes. A mapping
            gives them labels.
        dataset: The pictures; a path is opened by `TripletDataset.open`, of iHarmony4 the test
            lists.
        protocol: How to measure: one of `harmonizer.evaluation.protocols.PROTOCOLS`, or its name.
        output: A folder for a row for each picture, `images.csv`. If it holds some of this very
            evaluation, only the rest is measured.
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
    if on_error not in ("raise", "skip"):
        raise InputError(f'on_error is "raise" or "skip"; got {on_error!r}')
    workers = count_cores() if workers is None else workers
    for name, value in (("batch_size", batch_size), ("workers", workers)):
        if type(value) is not int or value < 1:
            raise InputError(f"{name} is a whole number of at least 1; got {value!r}")
    if not isinstance(dataset, TripletDataset):
        dataset = TripletDataset.open(os.fspath(dataset), split="test", on_missing=on_error)
    methods = open_methods(models, device)

    file = None
    rows: list[Row] = []
    if output is not None:
        file = RowFile(Path(output), _configuration(methods, dataset, protocol))
        rows = file.rows
    done = {row.index for row in rows}
    waiting = [index for index in range(len(dataset)) if index not in done]
    skipped = list(dataset.missing)
    bar = tqdm(
        total=len(dataset), initial=len(done), unit="picture", disable=None if progress else True
    )
    with bar:
        for index, outcome in _measure_all(
            methods, dataset, protocol, waiting, batch_size=batch_size, workers=workers
        ):
            bar.update()
            if isinstance(outcome, InputError):
                text = f"{dataset.files[index].name}: {outcome}"
                if on_error == "raise":
                    raise InputError(text) from outcome
                skipped.append(text)
                continue
            rows += outcome
            if file is not None:
                file.append(outcome)
    if not rows:
        raise InputError("not one picture could be measured:\n  " + "\n  ".join(skipped[:20]))
    rows.sort(key=lambda row: row.index)
    labels = tuple(method.label for method in methods)
    return Evaluation(protocol, labels, tuple(rows), tuple(skipped))


def _configuration(
    methods: Sequence[Method], dataset: TripletDataset, protocol: Protocol
) -> dict[str, Any]:
    """What decides over the rows of an evaluation."""
    names = "\n".join(f"{files.part}\t{files.name}" for files in dataset.files)
    return {
        "version": __version__,
        "protocol": asdict(protocol),
        "models": {method.label: method.identity() for method in methods},
        "pictures": f"{len(dataset)}, sha256 {hashlib.sha256(names.encode()).hexdigest()}",
    }


def _measure_all(
    methods: Sequence[Method],
    dataset: TripletDataset,
    protocol: Protocol,
    indices: Sequence[int],
    *,
    batch_size: int,
    workers: int,
) -> Iterator[_Outcome]:
    """Read ahead, run networks in batches, and measure, all at the same time.

    A bounded number of pictures is in memory, however many there are.
    """
    if protocol.size is None:
        batch_size = 1  # photographs at their own size are too large to wait for each other
    ahead = workers + batch_size
    coming = iter(indices)
    loading: deque[tuple[int, Future[Triplet]]] = deque()
    measuring: deque[tuple[int, Future[list[Row]]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="evaluate")

    def read_ahead() -> None:
        while len(loading) < ahead and (index := next(coming, None)) is not None:
            loading.append((index, pool.submit(_load, dataset, index, protocol)))

    try:
        read_ahead()
        while loading:
            batch: list[tuple[int, Triplet]] = []
            while loading and len(batch) < batch_size:
                index, loaded = loading.popleft()
                read_ahead()
                try:
                    batch.append((index, loaded.result()))
                except InputError as error:
                    yield index, error
            for index, triplet, answers in _answer_batch(methods, protocol, batch):
                part = dataset.files[index].part
                job = pool.submit(_measure, methods, protocol, index, part, triplet, answers)
                measuring.append((index, job))
            del batch
            while len(measuring) > ahead:
                yield _outcome(*measuring.popleft())
        while measuring:
            yield _outcome(*measuring.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _load(dataset: TripletDataset, index: int, protocol: Protocol) -> Triplet:
    return protocol.prepare(dataset[index], dataset.files[index].part)


def _answer_batch(
    methods: Sequence[Method], protocol: Protocol, batch: Sequence[tuple[int, Triplet]]
) -> Iterator[tuple[int, Triplet, dict[str, NDArray[np.float32]]]]:
    """The answers that only this thread may ask for: of networks in batches, of functions."""
    triplets = [triplet for _, triplet in batch]
    answers: list[dict[str, NDArray[np.float32]]] = [{} for _ in batch]
    for method in methods if batch else ():
        if method.in_batches(protocol):
            found = method.predict(triplets)
        elif not method.concurrent():
            found = [method.harmonize(one, rounded=protocol.rounded) for one in triplets]
        else:
            continue
        for ready, answer in zip(answers, found, strict=True):
            ready[method.label] = answer
    for (index, triplet), ready in zip(batch, answers, strict=True):
        yield index, triplet, ready


def _measure(
    methods: Sequence[Method],
    protocol: Protocol,
    index: int,
    part: str,
    triplet: Triplet,
    answers: Mapping[str, NDArray[np.float32]],
) -> list[Row]:
    height, width = triplet.mask.shape
    foreground = float((triplet.mask > 0.5).mean())
    rows: list[Row] = []
    for method in methods:
        answer = answers.get(method.label)
        if answer is None:
            answer = method.harmonize(triplet, rounded=protocol.rounded)
        scores = protocol.score(answer, triplet)
        rows.append(
            Row(index, method.label, triplet.name, part, width, height, foreground, *scores)
        )
    return rows


def _outcome(index: int, job: "Future[list[Row]]") -> _Outcome:
    try:
        return index, job.result()
    except InputError as error:
        return index, error
