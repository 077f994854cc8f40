"""Files that other programs begin with a byte order mark, and open files that fail in their way."""

import gzip
import io
import mmap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_iharmony4 import write_iharmony4

from harmonizer.data import TripletDataset
from harmonizer.errors import InputError
from harmonizer.imaging.image import open_image
from harmonizer.training import TrainConfig


def test_byte_order_marks(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("steps = 7\n", "utf-8-sig")
    assert TrainConfig.from_toml(tmp_path / "run.toml").steps == 7
    data = write_iharmony4(tmp_path / "data")
    expected = TripletDataset.open(data, split="test").files
    for listing in data.rglob("*_test.txt"):
        listing.write_text(listing.read_text(), "utf-8-sig")
    assert TripletDataset.open(data, split="test").files == expected


class Broken(io.RawIOBase):
    """A file whose reader fails in the way of a package."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> Any:
        del size
        raise self.error


def test_open_files_that_fail_in_their_own_way() -> None:
    import http.client
    import zlib

    cut = gzip.open(io.BytesIO(gzip.compress(b"x" * 10_000)[:-20]))  # noqa: SIM115
    errors = (zlib.error("bad"), zipfile.BadZipFile("bad"), http.client.IncompleteRead(b""))
    for source in (cut, *map(Broken, errors)):
        with pytest.raises(InputError, match="cannot be read"):
            open_image(source)  # pyright: ignore[reportArgumentType]


def test_a_file_that_is_mapped_into_memory(tmp_path: Path) -> None:
    """It has no `seekable` before Python 3.13."""
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for _ in range(2):  # it is read from its beginning each time
            opened = open_image(mapped)  # pyright: ignore[reportArgumentType]
            assert np.array_equal(opened.pixels, open_image(path).pixels)
