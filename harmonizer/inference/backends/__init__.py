"""Choose what runs a network: torch, OpenCV, ONNX Runtime or OpenVINO; one file each."""

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from harmonizer.errors import InputError
from harmonizer.inference.backends.run import Run

if TYPE_CHECKING:
    import torch
    from torch import nn

# "auto" is OpenCV for what it can run, and torch for everything else.
Backend: TypeAlias = Literal["auto", "opencv", "torch", "onnx", "openvino"]
NetworkBackend: TypeAlias = Literal["torch", "onnx", "openvino"]  # what runs any network


def check_backend(backend: str) -> None:
    """Refuse what is no backend."""
    if backend not in get_args(Backend):
        names = ", ".join(map(repr, get_args(Backend)))
        raise InputError(f"the backend is one of {names}; got {backend!r}")


def open_backend(
    backend: NetworkBackend,
    network: "nn.Module",
    input_size: tuple[int, int],
    device: "torch.device",
    dtype: "torch.dtype",
) -> Run:
    """Prepare a network, in evaluation mode on the CPU, to be run; it is left as it is.

    `onnx` and `openvino` run on the CPU, at a fixed `input_size` (height, width); `onnx` computes
    in float32, `openvino` in float32 or bfloat16.

    Raises:
        InputError: The backend is not installed, or cannot work with this device or dtype.
    """
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
