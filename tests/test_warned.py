"""Warnings reach the work of the thread that gave them."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

from harmonizer.threads import noting, warnings_by_thread


def test_each_thread_notes_its_own_whoever_ends_first() -> None:
    both_inside, first_ended = threading.Barrier(2), threading.Event()

    def work(name: str) -> list[str]:
        noted: list[str] = []
        with warnings_by_thread(), noting(noted):
            both_inside.wait(10)
            if name == "second":
                assert first_ended.wait(10)
            for _ in range(2):  # from one line, and said twice
                warnings.warn(name, UserWarning, stacklevel=1)
        if name == "first":
            first_ended.set()
        return noted

    before = (warnings.showwarning, list(warnings.filters))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(work, ("first", "second")))
    assert found == [["first"] * 2, ["second"] * 2]
    assert (warnings.showwarning, list(warnings.filters)) == before


def test_threads_that_note_nothing_show_theirs() -> None:
    with warnings.catch_warnings(record=True) as shown, warnings_by_thread():
        warnings.warn("for all", UserWarning, stacklevel=1)
        with noting(noted := []):
            warnings.warn("for one", UserWarning, stacklevel=1)
    assert [str(one.message) for one in shown] == ["for all"]
    assert noted == ["for one"]
