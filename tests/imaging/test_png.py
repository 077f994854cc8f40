"""What stands in the chunks of PNG files is used, kept or told of."""

import io
import struct
import tracemalloc
import warnings
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from harmonizer.errors import InputError
from harmonizer.imaging.files import open_file, size_in_header
from harmonizer.imaging.image import open_image
from harmonizer.imaging.saving import encode_image

SIZE = (36, 50)
PIXELS = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description '
    b"tiff:Orientation='6'/></rdf:RDF></x:xmpmeta>"
)
SRGB = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
WIDE = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)


def chunk(kind: bytes, content: bytes, claimed: int | None = None) -> bytes:
    length = len(content) if claimed is None else claimed
    return (
        struct.pack(">I4s", length, kind) + content + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(*chunks: bytes, bits: int = 8, behind: bool = False) -> bytes:
    """A PNG file with more chunks, before or behind its pixels."""
    pixels = PIXELS if bits == 8 else PIXELS.astype(np.uint16) * 257
    data = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
    place = len(data) - 12 if behind else 33
    return data[:place] + b"".join(chunks) + data[place:]


def raw_profile(kind: str, content: bytes) -> bytes:
    text = f"\n{kind}\n{len(content):8}\n{content.hex()}\n"
    return chunk(b"tEXt", f"Raw profile type {kind}\0{text}".encode())


def chunks_of(data: bytes) -> dict[bytes, bytes]:
    found, place = {}, 8
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        found[kind] = data[place + 8 : place + 8 + length]
        place += length + 12
    return found


def written(data: bytes, kind: str = "PNG") -> bytes:
    opened, info = open_file(data)
    return encode_image(opened, kind, info)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = "a description"
    return tags.tobytes()


@pytest.mark.parametrize("claimed", [2**32 - 16, 2**31 - 1, 5000])
def test_a_piece_longer_than_its_file_takes_no_memory(claimed: int) -> None:
    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"xx", claimed)
    tracemalloc.start()  # OpenCV's memory is counted where NumPy holds it, so the words count, too
    with pytest.raises(InputError, match=f"a piece of it claims {claimed:,} bytes"):
        open_file(data)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("kind", ["exif", "APP1"])
def test_exif_in_a_text_is_exif(kind: str, behind: bool, bits: int) -> None:
    picture = open_image(png(raw_profile(kind, exif(6)), bits=bits, behind=behind))
    assert picture.size == SIZE[::-1]
    for target in ("PNG", "TIFF"):
        result = Image.open(io.BytesIO(written(png(raw_profile(kind, exif(6)), bits=bits), target)))
        assert result.size == SIZE
        assert result.getexif()[0x010E] == "a description"
        assert result.getexif().get(0x0112, 1) == 1  # it stands upright by now
        assert not any("Raw profile" in str(key) for key in result.info)


def test_its_size_is_known_before_its_pixels() -> None:
    found: list[tuple[int, int]] = []  # by the header, before the pixels are read
    open_file(png(raw_profile("exif", exif(6))), check=found.append)
    assert found == [SIZE[::-1]]
    assert size_in_header(png(raw_profile("exif", exif(6)))) == SIZE[::-1]


def test_xmp_and_profiles_in_texts_are_used() -> None:
    profile = b"a profile that is none"
    name = b"http://ns.adobe.com/xap/1.0/\0"
    for data in (raw_profile("xmp", XMP), raw_profile("APP1", name + XMP)):
        picture = open_image(png(data, raw_profile("icc", profile)))
        assert picture.info["xmp"] == XMP.replace(b"'6'", b"'1'")
        assert picture.info["icc_profile"] == profile
        assert picture.size == SIZE[::-1]


def test_what_is_no_such_text_stays_one() -> None:
    odd = (
        (b"Raw profile type exif", b"\n\n\nno hexadecimal"),
        (b"Raw profile type iptc", b"\n\n\nff"),
    )
    data = png(*(chunk(b"tEXt", key + b"\0" + text) for key, text in odd))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow takes the first for EXIF
        kept = Image.open(io.BytesIO(written(data))).info
    assert {key: kept[key] for key in kept} == {key.decode(): text.decode() for key, text in odd}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"gAMA", struct.pack(">I", 100_000)),
        (b"cHRM", WIDE),
        (b"cICP", bytes((9, 16, 0, 1))),
        (b"cICP", bytes((12, 13, 0, 1))),
        (b"cICP", bytes((1, 13, 0, 0))),  # of a narrow range
    ],
)
def test_other_colours_than_srgb_are_told_of_and_kept(
    kind: bytes, content: bytes, bits: int
) -> None:
    data = png(chunk(kind, content), bits=bits)
    with pytest.warns(UserWarning, match=f"says by {kind.decode()} that its colours are not sRGB"):
        result = written(data)
    assert chunks_of(result)[kind] == content
    with pytest.warns(UserWarning, match="left out: gamma and primaries"):
        assert kind not in written(data, "TIFF")


@pytest.mark.parametrize(
    "chunks",
    [
        (chunk(b"gAMA", struct.pack(">I", 45_455)), chunk(b"cHRM", SRGB)),
        (chunk(b"gAMA", struct.pack(">I", 45_454)),),
        (chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 50_000))),
        (chunk(b"cICP", bytes((1, 13, 0, 1))),),
        (chunk(b"cICP", bytes((2, 2, 0, 1))),),  # not specified
        (chunk(b"cICP", b"cut"),),
    ],
)
def test_srgb_needs_no_word(chunks: Any, recwarn: pytest.WarningsRecorder) -> None:
    assert not {b"gAMA", b"cHRM", b"cICP"} & set(chunks_of(written(png(*chunks))))
    assert not [one for one in recwarn if "sRGB" in str(one.message)]


def test_a_profile_counts_more_than_gamma(recwarn: pytest.WarningsRecorder) -> None:
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(b"a profile"))
    kept = chunks_of(written(png(profile, chunk(b"gAMA", struct.pack(">I", 100_000)))))
    assert b"iCCP" in kept
    assert b"gAMA" not in kept
    assert not [one for one in recwarn if "sRGB" in str(one.message)]


@pytest.mark.parametrize("source", ["JPEG", "GIF"])
@pytest.mark.parametrize("target", ["JPEG", "GIF", "PNG", "WEBP"])
def test_a_comment_is_kept_or_told_of(source: str, target: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS[..., 0]).save(buffer, source, comment=b"who made it")
    if target == "WEBP":
        with pytest.warns(UserWarning, match="left out: comment"):
            written(buffer.getvalue(), target)
        return
    info = Image.open(io.BytesIO(written(buffer.getvalue(), target))).info
    assert info.get("comment", info.get("Comment")) in (b"who made it", "who made it")


@pytest.mark.parametrize(("written_as", "comment"), [("utf-8", "café ☕"), ("latin-1", "café")])
def test_a_comment_of_jpeg_is_a_text_of_png(written_as: str, comment: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", comment=comment.encode(written_as))
    assert Image.open(io.BytesIO(written(buffer.getvalue()))).info["Comment"] == comment


@pytest.mark.parametrize("told", [chunk(b"gAMA", struct.pack(">I", 100_000)), chunk(b"cHRM", WIDE)])
def test_an_image_of_pillows_says_so_too(told: bytes) -> None:
    with pytest.warns(UserWarning, match=f"by {told[4:8].decode()} that its colours are not sRGB"):
        open_image(Image.open(io.BytesIO(png(told))))


def test_srgb_of_an_image_of_pillows_needs_no_word(recwarn: pytest.WarningsRecorder) -> None:
    same = chunk(b"gAMA", struct.pack(">I", 45_455)), chunk(b"cHRM", SRGB)
    open_image(Image.open(io.BytesIO(png(*same))))
    open_image(Image.open(io.BytesIO(png())))
    assert not [one for one in recwarn if "sRGB" in str(one.message)]


def test_the_callers_own_image_stays_as_it_is() -> None:
    image = Image.open(io.BytesIO(png(raw_profile("exif", exif(6)))))
    before = dict(image.info)
    assert open_image(image).size == SIZE[::-1]
    assert image.info == before


@pytest.mark.parametrize(
    ("mark", "name"),
    [(b"xmpNote:HasExtendedXMP", "extended XMP"), (b"hdrgm:Version", "the gain map of HDR")],
)
def test_what_xmp_says_is_elsewhere_is_told_of(mark: bytes, name: str) -> None:
    info = {"xmp": b"<x:xmpmeta>" + mark + b"='1'</x:xmpmeta>"}
    with pytest.warns(UserWarning, match=f"left out: {name}"):
        encode_image(Image.fromarray(PIXELS), "JPEG", info)


def test_the_writer_is_pillows_equal() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "a title")
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG", pnginfo=texts, dpi=(300, 300))
    again = Image.open(io.BytesIO(written(buffer.getvalue())))
    assert again.info["Title"] == "a title"
    assert again.info["dpi"] == pytest.approx((300, 300), abs=0.1)
