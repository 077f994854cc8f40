"""Choose the device and the arithmetic of a network."""

from typing import cast

import torch

from harmonizer.errors import InputError


def resolve_device(device: str | torch.device) -> torch.device:
    """Choose a device: `"auto"` (CUDA, else MPS, else the CPU), or one as torch names it."""
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
    "auto": torch.float32,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def resolve_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Choose the arithmetic of a network: `"float32"` (`"auto"`), `"bfloat16"` or `"float16"`."""
    chosen = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen not in _DTYPES.values():
        raise InputError(f"the network's dtype is one of {', '.join(_DTYPES)}; got dtype={dtype!r}")
    return cast(torch.dtype, chosen)
