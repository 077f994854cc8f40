"""Read what `torch.save` wrote, running no code that it may hold, once it is known to be whole."""

import io
import os
import pickle
import struct
import zipfile
from typing import Any, cast

import torch

from harmonizer.errors import WeightsCorruptedError, raise_if_interrupted
from harmonizer.zoo.pickles import Storage, check_pickle

# How many pickles a file of torch before 1.6 begins with: who wrote it, what it holds, and where.
_LEGACY_PICKLES = 5


def read_archive(content: bytes, what: str) -> dict[str, Any]:
    """Read a dict of tensors and plain values.

    torch compares no checksum of an archive, and unpacks what is compressed, whatever becomes of
    it. (The format before torch 1.6 has no checksums.) `what` is what an error calls it.

    Raises:
        WeightsCorruptedError: It is damaged, or holds something else.
    """
    try:
        if content.startswith(b"PK"):
            _check_archive(content)
        else:
            _check_legacy(content)
        found: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsCorruptedError(
            f"{what} holds more than tensors, perhaps code, or is damaged; it was not loaded"
        ) from error
    except MemoryError:
        raise
    # A damaged archive makes the readers raise almost anything.
    except Exception as error:
        raise_if_interrupted(error)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsCorruptedError(
            f"{what} is not a state dict, or damaged, and was not loaded: {reason}"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in cast(Any, found)):
        kind = type(cast(Any, found)).__name__
        raise WeightsCorruptedError(f"{what} is not a state dict: it holds a {kind}")
    return cast(dict[str, Any], found)


def _check_archive(content: bytes) -> None:
    """Refuse an archive that is damaged, or that torch's reader and Python's would see otherwise.

    Both look for its directory from its end, and torch's goes by the place that is stated there; it
    does not tell small letters from capitals, and takes names beyond a zero byte.
    """
    _check_directory(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        # torch compresses nothing; so does nobody who has nothing to hide.
        if sum(part.file_size for part in parts) > len(content):
            raise ValueError("its parts are larger than the file")
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise ValueError("its parts are compressed")
        sizes = {part.orig_filename.lower(): part.file_size for part in parts}
        if len(sizes) < len(parts) or any("\0" in name for name in sizes):
            raise ValueError("its parts have names that are alike, or none")
        # From 3.13 on, Python's reader goes by a second name that a part may have.
        if any(part.filename != part.orig_filename.replace(os.sep, "/") for part in parts):
            raise ValueError("its parts have several names")
        if (bad := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {bad} is wrong")
        folder = parts[0].orig_filename.partition("/")[0].lower()
        for part in parts:
            if part.orig_filename.lower().endswith(".pkl"):
                found = check_pickle(io.BytesIO(archive.read(part)))
                _check_storages(found.storages, sizes, folder)


def _check_storages(storages: set[Storage], sizes: dict[str, int], folder: str) -> None:
    """Refuse tensors that the parts of an archive, by name and size, do not hold."""
    # Torch reads a part once for each way to spell its name.
    if len({one.key.lower() for one in storages}) < len({one.key for one in storages}):
        raise ValueError("its tensors are called alike")
    for one in storages:
        if _size_of(one) > sizes[f"{folder}/data/{one.key.lower()}"]:
            raise ValueError(f"its tensor {one.key} has fewer numbers than it says")


def _check_legacy(content: bytes) -> None:
    """Refuse a file of torch before 1.6 whose tensors are not all in it."""
    stream = io.BytesIO(content)
    *_, state, behind = [check_pickle(stream) for _ in range(_LEGACY_PICKLES)]
    if sum(map(_size_of, state.storages)) > len(content):
        raise ValueError("its tensors are larger than the file")
    if not {one.key for one in state.storages} <= behind.listed:
        raise ValueError("it lacks the numbers of tensors")


def _size_of(storage: Storage) -> int:
    """Return how many bytes a tensor's numbers take by what the pickle says."""
    kind: Any = getattr(torch, storage.kind)
    size = 1 if kind is torch.UntypedStorage else kind._dtype.itemsize  # `dtype` warns of its end
    return size * storage.count


def _check_directory(content: bytes) -> None:
    """Refuse an archive whose directory does not end where its end begins."""
    end = content.rfind(b"PK\5\6")
    size, place = struct.unpack_from("<II", content, end + 12)
    sound, behind = end + 22 == len(content), end
    if content.startswith(b"PK\6\7", end - 20):  # torch writes an end of 64 bits before the other
        size, place, stated = struct.unpack_from("<QQ8xQ", content, end - 36)
        behind = end - 76
        sound = sound and stated == behind and content.startswith(b"PK\6\6", behind)
    if not sound or place + size != behind:
        raise ValueError("its directory is not where its end says")
