"""Published results, to stand beside measured ones.

Those of the models are in the manifest; here are those of leaving composites as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harmonizer.evaluation.methods import Method
from harmonizer.evaluation.protocols import FULL_RESOLUTION, PAPER, Protocol
from harmonizer.evaluation.results import ALL

# Pictures in iHarmony4's test lists (paper, section 4.1); published means are over all of them.
TEST_COUNTS: Mapping[str, int] = {
    "HCOCO": 4283,
    "HFlickr": 828,
    "HAdobe5k": 2160,
    "Hday2night": 133,
    ALL: 7404,
}


@dataclass(frozen=True)
class Published:
    """One row of a published table.

    Attributes:
        source: Where it stands.
        values: For each part, interval of foreground shares and `all`, the metrics that it gives.
    """

    source: str
    values: Mapping[str, Mapping[str, float]]


_COMPOSITE = {
    PAPER.name: Published(
        "DoveNet (https://arxiv.org/abs/1911.13239), input composites",
        {
            "HCOCO": {"mse": 69.37, "psnr": 33.94},
            "HAdobe5k": {"mse": 345.54, "psnr": 28.16},
            "HFlickr": {"mse": 264.35, "psnr": 28.32},
            "Hday2night": {"mse": 109.65, "psnr": 34.01},
            ALL: {"mse": 172.47, "psnr": 31.63, "fmse": 1387.30},
        },
    ),
    FULL_RESOLUTION.name: Published(
        "PCT-Net (Guerreiro et al., 2023), composites",
        {ALL: {"mse": 178.0, "fmse": 1462.0, "psnr": 31.39, "ssim": 0.979}},
    ),
}


def published_results(method: Method, protocol: Protocol) -> list[Published]:
    """What was published of a model, or of leaving the composite, by one protocol.

    Args:
        method: The model or baseline.
        protocol: How it is measured.

    Returns:
        The rows, those that a paper gives for one way of training as one.
    """
    if method.kind == "baseline":
        row = _COMPOSITE.get(protocol.name) if method.label == "composite" else None
        return [] if row is None else [row]
    if method.info is None:
        return []
    by_source: dict[str, dict[str, Mapping[str, float]]] = {}
    for metric in method.info.metrics:
        name, _, _ = str(metric["protocol"]).partition(":")
        if metric["data"] == "iHarmony4 test set" and name == protocol.name:
            by_source.setdefault(_source(metric), {}).update(metric["values"])
    return [Published(source, values) for source, values in by_source.items()]


def _source(metric: Mapping[str, Any]) -> str:
    """Who published a row and, if it says so, how that model was trained."""
    who, _, _ = str(metric["source"]).partition(", table")
    training = metric.get("training")
    return f"{who}; {training}" if training else who
