"""Files are written whole, with every bit and their metadata, or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from harmonizer.errors import InputError
from harmonizer.files import write_atomically
from harmonizer.imaging.files import open_file
from harmonizer.imaging.image import open_image
from harmonizer.imaging.saving import save_image

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = Image.Exif()
EXIF[0x010E] = "a description"
EXIF[0x8769] = {0x9003: "2020:01:01 00:00:00"}
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>who made it</x:xmpmeta>"
INFO = {"icc_profile": PROFILE, "exif": EXIF.tobytes(), "dpi": (300, 300), "xmp": XMP}


@pytest.mark.parametrize("ending", ["png", "tif", "TIFF"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_and_their_profile_survive(ending: str, channels: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (21, 33, channels), np.uint16)
    path = tmp_path / f"out.{ending}"
    save_image(pixels, path, INFO)
    back, info = open_file(path)
    assert isinstance(back, np.ndarray)
    assert np.array_equal(back, pixels)
    assert info["icc_profile"] == PROFILE
    with Image.open(path) as other:  # Pillow, too, finds a sound file
        other.load()
        assert other.size == (33, 21)
        if ending == "png":
            assert other.getexif()[0x010E] == "a description"


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_metadata_survives(ending: str, noise: Any, tmp_path: Path) -> None:
    path = tmp_path / f"out.{ending}"
    save_image(Image.fromarray(noise(20, 30)), path, INFO)
    with Image.open(path) as back:
        assert back.info["icc_profile"] == PROFILE
        assert back.getexif()[0x010E] == "a description"
        assert back.info["xmp"] == XMP
        if ending != "webp":
            assert back.info["dpi"] == pytest.approx((300, 300), abs=0.01)


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
        (Image.new("CMYK", (4, 4)), "out.png", "PNG cannot hold"),
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


def test_a_failed_write_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old")

    def disk_full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_permissions_follow_the_umask(tmp_path: Path) -> None:
    write_atomically(tmp_path / "ours", b"x")
    (tmp_path / "plain").write_bytes(b"x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("ending", ["png", "tif", "webp", "bmp", "ppm", "jp2"])
def test_lossless_formats_keep_every_pixel(ending: str, noise: Any, tmp_path: Path) -> None:
    image = Image.fromarray(noise(64, 80))
    save_image(image, tmp_path / f"out.{ending}", {})
    assert np.array_equal(open_image(tmp_path / f"out.{ending}").pixels, np.asarray(image))


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
    write_atomically(tmp_path / ("x" * 250 + ".png"), b"x")


def test_ctrl_c_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ctrl_c(file: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "out", b"new")
    assert list(tmp_path.iterdir()) == []
