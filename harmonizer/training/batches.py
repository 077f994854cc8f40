"""Training pictures as batches of tensors, in an order that only seed and position decide."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.queues import Queue
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from harmonizer.data import TrainingData
from harmonizer.errors import HarmonizerError, InputError, TrainingError
from harmonizer.preprocessing import Preprocessing


@dataclass(frozen=True)
class Batch:
    """Pictures for one step, normalised.

    Attributes:
        composite: (N, 3, H, W).
        mask: (N, 1, H, W), in [0, 1].
        target: (N, 3, H, W).
    """

    composite: torch.Tensor
    mask: torch.Tensor
    target: torch.Tensor

    def to(self, device: torch.device) -> "Batch":
        """Move the pictures to a device, in the memory order that they have."""
        tensors = (self.composite, self.mask, self.target)
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in tensors))


# What a worker hands over: tensors, or the error in their place, which torch would else rewrite.
_Planes: TypeAlias = tuple[torch.Tensor, ...] | HarmonizerError


class _Pictures(Dataset[_Planes]):
    """Adapts `TrainingData` to what a `DataLoader` asks for: one (epoch, index) at a time."""

    def __init__(self, data: TrainingData, preprocessing: Preprocessing) -> None:
        self.data = data
        self.preprocessing = preprocessing

    def __getitem__(self, position: tuple[int, int]) -> _Planes:
        epoch, index = position
        try:
            drawn = self.data.draw(index, epoch)
        except HarmonizerError as error:
            return error
        return (
            torch.from_numpy(self.preprocessing.to_network(drawn.composite, 255)),
            torch.from_numpy(np.ascontiguousarray(drawn.mask[None], np.float32)),
            torch.from_numpy(self.preprocessing.to_network(drawn.real, 255)),
        )


def _order(
    count: int, batch_size: int, parts: int, part: int, seed: int, steps: range
) -> Iterator[list[tuple[int, int]]]:
    """Yield the pictures of each step: a new permutation each epoch, seeded by both."""
    share = batch_size // parts
    order, ordered_epoch = np.arange(0), -1
    for step in steps:
        epoch, position = divmod(step, count // batch_size)
        if epoch != ordered_epoch:
            order = np.random.default_rng((seed, epoch)).permutation(count)
            ordered_epoch = epoch
        first = position * batch_size + part * share
        yield [(epoch, int(index)) for index in order[first : first + share]]


def _collate(samples: Sequence[_Planes], order: torch.memory_format) -> _Planes:
    tensors: list[tuple[torch.Tensor, ...]] = []
    for sample in samples:
        if isinstance(sample, HarmonizerError):
            return sample
        tensors.append(sample)
    planes = zip(*tensors, strict=True)
    return tuple(torch.stack(plane).contiguous(memory_format=order) for plane in planes)


def _live_as_the_run_does(worker: int) -> None:
    """Prepare a worker's process.

    - Ctrl-C reaches it too, but it is the run that ends, after its step, and the worker then.
    - Torch sees to it that it does not outlive a run that is killed, but where it was forked from a
      server (in Python from 3.14 on), which waits for it.
    - A batch that cannot be sent, for want of memory, is dropped by Python, and the run would wait
      for it for ever; that a worker is gone it notices.
    """
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_after_the_run, daemon=True).start()
    cast(Any, Queue)._on_queue_feeder_error = staticmethod(_end_at_once)


def _end_after_the_run() -> None:
    if (run := multiprocessing.parent_process()) is not None:
        run.join()
        os._exit(1)


def _end_at_once(error: BaseException, _: object) -> None:
    sys.excepthook(type(error), error, None)
    os._exit(1)


def batches(
    data: TrainingData,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    steps: range,
    seed: int,
    workers: int,
    part: int = 0,
    parts: int = 1,
    channels_last: bool = False,
) -> Generator[Batch]:
    """Give the batches of a range of steps; closing the generator ends its workers.

    What a batch holds depends on the seed and the step alone, so a run that was stopped goes on
    with the very pictures that it would have seen. So many `workers`, processes, prepare them; 0 is
    this one. Of each batch this process is given one of so many parts.

    Raises:
        InputError: There are fewer pictures than a batch has, or one cannot be read.
    """
    if len(data) < batch_size:
        raise InputError(
            f"there are {len(data)} pictures to train on, fewer than a batch of {batch_size}; make "
            "batch_size smaller"
        )
    memory_order = torch.channels_last if channels_last else torch.contiguous_format
    order = _order(len(data), batch_size, parts, part, seed, steps)
    loader: DataLoader[_Planes] = DataLoader(
        _Pictures(data, preprocessing),
        collate_fn=partial(_collate, order=memory_order),
        batch_sampler=order,  # pyright: ignore[reportArgumentType] - positions are (epoch, index)
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if workers else None,
        worker_init_fn=_live_as_the_run_does,
        # Its own, so that starting to load takes no number from the run's.
        generator=torch.Generator(),
    )
    iterator: Iterator[_Planes] = iter(loader)
    try:
        for planes in iterator:
            if isinstance(planes, HarmonizerError):
                raise planes
            yield Batch(*planes)
    finally:
        _end_workers(iterator)


def _end_workers(iterator: Any) -> None:  # noqa: ANN401 - torch names no type
    """End the workers at once, whatever they do, and whatever still refers to their iterator.

    Python waits in the end for all its processes, and these mind no signal but SIGKILL.
    """
    workers: Sequence[Any] = getattr(iterator, "_workers", ())
    try:
        if workers:
            iterator._shutdown_workers()
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.kill()
                worker.join()


@contextmanager
def lost_workers_explained() -> Generator[None]:
    """Say what became of a run whose worker was killed, which torch may notice at any moment."""
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        told = isinstance(error, RuntimeError) and "DataLoader worker" not in str(error)
        if told or isinstance(error, HarmonizerError):
            raise
        raise TrainingError(
            f"a process that prepares pictures is gone ({error}); the last checkpoint is kept. "
            "Perhaps memory ran out: go on (--resume) with fewer workers or smaller pictures"
        ) from error
