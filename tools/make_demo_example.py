"""Make the example that the page ships, from the one in examples/: `make_demo_example.py`.

The background without its foreground is scikit-image's `rocket`, in the public domain.
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage import data

ROOT = Path(__file__).parents[1]
HEIGHT, WIDTH = 320, 480


def main() -> None:
    """Write a cut-out with transparency and its background, small enough to be shipped."""
    colours, alpha = (np.asarray(Image.open(ROOT / "examples" / f"{name}.png"))
                      for name in ("composite", "mask"))  # fmt: skip
    rows, columns = np.nonzero(alpha)
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    clear = np.where(alpha[..., None] > 0, colours, 0)
    cutout = Image.fromarray(np.dstack([clear, alpha])[box])
    cutout.thumbnail((WIDTH, 300))
    folder = ROOT / "harmonizer" / "demo" / "example"
    folder.mkdir(exist_ok=True)
    cutout.save(folder / "astronaut.webp", quality=85, method=6)
    rocket = cv2.resize(data.rocket(), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    Image.fromarray(rocket).save(folder / "launch.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main()
