"""Headers that would cost far more than a picture: they are refused before Pillow reads them."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harmonizer.errors import InputError
from harmonizer.imaging import frames
from harmonizer.imaging.files import open_file
from harmonizer.imaging.scans import end_of_jpeg, joined_exif
from harmonizer.imaging.tiles import check_tiles

SIZE = (48, 64)
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8))


def encoded(kind: str, image: Image.Image = PICTURE, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def jpeg_with(*segments: bytes) -> bytes:
    plain = encoded("JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def assert_is_read(data: bytes) -> None:
    opened, _ = open_file(data)
    assert isinstance(opened, Image.Image)
    assert opened.size == SIZE[::-1]


@pytest.mark.parametrize("place", [6, 1 << 30], ids=["empty", "nowhere"])
def test_very_many_headers_of_exif(place: int) -> None:
    header = b"II*\0" + struct.pack("<I", place)
    assert_is_read(jpeg_with(segment(0xED, header * 30)))
    with pytest.raises(InputError, match="of far too many parts"):
        open_file(jpeg_with(segment(0xED, header * 1000)))


def bomb(header: bytes, times: int, length: int = 60_000) -> bytes:
    """EXIF whose entries all have the same bytes for a value."""
    order = "<" if header[:1] == b"I" else ">"
    values = 8 + 2 + 12 * times + 4
    entry = struct.pack(order + "HII", 7, length, values)
    entries = (struct.pack(order + "H", 1000 + number) + entry for number in range(times))
    start = header + struct.pack(order + "IH", 8, times)
    return start + b"".join(entries) + bytes(4) + bytes(range(1, 11)) * (length // 10)


HEADERS = (b"II*\0", b"II\0*", b"MM\0*", b"MM*\0", b"MM\0+")  # Pillow reads the last as the third


@pytest.mark.filterwarnings("ignore:Tag data larger than file")  # of Pillow's encoder
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "of mif1", "MPF", "TIFF"])
def test_values_that_overlap(kind: str, header: bytes) -> None:
    """Wherever Pillow reads such a directory, and however it begins."""
    usual = b"II*\0" if header[:1] == b"I" else b"MM\0*"
    if kind == "MPF":
        data = jpeg_with(segment(0xE2, b"MPF\0" + bomb(header, 2000, 20_000)))
    elif kind == "TIFF":
        data = bomb(header, 3000)
    elif kind in ("PNG", "WEBP"):
        data = encoded(kind, exif=bomb(header, 3000))
    else:  # whose encoder reads it
        data = encoded("AVIF", exif=bomb(usual, 3000)).replace(usual, header)
        data = data.replace(b"ftypavif", b"ftypmif1", int(kind == "of mif1"))
    if kind in ("PNG", "WEBP"):
        with pytest.warns(UserWarning, match="far more memory than the file has"):
            assert_is_read(data)
    else:
        with pytest.raises(InputError):
            open_file(data)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_exif_that_begins_again_and_again(kind: str) -> None:
    twice = b"Exif\0\0" * 2 + b"II*\0\x08\0\0\0" + bytes(6)
    assert_is_read(encoded(kind, exif=twice))
    data = encoded(kind, exif=b"Exif\0\0" * 200 + twice)
    with pytest.warns(UserWarning, match="begins again and again"):
        assert_is_read(data)


def test_very_many_directories_in_one() -> None:
    def exif(count: int) -> bytes:
        behind = 8 + 2 + 12 * count + 4
        entries = (
            struct.pack("<HHII", 0x8769, 4, 1, behind + 6 * number) for number in range(count)
        )
        start = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count)
        return start + b"".join(entries) + bytes(4 + 6 * count)

    assert_is_read(encoded("JPEG", exif=exif(15)))
    with pytest.raises(InputError, match="more than 16 directories"):
        open_file(encoded("JPEG", exif=exif(16)))
    with pytest.warns(UserWarning, match="more than 16 directories"):  # and the picture is read
        assert_is_read(encoded("PNG", exif=exif(16)))


EXTENSION, BEGIN, END_OF_PICTURE, RESTART = b"\xff\xf0", b"\xff\xd8", b"\xff\xd9", b"\xff\xd0"


@pytest.mark.filterwarnings("ignore:Tag data larger than file")  # of Pillow, thousands
@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
@pytest.mark.parametrize(
    "between",
    [b"", b"no marker", BEGIN, END_OF_PICTURE, RESTART, EXTENSION, b"\xff\xc8", b"\xff\xe3\0\1"],
)
def test_a_directory_in_a_later_segment(between: bytes, kind: str) -> None:
    """The one that Pillow joins is looked at, not what it looks like in pieces."""

    def in_segments(times: int) -> bytes:
        entry = struct.pack("<HHII", 0xC000, 2, 40_000, 8)
        entries = b"".join(struct.pack("<H", 0xC000 + one) + entry[2:] for one in range(times))
        exif = b"II*\0" + struct.pack("<I", 100_000) + bytes(100_000 - 8)
        exif += struct.pack("<H", times) + entries + bytes(4)
        parts = (exif[place : place + 60_000] for place in range(0, len(exif), 60_000))
        segments = [segment(0xE1, b"Exif\0\0" + part) for part in parts]
        jpeg = jpeg_with(between.join(segments))
        joined = Image.open(io.BytesIO(jpeg)).info["exif"]
        assert joined == b"Exif\0\0" + exif  # as far as Pillow goes
        return jpeg if kind == "JPEG" else encoded("JPEG") + jpeg

    if between in (b"", b"no marker"):
        assert_is_read(in_segments(3))
    with pytest.raises(InputError, match="far more memory than the file has"):
        open_file(in_segments(4000))


def test_headers_that_overlap() -> None:
    """Each of them goes on through all that follow."""
    with pytest.raises(InputError, match="its headers overlap"):
        open_file(jpeg_with(b"\xff\xd8\xff\xf0" * 100_000))
    assert_is_read(jpeg_with(*(segment(0xE2, BEGIN + encoded("JPEG")) for _ in range(50))))


def test_fill_bytes_that_end_in_no_marker() -> None:
    """To begin at each of them anew would take minutes, in which no other thread goes on."""
    filled = b"\xff" * 100_000 + b"\0"
    assert_is_read(jpeg_with(filled))
    scans = b"\xff\xda\0\2" * 101  # so many are counted, by a walk through all markers
    with pytest.raises(InputError):
        open_file(BEGIN + filled + scans)
    assert end_of_jpeg(BEGIN + filled + encoded("JPEG")) == 2 + len(filled) + len(encoded("JPEG"))
    assert_is_read(jpeg_with(b"\xff" * 1000 + segment(0xE1, b"Exif\0\0")))


def test_beginnings_behind_which_nothing_is_found() -> None:
    """From each of them the rest is looked through: a megabyte of them would take a minute."""
    began = BEGIN * 3000 + bytes(3_000_000)
    with pytest.raises(ValueError, match="its headers overlap"):
        list(joined_exif(began))
    with pytest.raises(InputError, match="its headers overlap"):
        open_file(began)
    assert_is_read(encoded("JPEG") + bytes(3_000_000))


def bitmap(kind: str, size: tuple[int, int], bits: int, runs: bytes) -> bytes:
    """A bitmap of run lengths, of 8 or 4 bits a pixel, with a colour palette."""
    colours = b"".join(bytes((one, 7, 7, 0)) for one in range(1 << bits))
    header = struct.pack(
        *("<IiiHHIIiiII", 40, *size, 1, bits, {8: 1, 4: 2}[bits], len(runs), 0, 0, 1 << bits, 0)
    )
    start = 14 + len(header) + len(colours)
    before = struct.pack("<2sIHHI", b"BM", start + len(runs), 0, 0, start)
    return (before if kind == "BMP" else b"") + header + colours + runs


END_OF_LINE, END, TO_THE_TOP = b"\0\0", b"\0\1", b"\0\2\0\xff"


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("kind", ["BMP", "DIB"])
def test_a_bitmap_whose_runs_lead_out_of_it(kind: str, bits: int) -> None:
    for runs in (TO_THE_TOP, b"\5\1" + END_OF_LINE + TO_THE_TOP, b"\0\3\1\2\3\0" + TO_THE_TOP):
        data = bitmap(kind, (100_000, 3), bits, runs)
        with pytest.raises(InputError, match="run lengths lead beyond its picture"):
            open_file(data)


@pytest.mark.parametrize("kind", ["BMP", "DIB"])
def test_a_bitmap_of_gaps(kind: str) -> None:
    data = bitmap(kind, (8_000_000, 3), 8, (b"\1\0" + END_OF_LINE) * 3)
    with pytest.raises(InputError, match="its lines lack more than 16,777,216 pixels"):
        open_file(data)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("kind", ["BMP", "DIB"])
def test_a_large_bitmap_of_sound_runs_is_read(kind: str, bits: int) -> None:
    """Among them moves, lines that end early, and a byte that fills up a pair."""
    width, height = 66_000, 6
    literal = b"\0\5" + (b"\1\2\3\1\2\0" if bits == 8 else b"\x12\x31\x20\0")
    line = b"\xff\1" * 258 + b"\xd2\1"  # all 66,000
    runs = line + END_OF_LINE + literal + b"\0\2\7\1" + END_OF_LINE + line + b"\0\2\0\1" + line
    opened, _ = open_file(bitmap(kind, (width, height), bits, runs + END))
    assert isinstance(opened, Image.Image)
    assert opened.size == (width, height)


def in_tiles(kind: str, size: tuple[int, int], tile: int, components: int) -> bytes:
    """The begin of a JPEG 2000 file: bare, or in boxes."""
    sizes = struct.pack(">HHIIIIIIIIH", 38 + 3 * components, 0, *size, 0, 0, tile, tile, 0, 0, 0)
    sizes = sizes[:-2] + struct.pack(">H", components) + b"\7\1\1" * components
    bare = b"\xff\x4f\xff\x51" + sizes
    boxes = struct.pack(">I4sI", 12, b"jP  ", 0x0D0A870A) + struct.pack(">I4s", 0, b"jp2c") + bare
    return {"bare": bare, "boxes": boxes}[kind]


@pytest.mark.parametrize("kind", ["bare", "boxes"])
def test_a_jpeg_2000_file_of_very_many_tiles(kind: str) -> None:
    for size, tile, components in (
        ((256, 255), 1, 2),
        ((40, 30), 1, 100),
        ((4000, 4001), 20, 4),
    ):
        with pytest.raises(InputError, match=f"tiles of {components} components, more than 100,00"):
            open_file(in_tiles(kind, size, tile, components))


# Of the picture and of one component: the marker, what stands before and behind the sides.
STYLES = {
    "picture": (b"\xff\x52\0", b"\0\0\1\0"),
    "component": (b"\xff\x53\0", b""),
    "behind what looks like one": (b"\xff\x64\0\7\0\1\xff\x53\0\xff\x52\0", b"\0\0\1\0"),
}


@pytest.mark.parametrize("kind", STYLES)
@pytest.mark.parametrize(
    ("size", "sides", "parts"),
    [
        ((4000, 4000), b"\0\0", b""),  # blocks of 4 x 4
        ((2000, 1000), b"\4\4", b"\x88\x11"),  # of 64 x 64, in parts of 2 x 2
        ((50_000_000, 1), b"\0\x08", b""),  # of 4 x 1024
    ],
)
def test_a_jpeg_2000_file_of_very_many_blocks(
    kind: str, size: tuple[int, int], sides: bytes, parts: bytes
) -> None:
    marker, before = STYLES[kind]
    content = bytes([len(parts) > 0]) + before + b"\1" + sides + b"\0\1" + parts
    content = b"\0" + content if kind == "component" else content
    style = marker + bytes([2 + len(content)]) + content
    with pytest.raises(InputError, match=r"a tile has .* blocks, more than 1,048,576"):
        open_file(in_tiles("bare", size, max(size), 3) + style)


@pytest.mark.parametrize("tile", [200, 2000])
def test_a_jpeg_2000_file_of_very_many_layers(tile: int) -> None:
    style = b"\xff\x52\0\x0e\1\0\x03\xe8\0\1\4\4\0\1\x88\x66"
    # In parts of 16 x 16, by a component's own; a large tile has as many as many small ones.
    style += b"\xff\x53\0\x0b\0\1\1\4\4\0\1\x44\x44"
    with pytest.raises(InputError, match="1,000 layers of its blocks"):
        open_file(in_tiles("bare", (2000, 2000), tile, 3) + style)


def test_a_jpeg_2000_file_divided_in_very_many_ways() -> None:
    layers = (struct.pack(">H", one) for one in range(1001))
    ways = (b"\xff\x52\0\x0c\0\0" + one + b"\0\1\4\4\0\1" for one in layers)
    hostile = b"".join(ways)
    with pytest.raises(InputError, match="divided in more than 1,000 ways"):
        open_file(in_tiles("bare", (64, 48), 64, 3) + hostile)
    with pytest.raises(ValueError, match="divided in more than 1,000 ways"):  # also without sizes
        check_tiles(b"\xff\x4f\xff\x51" + hostile)
    again = b"\xff\x52\0\x0c\0\0\0\1\0\1\4\4\0\1" * 1001  # one way
    check_tiles(in_tiles("bare", (64, 48), 64, 3) + again)


@pytest.mark.parametrize("bare", [True, False])
def test_a_jpeg_2000_file_of_many_tiles_or_blocks_is_read(bare: bool) -> None:
    for options in (
        {"tile_size": (4, 4), "num_resolutions": 1},
        {"codeblock_size": (4, 4)},
        {"quality_layers": [*range(100, 0, -1)]},
        {"precinct_size": (64, 64), "codeblock_size": (32, 32), "num_resolutions": 3},
    ):
        data = encoded("JPEG2000", no_jp2=bare, **options)
        assert np.array_equal(np.asarray(open_file(data)[0]), PICTURE)


def test_exif_in_very_many_segments() -> None:
    first = segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + bytes(6))
    large, small, none = (segment(0xE1, b"Exif\0\0" + bytes(size)) for size in (60_000, 1, 0))
    broken = struct.pack(">BBH", 0xFF, 0xE1, 0) + b"Exif\0\0"  # which is no segment
    assert_is_read(jpeg_with(first, large * 60))
    hostile = jpeg_with(first, large * 10, (small + none) * 4000)
    for data in (hostile, jpeg_with(first, large * 10, (small + broken) * 4000)):
        with pytest.raises(InputError, match=r"EXIF of .* in far too many pieces"):
            open_file(data)
    with pytest.raises(InputError, match=r"EXIF of .* in far too many pieces"):
        open_file(encoded("JPEG") + hostile)  # in a picture behind the first


def gif_with(*extensions: bytes) -> bytes:
    plain = encoded("GIF", PICTURE.quantize(16))
    start = 13 + (6 << (plain[10] & 7))
    return plain[:start] + b"".join(extensions) + plain[start:]


FRAME = b",%b\1\0\1\0\0\2\2\x44\1\0"  # of one pixel, and where it is


def test_a_frame_behind_very_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow decodes all before it: of 100 megapixels each, these would take 78 s."""
    monkeypatch.setattr(frames, "_MOST_PASSED", 20_000_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900_000)
    small, large = struct.pack("<HH", 20, 10), struct.pack("<HH", 999, 999)
    palette, corner = b"\x80\0\0" + bytes(6), FRAME % bytes(4)
    for size in (struct.pack("<HH", 1000, 1000), small):  # or one that grows
        data = b"GIF89a" + size + palette + corner + FRAME % large * 100 + b";"
        with (
            pytest.warns(Image.DecompressionBombWarning),
            pytest.raises(InputError, match=r"the 2[123] frames .* more than 20,000,000 pixels"),
        ):
            open_file(data, page=80)
    opened, _ = open_file(b"GIF89a" + small + palette + corner * 300 + b";", page=299)
    assert isinstance(opened, Image.Image)
    assert opened.size == (20, 10)


def comment(content: bytes, size: int = 255) -> bytes:
    pieces = (content[place : place + size] for place in range(0, len(content), size))
    return b"!\xfe" + b"".join(bytes([len(one)]) + one for one in pieces) + b"\0"


TOO_LONG = comment(bytes(70_000), 1)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0",
        b"!\xff\x0bNETSCAPE2.0\0\1,\0",  # Pillow expects more than that, in any case
        b"!\xf9\0\1,\0",
        b"!\1\2!,\0no part of any kind",
    ],
)
def test_a_comment_of_very_many_pieces(before: bytes) -> None:
    assert open_file(gif_with(before, comment(b"short")))[1]["comment"] == b"short"
    for costly in (TOO_LONG, comment(b"") * 70_000):
        with pytest.raises(InputError, match=r"comment of .* in far too many pieces"):
            open_file(gif_with(before, costly))


def test_a_comment_of_very_many_pieces_behind_the_first_picture() -> None:
    whole = gif_with()
    second = whole[whole.index(b",", 13 + (6 << (whole[10] & 7))) : -1]
    with pytest.raises(InputError, match=r"comment of .* in far too many pieces"):
        open_file(whole[:-1] + TOO_LONG + second + b";")
    # Each has its own, which are not joined with those before.
    opened, info = open_file(whole[:-1] + (comment(b"d" * 50_000) + second) * 99 + b";", page=2)
    assert isinstance(opened, Image.Image)
    assert info["comment"] == b"d" * 50_000


def test_long_and_many_comments_are_kept() -> None:
    _, info = open_file(gif_with(comment(b"a" * 500_000), comment(b"b")))
    assert info["comment"] == b"a" * 500_000 + b"\nb"
    assert_is_read(gif_with(b"!\xff\x05plain\xff" + TOO_LONG[:255] + b"\0"))  # of another kind


@pytest.mark.parametrize("kind", ["P1", "P2", "P3"])
def test_a_plain_file_of_very_many_comments(kind: str) -> None:
    start = f"{kind}\n64 48\n" + "1\n" * (kind != "P1")
    numbers = "1 " * (64 * 48 * (3 if kind == "P3" else 1))
    assert_is_read((start + "# of a line ####\n" * 100 + numbers).encode())
    with pytest.raises(InputError, match="more than 10,000 comments"):
        open_file((start + "#\n" * 10_001 + numbers).encode())


def test_what_looks_like_comments_in_another_file_is_none() -> None:
    numbers = np.tile(np.frombuffer(b"#\n\n", np.uint8), (120, 100, 1))
    opened, _ = open_file(encoded("PPM", Image.fromarray(numbers)))
    assert np.array_equal(np.asarray(opened), numbers)
