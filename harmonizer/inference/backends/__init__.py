"""What runs a network: torch, ONNX Runtime or OpenVINO; one file each."""

from typing import Literal, TypeAlias, get_args

import torch
from torch import nn

from harmonizer.errors import InputError
from harmonizer.inference.backends.run import Run

Backend: TypeAlias = Literal["torch", "onnx", "openvino"]


def check_backend(backend: str) -> None:
    """Refuse what is no backend.

    Raises:
        InputError: With the names of those that are.
    """
    if backend not in get_args(Backend):
        names = ", ".join(map(repr, get_args(Backend)))
        raise InputError(f"the backend is one of {names}; got {backend!r}")


def open_backend(
    backend: Backend,
    network: nn.Module,
    input_size: tuple[int, int],
    device: torch.device,
    dtype: torch.dtype,
) -> Run:
    """Prepare a network to be run.

    Args:
        backend: What runs it.
        network: In evaluation mode, on the CPU; it is left as it is.
        input_size: Height and width of its input.
        device: Where it shall run; `onnx` and `openvino` run on the CPU.
        dtype: Its arithmetic: float32, bfloat16 or float16; for `onnx` float32.

    Raises:
        InputError: The backend is unknown or not installed, or cannot work with this device or
            dtype.
    """
    check_backend(backend)
    if backend != "torch" and device.type != "cpu":
        raise InputError(
            f"the backend {backend!r} runs on the CPU; got device={str(device)!r}: use "
            "device='cpu', or backend='torch'"
        )
    match backend:
        case "torch":
            from harmonizer.inference.backends.with_torch import run_with_torch

            return run_with_torch(network, device, dtype)
        case "onnx":
            from harmonizer.inference.backends.with_onnx import run_with_onnx

            return run_with_onnx(network, input_size, dtype)
        case "openvino":
            from harmonizer.inference.backends.with_openvino import run_with_openvino

            return run_with_openvino(network, input_size, dtype)
