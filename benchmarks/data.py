"""How fast training data is made, where the time goes, and how wrong the composites are.

    python benchmarks/data.py [--photos photos.csv --split val --group dataset] [--epochs 3]

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
)
from harmonizer.data.augment import draw_crop
from harmonizer.data.color_transfer import TRANSFER_METHODS
from harmonizer.data.edits import draw_edit
from harmonizer.evaluation import fmse

SIZE = 256
RECIPES = ("rendition", "transfer", "light")


def milliseconds(work: Callable[[int], object], count: int) -> float:
    """CPU time of one call, from `count` calls with 0, 1, ..."""
    work(0)
    start = time.process_time()
    for number in range(count):
        work(number)
    return (time.process_time() - start) / count * 1000


def print_errors(label: str, photos: PhotoDataset, synthesis: Synthesis, epochs: int) -> None:
    """Mean and quartiles of the composites' foreground error."""
    data = CompositeSynthesizer(photos, size=SIZE, synthesis=synthesis)
    triplets = (data.draw(index, epoch) for epoch in range(epochs) for index in range(len(data)))
    errors = np.array([fmse(one.composite, one.real, one.mask) for one in triplets])
    quartiles = np.quantile(errors, (0.25, 0.5, 0.75))
    print(f"  {label:24}{errors.mean():8.0f}" + "".join(f"{value:8.0f}" for value in quartiles))


def print_stages(photos: PhotoDataset, count: int) -> None:
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
    only = replace(Synthesis(), rendition=0, transfer=0, light=0.1)
    for name in RECIPES:
        synthesis = replace(only, light=0, **{name: 1}) if name != "light" else only
        data = CompositeSynthesizer(photos, size=SIZE, synthesis=synthesis)
        spent = milliseconds(lambda n, data=data: data.draw(n % len(data), n), count)
        print(f"  {f'draw, {name} only':40}{spent:8.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder, or a CSV file")
    parser.add_argument("--split", help="of the CSV file")
    parser.add_argument("--group", default="group", help="column of the CSV file")
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
    print_stages(photos, options.draws // 2)
    print("foreground error            mean     25%     50%     75%")
    print_errors("all", photos, Synthesis(), options.epochs)
    for name in RECIPES:
        weights = {recipe: float(recipe == name) for recipe in RECIPES}
        print_errors(name, photos, replace(Synthesis(), **weights), options.epochs)


if __name__ == "__main__":
    main()
