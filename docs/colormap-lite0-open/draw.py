"""Draw the pictures of the card: cases the network gets right and wrong, and the training's curve.

    pip install scikit-image
    python docs/colormap-lite0-open/draw.py [RUN ...]

The curve is drawn if the folders of the training runs are named, in their order. The photographs
are in the public domain and come with scikit-image: an astronaut (NASA), a cat (Stefan van der
Walt, CC0), a cup of coffee (Rachel Michetti, CC0).
"""

import csv
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer import Harmonizer
from harmonizer.evaluation import fmse
from harmonizer.imaging.drawing import lay_out
from harmonizer.training import TrainConfig

HERE = Path(__file__).parent
SIDE = 240
WIDTH, HEIGHT, MARGIN = 640, 300, 50  # of the curve
Picture: TypeAlias = NDArray[np.uint8]


def validations(runs: list[Path]) -> list[tuple[int, float]]:
    """Composites seen, and the share of their error that is left, at each validation."""
    points: list[tuple[int, float]] = []
    before = seen = 0
    for run in runs:
        batch = TrainConfig.from_toml(run / "config.toml").batch_size
        with (run / "validation.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                seen = before + int(row["step"]) * batch
                points.append((seen, float(row["fmse"]) / float(row["composite_fmse"])))
        before = seen
    return points


def curve(points: list[tuple[int, float]]) -> str:
    """The share of the error that is left, against composites seen, as an SVG."""
    end = points[-1][0]

    def place(seen: float, left: float) -> tuple[float, float]:
        x = MARGIN + seen / end * (WIDTH - 2 * MARGIN)
        return x, HEIGHT - MARGIN - (left - 0.2) / 0.25 * (HEIGHT - 2 * MARGIN)

    def text(x: float, y: float, what: object, anchor: str = "middle") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{what}</text>'

    parts: list[str] = []
    for left in (0.2, 0.25, 0.3, 0.35, 0.4, 0.45):
        _, y = place(0, left)
        parts.append(f'<path d="M{MARGIN} {y:.1f}H{WIDTH - MARGIN}" stroke="#ddd"/>')
        parts.append(text(MARGIN - 8, y + 4, left, "end"))
    for seen in range(0, end + 1, 20_000):
        x, y = place(seen, 0.2)
        parts.append(text(x, y + 18, f"{seen:,}"))
    path = " L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*point) for point in points))
    parts.append(f'<path d="M{path}" fill="none" stroke="#1565c0" stroke-width="2"/>')
    parts.append(text(WIDTH / 2, HEIGHT - 8, "composites seen"))
    parts.append(text(MARGIN, 24, "share of the foreground error left, validation", "start"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(parts)}</svg>\n"
    )


def cases() -> Iterator[tuple[str, Picture, Picture, Picture]]:
    """Name, composite, mask and real picture."""
    photographs: Any = import_module("skimage.data")
    astronaut, coffee, cat = photographs.astronaut(), photographs.coffee(), photographs.chelsea()
    person, cup, head = (np.zeros(one.shape[:2], np.uint8) for one in (astronaut, coffee, cat))
    outline = [(60, 511), (90, 330), (160, 250), (150, 90), (225, 10), (290, 60), (300, 220)]
    cv2.fillPoly(person, [np.array([*outline, (400, 300), (440, 511)])], (255,))
    cv2.ellipse(cup, (300, 195), (190, 150), 0, 0, 360, (255,), -1)
    cv2.ellipse(head, (225, 130), (120, 110), 0, 0, 360, (255,), -1)
    made: list[tuple[str, Picture, Picture, Any]] = [
        ("cooler", cat, head, lambda x: x * [0.75, 1.0, 1.3]),
        ("darker", coffee, cup, lambda x: x / 1.45),
        ("less colour", coffee, cup, lambda x: 0.4 * x + 0.6 * x.mean(2, keepdims=True)),
        ("hardly changed", astronaut, person, lambda x: x * [1.05, 1.0, 0.97]),
    ]
    for name, real, mask, change in made:
        changed = np.clip(change(real.astype(np.float64)), 0, 255)
        composite = np.where(mask[..., None] > 0, np.rint(changed), real).astype(np.uint8)
        yield name, composite, mask, real


def main() -> None:
    """Draw both."""
    if runs := [Path(name) for name in sys.argv[1:]]:
        (HERE / "curve.svg").write_text(curve(validations(runs)), encoding="utf-8")
    harmonizer = Harmonizer.from_pretrained(device="cpu")
    strips: list[Picture] = []
    titles: list[str] = []
    for name, composite, mask, real in cases():
        answer = harmonizer(composite, mask)
        before, after = (round(fmse(one, real, mask / 255)) for one in (composite, answer))
        titles.append(f"{name}: composite (fMSE {before}), mask, answer ({after}), real")
        cells = (
            cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            for one in (composite, mask, answer, real)
        )
        strips.append(lay_out([cell.astype(np.uint8) for cell in cells], 4))
    Image.fromarray(lay_out(strips, 1, titles=titles)).save(HERE / "cases.jpg", quality=90)


if __name__ == "__main__":
    main()
