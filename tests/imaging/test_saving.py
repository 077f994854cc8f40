"""Files are written whole, with every bit and their metadata, or not at all."""

import io
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from harmonizer.errors import InputError
from harmonizer.files import write_atomically
from harmonizer.imaging.files import open_file
from harmonizer.imaging.image import open_image
from harmonizer.imaging.saving import encode_image, save_image

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = Image.Exif()
EXIF[0x010E] = "a description"
EXIF[0x8769] = {0x9003: "2020:01:01 00:00:00"}
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>who made it</x:xmpmeta>"
INFO = {"icc_profile": PROFILE, "exif": EXIF.tobytes(), "dpi": (300, 300), "xmp": XMP}


def test_xmp_survives_in_a_tiff_without_exif(noise: Any, tmp_path: Path) -> None:
    save_image(Image.fromarray(noise(20, 30)), tmp_path / "out.tif", {"xmp": XMP})
    with Image.open(tmp_path / "out.tif") as back:
        assert back.info["xmp"] == XMP


def test_what_one_jpeg_segment_cannot_hold_is_left_out(noise: Any, tmp_path: Path) -> None:
    image = Image.fromarray(noise(20, 30))
    for length, kept in ((65502, True), (65503, False)):
        save_image(image, tmp_path / "out.jpg", {"xmp": b"x" * length})
        with Image.open(tmp_path / "out.jpg") as back:
            assert ("xmp" in back.info) == kept


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_jpeg_takes_what_loses_nothing(mode: str, noise: Any, tmp_path: Path) -> None:
    image = Image.fromarray(noise(20, 30)).convert(mode)
    save_image(image, tmp_path / "out.jpg", {})
    back = open_image(tmp_path / "out.jpg").pixels.astype(int)
    assert np.abs(back - np.asarray(image.convert("RGB"))).mean() < 5


@pytest.mark.parametrize(
    ("image", "name", "message"),
    [
        (Image.new("RGBA", (4, 4)), "out.jpg", "JPEG cannot hold"),
        (Image.new("I;16", (4, 4)), "out.jpg", "JPEG cannot hold"),
        (Image.new("CMYK", (4, 4)), "out.png", "PNG cannot hold.*such as .tif, or"),
        (np.zeros((4, 4, 3), np.uint16), "out.jpg", "16 bits"),
        (np.zeros((4, 4, 3), np.uint16), "out", "cannot write the format"),
        (Image.new("RGB", (4, 4)), "out", "cannot write the format"),
        (Image.new("RGB", (4, 4)), "out.psd", "cannot write the format"),
        (Image.new("RGB", (4, 4)), "out.ico", "cannot write the format"),
        (Image.new("RGB", (4, 4)), "out.gif", "too few colours"),
        (Image.new("RGB", (2, 70000)), "out.webp", "WEBP cannot hold"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    image: Any, name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        save_image(image, tmp_path / name, {})
    assert list(tmp_path.iterdir()) == []


def several_transparent(noise: Any, *, soft: bool = False) -> tuple[Image.Image, Any]:
    """Return an image of mode P of several transparent colours, and where it is transparent."""
    alpha = np.full((30, 40), 255, np.uint8)
    alpha[5:15] = 0
    alpha[20:25] = 128 if soft else 255
    image = Image.fromarray(np.dstack([noise(30, 40), alpha])).quantize(32)
    found = np.asarray(image.convert("RGBA"))[..., 3]
    indices = np.asarray(image).copy()
    indices[5:8] = 31  # a second transparent entry
    palette = image.getpalette("RGBA") or []
    palette = [*palette, *([0] * (128 - len(palette)))]
    palette[-4:] = [9, 8, 7, 0]
    image = Image.frombytes("P", image.size, indices.tobytes())
    image.putpalette(palette, "RGBA")
    return image, found == 0


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_transparent_colours_of_a_palette_stay_so(kind: str, noise: Any) -> None:
    image, clear = several_transparent(noise)
    back = Image.open(io.BytesIO(encode_image(image, kind, {}))).convert("RGBA")
    assert clear.any()
    assert np.array_equal(np.asarray(back)[..., 3], np.where(clear, 0, 255))
    before = np.asarray(image.convert("RGB"))
    assert np.array_equal(np.asarray(back)[~clear, :3], before[~clear])


def test_gif_has_no_half_transparent_colours(noise: Any) -> None:
    image, _ = several_transparent(noise, soft=True)
    with pytest.raises(InputError, match=r"opaque or transparent.*write \.png"):
        encode_image(image, "GIF", {})


def test_file_permissions_follow_the_umask(tmp_path: Path) -> None:
    write_atomically(tmp_path / "ours", b"x")
    (tmp_path / "plain").write_bytes(b"x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    target.chmod(0o640)
    (tmp_path / "link").symlink_to(target)
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_long_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".png")
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]


def test_ctrl_c_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ctrl_c(file: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "out", b"new")
    assert list(tmp_path.iterdir()) == []


# --- metadata costs no picture, and is not lost without a word ------------------------------------

ALL = {**INFO, "text": {"Title": "a picture", "Author": "who made it \u4e2d"}}


def directory(*entries: tuple[int, int, bytes], order: str = "<") -> bytes:
    """EXIF with one entry of each tag and type, as damaged or odd as the caller likes."""
    head = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(entries))
    place, behind, sizes = len(head) + 12 * len(entries) + 4, b"", {2: 1, 3: 2, 5: 8, 7: 1}
    for tag, kind, value in entries:
        head += struct.pack(f"{order}HHI", tag, kind, len(value) // sizes[kind])
        head += value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(f"{order}I", place)
        behind += value if len(value) > 4 else b""
        place += len(value) if len(value) > 4 else 0
    return b"Exif\0\0" + head + bytes(4) + behind


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif", "bmp", "jp2", "ppm"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_that_cannot_be_written_again_costs_no_picture(
    ending: str, order: str, noise: Any, tmp_path: Path
) -> None:
    exif = directory(
        (0x010F, 2, b"ACME\0"),
        (0x0112, 3, struct.pack(f"{order}H", 6)),
        (0x011A, 5, struct.pack(f"{order}II", 300, 0)),
        (0x011B, 5, struct.pack(f"{order}II", 0, 0)),
        (0x829D, 2, b"text for a number\0"),
        order=order,
    )
    pixels = noise(20, 30)
    Image.fromarray(pixels).save(tmp_path / "in.png", exif=exif)
    image, info = open_file(tmp_path / "in.png")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        save_image(image, tmp_path / f"out.{ending}", info)
    with Image.open(tmp_path / f"out.{ending}") as back:
        assert back.size == (20, 30), "it was turned once"
        assert back.getexif().get(0x0112, 1) == 1
        kept = open_file(tmp_path / f"out.{ending}")[1].get("exif", b"").count(b"ACME") == 1
    assert kept == (ending in ("png", "jpg", "webp", "tif", "jp2"))
    assert kept == (not any("EXIF" in str(one.message) for one in caught))


@pytest.mark.parametrize("exif", [b"Exif\0\0II", b"nonsense that is long", b"Exif\0\0MM\0*\0\0\0"])
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_broken_exif_costs_no_picture(exif: bytes, ending: str, noise: Any, tmp_path: Path) -> None:
    pixels = noise(20, 30)
    with pytest.warns(UserWarning, match="EXIF, which is damaged"):
        save_image(Image.fromarray(pixels), tmp_path / f"out.{ending}", {"exif": exif})
    with Image.open(tmp_path / f"out.{ending}") as back:
        assert ending == "jpg" or np.array_equal(np.asarray(back), pixels)
        assert not back.getexif().get(0x010F)


@pytest.mark.parametrize("dpi", [(0, 0), (1e9, 1e9), (float("nan"), 72), (-1, -1), "none", (72,)])
@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_resolution_that_is_none_costs_no_picture(
    dpi: Any, ending: str, deep: bool, noise: Any, tmp_path: Path
) -> None:
    pixels = noise(20, 30).astype(np.uint16) * 257 if deep else Image.fromarray(noise(20, 30))
    if deep and ending in ("jpg", "bmp"):
        pytest.skip("it holds 8 bits")
    with pytest.warns(UserWarning, match="resolution of"):
        save_image(pixels, tmp_path / f"out.{ending}", {"dpi": dpi})
    open_image(tmp_path / f"out.{ending}")


@pytest.mark.parametrize(
    ("ending", "info", "named"),
    [
        ("jpg", {"exif": directory((0x927C, 7, bytes(70_000)))}, "EXIF"),
        ("jpg", {"xmp": b"x" * 70_000}, "XMP"),
        ("png", {"icc_profile": PROFILE + bytes(1 << 20)}, "colour profile"),
        ("webp", {"dpi": (300, 300)}, "resolution"),
        ("jp2", ALL, "text"),
        ("png", {"iptc": b"IPTC"}, "IPTC"),
        ("jpg", {"iptc": b"x" * 70_000}, "IPTC"),
        ("png", {"text": {"\u4e2d": "a", "": "b"}}, "text without a keyword that PNG knows"),
        ("ppm", INFO, "colour profile, EXIF, XMP, resolution"),
        ("bmp", INFO, "colour profile, EXIF, XMP"),
        ("tif", ALL, "text"),
    ],
)
def test_what_a_format_cannot_hold_is_left_out_with_a_word(
    ending: str, info: dict[str, Any], named: str, noise: Any, tmp_path: Path
) -> None:
    pixels = noise(20, 30)
    with pytest.warns(UserWarning, match=f"cannot hold all metadata; left out: {named}$"):
        save_image(Image.fromarray(pixels), tmp_path / f"out.{ending}", info)
    back = open_image(tmp_path / f"out.{ending}").pixels
    assert ending == "jpg" or np.array_equal(back, pixels)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("deep", [False, True])
def test_the_text_of_a_png_file_is_kept(deep: bool, noise: Any, tmp_path: Path) -> None:
    pixels = noise(20, 30).astype(np.uint16) * 257 if deep else Image.fromarray(noise(20, 30))
    save_image(pixels, tmp_path / "a.png", ALL)
    image, info = open_file(tmp_path / "a.png")
    save_image(image, tmp_path / "b.png", info)
    with Image.open(tmp_path / "b.png") as back:
        back.load()
        assert back.text.items() >= ALL["text"].items()  # pyright: ignore
        assert back.info["xmp"] == XMP


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 4, 7])  # bytes, numbers of four bytes, bytes
def test_iptc_goes_from_tiff_to_jpeg_and_back(order: str, kind: int, noise: Any) -> None:
    iptc = b"\x1c\x02\x78\x00\x09a caption\0\0"
    count, value = (4, struct.unpack(f"{order}4I", iptc)) if kind == 4 else (len(iptc), iptc)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=order) as file:
        file.write(noise(20, 30), metadata=None, extratags=[(33723, kind, count, value, True)])
    for target in ("JPEG", "TIFF", "JPEG"):
        image, info = open_file(buffer.getvalue())
        assert info["iptc"] == iptc
        buffer = io.BytesIO(encode_image(image, target, info))
    with Image.open(buffer) as back:
        assert back.info["photoshop"][0x0404] == iptc


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "PNG"])
def test_exif_without_a_prefix_gets_one_in_jpeg(kind: str, noise: Any, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    try:
        Image.fromarray(noise(20, 30)).save(buffer, kind, exif=EXIF.tobytes())
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {kind}")
    image, info = open_file(buffer.getvalue())
    save_image(image, tmp_path / "out.jpg", info)
    with Image.open(tmp_path / "out.jpg") as back:
        assert back.getexif()[0x010E] == "a description"


@pytest.mark.parametrize("value", [1023, 4095, 65535])
@pytest.mark.parametrize("plain", [False, True])
def test_deep_ppm_is_read_and_written_with_all_its_bits(value: int, plain: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, value + 1, (5, 7, 3))
    data = f"P{3 if plain else 6}\n7 5\n{value}\n".encode()
    data += " ".join(map(str, pixels.ravel())).encode() if plain else pixels.astype(">u2").tobytes()
    found, _ = open_file(data)
    assert isinstance(found, np.ndarray)
    assert np.array_equal(found, np.rint(pixels * (65535 / value)))
    assert np.array_equal(open_file(encode_image(found, "PPM", {}))[0], found)


def test_a_profile_too_large_for_a_reader_costs_no_picture(noise: Any, tmp_path: Path) -> None:
    pixels = noise(20, 30)
    profile = np.random.default_rng(0).bytes(2 << 20)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile, dpi=(300, 300))
    with pytest.warns(UserWarning, match="its metadata cannot be read and is left out"):
        image, _ = open_file(tmp_path / "a.png")
    assert np.array_equal(np.asarray(image), pixels)


def test_a_picture_wider_than_png_allows_is_refused() -> None:
    with pytest.raises(InputError, match=r"1000001 x 1: a side is 1,000,000 at most"):
        encode_image(np.zeros((1, 1_000_001, 3), np.uint8), "PNG", {})
