"""Every kind of picture, written to every format, comes back as a second program reads it.

`python tests/imaging/test_formats.py` writes the tables of `docs/formats.md` from what comes back.
"""

import io
import struct
import sys
import uuid
import warnings
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

sys.path.append(str(Path(__file__).parents[1]))
from profiles import grey_profile, press_profile, rgb_profile

from harmonizer.errors import InputError
from harmonizer.imaging.image import open_image
from harmonizer.imaging.saving import encode_image

DOCS = Path(__file__).parents[2] / "docs" / "formats.md"
HEIGHT, WIDTH = 36, 50  # as it stands upright
MASK = np.zeros((HEIGHT, WIDTH), np.float32)
MASK[10:20, 10:30] = 1
IPTC = b"\x1c\x02\x78\x00\x09a caption\x1c\x02\x50\x00\x06author"  # an even number of bytes
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>who made it</x:xmpmeta>"
FORMATS = {
    **{"PNG": ".png", "TIFF": ".tif", "WEBP": ".webp", "JPEG": ".jpg", "JPEG2000": ".jp2"},
    **{"BMP": ".bmp", "PPM": ".ppm", "GIF": ".gif"},
}
METADATA = ("ICC profile", "EXIF", "XMP", "IPTC", "resolution")


def smooth(channels: int, white: float, dtype: Any) -> Any:
    """A picture that JPEG hardly changes, lying on its side; (W, H, channels)."""
    rows, columns = np.mgrid[0:WIDTH, 0:HEIGHT]
    planes = [40 + 2 * rows + columns + 9 * number for number in range(channels)]
    return (np.stack(planes, axis=-1) * (white / 255)).astype(dtype)


def exif_of(image: Image.Image) -> bytes:
    exif = image.getexif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    return exif.tobytes()


def as_tiff(pixels: Any, photometric: str, profile: bytes, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tags = [(274, 3, 1, 6, True), (34675, 7, len(profile), profile, True)]
    tags += [(700, 1, len(XMP), XMP, True), (33723, 7, len(IPTC), IPTC, True)]
    with tifffile.TiffWriter(buffer) as file:
        file.write(
            pixels,
            photometric=photometric,
            extratags=tags,
            description="a description",
            resolution=(300, 300),
            resolutionunit=2,
            metadata=None,
            **options,
        )
    return buffer.getvalue()


def by_pillow(kind: str, mode: str) -> bytes:
    image = Image.fromarray(smooth(3, 255, np.uint8))
    image = image.quantize(64) if mode == "P" else image.convert(mode)
    options: dict[str, Any] = {"icc_profile": rgb_profile("Display P3"), "exif": exif_of(image)}
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options["pnginfo"] = text
    else:
        options["xmp"] = XMP
    if kind == "WEBP":
        options["lossless"] = True
    if kind == "JPEG":
        block = b"Photoshop 3.0\0" + struct.pack(">4sHHI", b"8BIM", 0x0404, 0, len(IPTC)) + IPTC
        options["extra"] = struct.pack(">HH", 0xFFED, 2 + len(block)) + block
    buffer = io.BytesIO()
    image.save(buffer, kind, dpi=(300, 300), **options)
    return buffer.getvalue()


RGB, GREY = rgb_profile("Display P3"), grey_profile(2.2)
ALPHA = {"extrasamples": ["unassalpha"]}
# What goes in, and how it is made.
KINDS: dict[str, Any] = {
    "RGB, 8 bits (JPEG)": lambda: by_pillow("JPEG", "RGB"),
    "RGB, 8 bits (PNG)": lambda: by_pillow("PNG", "RGB"),
    "RGB, 8 bits (WebP)": lambda: by_pillow("WEBP", "RGB"),
    "RGB, 8 bits (TIFF)": lambda: as_tiff(smooth(3, 255, "u1"), "rgb", RGB),
    "RGB and alpha, 8 bits": lambda: as_tiff(smooth(4, 255, "u1"), "rgb", RGB, **ALPHA),
    "RGB, 16 bits": lambda: as_tiff(smooth(3, 65535, "u2"), "rgb", RGB),
    "RGB and alpha, 16 bits": lambda: as_tiff(smooth(4, 65535, "u2"), "rgb", RGB, **ALPHA),
    "RGB, floats": lambda: as_tiff(smooth(3, 1, "f4"), "rgb", RGB),
    "grey, 8 bits": lambda: as_tiff(smooth(1, 255, "u1")[..., 0], "minisblack", GREY),
    "grey, 16 bits": lambda: as_tiff(smooth(1, 65535, "u2")[..., 0], "minisblack", GREY),
    "256 colours": lambda: by_pillow("PNG", "P"),
    "CMYK, 8 bits": lambda: as_tiff(smooth(4, 200, "u1"), "separated", press_profile()),
}


def decoded(data: bytes, kind: str) -> Any:
    """The pixels, by a program that is not Pillow; RGB, (H, W) or (H, W, C)."""
    if kind == "TIFF":
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages.first
            pixels = page.asarray()
            if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
                return (page.colormap.T[pixels] // 257).astype(np.uint8)
            return pixels
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, f"OpenCV reads no such {kind}"
    return pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def metadata(data: bytes, kind: str) -> dict[str, bytes]:
    """What a file holds beside its pixels, by the structure of its format."""
    if kind == "TIFF":
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            tags = {tag.code: tag.value for tag in file.pages.first.tags.values()}
        names = {34675: "ICC profile", 700: "XMP", 270: "EXIF", 282: "resolution", 33723: "IPTC"}
        return {name: tags[code] for code, name in names.items() if code in tags}
    found: dict[str, bytes] = {}
    if kind == "PNG":
        names = {b"iCCP": "ICC profile", b"eXIf": "EXIF", b"iTXt": "XMP", b"pHYs": "resolution"}
        place = 8
        while place < len(data):
            length, name = struct.unpack_from(">I4s", data, place)
            content = data[place + 8 : place + 8 + length]
            assert (
                zlib.crc32(name + content) == struct.unpack_from(">I", data, place + 8 + length)[0]
            )
            if name in names:
                found[names[name]] = content
            place += 12 + length
        if "ICC profile" in found:
            found["ICC profile"] = zlib.decompress(found["ICC profile"].split(b"\0", 2)[2])
    if kind == "WEBP":
        names = {b"ICCP": "ICC profile", b"EXIF": "EXIF", b"XMP ": "XMP"}
        place = 12
        while place < len(data):
            name, length = struct.unpack_from("<4sI", data, place)
            if name in names:
                found[names[name]] = data[place + 8 : place + 8 + length]
            place += 8 + length + length % 2
    if kind == "JPEG":
        place = 2
        while data[place + 1] != 0xDA:
            (length,) = struct.unpack_from(">H", data, place + 2)
            content = data[place + 4 : place + 2 + length]
            for start, name in (
                (b"ICC_PROFILE\0\1\1", "ICC profile"),
                (b"Exif\0\0", "EXIF"),
                (b"http://ns.adobe.com/xap/1.0/\0", "XMP"),
                (b"Photoshop 3.0\x008BIM\x04\x04\0\0", "IPTC"),
            ):
                if content.startswith(start):
                    found[name] = content.removeprefix(start)
            if content.startswith(b"JFIF\0") and content[7] == 1:
                found["resolution"] = content[8:12]
            place += 2 + length
    if kind == "JPEG2000":
        names = {b"JpgTiffExif->JP2": "EXIF", XMP_UUID: "XMP"}
        for box, content in boxes(data):
            if box == b"uuid" and content[:16] in names:
                found[names[content[:16]]] = content[16:]
            for inner, value in boxes(content) if box == b"jp2h" else ():
                if inner == b"colr" and value[0] == 2:
                    found["ICC profile"] = value[3:]
                if inner == b"res ":
                    found["resolution"] = value
    if kind == "BMP" and any(data[38:46]):
        found["resolution"] = data[38:46]
    return found


XMP_UUID = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """The boxes of a JPEG 2000 file, or of one of its boxes."""
    found: list[tuple[bytes, bytes]] = []
    while data:
        length, name = struct.unpack_from(">I4s", data)
        length = length or len(data)
        found.append((name, data[8:length]))
        data = data[length:]
    return found


def outcome(kind: str, target: str) -> tuple[str, tuple[str, ...]]:
    """How the pixels come back (exact, close or refused), and which metadata; both are checked."""
    picture = open_image(KINDS[kind]())
    assert picture.size == (HEIGHT, WIDTH), "it was not turned upright"
    result = picture.restore(picture.pixels, MASK)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            data = encode_image(result, target, picture.info)
        except InputError:
            return "refused", ()
    pixels = decoded(data, target) if target != "GIF" else None
    closeness = "exact"
    if pixels is not None:
        assert pixels.shape[:2] == (HEIGHT, WIDTH)
        expected = np.asarray(result) if kind != "256 colours" else picture.pixels
        if kind == "256 colours" and target in ("JPEG", "WEBP", "JPEG2000", "BMP", "PPM"):
            pixels = pixels[..., :3]
        if kind.startswith("CMYK") and target == "JPEG":  # OpenCV hands out RGB
            assert pixels.shape == (HEIGHT, WIDTH, 3)
            return "close", kept(data, target, caught, picture.info)
        if expected.ndim == 2 and pixels.ndim == 3:  # the format has no grey
            expected = np.repeat(expected[..., None], 3, axis=2)
        assert pixels.dtype == expected.dtype, f"{pixels.dtype} of {expected.dtype}"
        assert pixels.shape == expected.shape
        error = np.abs(pixels.astype(float) - expected).max()
        if target == "JPEG":
            assert error < 8
            closeness = "close"
        else:
            assert error == 0, f"off by {error}"
    return closeness, kept(data, target, caught, picture.info)


def kept(data: bytes, target: str, caught: list[Any], info: Any) -> tuple[str, ...]:
    """Which metadata a file holds; the rest must have been named in a warning."""
    found = metadata(data, target)
    told = " ".join(str(one.message) for one in caught)
    for name in METADATA:
        if not info.get({"resolution": "dpi", "IPTC": "iptc"}.get(name, "exif")):  # as in WebP
            continue
        said = name.replace("ICC", "colour") in told
        assert (name in found) != said, f"{name}: in the file {name in found}, named {said}"
    if "EXIF" in found:
        text = found["EXIF"]
        assert b"a description" in (text.encode() if isinstance(text, str) else text)
    if "XMP" in found:
        assert XMP in bytes(found["XMP"])
    if "IPTC" in found:
        assert IPTC in bytes(found["IPTC"])
    return tuple(found)


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_comes_back_whole(kind: str, target: str) -> None:
    outcome(kind, target)


def tables() -> str:
    """What the documentation says, from what comes back."""
    everything = {(kind, target): outcome(kind, target) for kind in KINDS for target in FORMATS}
    head = f"| | {' | '.join(FORMATS.values())} |\n|---|{'---|' * len(FORMATS)}\n"
    marks = {"exact": "exact", "close": "close", "refused": ""}
    pixels = "".join(
        f"| {kind} | {' | '.join(marks[everything[kind, one][0]] for one in FORMATS)} |\n"
        for kind in KINDS
    )
    info = ""
    for name in METADATA:
        cells = [
            "kept" if name in everything["grey, 8 bits", one][1] else ""
            for one in FORMATS  # which of them a format holds is the same for all kinds
        ]
        info += f"| {name} | {' | '.join(cells)} |\n"
    return f"{head}{pixels}\n{head}{info}"


def test_the_documentation_says_what_comes_back() -> None:
    assert tables() in DOCS.read_text("utf-8"), "run python tests/imaging/test_formats.py"


# --- any metadata, into any format ----------------------------------------------------------------

ANYTHING = st.none() | st.binary(max_size=200) | st.text(max_size=50) | st.integers() | st.floats()
BLOCKS = st.binary(max_size=60).map(lambda data: b"Exif\0\0II*\0\x08\0\0\0" + data)
INFO = st.fixed_dictionaries(
    {},
    optional={
        "icc_profile": ANYTHING,
        "exif": ANYTHING | BLOCKS,
        "xmp": ANYTHING,
        "iptc": ANYTHING,
        "dpi": ANYTHING | st.tuples(ANYTHING, ANYTHING),
        "text": st.dictionaries(st.text(max_size=9), st.text(max_size=20), max_size=2),
        "comment": ANYTHING,
    },
)


@pytest.mark.filterwarnings("ignore")
@given(INFO, st.sampled_from([*FORMATS]), st.booleans())
def test_no_metadata_costs_the_picture(info: Any, target: str, deep: bool) -> None:
    pixels = smooth(3, 65535, "u2") if deep else smooth(1, 255, "u1")[..., 0]
    if deep and target not in ("PNG", "TIFF", "PPM"):
        return
    data = encode_image(pixels if deep else Image.fromarray(pixels), target, info)
    if target not in ("JPEG", "GIF"):
        found = decoded(data, target)
        same = found if found.ndim == pixels.ndim else found[..., 0]
        assert np.array_equal(same, pixels)


if __name__ == "__main__":
    page = DOCS.read_text("utf-8")
    start, end = (page.index(f"<!-- {word} of the tables -->") for word in ("start", "end"))
    DOCS.write_text(
        f"{page[:start]}<!-- start of the tables -->\n\n{tables()}\n{page[end:]}", "utf-8"
    )
