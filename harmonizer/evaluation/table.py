"""Means as tables, for a terminal and for the page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harmonizer.evaluation.protocols import FOREGROUND_BINS
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
DIGITS: Mapping[str, int] = {metric: 4 if "ssim" in metric else 2 for metric in METRICS}


@dataclass(frozen=True)
class Line:
    """A model's means, or a published row of it."""

    label: str  # the model's
    cells: Sequence[str]  # for each metric; a published one has the difference in brackets
    best: Sequence[bool]  # for each metric, whether no other model's is better
    source: int | None = None  # the number of a published row's source, from 1


@dataclass(frozen=True)
class Table:
    """The means over one group of pictures; published rows stand below the model's own line."""

    group: str  # a part of the dataset, an interval of foreground shares, or `all`
    title: str
    lines: Sequence[Line]


def lay_tables(
    evaluation: Evaluation, published: Mapping[str, Sequence[Published]]
) -> tuple[list[Table], list[str]]:
    """Lay the means out, a table for each group; return the tables and the published sources."""
    summaries = {label: evaluation.summary(label) for label in evaluation.models}
    sources: list[str] = []
    tables: list[Table] = []
    for group, first in summaries[evaluation.models[0]].items():
        columns = {key: [one[group][key] for one in summaries.values()] for key in METRICS}
        best = {key: (min if "mse" in key else max)(column) for key, column in columns.items()}
        lines: list[Line] = []
        for label, summary in summaries.items():
            means = summary[group]
            cells = [f"{means[metric]:.{DIGITS[metric]}f}" for metric in METRICS]
            lines.append(Line(label, cells, [means[one] == best[one] for one in METRICS]))
            for row in published.get(label, ()):
                if group not in row.values:
                    continue
                if row.source not in sources:
                    sources.append(row.source)
                cells = [_beside(row.values[group], means, metric) for metric in METRICS]
                number = sources.index(row.source) + 1
                lines.append(Line(label, cells, [False for _ in METRICS], number))
        count = int(first["count"])
        of = "foreground " if group in FOREGROUND_BINS else ""
        title = f"{of}{group}, {count:,} picture{'s' if count > 1 else ''}"
        tables.append(Table(group, title, lines))
    return tables, sources


def _beside(published: Mapping[str, float], means: Mapping[str, float], metric: str) -> str:
    if metric not in published:
        return ""
    value, digits = published[metric], DIGITS[metric]
    return f"{value:.{digits}f} ({means[metric] - value:+.{digits}f})"


def format_tables(
    evaluation: Evaluation, published: Mapping[str, Sequence[Published]] | None = None
) -> str:
    """Return the tables of `lay_tables` and the sources as lines of text."""
    tables, sources = lay_tables(evaluation, published or {})
    column = 18 if sources else 10
    first = max(len(label) for label in evaluation.models) + 2

    def line(title: str, cells: Iterable[str]) -> str:
        return (f"{title:{first}}" + "".join(f"{cell:>{column}}" for cell in cells)).rstrip()

    lines = [f"protocol {evaluation.protocol.name}: {evaluation.protocol.description}"]
    for table in tables:
        lines += ["", table.title, line("", (TITLES[metric] for metric in METRICS))]
        for one in table.lines:
            lines.append(line(f"  [{one.source}]" if one.source else one.label, one.cells))
    if sources:
        lines += ["", *(f"[{number}] {source}" for number, source in enumerate(sources, start=1))]
        lines += filter(None, [missing_pictures(evaluation)])
    return "\n".join(lines)
