"""Results as text: what a terminal shows."""

from collections.abc import Iterable, Mapping, Sequence

from harmonizer.evaluation.published import Published, missing_pictures
from harmonizer.evaluation.results import METRICS, Evaluation

TITLES: Mapping[str, str] = {
    "mse": "MSE",
    "psnr": "PSNR",
    "fmse": "fMSE",
    "fpsnr": "fPSNR",
    "ssim": "SSIM",
    "fssim": "fSSIM",
}
DIGITS: Mapping[str, int] = {"ssim": 4, "fssim": 4}  # the others have two


def format_value(metric: str, value: float) -> str:
    """A metric's value as tables show it."""
    return f"{value:.{DIGITS.get(metric, 2)}f}"


def format_tables(
    evaluation: Evaluation, published: Mapping[str, Sequence[Published]] | None = None
) -> str:
    """Lay the means out, a table for each group of pictures, published rows below measured ones.

    Args:
        evaluation: The results.
        published: For labels of models, what was published of them.

    Returns:
        Lines of text. A published row gives its value and, in brackets, by how much the measured
        one is above it.
    """
    summaries = {label: evaluation.summary(label) for label in evaluation.models}
    published = published or {}
    column = 18 if any(published.values()) else 10
    first = max(len(label) for label in evaluation.models) + 2

    def line(title: str, cells: Iterable[str]) -> str:
        return (f"{title:{first}}" + "".join(f"{cell:>{column}}" for cell in cells)).rstrip()

    notes: list[str] = []
    lines = [f"protocol {evaluation.protocol.name}: {evaluation.protocol.description}"]
    for group, of_first in summaries[evaluation.models[0]].items():
        count = int(of_first["count"])
        lines += ["", f"{group}, {count:,} picture{'s' if count > 1 else ''}"]
        lines.append(line("", (TITLES[metric] for metric in METRICS)))
        for label, summary in summaries.items():
            means = summary[group]
            lines.append(line(label, (format_value(metric, means[metric]) for metric in METRICS)))
            for row in published.get(label, ()):
                if group not in row.values:
                    continue
                if row.source not in notes:
                    notes.append(row.source)
                cells = [_beside(row.values[group], means, metric) for metric in METRICS]
                lines.append(line(f"  [{notes.index(row.source) + 1}]", cells))
    if notes:
        lines.append("")
    lines += [f"[{number}] {source}" for number, source in enumerate(notes, start=1)]
    if notes and (text := missing_pictures(evaluation)):
        lines.append(text)
    return "\n".join(lines)


def _beside(published: Mapping[str, float], means: Mapping[str, float], metric: str) -> str:
    if metric not in published:
        return ""
    value, difference = published[metric], means[metric] - published[metric]
    return f"{format_value(metric, value)} ({difference:+.{DIGITS.get(metric, 2)}f})"
