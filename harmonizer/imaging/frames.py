"""Go to a frame of an animation, unless those before it are huge."""

from PIL import Image, ImageFile

# Pixels of the frames that are decoded on the way: so many, or so many of the largest pictures.
_MOST_PASSED, _FRAMES = 2 << 30, 20


def seek_frame(image: ImageFile.ImageFile, page: int) -> None:
    """Go to a frame, from 1, for which Pillow decodes all before it.

    A kilobyte can hold a hundred of 100 megapixels; and the picture may grow with each.

    Raises:
        EOFError: There are not so many.
        Image.DecompressionBombError: They have too many pixels.
    """
    limit, passed = Image.MAX_IMAGE_PIXELS, 0
    for frame in range(1, page):
        passed += image.width * image.height
        if limit and passed > (most := max(_MOST_PASSED, _FRAMES * limit)):
            raise Image.DecompressionBombError(
                f"the {frame} frames before page {frame + 1} have more than {most:,} pixels"
            )
        image.seek(frame)
