"""Run a network by torch, on any device."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harmonizer.inference.backends.run import Run
from harmonizer.inference.folding import fold_batch_norm
from harmonizer.threads import survive_forks


def run_with_torch(network: nn.Module, device: torch.device, dtype: torch.dtype) -> Run:
    """Prepare a network to be run by torch.

    The picture itself stays float32 whatever the dtype of the arithmetic, and so does its blending
    with what the network predicts.
    """
    survive_forks()
    ready = fold_batch_norm(network).to(device, dtype)
    ready.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    reduced = dtype != torch.float32

    def run(images: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype, enabled=reduced),
        ):
            inputs = [
                torch.from_numpy(array).to(device).contiguous(memory_format=torch.channels_last)
                for array in (images, masks)
            ]
            return ready(*inputs).float().cpu().numpy()

    return run
