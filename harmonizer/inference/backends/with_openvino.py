"""Run a network by OpenVINO, on the CPU."""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harmonizer.errors import InputError, import_extra
from harmonizer.inference.backends.run import Run
from harmonizer.inference.export import trace_network, translating
from harmonizer.threads import limited_threads

_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


def run_with_openvino(network: nn.Module, input_size: tuple[int, int], dtype: torch.dtype) -> Run:
    """Prepare a network to be run by OpenVINO, in float32, or bfloat16 where there is hardware."""
    if dtype not in _PRECISIONS:
        raise InputError(f"the backend 'openvino' computes in float32 or bfloat16; got {dtype}")
    _send_nothing()
    openvino = import_extra("openvino", "openvino")
    with translating():
        converted = openvino.convert_model(trace_network(network, input_size))
    settings: dict[str, str | int] = {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[dtype],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": limited_threads() or 0,
    }
    compiled = openvino.Core().compile_model(converted, "CPU", settings)

    def run(images: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        # A request of its own: the model's is shared by all threads.
        results = compiled.create_infer_request().infer([images, masks])
        return np.array(results[0], np.float32)

    return run


def _send_nothing() -> None:
    """Let OpenVINO take its stub in place of what tells an analytics host of each conversion.

    It stays where the program has imported that itself, or the user has agreed by Intel's own
    `opt_in_out`.
    """
    try:
        agreed = (Path.home() / "intel" / "openvino_telemetry").read_text("utf-8").strip() == "1"
    except (OSError, RuntimeError, ValueError):  # none, or there is no home
        agreed = False
    if not agreed:
        sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType]
