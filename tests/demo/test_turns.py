"""What takes much memory is done by one thread, for all visitors and controls of the page."""

import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event, Lock, get_ident
from typing import Any

import cv2
import pytest
from test_page_server import COMPOSITE, MASK, call, composite_and_mask, file, upload

from harmonizer.demo import work
from harmonizer.demo.turns import Turns
from harmonizer.errors import InputError

pytest.importorskip("gradio", reason="the extra `demo` is not installed")

HEAVY = ("open_composite", "open_painted", "paste", "show_layer", "show_file", "harmonize_layers")


def test_pictures_are_opened_one_after_the_other(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each control of Gradio's has a limit of its own: nine of them would hold nine pictures."""
    guard, began, threads = Lock(), list[str](), set[int]()

    def watched(name: str) -> Any:
        original = getattr(work, name)

        def one(*values: Any, **options: Any) -> Any:
            threads.add(get_ident())
            assert guard.acquire(blocking=False), f"{name} beside another one"
            try:
                began.append(name)
                time.sleep(0.2)
                return original(*values, **options)
            finally:
                guard.release()

        return one

    image, mask = file(upload(address, COMPOSITE)), file(upload(address, MASK))
    for name in HEAVY:
        monkeypatch.setattr(work, name, watched(name))
    jobs = [(composite_and_mask(image, mask), 0)] + [
        ([image, *([mask, 50, 50, 50] if number in (9, 10) else [])], number)
        for number in uploads_of(address)
    ]
    assert len(jobs) == 8
    with ThreadPoolExecutor(len(jobs)) as pool:
        events = list(pool.map(lambda job: call(address, *job), jobs))
    assert all(event["success"] for event in events), events
    assert len(began) == 2 + 2 * 2 + 5  # both steps of a job, both pictures of a placed cut-out
    assert len(threads) == 1


def uploads_of(address: str) -> list[int]:
    """The numbers of the functions that an upload starts."""
    with urllib.request.urlopen(f"{address}/config") as response:  # noqa: S310
        config = json.load(response)
    files = {one["id"] for one in config["components"] if one["type"] == "file"}
    return [
        one["id"]
        for one in config["dependencies"]
        if any(target in files and event == "change" for target, event in one["targets"])
    ]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        cv2.error("OpenCV(5.0) Insufficient memory (Failed to allocate 4799040000 bytes)"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_lack_of_memory_is_said_in_words(
    error: Exception, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(work, "open_composite", lacking)
    image, mask = file(upload(address, COMPOSITE)), file(upload(address, MASK))
    event = call(address, composite_and_mask(image, mask))
    assert event["output"]["error"] == "there is not enough memory for this picture"


def test_who_has_had_nothing_kept_is_told_why(address: str) -> None:
    (number,) = downloads_of(address)
    event = call(address, [None, 100, 100, "PNG", False], number)
    assert "harmonize one first, or once more: only the last" in event["output"]["error"]


def downloads_of(address: str) -> list[int]:
    with urllib.request.urlopen(f"{address}/config") as response:  # noqa: S310
        config = json.load(response)
    (button,) = [
        one["id"] for one in config["components"] if one["props"].get("elem_id") == "download"
    ]
    return [one["id"] for one in config["dependencies"] if [button, "click"] in one["targets"]]


def test_too_many_are_turned_away_and_an_error_ends_a_turn() -> None:
    begun, go_on = Event(), Event()

    def work_on(number: int) -> int:
        begun.set()
        assert go_on.wait(20)
        return 10 // number

    with Turns(2) as turns, ThreadPoolExecutor(2) as visitors:
        first = visitors.submit(turns.take, work_on, 0)
        assert begun.wait(20)
        second = visitors.submit(turns.take, work_on, 5)
        while turns._places._value:  # pyright: ignore
            time.sleep(0.01)
        with pytest.raises(InputError, match="too many pictures wait"):
            turns.take(work_on, 1)
        go_on.set()
        wait([first, second])
        assert isinstance(first.exception(), ZeroDivisionError)
        assert second.result() == 2
        assert turns.take(work_on, 2) == 5
