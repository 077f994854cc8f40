"""How fast training data is made, where the time goes, and what the composites are like.

    python benchmarks/data.py [--photos photos.csv --split val --group dataset] [--epochs 3]
        [--illuminants patches.csv]

Without `--photos`, on photographs made up here. Times are of one core (CPU seconds, OpenCV on one
thread) with decoded photographs in memory.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from made_up import write_picture

from harmonizer.data import (
    Augmentation,
    CompositeSynthesizer,
    EditStrengths,
    PhotoDataset,
    Synthesis,
    Triplet,
)
from harmonizer.data.augment import draw_crop
from harmonizer.data.color_transfer import TRANSFER_METHODS
from harmonizer.data.edits import draw_edit
from harmonizer.evaluation import fmse

SIZE = 256
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def milliseconds(work: Callable[[int], object], count: int) -> float:
    """CPU time of one call, from `count` calls with 0, 1, ..."""
    work(0)
    start = time.process_time()
    for number in range(count):
        work(number)
    return (time.process_time() - start) / count * 1000


def differences(one: Triplet) -> tuple[float, ...] | None:
    """How a composite's foreground differs from the real one, in CIELAB; None if it has none."""
    inside = one.mask > 0.5
    if np.count_nonzero(inside) < 30:
        return None
    before, after = (
        cv2.cvtColor(picture[inside].astype(np.float32)[None] / 255, cv2.COLOR_RGB2LAB)[0]
        for picture in (one.composite, one.real)
    )
    chroma = [np.hypot(lab[:, 1], lab[:, 2]).mean() for lab in (before, after)]
    spread = [np.sqrt(lab[:, 1].var() + lab[:, 2].var()) for lab in (before, after)]
    return (
        fmse(one.composite, one.real, one.mask),
        before[:, 0].mean() - after[:, 0].mean(),
        before[:, 0].std() / max(after[:, 0].std(), 1),
        chroma[0] / max(chroma[1], 1),
        spread[0] / max(spread[1], 1),
        np.hypot(*(before[:, 1:].mean(axis=0) - after[:, 1:].mean(axis=0))),
    )


def print_differences(label: str, photos: PhotoDataset, synthesis: Synthesis, epochs: int) -> None:
    """Quantiles of how the composites differ from their real pictures, a row of a table."""
    data = CompositeSynthesizer(photos, size=SIZE, synthesis=synthesis)
    triplets = (data.draw(index, epoch) for epoch in range(epochs) for index in range(len(data)))
    rows = np.array([row for row in map(differences, triplets) if row is not None])
    cells = [f"{rows[:, 0].mean():,.0f}"]
    for column, digits in zip(rows.T, (0, 0, 1, 1, 1, 0), strict=True):
        cells.append(" / ".join(f"{v:.{digits}f}" for v in np.quantile(column, QUANTILES)))
    print("| " + " | ".join([label, *cells]) + " |")


def print_stages(photos: PhotoDataset, count: int, recipes: dict[str, Synthesis]) -> None:
    """What the steps of a draw cost."""
    generator = np.random.default_rng(0)
    cut = Augmentation()

    def crop(number: int) -> object:
        photo = photos[number % len(photos)]
        part = draw_crop(photo.mask, SIZE, cut, generator)
        return part.apply(photo.image, SIZE), part.apply(photo.mask, SIZE)

    image = cv2.resize(photos[0].image, (SIZE, SIZE)).astype(np.uint8, copy=False)
    strengths = EditStrengths()
    print("milliseconds")
    print(f"  {'cut and resize':40}{milliseconds(crop, count):8.2f}")
    drawn = milliseconds(lambda _: draw_edit(strengths, generator), count)
    print(f"  {'draw an edit':40}{drawn:8.2f}")
    edit = draw_edit(strengths, generator)
    print(f"  {'apply an edit':40}{milliseconds(lambda _: edit.apply(image), count):8.2f}")
    pixels = image.reshape(-1, 3).astype(np.float32)
    source, reference = pixels[: SIZE * SIZE // 4], pixels[-2000:]
    for name, method in TRANSFER_METHODS.items():
        spent = milliseconds(lambda _, method=method: method(source, reference), count // 4)
        print(f"  {f'{name}, 16,384 colours':40}{spent:8.2f}")
    for name, synthesis in recipes.items():
        data = CompositeSynthesizer(photos, size=SIZE, synthesis=synthesis)
        spent = milliseconds(lambda n, data=data: data.draw(n % len(data), n), count)
        print(f"  {f'draw, {name} only':40}{spent:8.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder, or a CSV file")
    parser.add_argument("--split", help="of the CSV file")
    parser.add_argument("--group", default="group", help="column of the CSV file")
    parser.add_argument("--illuminants", default="", help="a table of charts, to change the light")
    parser.add_argument("--epochs", type=int, default=3, help="draws of each photograph")
    parser.add_argument("--draws", type=int, default=600, help="draws to time")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with TemporaryDirectory() as folder:
        if options.photos is None:
            for i in range(60):
                image, mask = Path(folder) / f"{i:03}.jpg", Path(folder) / f"{i:03}_mask.png"
                write_picture(image, mask, 288, 384, i)
            photos = PhotoDataset.from_folder(folder, cache=True)
        elif options.photos.is_dir():
            photos = PhotoDataset.from_folder(options.photos, cache=True)
        else:
            photos = PhotoDataset.from_csv(
                options.photos, split=options.split, group=options.group, cache=True
            )
        start = time.process_time()
        photos.preload()
        decoded = (time.process_time() - start) / len(photos) * 1000
    data = CompositeSynthesizer(photos, size=SIZE)
    spent = milliseconds(lambda n: data.draw(n % len(data), n // len(data)), options.draws)
    print(f"{len(photos)} photographs; decoding one: {decoded:.1f} ms")
    print(f"{1000 / spent:.0f} composites of {SIZE} x {SIZE} a second and core, in memory")
    none = Synthesis(rendition=0, transfer=1)
    recipes = {
        "rendition, flat target": replace(none, rendition=1, transfer=0, flat=1),
        "rendition, edited target": replace(none, rendition=1, transfer=0, flat=0),
        "transfer": none,
    }
    if options.illuminants:
        table = {"illumination": 1.0, "illuminants": options.illuminants}
        recipes["illumination"] = replace(none, transfer=0, **table)
    print_stages(photos, options.draws // 2, recipes)
    head = (
        "| | mean fMSE | fMSE | lightness | contrast | chroma | spread of chroma | shift of a, b |"
    )
    print(f"{head}\n|---|---:|---|---|---|---|---|---|")
    for name, synthesis in recipes.items():
        print_differences(name, photos, synthesis, options.epochs)


if __name__ == "__main__":
    main()
