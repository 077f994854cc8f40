"""What is fuzzed: valid files to start from, how they are changed, and what reads them.

A reader may refuse a file with a `HarmonizerError`; any other exception is a finding.
"""

import contextlib
import io
import json
import random
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import torch
from mutations import mutate_bytes, mutate_json, mutate_toml, repair_png
from PIL import Image, ImageCms

from harmonizer import Harmonizer, model_info
from harmonizer.errors import HarmonizerError, InputError
from harmonizer.imaging.files import open_file
from harmonizer.imaging.image import open_image, open_layer
from harmonizer.imaging.mask import open_mask
from harmonizer.imaging.saving import encode_image
from harmonizer.networks import build_network
from harmonizer.training import TrainConfig
from harmonizer.zoo.loader import load_model
from harmonizer.zoo.manifest import ModelInfo, parse_model_info
from harmonizer.zoo.sources import FetchOptions, read_released


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        seeds: Makes valid files; the argument is an empty folder to work in.
        mutate: Changes one of them.
        read: Reads a file, given its content and the folder.
    """

    seeds: Callable[[Path], list[bytes]]
    mutate: Callable[[bytes, random.Random], bytes]
    read: Callable[[bytes, Path], None]


# --- pictures -------------------------------------------------------------------------------------

_SIZE = (23, 17)
_FORMATS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("PNG", ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    ("JPEG", ("L", "RGB", "CMYK")),
    ("TIFF", ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "F")),
    ("WEBP", ("RGB", "RGBA")),
    ("GIF", ("L", "P")),
    ("BMP", ("1", "L", "P", "RGB")),
    ("PPM", ("1", "L", "RGB", "I;16")),
    ("JPEG2000", ("L", "LA", "RGB", "RGBA")),
    ("TGA", ("L", "P", "RGB", "RGBA")),
    ("ICO", ("RGBA",)),
    ("PCX", ("L", "P", "RGB")),
    ("SGI", ("L", "RGB")),
    ("DDS", ("RGB", "RGBA")),
    ("AVIF", ("RGB", "RGBA")),
    ("MPO", ("RGB",)),
)


def _picture_seeds(_: Path) -> list[bytes]:
    # Larger ones take seconds, and are refused in the same way as those above Pillow's own limit.
    Image.MAX_IMAGE_PIXELS = 1 << 21
    generator = np.random.default_rng(0)
    plain = Image.fromarray(generator.integers(0, 256, (*_SIZE[::-1], 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8769] = {0x9003: "2020:01:01 00:00:00"}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    seeds: list[bytes] = []
    for name, modes in _FORMATS:
        for mode in modes:
            image = plain.convert("L").convert(mode) if mode == "I;16" else plain.convert(mode)
            for options in ({}, {"exif": exif.tobytes(), "icc_profile": profile}):
                seeds += _encoded(image, name, options)
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg", "group4"):
        seeds += _encoded(
            plain.convert("1" if compression == "group4" else "RGB"),
            "TIFF",
            {"compression": compression},
        )
    seeds += _encoded(plain, "JPEG", {"progressive": True})
    seeds += _encoded(plain.convert("P"), "PNG", {"transparency": 3})
    seeds += _encoded(plain, "PNG", {"transparency": (1, 2, 3)})
    for ending in (".png", ".tiff", ".ppm"):
        deep = np.asarray(plain).astype(np.uint16) * 257
        seeds.append(cv2.imencode(ending, deep)[1].tobytes())
    return seeds


def _encoded(image: Image.Image, name: str, options: Mapping[str, object]) -> list[bytes]:
    buffer = io.BytesIO()
    try:
        image.save(buffer, name, **options)  # pyright: ignore[reportArgumentType]
    except (OSError, KeyError, ValueError):  # this Pillow cannot write it
        return []
    return [buffer.getvalue()]


def _mutate_picture(data: bytes, generator: random.Random) -> bytes:
    changed = mutate_bytes(data, generator)
    return repair_png(changed) if generator.random() < 0.8 else changed


def _read_picture(data: bytes, _: Path) -> None:
    """Every way a picture goes: as an image and back into a file, as a layer, as a mask."""
    # Read once: libtiff decodes damaged JPEG data to other pixels each time.
    kept = picture = None
    with contextlib.suppress(InputError):
        kept, _info = open_file(data)
        picture = open_image(kept)
    if picture is not None:
        height, width = picture.size
        mask = np.zeros((height, width), np.float32)
        mask[: height // 2 + 1] = 1
        result = picture.restore(picture.pixels[:, ::-1].copy(), mask)
        before, after = np.asarray(kept), np.asarray(result)
        if before.shape != after.shape or before.dtype != after.dtype:
            raise AssertionError(f"{before.shape} {before.dtype} came back as another kind")
        # A palette may have been rewritten, but not what the background shows.
        if not np.array_equal(before[mask == 0], after[mask == 0]):
            raise AssertionError("the background has changed")
        for name in ("PNG", "TIFF"):
            with contextlib.suppress(InputError):  # a mode that the format cannot hold
                encode_image(result, name, picture.info)
        open_layer(data)
    try:
        open_mask(data, picture.size if picture else _SIZE[::-1])
    except InputError:
        if picture is None:
            raise  # else it is a picture that looks like no mask


# --- models ---------------------------------------------------------------------------------------


def _tiny() -> tuple[torch.nn.Module, ModelInfo]:
    arguments = {"depth": 2, "width": 2}
    info = replace(
        model_info("idih"), name="tiny", arguments=MappingProxyType(arguments), sources=()
    )
    return build_network("idih", **arguments), info


def _saved(folder: Path) -> Path:
    network, info = _tiny()
    Harmonizer(network, info, device="cpu").save_pretrained(folder / "model")
    return folder / "model"


def _manifest_seeds(folder: Path) -> list[bytes]:
    config = (_saved(folder) / "config.json").read_bytes()
    document = json.loads(
        (Path(__file__).parents[1] / "weights_manifest.json").read_text(encoding="utf-8")
    )
    entries = [json.dumps(entry).encode() for entry in document["models"]]
    # The tiny model, whose networks are built in no time, as often as all others together.
    return [config] * len(entries) + entries


def _read_manifest(data: bytes, folder: Path) -> None:
    """An entry of a manifest, and the `config.json` of a saved model."""
    (folder / "model" / "config.json").write_bytes(data)
    try:
        load_model(folder / "model", None, FetchOptions(local_files_only=True))
    finally:
        try:
            entry = json.loads(data)
        except (ValueError, RecursionError):
            entry = None
        if isinstance(entry, dict):
            parse_model_info(entry, "the entry")  # pyright: ignore[reportUnknownArgumentType]


def _weights_seeds(folder: Path) -> list[bytes]:
    model = _saved(folder)
    config = json.loads((model / "config.json").read_text())
    del config["weights"]  # or every change would be refused by its hash
    (model / "config.json").write_text(json.dumps(config))
    return [(model / "model.safetensors").read_bytes()]


def _mutate_weights(data: bytes, generator: random.Random) -> bytes:
    """Change the header's JSON and give it its right length, or change any byte."""
    if generator.random() < 0.4:
        return mutate_bytes(data, generator)
    length = int.from_bytes(data[:8], "little")
    header = mutate_json(data[8 : 8 + length], generator)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def _read_weights(data: bytes, folder: Path) -> None:
    (folder / "model" / "model.safetensors").write_bytes(data)
    load_model(folder / "model", None, FetchOptions(local_files_only=True))


def _released_seeds(_: Path) -> list[bytes]:
    seeds: list[bytes] = []
    for zipped in (True, False):
        buffer = io.BytesIO()
        state = _tiny()[0].state_dict()
        torch.save(state, buffer, _use_new_zipfile_serialization=zipped)
        seeds.append(buffer.getvalue())
    return seeds


def _read_released(data: bytes, folder: Path) -> None:
    (folder / "released.pth").write_bytes(data)
    read_released(folder / "released.pth")


# --- configurations -------------------------------------------------------------------------------


def _toml_seeds(_: Path) -> list[bytes]:
    recipes = Path(__file__).parents[1] / "harmonizer" / "training" / "recipes"
    written = [TrainConfig().to_toml().encode()]
    return written + [path.read_bytes() for path in sorted(recipes.glob("*.toml"))]


def _read_toml(data: bytes, folder: Path) -> None:
    path = folder / "run.toml"
    path.write_bytes(data)
    config = TrainConfig.from_toml(path)
    path.write_bytes(config.to_toml().encode())
    try:
        again = TrainConfig.from_toml(path).to_toml()
    except InputError as error:
        raise AssertionError(f"the configuration cannot be read back: {error}") from error
    if again != config.to_toml():  # as text, because NaN is not itself
        raise AssertionError("the configuration does not survive its own file")


TARGETS: Mapping[str, Target] = {
    "pictures": Target(_picture_seeds, _mutate_picture, _read_picture),
    "manifest": Target(_manifest_seeds, mutate_json, _read_manifest),
    "safetensors": Target(_weights_seeds, _mutate_weights, _read_weights),
    "released": Target(_released_seeds, mutate_bytes, _read_released),
    "toml": Target(_toml_seeds, mutate_toml, _read_toml),
}


def read_one(target: Target, data: bytes, folder: Path) -> str | None:
    """Read one file; return the kind of refusal, or None if it was taken.

    Raises:
        Exception: Whatever the reader should not have raised.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            target.read(data, folder)
        except HarmonizerError as error:
            return type(error).__name__
    return None


def workplace() -> tempfile.TemporaryDirectory[str]:
    """A folder in memory where there is one: thousands of files are written each minute."""
    memory = Path("/dev/shm")  # noqa: S108 - a random name in it
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
