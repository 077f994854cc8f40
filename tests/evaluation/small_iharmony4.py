"""A few made-up pictures in iHarmony4's layout."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# For each part: height, width, and row and column of the foreground's lower right corner; it begins
# in row 4 and column 4. At their own size the first two are 5 % and 15 % exactly.
PICTURES: dict[str, list[tuple[int, int, int, int]]] = {
    "HCOCO": [(40, 50, 14, 14), (40, 50, 24, 19), (48, 32, 40, 28)],
    "HFlickr": [(33, 47, 9, 12)],
    "HAdobe5k": [(780, 1040, 500, 700), (60, 40, 30, 30)],
    "Hday2night": [(64, 64, 60, 40), (50, 70, 20, 24)],
}


def made_up(height: int, width: int, seed: int) -> Any:
    """Smooth colours with some noise, uint8."""
    generator = np.random.default_rng(seed)
    rows, columns = (
        np.linspace(0, 1, height)[:, None, None],
        np.linspace(0, 1, width)[None, :, None],
    )
    ends = generator.uniform(30, 220, (3, 3))
    smooth = ends[0] + rows * (ends[1] - ends[0]) / 2 + columns * (ends[2] - ends[0]) / 2
    return (smooth + generator.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)


def write_iharmony4(root: Path) -> Path:
    """Write the pictures, losslessly, and the test lists; backgrounds differ by a level or so."""
    seed = 0
    for part, pictures in PICTURES.items():
        for folder in ("composite_images", "masks", "real_images"):
            (root / part / folder).mkdir(parents=True)
        names: list[str] = []
        for number, (height, width, bottom, right) in enumerate(pictures):
            seed += 1
            real = made_up(height, width, seed)
            mask = np.zeros((height, width), np.uint8)
            mask[4:bottom, 4:right] = 255
            noise = np.random.default_rng(seed + 100).integers(0, 2, real.shape)
            composite = np.where(mask[..., None] > 0, real * 0.7 + 10, real * 0.99 + noise)
            names.append(f"x{number}_1_1.jpg")
            for folder, name, array in (
                ("composite_images", f"x{number}_1_1", composite.astype(np.uint8)),
                ("masks", f"x{number}_1", mask),
                ("real_images", f"x{number}", real),
            ):
                Image.fromarray(array).save(root / part / folder / f"{name}.png")
        (root / part / f"{part}_test.txt").write_text("\n".join(names))
    return root
