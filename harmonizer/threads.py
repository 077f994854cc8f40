"""Threads: how many there are, and work in three steps that overlap."""

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast
from weakref import WeakSet

import cv2

_TASKS = Path("/proc/self/task")  # the threads of this process, on Linux
_Source = TypeVar("_Source")
_Prepared = TypeVar("_Prepared")
_Answer = TypeVar("_Answer")
_Result = TypeVar("_Result")


def count_cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usual_workers() -> int:
    """Return how many threads are worth having: one for each core, but no more than 8.

    More of them would mostly wait for Python's lock, and each holds a picture.
    """
    return min(count_cores(), 8)


def set_threads(count: int) -> None:
    """Set how many threads one operation uses in this process, for networks and for pictures."""
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count)


def limited_threads() -> int | None:
    """Return how many threads torch was told to use, if that is fewer than there are cores.

    By `torch.set_num_threads`, OMP_NUM_THREADS or `set_threads`; other backends keep to it.
    """
    import torch

    count = torch.get_num_threads()
    return count if count < count_cores() else None


@contextmanager
def priorities_kept() -> Generator[None]:
    """Have this thread, and those that begin meanwhile, scheduled as this one was before.

    SVT-AV1 gives its caller's thread and its own the highest real-time priority where root runs it.
    What computes so holds a core against everything else, and so does each process that it starts.
    """
    if not (hasattr(os, "sched_setscheduler") and _TASKS.is_dir()):
        yield
        return
    usual, there = (os.sched_getscheduler(0), os.sched_getparam(0)), set(_TASKS.iterdir())
    try:
        yield
    finally:
        begun = set(_TASKS.iterdir()) - there
        for task in (0, *(int(one.name) for one in begun)):
            with suppress(OSError):  # it has ended
                if os.sched_getscheduler(task) != usual[0]:
                    os.sched_setscheduler(task, *usual)


@cache
def survive_forks() -> None:
    """Let what is forked from this process from now on compute with one thread.

    GNU OpenMP, which torch computes with, waits in a forked child for threads that only the parent
    has, for ever. Called before the first network runs, so that a program that forks before, and
    loads its models in each child, keeps all its threads.
    """
    import torch

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


class Lock:
    """A lock that a forked child finds open: who held it is a thread that only the parent has."""

    def __init__(self) -> None:
        """Make one that nobody holds."""
        self._lock = threading.Lock()
        _locks.add(self)

    def __enter__(self) -> None:
        """Wait for it, and hold it."""
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        """Let it go."""
        self._lock.release()

    def renew(self) -> None:
        """Let nobody hold it."""
        self._lock = threading.Lock()


_locks: WeakSet[Lock] = WeakSet()


class LockOfEach:
    """A lock for each object: threads that are given the same one take turns."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._counting = Lock()
        self._held: dict[int, tuple[Lock, list[int]]] = {}  # by id, with how many want it

    @contextmanager
    def of(self, one: object) -> Generator[None]:
        """Wait for an object, and have it to oneself meanwhile."""
        with self._counting:
            lock, wanting = self._held.setdefault(id(one), (Lock(), [0]))
            wanting[0] += 1
        try:
            with lock:
                yield
        finally:
            with self._counting:
                wanting[0] -= 1
                if not wanting[0]:
                    self._held.pop(id(one), None)


def _renew_locks() -> None:
    for lock in _locks:
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def ahead(sources: Iterable[_Source], count: int) -> Generator[_Source]:
    """Draw sources in a thread, so many before they are asked for.

    What drawing one raises is raised after all that came before it. Closing the iterator ends the
    thread.
    """
    drawing, end = iter(sources), object()
    pool = ThreadPoolExecutor(1, thread_name_prefix="harmonizer-ahead")
    try:
        coming = deque(pool.submit(next, drawing, end) for _ in range(count))
        while (found := coming.popleft().result()) is not end:
            coming.append(pool.submit(next, drawing, end))
            yield cast(_Source, found)
    finally:
        pool.shutdown(cancel_futures=True)


def overlap(
    sources: Iterable[_Source],
    prepare: Callable[[_Source], _Prepared],
    answer: Callable[[Sequence[_Prepared]], Sequence[_Answer]],
    finish: Callable[[_Prepared, _Answer], _Result],
    *,
    batch_size: int,
    workers: int,
) -> Generator[Future[_Result]]:
    """Prepare, answer in batches, and finish, all at the same time.

    At most `2 * batch_size + workers` sources are under way at a time, handed-out results not
    counted, however many there are. Sources are drawn in the caller's thread, and only while it
    waits for a result. Closing the iterator ends its threads.

    Args:
        sources: What to work on; may be endless.
        prepare: The first step, for one source; called in `workers` threads.
        answer: The second, for up to `batch_size` of what is prepared: as many answers, in the same
            order. Called in one thread.
        finish: The third, for one; called in the same threads as the first.
        batch_size: The most that one call of `answer` gets.
        workers: Threads for the first step and the third.

    Yields:
        For each source, in their order, a future that is done: it has the result, or what one of
        the steps raised; `answer` fails for its whole batch. What drawing a source raises is raised
        after all earlier results.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="harmonizer")
    answering = ThreadPoolExecutor(1, thread_name_prefix="harmonizer-network")

    def run_batch(preparing: list[Future[_Prepared]]) -> list[Future[_Result]]:
        good = [one.result() for one in preparing if one.exception() is None]
        try:
            finishing = [
                pool.submit(finish, *both)
                for both in zip(good, answer(good) if good else (), strict=True)
            ]
        except Exception as error:
            finishing = [_failed(error) for _ in good]
        coming = iter(finishing)
        # What could not be prepared stands for its own result.
        return [cast(Any, one) if one.exception() else next(coming) for one in preparing]

    drawing = iter(sources)
    under_way, exhausted = 0, False
    failure: Exception | None = None
    preparing: list[Future[_Prepared]] = []
    batches: deque[Future[list[Future[_Result]]]] = deque()

    def draw() -> None:
        nonlocal under_way, exhausted, failure, preparing
        while under_way < 2 * batch_size + workers and not exhausted:
            try:
                preparing.append(pool.submit(prepare, next(drawing)))
                under_way += 1
            except StopIteration:
                exhausted = True
            except Exception as error:
                exhausted, failure = True, error
            if len(preparing) == batch_size or (exhausted and preparing):
                batches.append(answering.submit(run_batch, preparing))
                preparing = []

    try:
        draw()
        while batches:
            results = deque(batches.popleft().result())
            while results:
                wait([results[0]])
                under_way -= 1
                yield results.popleft()
                draw()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        answering.shutdown(cancel_futures=True)
        pool.shutdown()


def _failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
