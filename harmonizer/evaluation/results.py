"""What came out of an evaluation: a row for each picture, and their means."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from harmonizer.errors import InputError
from harmonizer.evaluation.protocols import FOREGROUND_BINS, Protocol, Scores

METRICS = Scores._fields
ALL = "all"


@dataclass(frozen=True, slots=True)
class Row:
    """One picture, harmonized by one model.

    Attributes:
        index: The picture's place in the dataset.
        model: The model's label.
        name: The picture's name.
        part: The part of the dataset that it belongs to; empty if there are none.
        width: Of the picture as it was measured.
        height: Of the picture as it was measured.
        foreground: Share of its pixels whose mask is above a half.
        mse: As in `Scores`, and so the others.
        psnr: In decibels.
        fmse: Over the foreground.
        fpsnr: Over the foreground, in decibels.
        ssim: Up to 1.
        fssim: Over the foreground, up to 1.
    """

    index: int
    model: str
    name: str
    part: str
    width: int
    height: int
    foreground: float
    mse: float
    psnr: float
    fmse: float
    fpsnr: float
    ssim: float
    fssim: float


@dataclass(frozen=True)
class Evaluation:
    """The results of one protocol on one dataset.

    Attributes:
        protocol: How it was measured.
        models: The labels, in the order in which they were given.
        rows: A row for each picture and model, in the dataset's order.
        skipped: What was left out, and why.
    """

    protocol: Protocol
    models: tuple[str, ...]
    rows: tuple[Row, ...]
    skipped: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Name protocol and models, and count the rows: there may be thousands."""
        models = ", ".join(self.models)
        left_out = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"Evaluation({self.protocol.name}: {models}; {len(self.rows)} rows{left_out})"

    def of(self, model: str | None = None) -> list[Row]:
        """The rows of one model.

        Args:
            model: Its label; None is the first one.

        Raises:
            InputError: There is none with this label.
        """
        label = self.models[0] if model is None else model
        if label not in self.models:
            raise InputError(f"{', '.join(self.models)} were evaluated; got {label!r}")
        return [row for row in self.rows if row.model == label]

    def summary(self, model: str | None = None) -> dict[str, dict[str, float]]:
        """Means over the pictures.

        Args:
            model: As for `of`.

        Returns:
            For each part of the dataset, each interval of foreground shares and `all`: the mean of
            each metric and the `count` of pictures. What holds no picture is left out. A share of
            exactly 5 % or 15 % counts in both of its intervals, as in the released evaluation.

        Raises:
            InputError: As for `of`.
        """
        return {
            group: {"count": len(rows), **_means(rows)} for group, rows in _groups(self.of(model))
        }

    def to_json(self) -> dict[str, Any]:
        """The protocol, the means and what was left out, fit for `json.dumps`."""
        return {
            "protocol": asdict(self.protocol),
            "models": {label: self.summary(label) for label in self.models},
            "skipped": list(self.skipped),
        }


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    parts = dict.fromkeys(row.part for row in rows if row.part)
    for part in parts:
        yield part, [row for row in rows if row.part == part]
    for name, (low, high) in FOREGROUND_BINS.items():
        within = [row for row in rows if low <= row.foreground <= high]
        if within:
            yield name, within
    if rows:
        yield ALL, list(rows)


def _means(rows: Sequence[Row]) -> Mapping[str, float]:
    values = np.array([[getattr(row, metric) for metric in METRICS] for row in rows], np.float64)
    return dict(zip(METRICS, map(float, values.mean(axis=0)), strict=True))
