"""One page to look at: tables, distributions, and the best, median and worst cases."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer._version import __version__
from harmonizer.data import Triplet, TripletDataset
from harmonizer.evaluation.methods import Method
from harmonizer.evaluation.metrics import Array
from harmonizer.evaluation.published import Published, missing_pictures
from harmonizer.evaluation.results import METRICS, Evaluation, Row
from harmonizer.evaluation.table import DIGITS, TITLES, lay_tables
from harmonizer.files import write_atomically
from harmonizer.imaging.drawing import preview

PAGE = "index.html"
_SIDE = 360  # longest side of a picture on the page, in pixels
_FULL_ERROR = 64  # grey levels of 255: what the error map's brightest colour stands for
_CASES = 2  # pictures of each kind


def write_report(
    evaluation: Evaluation,
    dataset: TripletDataset,
    methods: Sequence[Method],
    folder: Path,
    *,
    published: Mapping[str, Sequence[Published]] | None = None,
) -> Path:
    """Write `index.html`, which holds all that it shows and needs no connection; return its path.

    The pictures are harmonized again for it, the few that it shows. The folder is made if it is not
    there; `published` is what was published of models, by their labels.

    Raises:
        InputError: A picture can no longer be read.
        OSError: The page cannot be written.
    """
    pictures: dict[int, dict[str, str]] = {}
    cases: list[dict[str, Any]] = []
    for method in methods:
        for kind, row in _choose(evaluation.of(method.label)):
            triplet = evaluation.protocol.prepare(dataset[row.index], row.part)
            answer = method.harmonize(triplet)
            shared = {"composite": _encode(triplet.composite), "real": _encode(triplet.real)}
            pictures.setdefault(row.index, shared)
            cases.append(_case(kind, row, triplet, answer))
    page = _fill_template(_data(evaluation, published or {}, pictures, cases))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PAGE
    write_atomically(path, page)
    return path


def _choose(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """The pictures with the lowest, middle and highest error in the foreground; each once."""
    ordered = sorted(rows, key=lambda row: row.fmse)
    middle = max(0, (len(ordered) - _CASES) // 2)
    wanted = {
        "best": ordered[:_CASES],
        "median": ordered[middle : middle + _CASES],
        "worst": ordered[::-1][:_CASES],
    }
    chosen: dict[int, tuple[str, Row]] = {}
    for kind, some in wanted.items():
        for row in some:
            chosen.setdefault(row.index, (kind, row))
    return list(chosen.values())


def _case(kind: str, row: Row, triplet: Triplet, answer: NDArray[np.float32]) -> dict[str, Any]:
    error = np.abs(answer - triplet.real.astype(np.float32)).mean(axis=2)
    level = np.rint(error * (255 / _FULL_ERROR)).clip(0, 255).astype(np.uint8)
    coloured = np.asarray(cv2.applyColorMap(level, cv2.COLORMAP_INFERNO), np.uint8)[..., ::-1]
    return {
        "kind": kind,
        "model": row.model,
        "index": row.index,
        "name": row.name,
        "fmse": row.fmse,
        "answer": _encode(np.rint(answer).astype(np.uint8)),
        "error": _encode(coloured),
    }


def _encode(image: Array) -> str:
    """A small JPEG as a data URI."""
    bgr = np.ascontiguousarray(preview(image, _SIDE, _SIDE)[..., ::-1])
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def _data(
    evaluation: Evaluation,
    published: Mapping[str, Sequence[Published]],
    pictures: Mapping[int, Mapping[str, str]],
    cases: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    rows = {label: evaluation.of(label) for label in evaluation.models}
    first = rows[evaluation.models[0]]
    tables, sources = lay_tables(evaluation, published)
    return {
        "version": __version__,
        "protocol": {
            "name": evaluation.protocol.name,
            "description": evaluation.protocol.description,
            "source": evaluation.protocol.source,
        },
        "models": evaluation.models,
        "metrics": [{"key": key, "title": TITLES[key], "digits": DIGITS[key]} for key in METRICS],
        "tables": [asdict(table) for table in tables],
        "sources": sources,
        "note": missing_pictures(evaluation) if sources else "",
        "names": [row.name for row in first],
        "foreground": [_short(row.foreground) for row in first],
        "values": {
            label: {key: [_short(getattr(row, key)) for row in some] for key in METRICS}
            for label, some in rows.items()
        },
        "full_error": _FULL_ERROR,
        "pictures": pictures,
        "cases": cases,
        "skipped": evaluation.skipped,
    }


def _short(value: float) -> float:
    """Enough digits for a drawing."""
    return float(f"{value:.5g}")


def _fill_template(data: Mapping[str, Any]) -> str:
    template = resources.files("harmonizer.evaluation") / "report.html"
    # Inside of a script, nothing may look like the script's end.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return template.read_text("utf-8").replace("DATA_GOES_HERE", text)
