"""Where a network runs."""

from collections.abc import Collection
from typing import cast

import torch

from harmonizer.errors import InputError


def resolve_device(device: str | torch.device) -> torch.device:
    """Choose a device.

    Args:
        device: `"auto"` (CUDA, else MPS, else the CPU), or a device as torch names it.

    Raises:
        InputError: Torch does not know the device, or this machine does not have it.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"there is no device {device!r}; use 'auto', 'cpu', 'cuda', 'cuda:1', ... or 'mps'"
        ) from error
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (chosen.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(chosen.type, False):
        usable = ", ".join(name for name, there in available.items() if there)
        raise InputError(
            f"the device {device!r} cannot be used on this machine; use one of: auto, {usable}"
        )
    return chosen


_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
# What CUDA devices compute fast, and since which compute capability; the more exact one first.
_FAST_ON_CUDA = {"float16": (7, 0), "bfloat16": (8, 0)}


def resolve_dtype(
    dtype: str | torch.dtype, device: torch.device, safe: Collection[str]
) -> torch.dtype:
    """Choose the arithmetic of a network.

    Args:
        dtype: `"float32"`, `"bfloat16"`, `"float16"`, or one of these of torch; or `"auto"`: on a
            CUDA device that is made for it, a reduced one that is safe; else float32.
        device: Where the network runs.
        safe: Which reduced ones leave the model's answers as they are, to half a grey level.

    Raises:
        InputError: It is none of these.
    """
    if dtype == "auto":
        if device.type == "cuda":
            capability = torch.cuda.get_device_capability(device)
            for name, since in _FAST_ON_CUDA.items():
                if name in safe and capability >= since:
                    return _DTYPES[name]
        return torch.float32
    chosen = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen not in _DTYPES.values():
        names = ", ".join(["auto", *_DTYPES])
        raise InputError(f"the network's dtype is one of {names}; got dtype={dtype!r}")
    return cast(torch.dtype, chosen)
