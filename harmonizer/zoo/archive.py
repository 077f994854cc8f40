"""Read what `torch.save` wrote, running no code that it may hold, once it is known to be whole."""

import io
import pickle
import zipfile
from typing import Any, cast

import torch

from harmonizer.errors import WeightsCorruptedError
from harmonizer.zoo.pickles import check_pickle

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
            stream = io.BytesIO(content)
            for _ in range(_LEGACY_PICKLES):
                check_pickle(stream)
        found: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsCorruptedError(
            f"{what} holds more than tensors, perhaps code, or is damaged; it was not loaded"
        ) from error
    except MemoryError:
        raise
    # A damaged archive makes the readers raise almost anything.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsCorruptedError(
            f"{what} is not a state dict, or damaged, and was not loaded: {reason}"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in cast(Any, found)):
        kind = type(cast(Any, found)).__name__
        raise WeightsCorruptedError(f"{what} is not a state dict: it holds a {kind}")
    return cast(dict[str, Any], found)


def _check_archive(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        # torch compresses nothing; so does nobody who has nothing to hide.
        if sum(part.file_size for part in parts) > len(content):
            raise ValueError("its parts are larger than the file")
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise ValueError("its parts are compressed")
        if (bad := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {bad} is wrong")
        for part in parts:
            if part.filename.endswith(".pkl"):
                check_pickle(io.BytesIO(archive.read(part)))
