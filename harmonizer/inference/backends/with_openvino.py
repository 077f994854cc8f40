"""Run a network by OpenVINO, on the CPU."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harmonizer.errors import InputError, import_extra
from harmonizer.inference.backends.run import Run
from harmonizer.inference.export import trace_network
from harmonizer.threads import limited_threads

_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


def run_with_openvino(network: nn.Module, input_size: tuple[int, int], dtype: torch.dtype) -> Run:
    """Prepare a network to be run by OpenVINO, in float32, or bfloat16 where there is hardware."""
    if dtype not in _PRECISIONS:
        raise InputError(f"the backend 'openvino' computes in float32 or bfloat16; got {dtype}")
    openvino = import_extra("openvino", "openvino")
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
