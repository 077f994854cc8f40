"""Draw what docs/full-resolution.md shows: `python docs/images/draw_lifting.py`."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from harmonizer.imaging.drawing import LINE_HEIGHT, PAPER, write_line
from harmonizer.lifting import lift

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
LEFT, TOP, SIDE, ENLARGED = 52, 205, 96, 288  # the crop: the suit's collar


def main() -> None:
    """Change the astronaut's colours at 256 x 256, and carry that up in two ways."""
    image = np.asarray(Image.open(EXAMPLES / "composite.png"))
    mask = np.asarray(Image.open(EXAMPLES / "mask.png")) / np.float32(255)
    small = cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32)
    answer = small * np.float32([0.7, 0.75, 0.95])  # in place of a network: as the night has it
    panels = {
        "the composite": image,
        "the answer, stretched (resize)": lift(image, mask, small, answer, method="resize"),
        "the change, carried up (fitted)": lift(image, mask, small, answer, method="fitted"),
    }
    strips = []
    for title, panel in panels.items():
        crop = panel[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
        large = cv2.resize(crop, (ENLARGED, ENLARGED), interpolation=cv2.INTER_NEAREST)
        line = np.full((LINE_HEIGHT, ENLARGED, 3), PAPER, np.uint8)
        write_line(line, title)
        strips += [np.vstack([line, large]), np.full((len(line) + ENLARGED, 6, 3), PAPER, np.uint8)]
    Image.fromarray(np.hstack(strips[:-1])).save(HERE / "lifting.jpg", quality=92)


if __name__ == "__main__":
    main()
