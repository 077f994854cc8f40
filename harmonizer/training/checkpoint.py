"""A run's state on disk: whole or not there, and enough to go on bit for bit."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from harmonizer.errors import InputError
from harmonizer.files import write_atomically

CHECKPOINT_FILE = "checkpoint.pth"


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a run; the previous one stays until the new one is whole.

    Args:
        folder: The run's folder.
        state: Tensors, numbers, texts, and lists and dicts of them.

    Raises:
        OSError: It cannot be written; the previous checkpoint is still there.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(folder / CHECKPOINT_FILE, buffer.getvalue())


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """Read the state of a run, running no code that the file may hold.

    Raises:
        InputError: There is none, or it is damaged.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        raise InputError(f"there is no checkpoint {path} to go on from; start without --resume")
    try:
        return cast(dict[str, Any], torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(f"the checkpoint {path} is damaged: {error}") from error
