"""Published results, to stand beside measured ones.

Those of the models are in the manifest; here are those of leaving composites as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harmonizer.data import IHARMONY4_PARTS
from harmonizer.evaluation.methods import Method, Network, Untouched
from harmonizer.evaluation.protocols import FOREGROUND_BINS, FULL_RESOLUTION, PAPER
from harmonizer.evaluation.results import ALL, Evaluation

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


def published_results(
    evaluation: Evaluation, methods: Sequence[Method]
) -> dict[str, list[Published]]:
    """What was published of models by the same protocol and on the same data.

    Returns:
        For each label, the published rows; those that a paper gives for one way of training are
        one. Only iHarmony4 has any: for the parts that were evaluated, and over all of them if they
        all were.
    """
    groups = _comparable_groups(evaluation)
    results: dict[str, list[Published]] = {}
    for method in methods:
        rows = [
            Published(row.source, {key: row.values[key] for key in row.values if key in groups})
            for row in _all_of(method, evaluation.protocol.name)
        ]
        results[method.label] = [row for row in rows if row.values]
    return results


def missing_pictures(evaluation: Evaluation) -> str:
    """What to say if iHarmony4's test lists were not evaluated as a whole; empty if they were."""
    summary = evaluation.summary()
    groups = _comparable_groups(evaluation) & TEST_COUNTS.keys()
    short = [group for group in groups if summary[group]["count"] != TEST_COUNTS[group]]
    if not short:
        return ""
    listed = ", ".join(
        f"{group} {summary[group]['count']:,.0f} of {TEST_COUNTS[group]:,}"
        for group in sorted(short)
    )
    return (
        "Published means are over all of iHarmony4's test lists, these are over a part of them and "
        f"cannot be compared: {listed} pictures."
    )


def _comparable_groups(evaluation: Evaluation) -> set[str]:
    parts = {row.part for row in evaluation.rows}
    if not parts <= set(IHARMONY4_PARTS):
        return set()
    return parts | ({*FOREGROUND_BINS, ALL} if len(parts) == len(IHARMONY4_PARTS) else set())


def _all_of(method: Method, protocol: str) -> list[Published]:
    if isinstance(method, Untouched):
        return [_COMPOSITE[protocol]] if protocol in _COMPOSITE else []
    by_source: dict[str, dict[str, Mapping[str, float]]] = {}
    for metric in method.model.info.metrics if isinstance(method, Network) else ():
        name, _, _ = str(metric["protocol"]).partition(":")
        if metric["data"] == "iHarmony4 test set" and name == protocol:
            by_source.setdefault(_source(metric), {}).update(metric["values"])
    return [Published(source, values) for source, values in by_source.items()]


def _source(metric: Mapping[str, Any]) -> str:
    """Who published a row and, if it says so, how that model was trained."""
    who, _, _ = str(metric["source"]).partition(", table")
    training = metric.get("training")
    return f"{who}; {training}" if training else who
