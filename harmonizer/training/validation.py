"""How good a network is during training, on pictures that it does not learn from."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from harmonizer.data import Triplet
from harmonizer.evaluation.metrics import Array, decibels, foreground_mean, squared_errors
from harmonizer.imaging.drawing import lay_out
from harmonizer.preprocessing import Preprocessing

COLUMNS = ("mse", "fmse", "psnr", "composite_fmse", "share_worse")
_BATCH = 16  # pictures at a time


def predict(
    network: nn.Module,
    triplets: Sequence[Triplet],
    preprocessing: Preprocessing,
    device: torch.device,
) -> list[Array]:
    """Return the network's answers, (H, W, 3), float32, from 0 to 255, in evaluation mode."""
    images = np.stack([preprocessing.to_network(one.composite, 255) for one in triplets])
    masks = np.stack([one.mask[None] for one in triplets]).astype(np.float32)
    with torch.inference_mode():
        answers = network(torch.from_numpy(images).to(device), torch.from_numpy(masks).to(device))
    return [preprocessing.from_network(answer, 255) for answer in answers.float().cpu().numpy()]


def validate(
    network: nn.Module,
    triplets: Sequence[Triplet],
    preprocessing: Preprocessing,
    device: torch.device,
) -> Mapping[str, float]:
    """Measure a network, in evaluation mode, as the paper does, at the training size.

    Returns:
        Means over the pictures: `mse`, `fmse` and `psnr` of the answers, `composite_fmse` of the
        untouched composites, and `share_worse`, the share of pictures whose fMSE rose.
    """
    rows: list[tuple[float, ...]] = []
    for start in range(0, len(triplets), _BATCH):
        part = triplets[start : start + _BATCH]
        for one, answer in zip(part, predict(network, part, preprocessing, device), strict=True):
            # Of a network that has diverged, NaN: the run itself says so.
            errors, unchanged = (
                squared_errors(image, one.real) for image in (answer, one.composite)
            )
            whole, error = float(errors.mean()), foreground_mean(errors, one.mask)
            before = foreground_mean(unchanged, one.mask)
            ratio = decibels(whole, float(one.real.max()))
            rows.append((whole, error, ratio, before, error > before))
    means = np.mean(np.array(rows, np.float64), axis=0)
    return dict(zip(COLUMNS, map(float, means), strict=True))


def draw_panel(triplets: Sequence[Triplet], answers: Sequence[Array]) -> Array:
    """Draw composite, mask, answer and real picture beside each other, a row for each triplet.

    Returns:
        uint8, RGB.
    """
    cells: list[Array] = []
    for one, answer in zip(triplets, answers, strict=True):
        grey, rounded = np.rint(one.mask * 255), np.rint(answer)
        cells += [one.composite, grey.astype(np.uint8), rounded.astype(np.uint8), one.real]
    return lay_out(cells, 4)
