"""GPUs give what the CPU gives, where there are some."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import box_mask

from harmonizer import Harmonizer

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@needs_cuda
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_reduced_precision_on_cuda_is_close(dtype: str, composite: Any, mask: Any) -> None:
    full = Harmonizer.from_pretrained(device="cuda", dtype="float32")
    reduced = Harmonizer.from_pretrained(device="cuda", dtype=dtype)
    difference = np.abs(reduced.predict(composite, mask) - full.predict(composite, mask))
    assert 0 < difference.max() < 3  # grey levels of 255


@needs_cuda
def test_a_batch_on_cuda_agrees_with_the_cpu(tmp_path: Path, noise: Any, model: Harmonizer) -> None:
    on_cuda = Harmonizer.from_pretrained(device="cuda")
    sizes = [(64, 80), (300, 200), (700, 900), (33, 77)] * 4
    images = [noise(*size, seed=index) for index, size in enumerate(sizes)]
    masks = [box_mask(*size) for size in sizes]
    results = on_cuda.harmonize_batch(images, masks, batch_size=4)
    for image, plane, result in zip(images, masks, results, strict=True):
        assert np.abs(result.astype(int) - model(image, plane)).max() <= 1


@needs_cuda
def test_moving_keeps_the_answers(composite: Any, mask: Any, model: Harmonizer) -> None:
    moved = Harmonizer.from_pretrained(device="cuda").to("cpu")
    assert np.array_equal(moved(composite, mask), model(composite, mask))


@needs_cuda
def test_cuda_agrees_with_the_cpu(composite: Any, mask: Any, model: Harmonizer) -> None:
    on_cuda = Harmonizer.from_pretrained(device="cuda")
    assert on_cuda.device.type == "cuda"
    difference = on_cuda(composite, mask).astype(int) - model(composite, mask)
    assert np.abs(difference).max() <= 1
    tensor = torch.from_numpy(composite.copy()).permute(2, 0, 1).cuda()
    assert on_cuda(tensor, mask).device.type == "cuda"


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs a Mac's GPU")
def test_mps_agrees_with_the_cpu(composite: Any, mask: Any, model: Harmonizer) -> None:
    on_mps = Harmonizer.from_pretrained(device="mps")
    difference = on_mps(composite, mask).astype(int) - model(composite, mask)
    assert np.abs(difference).max() <= 1
