"""Files of all formats: the right picture of them, by a decoder that runs nothing."""

import io
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from helpers import box_mask
from PIL import Image, ImageFile

from harmonizer import Harmonizer
from harmonizer.demo.work import show_file
from harmonizer.errors import InputError
from harmonizer.imaging.files import load_upright, open_file
from harmonizer.imaging.image import open_image

SIZE = (40, 60)
MASK = box_mask(*SIZE)


def test_a_bmp_of_5_6_5_bits_is_read() -> None:
    levels = np.random.default_rng(0).integers(0, 1 << 16, (6, 8), np.uint16)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    header = struct.pack("<IiiHHIIiiII", 40, 8, 6, 1, 16, 3, levels.nbytes, 0, 0, 0, 0)
    start = 14 + len(header) + len(masks)
    file = struct.pack("<2sIHHI", b"BM", start + levels.nbytes, 0, 0, start) + header + masks
    found = np.asarray(open_file(file + levels[::-1].tobytes())[0])
    assert found.shape == (6, 8, 3)
    for channel, (shift, bits) in enumerate(((11, 5), (5, 6), (0, 5))):
        most = (1 << bits) - 1
        expected = (levels >> shift & most) * 255 / most
        assert np.abs(found[..., channel] - expected).max() <= 8


def layered_psd() -> tuple[bytes, Any]:
    """A file of two layers of 2 x 2 pixels, and the picture that they make together."""
    merged = np.random.default_rng(0).integers(0, 256, (3, 4, 5), np.uint8)
    channels = b"".join(struct.pack(">hI", number, 2 + 4) for number in range(3))
    extra = struct.pack(">II", 0, 0) + b"\1a\0\0"
    record = struct.pack(">4iH", 0, 0, 2, 2, 3) + channels + b"8BIMnorm"
    record += bytes([255, 0, 0, 0]) + struct.pack(">I", len(extra)) + extra
    layers = struct.pack(">h", 2) + 2 * record + 2 * 3 * (bytes(2) + bytes(4))
    section = struct.pack(">I", len(layers)) + layers
    file = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 4, 5, 8, 3) + bytes(8)
    file += struct.pack(">I", len(section)) + section + bytes(2) + merged.tobytes()
    return file, merged.transpose(1, 2, 0)


@pytest.mark.filterwarnings("error")
def test_the_merged_picture_of_a_layered_file_is_taken() -> None:
    data, merged = layered_psd()
    with Image.open(io.BytesIO(data)) as file:
        assert getattr(file, "is_animated", False), "Pillow calls layers so"
    assert np.array_equal(np.asarray(open_file(data)[0]), merged)
    with pytest.raises(InputError, match="no page 2"):
        open_file(data, page=2)


@pytest.fixture
def heif(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Pillow read HEIC, in one test."""
    Image.init()
    for register in ("OPEN", "ID", "EXTENSION", "MIME", "SAVE", "SAVE_ALL"):
        monkeypatch.setattr(Image, register, getattr(Image, register).copy())
    pillow_heif.register_heif_opener()


@pytest.mark.usefixtures("heif")
def test_the_main_picture_of_several_is_taken(noise: Any) -> None:
    pictures = [Image.fromarray(noise(64, 96, seed=n)) for n in range(2)]
    buffer = io.BytesIO()
    heif = pillow_heif.from_pillow(pictures[0])
    heif.add_from_pillow(pictures[1])
    heif.save(buffer, quality=-1, chroma=444, matrix_coefficients=0)
    with pytest.warns(UserWarning, match="several pictures; the first is taken"):
        first = np.asarray(open_file(buffer.getvalue())[0])
    second = np.asarray(open_file(buffer.getvalue(), page=2)[0])
    for found, picture in zip((first, second), pictures, strict=True):
        assert np.abs(found.astype(int) - np.asarray(picture)).mean() < 2


def iptc(content: bytes, size: tuple[int, int] = (36, 24)) -> bytes:
    """A picture of IPTC type with another file inside, which Pillow opens as whatever it is."""

    def field(section: int, number: int, value: bytes) -> bytes:
        return struct.pack(">BBBH", 0x1C, section, number, len(value)) + value

    head = field(3, 60, b"\1\0") + field(3, 65, b"\0\1") + field(3, 20, struct.pack(">H", size[0]))
    head += field(3, 30, struct.pack(">H", size[1])) + field(3, 120, b"\5")
    blocks = [content[start : start + 30_000] for start in range(0, len(content), 30_000)]
    return head + b"".join(field(8, 10, block) for block in blocks)


def postscript() -> bytes:
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 36 24\n%%EndComments\nshowpage\n%%EOF\n"


def large() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4000, 3000)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("inside", [postscript, large])
def test_no_file_within_a_file_is_opened(
    inside: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: started.append("a program"))
    (tmp_path / "a.png").write_bytes(iptc(inside()))
    with Image.open(tmp_path / "a.png") as file:
        assert (file.format, file.size, file.mode) == ("IPTC", (36, 24), "L")
    for opener in (open_file, open_image, lambda path: show_file(str(path))):
        with pytest.raises(InputError, match="cannot be read as an image"):
            opener(tmp_path / "a.png")
        (tmp_path / "b.png").write_bytes(inside() if inside is postscript else iptc(inside()))
        with pytest.raises(InputError, match="cannot be read as an image"):
            opener(tmp_path / "b.png")
    assert started == []


def test_a_picture_is_what_its_header_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a program opened it, with formats that this library does not open."""

    class Deceiver(ImageFile.ImageFile):
        format = "IPTC"

        def _open(self) -> None:
            self._size, self._mode, self.tile = (36, 24), "L", []

        def load(self) -> Any:
            self.im = Image.new("RGB", (400, 300)).im
            self._size, self._mode = (400, 300), "RGB"
            return super().load()

    with pytest.raises(InputError, match="header promises L"):
        load_upright(Deceiver(io.BytesIO(b"a")), "the image")


# --- what Pillow does not say of JPEG 2000 and AVIF -----------------------------------------------


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", ["jp2", "j2k"])
def test_jpeg_2000_of_every_depth_is_as_bright_as_it_was(
    bits: int, channels: int, kind: str
) -> None:
    white = (1 << bits) - 1
    shape = (40, 60) if channels == 1 else (40, 60, channels)
    pixels = np.random.default_rng(0).integers(0, white + 1, shape)
    pixels = pixels.astype(np.uint8 if bits == 8 else np.uint16)
    data = imagecodecs.jpeg2k_encode(pixels, level=0, bitspersample=bits, codecformat=kind)
    found = np.asarray(open_file(data)[0])
    assert found.dtype == pixels.dtype
    error = np.abs(found - pixels * (1 if bits == 8 else 65535 / white))
    # Pillow moves grey up by whole bits.
    assert error.max() <= (65535 / white if channels == 1 and bits in (10, 12) else 0.5)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_an_avif_file_says_what_is_cut(bits: int, recwarn: pytest.WarningsRecorder) -> None:
    white = (1 << bits) - 1
    pixels = np.random.default_rng(0).integers(0, white + 1, (40, 60, 3))
    pixels = pixels.astype(np.uint8 if bits == 8 else np.uint16)
    data = imagecodecs.avif_encode(pixels, level=100, bitspersample=bits)
    try:
        found = np.asarray(open_file(data)[0])
    except InputError:
        pytest.skip("this Pillow reads no AVIF")
    assert np.abs(found - pixels * (255 / white)).max() <= 1
    told = [str(one.message) for one in recwarn if "bits a channel, of which 8" in str(one.message)]
    assert told == [text for text in told if f"has {bits} bits" in text]
    assert len(told) == (bits > 8)


@pytest.mark.parametrize(("primaries", "transfer"), [(9, 16), (12, 13), (9, 18)])
def test_an_avif_file_of_other_light_says_so(primaries: int, transfer: int) -> None:
    data = imagecodecs.avif_encode(
        np.zeros((40, 60, 3), np.uint8), level=100, primaries=primaries, transfer=transfer
    )
    with pytest.warns(UserWarning, match=f"CICP {primaries}/{transfer}, which are taken as sRGB"):
        open_file(data)


@pytest.mark.usefixtures("heif")
@pytest.mark.parametrize(("bits", "transfer"), [(8, 13), (10, 13), (10, 16)])
def test_a_heif_file_says_the_same(
    bits: int, transfer: int, recwarn: pytest.WarningsRecorder
) -> None:
    deep = "RGB" if bits == 8 else "RGB;16"
    data, size = bytes(60 * 40 * 3 * (1 if bits == 8 else 2)), (60, 40)
    buffer = io.BytesIO()
    pillow_heif.from_bytes(mode=deep, size=size, data=data).save(
        buffer,
        color_primaries=1 if transfer == 13 else 9,
        transfer_characteristics=transfer,
        matrix_coefficients=1,
    )
    open_file(buffer.getvalue())
    told = " ".join(str(one.message) for one in recwarn)
    assert ("has 10 bits a channel, of which 8 are kept" in told) == (bits == 10)
    assert ("CICP 9/16, which are taken as sRGB" in told) == (transfer == 16)


# --- one picture in several threads ---------------------------------------------------------------


class Slowly(io.BytesIO):
    """A file whose reader is interrupted between any two bytes."""

    def read(self, size: int | None = -1) -> bytes:
        threading.Event().wait(0.0005)
        return super().read(size)


def slowly(content: bytes) -> Any:
    return Slowly(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("what", ["image", "file"])
def test_what_is_not_loaded_yet_may_be_used_many_times(
    kind: str, what: str, noise: Any, brighten: Harmonizer
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise(*SIZE)).save(buffer, kind)
    shared = io.BytesIO()
    Image.fromarray(MASK).save(shared, "PNG")
    expected = np.asarray(brighten(buffer.getvalue(), MASK))
    for _ in range(5):
        image: Any = slowly(buffer.getvalue())
        mask: Any = slowly(shared.getvalue())
        if what == "image":
            image, mask = Image.open(image), Image.open(mask)
        results = list(brighten.harmonize_batch([image] * 12, [mask] * 12, workers=6))
        for result in results:
            assert np.array_equal(np.asarray(result), expected)


def test_a_file_that_is_waited_for_keeps_nobody_else_waiting(noise: Any) -> None:
    ended, reading = threading.Event(), threading.Event()

    class Waiting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            reading.set()
            ended.wait(60)
            return super().read(size)

    buffer = io.BytesIO()
    Image.fromarray(noise(8, 8)).save(buffer, "PNG")
    others = [io.BytesIO(buffer.getvalue()) for _ in range(300)]

    def open_others() -> int:
        return len([open_file(one) for one in others])

    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(open_file, Waiting(buffer.getvalue()))
        assert reading.wait(60)
        try:
            assert pool.submit(open_others).result(timeout=20) == len(others)
            assert not waiting.done()
        finally:
            ended.set()
        waiting.result()


def test_the_orientation_is_found_by_every_thread(noise: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(noise(*SIZE)).save(buffer, "JPEG", exif=exif.tobytes())
    for _ in range(5):
        image = Image.open(slowly(buffer.getvalue()))
        with ThreadPoolExecutor(6) as pool:
            sizes = list(pool.map(lambda one: open_image(one).size, [image] * 12))
        assert set(sizes) == {SIZE[::-1]}
