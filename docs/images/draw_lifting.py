"""Draw what docs/full-resolution.md shows: `python docs/images/draw_lifting.py`."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from harmonizer.imaging.drawing import lay_out
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
    crops = [panel[TOP : TOP + SIDE, LEFT : LEFT + SIDE] for panel in panels.values()]
    large = [cv2.resize(one, (ENLARGED,) * 2, interpolation=cv2.INTER_NEAREST) for one in crops]
    sheet = lay_out([one.astype(np.uint8) for one in large], 3, titles=list(panels), gap=6)
    Image.fromarray(sheet).save(HERE / "lifting.jpg", quality=92)


if __name__ == "__main__":
    main()
