"""Draw what docs/choosing-a-model.md shows: `python docs/images/draw_composites.py`.

    pip install scikit-image

Composites of photographs in the public domain, as scikit-image has them (an astronaut, a launch and
a deep field by NASA; a cat by Stefan van der Walt and a cup of coffee by Rachel Michetti, CC0):
some of them through every way that runs without a download, and all of them through the bundled
network.
"""

from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer import Harmonizer, compose
from harmonizer.evaluation.baselines import BASELINES
from harmonizer.imaging.drawing import lay_out

HERE = Path(__file__).parent
ASTRONAUT = HERE.parents[1] / "harmonizer" / "demo" / "example" / "astronaut.webp"
WIDTH, HEIGHT = 240, 180
# What is pasted where, and whether it goes through every way, too: the cut-out, the background, the
# centre as shares of its width and height, and the cut-out's height as a share of it.
SCENES = [
    ("skin: a studio into a launch at dusk", "astronaut", "rocket", 0.3, 0.6, 0.8, True),
    ("fur: a room into a launch at dusk", "cat", "rocket", 0.2, 0.5, 1.0, True),
    ("warm into cold: a cup into a dusk", "cup", "rocket", 0.3, 0.68, 0.5, True),
    ("indoor to indoor: a cat at a table", "cat", "coffee", 0.2, 0.5, 1.0, True),
    ("food: a cup in a studio", "cup", "astronaut", 0.25, 0.75, 0.45, True),
    ("a cat in a studio", "cat", "astronaut", 0.15, 0.5, 1.0, False),
    ("a cup before a cat", "cup", "chelsea", 0.3, 0.75, 0.45, False),
    ("a person before a cat", "astronaut", "chelsea", 0.22, 0.6, 0.8, False),
    ("day into night: among galaxies", "astronaut", "hubble_deep_field", 0.5, 0.6, 0.8, False),
    ("a cup among galaxies", "cup", "hubble_deep_field", 0.5, 0.5, 0.6, False),
]
Picture: TypeAlias = NDArray[np.uint8]


def cut(picture: Picture, mask: Picture) -> Picture:
    """Cut out what is white in a mask, with soft edges: RGB with alpha."""
    alpha = cv2.GaussianBlur(mask, (0, 0), 1.0).astype(np.uint8)
    rows, columns = np.nonzero(alpha)
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    return np.dstack([picture, alpha])[box]


def cat(picture: Picture) -> Picture:
    """Cut out the head, which the photograph's upper and lower borders cut, too."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    left = [(40, 0), (30, 60), (45, 85), (40, 120), (34, 180), (20, 230), (20, 299)]
    right = [(280, 299), (310, 255), (345, 190), (362, 130), (356, 80), (346, 40), (335, 0)]
    cv2.fillPoly(mask, [np.array(left + right)], (255,))
    return cut(picture, mask)


def cup(picture: Picture) -> Picture:
    """Cut out cup, saucer and spoon."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.ellipse(mask, (278, 222), (200, 165), 8, 0, 360, (255,), -1)
    cv2.ellipse(mask, (287, 112), (113, 93), 0, 0, 360, (255,), -1)
    cv2.fillPoly(
        mask, [np.array([(390, 160), (405, 70), (414, 66), (422, 72), (412, 130)])], (255,)
    )
    return cut(picture, mask)


def scenes() -> list[tuple[str, Picture, Picture, bool]]:
    """Title, composite, mask, and whether it goes through every way."""
    photographs: Any = import_module("skimage.data")
    cutouts: dict[str, Picture] = {
        "astronaut": np.asarray(Image.open(ASTRONAUT)),
        "cat": cat(photographs.chelsea()),
        "cup": cup(photographs.coffee()),
    }
    made: list[tuple[str, Picture, Picture, bool]] = []
    for title, name, below, x, y, tall, everywhere in SCENES:
        photograph: Picture = getattr(photographs, below)()
        height, width = photograph.shape[:2]
        ratio = max(2 * WIDTH / width, 2 * HEIGHT / height)
        large = cv2.resize(photograph, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        top, left = (large.shape[0] - 2 * HEIGHT) // 2, (large.shape[1] - 2 * WIDTH) // 2
        background = large[top : top + 2 * HEIGHT, left : left + 2 * WIDTH].astype(np.uint8)
        scale = tall * 2 * HEIGHT / cutouts[name].shape[0]
        rows, columns = (side * scale / 2 for side in cutouts[name].shape[:2])
        place = round(x * 2 * WIDTH - columns), round(y * 2 * HEIGHT - rows)
        composite, mask = compose(cutouts[name], np.ascontiguousarray(background), place, scale)
        made.append((title, composite, mask, everywhere))
    return made


def reduced(picture: Any) -> Picture:  # noqa: ANN401 - what a way returned
    """A cell of a sheet."""
    small = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8)


def main() -> None:
    """Draw both sheets."""
    network = Harmonizer.from_pretrained(device="cpu")
    ways: dict[str, Any] = {"composite": BASELINES["composite"], "bundled network": network}
    ways |= {name: way for name, way in BASELINES.items() if name != "composite"}
    cells: list[Picture] = []
    strips: list[Picture] = []
    titles: list[str] = []
    for title, composite, mask, everywhere in scenes():
        answer = reduced(network(composite, mask))
        strips.append(lay_out([reduced(composite), answer], 2, gap=4))
        titles.append(title)
        if everywhere:
            cells += [reduced(way(composite, mask)) for way in ways.values()]
    heads = [*ways, *[""] * (len(cells) - len(ways))]
    sheet = lay_out(cells, len(ways), titles=heads, gap=4)
    Image.fromarray(sheet).save(HERE / "ways.jpg", quality=85, optimize=True)
    gallery = lay_out(strips, 2, titles=titles, gap=12)
    Image.fromarray(gallery).save(HERE / "gallery.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main()
