"""Keep what the page shows in files that never change, so that none is read while it is written."""

import hashlib
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from harmonizer.files import write_atomically
from harmonizer.imaging.saving import encode_image
from harmonizer.preprocessing import Array


def keep_shown(value: object, folder: Path) -> object:
    """Write the pictures in what a callback returned into a folder.

    Gradio itself would write each picture anew, in place, at every event that shows it; browsers
    that load it at that moment get a part of it.

    Args:
        value: Anything; arrays in tuples and dicts are pictures, (H, W, 3 or 4), uint8.
        folder: Where files are found by what they hold.

    Returns:
        The same with the path of a PNG in place of each array.
    """
    if isinstance(value, np.ndarray):
        return str(_keep(cast(Array, value), folder))
    if isinstance(value, tuple):
        return tuple(keep_shown(one, folder) for one in cast(tuple[object, ...], value))
    if isinstance(value, dict):
        entries = cast(dict[Any, object], value)
        return {key: keep_shown(one, folder) for key, one in entries.items()}
    return value


def _keep(pixels: Array, folder: Path) -> Path:
    digest = hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    path = folder / digest / "image.png"
    try:
        os.utime(path)  # what was shown again is not old
    except FileNotFoundError:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, encode_image(Image.fromarray(pixels), "PNG", {}))
    return path
