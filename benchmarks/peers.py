"""How long others take for what the bundled model does.

    python benchmarks/peers.py [--megapixels 1 12] [--rounds 5]

One picture, array to array, a quarter of it foreground; processor time of one thread as a ratio to
the bundled model's, the median of rounds in which they take turns. The others are the classical
methods that `harmonizer evaluate` compares with, and `idih` as research code runs it: plain eager
PyTorch at 256 x 256, its answer stretched over the picture.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import cv2
import numpy as np
import torch
from made_up import make_picture, sides
from numpy.typing import NDArray
from torch import nn

from harmonizer import Harmonizer, model_info
from harmonizer.evaluation.baselines import BASELINES
from harmonizer.networks import build_network
from harmonizer.preprocessing import Preprocessing
from harmonizer.threads import set_threads

OURS = "the bundled model"
Pixels = NDArray[np.uint8]


def stretched(network: nn.Module, like: Preprocessing, image: Pixels, mask: Pixels) -> Pixels:
    """Harmonize as research code does."""
    height, width = image.shape[:2]
    small = torch.from_numpy(like.to_network(like.resize(image), 255))[None]
    plane = torch.from_numpy(like.resize(mask).astype(np.float32) / 255)[None, None]
    with torch.inference_mode():
        answer = network(small, plane)[0].numpy()
    large = cv2.resize(like.from_network(answer, 255), (width, height))
    share = mask[..., None].astype(np.float32) / 255
    return np.rint(image + share * (large - image)).astype(np.uint8)


def ways() -> Mapping[str, Callable[[Pixels, Pixels], object]]:
    """What is measured, by its label."""
    info = model_info("idih")
    network = build_network("idih").eval()
    return {
        OURS: Harmonizer.from_pretrained(device="cpu"),
        "`idih`, plain PyTorch": partial(stretched, network, info.preprocessing),
        **{f"`{name}`": method for name, method in BASELINES.items() if name != "composite"},
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Measure how long others take.")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 12])
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    set_threads(1)
    compared = ways()
    columns: list[dict[str, float]] = []
    for megapixels in chosen.megapixels:
        image, mask = make_picture(*sides(megapixels))
        times: dict[str, list[float]] = {label: [] for label in compared}
        for _ in range(chosen.rounds):
            for label, harmonize in compared.items():
                start = time.process_time()
                harmonize(image, mask)
                times[label].append(time.process_time() - start)
        columns.append({label: statistics.median(values) for label, values in times.items()})
    print("| |", *(f"{one:g} megapixels |" for one in chosen.megapixels))
    print("|---|", *("---:|" for _ in columns))
    for label in compared:
        print(f"| {label} |", *(f"{one[label] / one[OURS]:.1f} |" for one in columns))


if __name__ == "__main__":
    main()
