"""Results as text: what a terminal shows."""

from collections.abc import Mapping, Sequence

from harmonizer.evaluation.published import TEST_COUNTS, Published
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
    notes: list[str] = []
    lines = [f"protocol {evaluation.protocol.name}: {evaluation.protocol.description}"]
    width = max(len(label) for label in evaluation.models) + 4
    for group in summaries[evaluation.models[0]]:
        count = int(summaries[evaluation.models[0]][group]["count"])
        lines += ["", f"{group}, {count:,} pictures"]
        lines.append(" " * width + "".join(f"{TITLES[metric]:>18}" for metric in METRICS))
        for label, summary in summaries.items():
            means = summary[group]
            cells = [f"{format_value(metric, means[metric]):>18}" for metric in METRICS]
            lines.append(f"{label:{width}}" + "".join(cells))
            for row in published.get(label, ()):
                if group not in row.values:
                    continue
                if row.source not in notes:
                    notes.append(row.source)
                title = f"  [{notes.index(row.source) + 1}]"
                cells = [_beside(row.values[group], means, metric) for metric in METRICS]
                lines.append(f"{title:{width}}" + "".join(f"{cell:>18}" for cell in cells))
    lines += [""] if notes else []
    lines += [f"[{number}] {source}" for number, source in enumerate(notes, start=1)]
    if notes and (text := incomplete(evaluation)):
        lines.append(text)
    return "\n".join(lines)


def incomplete(evaluation: Evaluation) -> str:
    """What to say if published means are over other pictures than these; empty if they are not."""
    counts = {
        group: int(values["count"])
        for group, values in evaluation.summary().items()
        if group in TEST_COUNTS
    }
    if counts == TEST_COUNTS:
        return ""
    return (
        f"Published means are over the {TEST_COUNTS['all']:,} pictures of iHarmony4's test lists, "
        f"these are over {counts['all']:,}: they cannot be compared."
    )


def _beside(published: Mapping[str, float], means: Mapping[str, float], metric: str) -> str:
    if metric not in published:
        return ""
    value, difference = published[metric], means[metric] - published[metric]
    return f"{format_value(metric, value)} ({difference:+.{DIGITS.get(metric, 2)}f})"
