"""Warnings travel with the picture that they are of; whole numbers may come from anywhere."""

import io
import pkgutil
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import box_mask
from PIL import Image
from profiles import rgb_profile

from harmonizer import Harmonizer
from harmonizer.data.triplets import _lines
from harmonizer.errors import InputError, as_whole, collected_warnings, warn
from harmonizer.files.tables import read_table
from harmonizer.imaging import color
from harmonizer.imaging.files import open_file
from harmonizer.jobs.video.pictures import first_picture
from harmonizer.training import TrainConfig
from harmonizer.zoo.find import _read_config
from harmonizer.zoo.integrity import Weights


def test_each_thread_collects_its_own_whoever_ends_first() -> None:
    both_inside, first_ended = threading.Barrier(2), threading.Event()

    def work(name: str) -> list[str]:
        messages: list[str] = []
        with collected_warnings(messages):
            both_inside.wait(10)
            if name == "second":
                assert first_ended.wait(10)
            for _ in range(2):  # from one line, and said twice
                warn(name)
        if name == "first":
            first_ended.set()
        return messages

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(work, ("first", "second")))
    assert found == [["first"] * 2, ["second"] * 2]


def within(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return what has a signal arrive before something is called."""

    def interrupted(*arguments: Any, **options: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return call(*arguments, **options)

    return interrupted


@pytest.mark.parametrize(
    "place",
    ["harmonizer.imaging.files.open_header", "harmonizer.imaging.exif.orientation_of",
     "harmonizer.imaging.color._transform", "harmonizer.imaging.files._alone.of"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["function", "method", "object", "partial"])
def test_a_time_limit_is_no_damaged_file(
    place: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a signal's handler raises comes out as it is, and nothing is made of it for later."""

    class TimeLimitError(Exception):
        def end(self, *_: object) -> None:
            raise self

        __call__ = end

    def end(*_: object) -> None:
        raise TimeLimitError

    space, exif = rgb_profile("Display P3"), Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16)).save(buffer, "JPEG", exif=exif, icc_profile=space)
    color._usable.cache_clear()
    handlers = {
        **{"function": end, "method": TimeLimitError().end},
        **{"object": TimeLimitError(), "partial": partial(TimeLimitError())},
    }
    before = signal.signal(signal.SIGINT, handlers[kind])
    try:
        with monkeypatch.context() as patched:
            patched.setattr(place, within(pkgutil.resolve_name(place)))
            with pytest.raises(TimeLimitError):
                color.color_space(open_file(buffer)[1].get("icc_profile"), ("RGB",))
    finally:
        signal.signal(signal.SIGINT, before)
    picture, info = open_file(buffer)
    assert picture.size == (16, 24)
    assert color.color_space(info.get("icc_profile"), ("RGB",)) is not None


def read_weights(path: Path) -> object:
    return Weights(path, None, None, "the file").read()


def read_config(path: Path) -> object:
    return _read_config(path, path, "the model", cached=False)


READ: dict[str, tuple[str, Callable[[Path], object]]] = {
    "picture": ("pathlib.Path.read_bytes", open_file),
    "picture of a clip": ("pathlib.Path.read_bytes", first_picture),
    "weights": ("pathlib.Path.read_bytes", read_weights),
    "table": ("csv.reader", read_table),
    "run": ("harmonizer.training.config._parse", TrainConfig.from_toml),
    "list of a dataset": ("pathlib.Path.read_text", _lines),
    "model": ("harmonizer.zoo.find.read_json", read_config),
}


@pytest.mark.parametrize("kind", READ)
def test_a_time_limit_is_no_file_that_cannot_be_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own error for it is one of the system's."""
    place, read = READ[kind]
    path = tmp_path / "file.png"
    path.write_text("a,b\n1,2\n")

    def end(*_: object) -> None:
        raise TimeoutError("time is up")

    before = signal.signal(signal.SIGINT, end)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(place, within(pkgutil.resolve_name(place)))
            with pytest.raises(TimeoutError, match=r"^time is up$"):
                read(path)
    finally:
        signal.signal(signal.SIGINT, before)


def test_without_a_collector_a_warning_is_given() -> None:
    with collected_warnings(messages := []):
        warn("for one")
    with pytest.warns(UserWarning, match="for all"):
        warn("for all")
    assert messages == ["for one"]


def test_a_batch_warns_in_the_callers_thread_with_the_picture_at_hand(
    brighten: Harmonizer,
) -> None:
    """And changes nothing of how the program shows its warnings."""
    images = [np.full((40, 40, 3), 90, np.uint8)] * 3
    masks = [box_mask(40, 40), np.zeros((40, 40), bool), box_mask(40, 40)]
    said: list[tuple[int, str, int]] = []
    done = 0

    def show(message: Warning | str, _: object, filename: str, *__: object) -> None:
        said.append((done, filename, threading.get_ident()))

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("always")
        patch.setattr(warnings, "showwarning", show)
        for _ in brighten.harmonize_batch(images, masks, batch_size=1):
            done += 1
            assert warnings.showwarning is show
    assert said == [(1, __file__, threading.get_ident())]


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2), np.array(2), torch.tensor(2)])
def test_whole_numbers_are_those_of_any_library(value: Any, model: Harmonizer) -> None:
    assert type(as_whole(value, "count", 1)) is int
    image, mask = np.zeros((8, 8, 3), np.uint8), box_mask(8, 8)
    assert len(list(model.harmonize_batch([image] * 3, [mask] * 3, batch_size=value))) == 3
    assert len(list(model.harmonize_batch([image] * 3, [mask] * 3, workers=value))) == 3


@pytest.mark.parametrize("value", [True, np.True_, 2.0, np.float64(2), "2", None, 0, 5, [2]])
def test_what_is_no_whole_number_of_a_range_is_named(value: Any) -> None:
    with pytest.raises(InputError, match="count is a whole number from 1 to 4; got"):
        as_whole(value, "count", 1, 4)
