"""Refuse bitmaps of run lengths that become far more than their picture, or take far longer."""

from PIL import ImageFile

_MOST_FILLED = 1 << 24  # pixels, each on its own: some seconds
_LINES = 255  # that one move goes up at most
_END_OF_LINE, _END, _MOVE = 0, 1, 2


def check_runs(image: ImageFile.ImageFile, data: bytes) -> None:
    """Refuse such an image of Pillow's, before its pixels are read.

    Pillow writes what moves pass over, however far they lead, and fills lines that end early pixel
    by pixel: a kilobyte would become gigabytes, or take minutes.

    Args:
        image: Opened from `data`. Only large BMP and DIB of run lengths are looked at.
        data: The file.

    Raises:
        ValueError: It is such a one.
    """
    for codec, _, offset, arguments in image.tile:
        width, height = image.size
        if codec == "bmp_rle" and width * (height + _LINES) > _MOST_FILLED:
            _walk(data, offset, width, width * height, nibbles=bool(arguments and arguments[1]))


def _walk(data: bytes, place: int, width: int, pixels: int, *, nibbles: bool) -> None:
    """Go over the codes from `place` as Pillow does; `nibbles` are two pixels to a byte."""
    held, across, filled = 0, 0, 0
    while held < pixels and place + 2 <= len(data):
        count, code = data[place], data[place + 1]
        place += 2
        if count:
            count = min(count, max(0, width - across))
            held, across = held + count, across + count
        elif code == _END_OF_LINE:
            gap = -held % width
            held, across, filled = held + gap, 0, filled + gap
        elif code == _END:
            return
        elif code == _MOVE:
            if place + 2 > len(data):
                return
            held += data[place] + data[place + 1] * width
            across, place = held % width, place + 2
            if held > pixels:
                raise ValueError("its run lengths lead beyond its picture")
        else:
            size = code // 2 if nibbles else code
            held, across = held + size * (1 + nibbles), across + code
            place += size + (place + size) % 2
        if filled > _MOST_FILLED:
            raise ValueError(
                f"its lines lack more than {_MOST_FILLED:,} pixels; save it without run lengths"
            )
