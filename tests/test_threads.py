"""The three steps run at the same time, in order, and within bounds."""

import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from harmonizer.threads import ahead, overlap, priorities_kept


def double(values: Sequence[int]) -> list[int]:
    return [2 * value for value in values]


def add(prepared: int, answer: int) -> tuple[int, int]:
    return prepared, answer


def test_results_come_in_order_whatever_takes_longest() -> None:
    last_started = threading.Event()

    def prepare(value: int) -> int:
        if value == 0:
            assert last_started.wait(10)  # the first is ready after those behind it
        if value == 3:
            last_started.set()
        return value

    done = overlap(range(10), prepare, double, add, batch_size=2, workers=4)
    assert [future.result() for future in done] == [(n, 2 * n) for n in range(10)]


def test_the_steps_overlap() -> None:
    """A batch is answered while the next is prepared and the one before is finished."""
    prepared_ahead, finishing, answering = (threading.Event() for _ in range(3))

    def prepare(value: int) -> int:
        if value == 2:
            prepared_ahead.set()
        return value

    def answer(values: Sequence[int]) -> Sequence[int]:
        if values[0] == 1:
            answering.set()
            assert prepared_ahead.wait(10)
            assert finishing.wait(10)
        return values

    def finish(prepared: int, _: int) -> int:
        if prepared == 0:
            finishing.set()
            assert answering.wait(10)
        return prepared

    done = overlap(range(4), prepare, answer, finish, batch_size=1, workers=2)
    assert [future.result() for future in done] == [0, 1, 2, 3]


def test_a_failing_step_concerns_its_own_sources() -> None:
    def prepare(value: int) -> int:
        return 1 // (value != 1) * value

    def answer(values: Sequence[int]) -> Sequence[int]:
        if 5 in values:
            raise MemoryError("too many")
        return values

    def finish(prepared: int, _: int) -> int:
        return 1 // (prepared != 2) * prepared

    done = overlap(range(8), prepare, answer, finish, batch_size=2, workers=2)
    outcomes = [future.exception() or future.result() for future in done]
    kinds = [type(one) if isinstance(one, Exception) else one for one in outcomes]
    broken: list[Any] = [ZeroDivisionError] * 2
    assert kinds == [0, *broken, 3, MemoryError, MemoryError, 6, 7]


def test_an_answer_of_the_wrong_length_is_no_silent_loss() -> None:
    done = overlap([1, 2], int, lambda values: values[:1], add, batch_size=2, workers=1)
    for future in done:
        with pytest.raises(ValueError, match="shorter"):
            future.result()


def test_sources_are_drawn_by_the_caller() -> None:
    drawers: set[int] = set()

    def sources() -> Any:
        for value in range(20):
            drawers.add(threading.get_ident())
            yield value

    list(overlap(sources(), int, double, add, batch_size=3, workers=2))
    assert drawers == {threading.get_ident()}


def test_what_is_drawn_ahead_comes_in_order_and_within_bounds() -> None:
    drawn = 0

    def sources() -> Iterator[int]:
        nonlocal drawn
        for value in range(30):
            drawn += 1
            yield value
        raise OSError("the end is missing")

    found: list[int] = []
    values = ahead(sources(), 3)
    for _ in range(30):
        found.append(next(values))
        assert drawn <= found[-1] + 4
    assert found == list(range(30))
    with pytest.raises(OSError, match="the end"):
        next(values)


def test_drawing_ahead_goes_on_meanwhile_and_ends_when_it_is_closed() -> None:
    third = threading.Event()

    def sources() -> Iterator[int]:
        for value in range(10**9):
            if value == 2:
                third.set()
            yield value

    values = ahead(sources(), 3)
    assert next(values) == 0
    assert third.wait(10)
    values.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("harmonizer-ahead")]


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux alone has threads of such kinds")
def test_what_changes_how_threads_are_scheduled_is_undone() -> None:
    before, ended = os.sched_getscheduler(0), threading.Event()
    with priorities_kept():
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        thread = threading.Thread(target=ended.wait)
        thread.start()
        assert os.sched_getscheduler(thread.native_id or 0) == os.SCHED_BATCH
    found = os.sched_getscheduler(0), os.sched_getscheduler(thread.native_id or 0)
    ended.set()
    thread.join()
    assert found == (before, before)
