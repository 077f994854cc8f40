"""A damaged file is taken or refused with a `HarmonizerError`, whatever the damage.

`pytest tests/test_damaged_files.py --hypothesis-profile=many` looks for hours, and at other damage
each time.
"""

import io
import json
import tomllib
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from safetensors.torch import save

from harmonizer import model_info
from harmonizer._version import __version__
from harmonizer.errors import HarmonizerError, InputError
from harmonizer.imaging.image import open_file, open_image, open_layer
from harmonizer.imaging.mask import open_mask
from harmonizer.imaging.saving import encode_image
from harmonizer.networks import build_network
from harmonizer.training import TrainConfig
from harmonizer.training.config import _toml
from harmonizer.zoo.loader import load_model
from harmonizer.zoo.manifest import parse_model_info
from harmonizer.zoo.options import FetchOptions
from harmonizer.zoo.publish import describe
from harmonizer.zoo.sources import read_released

# Damage is cheap to read, and most of it is refused at once.
often = settings(max_examples=8 * settings().max_examples)
pytestmark = pytest.mark.filterwarnings("ignore")
ROOT = Path(__file__).parents[1]
SIZE = (23, 17)
FORMATS = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "F"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("L", "P"),
    "BMP": ("1", "L", "P", "RGB"),
    "PPM": ("1", "L", "RGB", "I;16"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA"),
    **{"TGA": ("L", "P", "RGB", "RGBA"), "PCX": ("L", "P", "RGB")},
    **{"SGI": ("L", "RGB"), "DDS": ("RGB", "RGBA"), "AVIF": ("RGB", "RGBA"), "MPO": ("RGB",)},
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


# --- damage ---------------------------------------------------------------------------------------


@st.composite
def damaged(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """A file, changed in a few places, most of them in its header, and perhaps cut off."""
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 4))):
        reach = min(64, len(data)) if draw(st.booleans()) else len(data)
        place = draw(st.integers(0, reach))
        data[place : place + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(data[: draw(st.none() | st.integers(0, len(data)))])


@st.composite
def damaged_document(draw: st.DrawFn, documents: list[Any]) -> Any:
    """A document of objects and arrays, some of whose values are gone or others."""
    document = json.loads(json.dumps(draw(st.sampled_from(documents))))
    for _ in range(draw(st.integers(1, 3))):
        if containers := list(containers_of(document)):
            inner = draw(st.sampled_from(containers))
            place = draw(
                st.sampled_from(range(len(inner)) if isinstance(inner, list) else [*inner])
            )
            if draw(st.booleans()):
                del inner[place]
            else:
                inner[place] = draw(VALUES)
    return document


def containers_of(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list) and value:
        yield value
        for one in value.values() if isinstance(value, dict) else value:
            yield from containers_of(one)


def with_right_checksums(data: bytes) -> bytes:
    """A damaged PNG whose chunks a reader takes for sound, so that it looks at what is in them."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    repaired, place = bytearray(data), 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        repaired[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(repaired)


# --- pictures -------------------------------------------------------------------------------------


def pictures() -> list[bytes]:
    """One of every format and mode that Pillow writes, with and without metadata."""
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), np.uint8)
    plain = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    metadata: dict[str, Any] = {"exif": exif.tobytes(), "icc_profile": profile}
    wanted = [(n, m, o) for n, modes in FORMATS.items() for m in modes for o in ({}, metadata)]
    wanted += [("TIFF", "RGB", {"compression": c}) for c in ("tiff_lzw", "packbits", "jpeg")]
    wanted += [("TIFF", "1", {"compression": "group4"}), ("JPEG", "RGB", {"progressive": True})]
    wanted += [("PNG", "P", {"transparency": 3}), ("PNG", "RGB", {"transparency": (1, 2, 3)})]
    files = [cv2.imencode(e, noise.astype(np.uint16) * 257)[1].tobytes() for e in (".png", ".tiff")]
    for name, mode, options in wanted:
        image = plain.convert("L").convert(mode) if mode == "I;16" else plain.convert(mode)
        buffer = io.BytesIO()
        with suppress(OSError, KeyError, ValueError):  # this Pillow cannot write it
            image.save(buffer, name, **options)
            files.append(buffer.getvalue())
    return files


@often
@given(damaged(pictures()), st.booleans())
def test_a_picture(monkeypatch: pytest.MonkeyPatch, data: bytes, repaired: bool) -> None:
    """As an image and back into files, as a layer and as a mask."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1 << 21)  # larger ones take seconds
    data = with_right_checksums(data) if repaired else data
    size = SIZE[::-1]
    with suppress(HarmonizerError):
        # Read once: libtiff decodes damaged JPEG data to other pixels each time.
        kept, _ = open_file(data)
        picture = open_image(kept)
        size = picture.size
        mask = np.zeros(size, np.float32)
        mask[: size[0] // 2 + 1] = 1
        result = picture.restore(picture.pixels[:, ::-1].copy(), mask)
        before, after = np.asarray(kept), np.asarray(result)
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
        # A palette may have been rewritten, but not what the background shows.
        assert np.array_equal(before[mask == 0], after[mask == 0])
        for name in ("PNG", "TIFF"):
            with suppress(InputError):  # a mode that the format cannot hold
                encode_image(result, name, picture.info)
        open_layer(data)
    with suppress(HarmonizerError):
        open_mask(data, size)


# --- models ---------------------------------------------------------------------------------------

TINY = replace(model_info("idih"), arguments={"depth": 2, "width": 2}, sources=())
STATE = build_network("idih", **TINY.arguments).state_dict()
CONFIG = {"library": "image-harmonizer", "library_version": __version__, **describe(TINY)}
WEIGHTS = save(STATE)
HEADER = 8 + int.from_bytes(WEIGHTS[:8], "little")
ENTRIES = json.loads((ROOT / "weights_manifest.json").read_text("utf-8"))["models"]


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


def load(folder: Path, config: bytes, weights: bytes) -> None:
    (folder / "config.json").write_bytes(config)
    (folder / "model.safetensors").write_bytes(weights)
    load_model(folder, None, FetchOptions(local_files_only=True))


def test_the_model_is_one(tmp_path: Path) -> None:
    load(tmp_path, as_json(CONFIG), WEIGHTS)


@often
@given(damaged_document([CONFIG]).map(json.dumps).map(str.encode) | damaged([as_json(CONFIG)]))
def test_the_config_of_a_model(tmp_path: Path, config: bytes) -> None:
    with suppress(HarmonizerError):
        load(tmp_path, config, WEIGHTS)


@often
@given(damaged_document(ENTRIES))
def test_an_entry_of_the_manifest(entry: Any) -> None:
    with suppress(HarmonizerError):
        parse_model_info(entry, "the entry")


@often
@given(
    damaged([WEIGHTS])
    | damaged_document([json.loads(WEIGHTS[8:HEADER])])
    .map(as_json)
    .map(lambda header: len(header).to_bytes(8, "little") + header + WEIGHTS[HEADER:])
)
def test_weights(tmp_path: Path, weights: bytes) -> None:
    with suppress(HarmonizerError):
        load(tmp_path, as_json(CONFIG), weights)


def released(zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(STATE, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@often
@given(damaged([released(True), released(False)]))
def test_a_released_state_dict(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "released.pth").write_bytes(data)
    with suppress(HarmonizerError):
        read_released(tmp_path / "released.pth")


# --- configurations -------------------------------------------------------------------------------

RUN = TrainConfig().to_toml()


def as_toml(document: dict[str, Any]) -> bytes:
    return "\n".join(f"{_toml(key)} = {_toml(value)}" for key, value in document.items()).encode()


@often
@given(damaged_document([tomllib.loads(RUN)]).map(as_toml) | damaged([RUN.encode()]))
def test_a_configuration(tmp_path: Path, data: bytes) -> None:
    """What is taken survives being written and read again."""
    path = tmp_path / "run.toml"
    path.write_bytes(data)
    try:
        config = TrainConfig.from_toml(path)
    except HarmonizerError:
        return
    assert TrainConfig.parse_toml(config.to_toml()).to_toml() == config.to_toml()
