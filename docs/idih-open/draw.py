"""Draw the pictures of the card: the curve of the training, and cases it gets right and wrong.

    pip install scikit-image
    python docs/idih-open/draw.py

The photographs are in the public domain and come with scikit-image: an astronaut (NASA), a cat
(Stefan van der Walt, CC0), a cup of coffee (Rachel Michetti, CC0).
"""

import csv
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer import Harmonizer
from harmonizer.evaluation import fmse
from harmonizer.imaging.drawing import LINE_HEIGHT, PAPER, write_line

HERE = Path(__file__).parent
SIDE = 240
Picture: TypeAlias = NDArray[np.uint8]
STAGES = ("stage-1", "stage-2", "stage-3", "stage-4")
BATCH = 16


def curve() -> str:
    """The share of the composites' error that is left, against composites seen, as an SVG."""
    width, height, margin = 640, 300, 50
    lines: list[str] = []
    points: list[tuple[float, float]] = []
    before = 0
    for stage in STAGES:
        with (HERE / f"{stage}-validation.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        points += [
            (before + int(row["step"]) * BATCH, float(row["fmse"]) / float(row["composite_fmse"]))
            for row in rows
        ]
        before += int(rows[-1]["step"]) * BATCH
    end = points[-1][0]

    def place(seen: float, left: float) -> tuple[float, float]:
        x = margin + seen / end * (width - 2 * margin)
        return x, height - margin - (left - 0.2) / 0.6 * (height - 2 * margin)

    for left in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        _, y = place(0, left)
        lines.append(f'<path d="M{margin} {y:.1f}H{width - margin}" stroke="#ddd"/>')
        lines.append(f'<text x="{margin - 8}" y="{y + 4:.1f}" text-anchor="end">{left}</text>')
    for seen in range(0, int(end) + 1, 200_000):
        x, y = place(seen, 0.2)
        lines.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{seen:,}</text>')
    path = " L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*point) for point in points))
    lines.append(f'<path d="M{path}" fill="none" stroke="#1565c0" stroke-width="2"/>')
    lines.append(
        f'<text x="{width / 2}" y="{height - 8}" text-anchor="middle">composites seen</text>'
        f'<text x="{margin}" y="24">share of the foreground error left, validation</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(lines)}</svg>\n"
    )


def cases() -> list[tuple[str, Picture, Picture, Picture]]:
    """Name, composite, mask and real picture."""
    photographs: Any = import_module("skimage.data")
    astronaut = photographs.astronaut()
    person = np.zeros((512, 512), np.uint8)
    outline = [(60, 511), (90, 330), (160, 250), (150, 90), (225, 10), (290, 60), (300, 220)]
    cv2.fillPoly(person, [np.array([*outline, (400, 300), (440, 511)])], (255,))
    coffee = photographs.coffee()
    cup = np.zeros(coffee.shape[:2], np.uint8)
    cv2.ellipse(cup, (300, 195), (190, 150), 0, 0, 360, (255,), -1)
    cat = photographs.chelsea()
    head = np.zeros(cat.shape[:2], np.uint8)
    cv2.ellipse(head, (225, 130), (120, 110), 0, 0, 360, (255,), -1)
    made: list[tuple[str, Picture, Picture, Any]] = [
        ("cooler", cat, head, lambda x: x * [0.75, 1.0, 1.3]),
        ("darker", coffee, cup, lambda x: x / 1.45),
        ("less colour", coffee, cup, lambda x: 0.4 * x + 0.6 * x.mean(2, keepdims=True)),
        ("hardly changed", astronaut, person, lambda x: x * [1.05, 1.0, 0.97]),
    ]
    found: list[tuple[str, Picture, Picture, Picture]] = []
    for name, real, mask, change in made:
        changed = np.clip(change(real.astype(np.float64)), 0, 255)
        weight = mask[..., None] / 255
        composite = np.rint(real * (1 - weight) + changed * weight).astype(np.uint8)
        found.append((name, composite, mask, real))
    return found


def main() -> None:
    """Draw both."""
    (HERE / "curve.svg").write_text(curve(), encoding="utf-8")
    harmonizer = Harmonizer.from_pretrained(device="cpu")
    rows: list[Picture] = []
    for name, composite, mask, real in cases():
        answer = harmonizer(composite, mask)
        grey = cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB)
        strip = np.hstack(
            [
                cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                for picture in (composite, grey, answer, real)
            ]
        )
        line = np.full((LINE_HEIGHT, strip.shape[1], 3), PAPER, np.uint8)
        before, after = (round(fmse(picture, real, mask / 255)) for picture in (composite, answer))
        write_line(line, f"{name}: composite (fMSE {before}), mask, answer ({after}), real")
        rows += [line, strip.astype(np.uint8)]
    Image.fromarray(np.vstack(rows)).save(HERE / "cases.jpg", quality=90)


if __name__ == "__main__":
    main()
