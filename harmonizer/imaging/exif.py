"""Turn pictures upright by their EXIF, and have the EXIF say so."""

from PIL import Image, ImageOps

from harmonizer.errors import warn

ORIENTATION = 0x0112  # the EXIF tag
# EXIF orientation -> (quarter turns counter-clockwise, then mirrored left-right) to stand upright.
UPRIGHT = {
    1: (0, False),
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (3, True),
    6: (3, False),
    7: (1, True),
    8: (1, False),
}
# What a TIFF file says of its picture beside how it is stored.
_DESCRIPTIVE = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_SUB_DIRECTORIES = (0x8769, 0x8825)  # Exif, GPS


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; the result's own EXIF says that it stands upright."""
    try:
        turned = image.getexif().get(ORIENTATION, 1) in range(2, 9)
    except Exception as error:  # broken EXIF raises almost anything
        warn(f"the image's EXIF is broken and was ignored: {error}")
        turned = False
    if not turned:
        return image
    result = ImageOps.exif_transpose(image)
    exif = result.getexif()
    exif[ORIENTATION] = 1
    result.info["exif"] = exif.tobytes()
    return result


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width after `upright`, by what stands before the pixels, which are not read.

    (An orientation may also stand behind them, or in XMP.)
    """
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        sideways = exif.get(ORIENTATION, 1) in range(5, 9)
    except Exception:  # as in `upright`, which says so
        sideways = False
    return (image.width, image.height) if sideways else (image.height, image.width)


def descriptive_tags(exif: Image.Exif) -> Image.Exif:
    """Return the EXIF of a TIFF file without the tags that lay out its pixels."""
    result = Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in exif:
            result[tag] = exif[tag]
    for tag in _SUB_DIRECTORIES:
        if directory := exif.get_ifd(tag):
            result[tag] = dict(directory)
    return result
