"""Run a network by ONNX Runtime, on the CPU."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harmonizer.errors import InputError
from harmonizer.inference.backends.run import Run
from harmonizer.inference.export import import_onnxruntime, to_onnx
from harmonizer.inference.graph import IMAGE, MASK
from harmonizer.threads import limited_threads


def run_with_onnx(network: nn.Module, input_size: tuple[int, int], dtype: torch.dtype) -> Run:
    """Prepare a network to be run by ONNX Runtime, in float32, at a height and width."""
    if dtype != torch.float32:
        raise InputError(f"the backend 'onnx' computes in float32; got dtype={dtype}")
    onnxruntime = import_onnxruntime()
    model = to_onnx(network, input_size).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = limited_threads() or 0
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(images: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        (answer,) = session.run(None, {IMAGE: images, MASK: masks})
        return answer

    return run
