"""Make the clip that docs/video.md shows: `python docs/images/draw_clip.py`.

The example's astronaut, cut out, before a camera that pans over two photographs in the public
domain, as scikit-image has them: on the left as pasted, on the right harmonized.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from harmonizer.cli import main as harmonizer
from harmonizer.imaging.drawing import lay_out

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
HEIGHT, WIDTH, FRAMES, FPS = 300, 360, 45, 15
Picture = NDArray[Any]


def panned(picture: Picture, zoom: float, count: int) -> Iterator[Picture]:
    """A camera that moves over a picture, from the left to the right."""
    scale = zoom * max(HEIGHT / picture.shape[0], WIDTH / picture.shape[1])
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    room = np.array(large.shape[:2]) - (HEIGHT, WIDTH)
    for index in range(count):
        top, left = np.rint(room * (0.5, index / (count - 1))).astype(int)
        yield large[top : top + HEIGHT, left : left + WIDTH]


def cutouts() -> Iterator[Picture]:
    """The astronaut, who comes a little nearer."""
    colours, alpha = (
        np.asarray(Image.open(EXAMPLES / name), np.float32)[95:, 20:360]
        for name in ("composite.png", "mask.png")
    )
    layer = np.dstack([colours * alpha[..., None] / 255, alpha])
    for index in range(FRAMES):
        scale = 0.75 + 0.1 * index / FRAMES
        move = np.array([[scale, 0, WIDTH / 2 - 170 * scale], [0, scale, HEIGHT - 332 * scale]])
        moved = cv2.warpAffine(layer, move, (WIDTH, HEIGHT))
        moved[..., :3] /= np.maximum(moved[..., 3:] / 255, 1e-3)
        yield np.rint(moved.clip(0, 255)).astype(np.uint8)


def write(path: Path, pictures: Sequence[Picture], **options: str) -> None:
    """Encode pictures as H.264."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream: Any = container.add_stream("libx264", rate=FPS, options=options)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def read(path: Path) -> Iterator[Picture]:
    """Decode a clip."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def main() -> None:
    """Cut out, paste with strength 0 and 1, and put both side by side."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cutout").mkdir()
        for index, layer in enumerate(cutouts()):
            Image.fromarray(layer).save(folder / "cutout" / f"{index}.png")
        scenes = [*panned(data.rocket(), 1.1, 23), *panned(data.coffee(), 1.3, FRAMES - 23)]
        write(folder / "background.mp4", scenes, crf="8")
        for strength in ("0", "1"):
            files = [str(folder / one) for one in ("cutout", "background.mp4", f"{strength}.mp4")]
            command = ["video", files[0], "--on", files[1], "-o", files[2], "--fps", str(FPS)]
            if harmonizer([*command, "--strength", strength, "--quality", "8"]):
                raise SystemExit(1)
        both = zip(read(folder / "0.mp4"), read(folder / "1.mp4"), strict=True)
        sheets = [lay_out(list(one), 2, titles=["pasted", "harmonized"], gap=4) for one in both]
        write(HERE / "cutout-clip.mp4", sheets, crf="27", preset="veryslow")


if __name__ == "__main__":
    main()
