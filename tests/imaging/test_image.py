"""Every kind of image goes in and the same kind comes out."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from helpers import box_mask, turned
from PIL import Image, ImageCms

from harmonizer import Harmonizer
from harmonizer.errors import InputError
from harmonizer.imaging.files import list_pictures
from harmonizer.imaging.image import open_image
from harmonizer.imaging.saving import encode_image

HEIGHT, WIDTH = 40, 60
MASK = box_mask(HEIGHT, WIDTH)
RING = MASK.copy()  # there is background within the box of its foreground, too
RING[15:25, 20:40] = False
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
Noise = Callable[..., Any]

MODES = [
    *("L", "LA", "La", "P", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"),
    *("I", "F", "I;16", "I;16B", "I;16L", "I;16N"),
]


def pil_image(mode: str, noise: Noise) -> Image.Image:
    rgb = Image.fromarray(noise(HEIGHT, WIDTH))
    grey = np.asarray(rgb.convert("L"))
    if mode.startswith("I;16"):
        values = grey.astype(">u2" if mode == "I;16B" else "<u2") * 257
        return Image.frombytes(mode, rgb.size, values.tobytes())
    if mode == "I":
        return Image.fromarray(grey.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    if mode in ("RGBA", "LA", "RGBa", "La"):
        straight = {"RGBa": "RGBA", "La": "LA"}.get(mode, mode)
        alpha = Image.fromarray(noise(HEIGHT, WIDTH, 1, seed=5)[..., 0])
        bands = [*rgb.convert(straight[:-1]).split(), alpha]
        return Image.merge(straight, bands).convert(mode)
    if mode == "CMYK":
        bands = [Image.fromarray(noise(HEIGHT, WIDTH, 1, seed=i)[..., 0] // 2) for i in range(4)]
        return Image.merge(mode, bands)
    if mode == "P":
        return rgb.quantize(64)
    return rgb.convert(mode)


def rgb_of(image: Image.Image) -> Any:
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)
    return np.asarray(image.convert(straight).convert("RGB"), float)


@pytest.mark.parametrize("mode", MODES)
def test_pil_modes_come_back_as_they_went_in(mode: str, noise: Noise, brighten: Harmonizer) -> None:
    image = pil_image(mode, noise)
    image.info["icc_profile"] = PROFILE
    before = np.asarray(image).copy()
    assert np.array_equal(np.asarray(brighten(image, RING, strength=0)), before)
    result = brighten(image, RING)
    assert isinstance(result, Image.Image)
    assert (result.mode, result.size) == (mode, image.size)
    assert result.info["icc_profile"] == PROFILE
    assert np.array_equal(np.asarray(image), before), "the input was changed"
    after = np.asarray(result)
    assert np.array_equal(after[~RING], before[~RING])
    assert not np.array_equal(after[RING], before[RING])
    if mode in ("RGBA", "LA", "RGBX"):
        assert np.array_equal(after[..., -1], before[..., -1])
    if not mode.startswith(("I", "F")):  # Pillow's own conversion of these clips
        rise = rgb_of(result)[RING].mean() - rgb_of(image)[RING].mean()
        # 0.3 in normalised space is 0.3 x 0.225 x 255 = 17 grey levels.
        assert rise == pytest.approx(17.2, abs=2.5)


@pytest.mark.parametrize(
    ("kind", "opened"),
    # Pillow itself forgets the tags of a TIFF file once its picture is copied.
    [
        *[("PNG", False), ("JPEG", False), ("TIFF", False), ("WEBP", False)],
        *[("PNG", True), ("JPEG", True), ("WEBP", True)],
    ],
)
def test_profile_exif_xmp_and_resolution_stay_with_the_picture(
    kind: str, opened: bool, noise: Noise, brighten: Harmonizer
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    kept = {"icc_profile": PROFILE, "exif": exif.tobytes(), "dpi": (300, 300), "xmp": b"<x/>"}
    content = encode_image(Image.fromarray(noise(HEIGHT, WIDTH)), kind, kept)
    source = Image.open(io.BytesIO(content)) if opened else content
    result = brighten(source, MASK)
    assert result.info["icc_profile"] == PROFILE
    assert result.getexif()[0x010E] == "a description"
    assert result.info["xmp"] == b"<x/>"
    if kind != "WEBP":
        assert result.info["dpi"] == pytest.approx((300, 300), abs=0.01)


def test_palette_keeps_its_background_indices_and_transparency(
    noise: Noise, brighten: Harmonizer
) -> None:
    image = pil_image("P", noise)
    indices = np.asarray(image).copy()
    indices[15:20, 20:30] = 3
    image = Image.frombytes("P", image.size, indices.tobytes())
    image.putpalette(pil_image("P", noise).getpalette() or [])
    image.info["transparency"] = 3
    result = brighten(image, MASK)
    after = np.asarray(result)
    assert np.array_equal(after[~MASK], indices[~MASK])
    assert np.array_equal(after == 3, indices == 3)
    buffer = io.BytesIO()
    result.save(buffer, "PNG")
    assert np.array_equal(np.asarray(Image.open(buffer).convert("RGBA"))[..., 3] == 0, indices == 3)


def test_palette_without_a_free_entry_uses_what_is_there(brighten: Harmonizer) -> None:
    indices = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    image = Image.frombytes("P", (WIDTH, HEIGHT), indices.tobytes())
    image.putpalette(list(np.repeat(np.arange(256, dtype=np.uint8), 3)))
    result = brighten(image, MASK)
    assert result.getpalette() == image.getpalette()
    rise = np.asarray(result.convert("L"), float) - np.asarray(image.convert("L"), float)
    assert rise[MASK & (indices < 200)].mean() == pytest.approx(17.2, abs=2.5)


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", ">u2", "float16", "float32", "float64", ">f4"]
)
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_arrays_come_back_as_they_went_in(
    dtype: str, channels: int | None, noise: Noise, brighten: Harmonizer
) -> None:
    values = noise(HEIGHT, WIDTH, channels or 1)
    values = values[..., 0] if channels is None else values
    scale = {"u": 257 if np.dtype(dtype).itemsize == 2 else 1, "f": 1 / 255}[np.dtype(dtype).kind]
    image = (values.astype(float) * scale).astype(dtype)
    before = image.copy()
    image.flags.writeable = False
    result = brighten(image, MASK)
    assert isinstance(result, np.ndarray)
    assert (result.dtype, result.shape) == (image.dtype, image.shape)
    assert np.array_equal(result[~MASK], before[~MASK])
    if channels == 4:
        assert np.array_equal(result[..., 3], before[..., 3])
    colour = slice(0, 3 if channels == 4 else None)
    change = result[MASK].astype(float) - before[MASK].astype(float)
    change = change[..., colour] if channels else change
    assert (change / scale).mean() == pytest.approx(17.2, abs=1)


def test_sixteen_bits_are_not_cut_to_eight(noise: Noise, brighten: Harmonizer) -> None:
    image = noise(HEIGHT, WIDTH).astype(np.uint16) * 257
    image += np.random.default_rng(0).integers(0, 257, image.shape, np.uint16)
    result = brighten(image, MASK)
    change = result[MASK].astype(int) - image[MASK]
    assert change.std() < 100, "the low bits of the input are lost"


def test_views_with_odd_strides_work(noise: Noise, brighten: Harmonizer) -> None:
    image = noise(HEIGHT, WIDTH)
    expected = brighten(image, MASK)
    turned = brighten(np.asfortranarray(image), MASK)
    assert np.array_equal(turned, expected)
    mirrored = image[::-1, ::-1]
    assert np.array_equal(
        brighten(mirrored, MASK[::-1, ::-1]), brighten(np.ascontiguousarray(mirrored), MASK)
    )


@pytest.mark.parametrize(
    "dtype",
    [torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32, torch.float64],
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tensors_come_back_as_they_went_in(
    dtype: torch.dtype, channels: int, noise: Noise, brighten: Harmonizer
) -> None:
    values = torch.from_numpy(noise(HEIGHT, WIDTH, channels)).permute(2, 0, 1)
    image = values if dtype == torch.uint8 else (values.double() / 255).to(dtype)
    if dtype == torch.uint16:
        image = (values.int() * 257).to(dtype)
    result = brighten(image, torch.from_numpy(MASK))
    assert (result.dtype, result.shape, result.device) == (image.dtype, image.shape, image.device)
    found, given = result.double(), image.double()
    assert torch.equal(found[:, ~MASK], given[:, ~MASK])
    assert not torch.equal(found[:, MASK], given[:, MASK])


def test_a_batch_of_tensors_is_harmonized_image_by_image(noise: Noise, model: Harmonizer) -> None:
    images = torch.stack(
        [torch.from_numpy(noise(HEIGHT, WIDTH, seed=i)).permute(2, 0, 1) for i in range(3)]
    )
    masks = torch.from_numpy(np.stack([MASK] * 3))[:, None]
    together = model(images, masks)
    one_by_one = torch.stack([model(a, b) for a, b in zip(images, masks, strict=True)])
    assert together.shape == images.shape
    assert not torch.equal(together, images)
    assert (together.int() - one_by_one.int()).abs().max() <= 1


def test_gradients_stay_outside(noise: Noise, brighten: Harmonizer) -> None:
    image = torch.from_numpy(noise(HEIGHT, WIDTH)).permute(2, 0, 1).float() / 255
    result = brighten(image.requires_grad_(), MASK)
    assert not result.requires_grad


@pytest.mark.parametrize("as_bytes", [False, True])
def test_files_give_pil_images(
    as_bytes: bool, noise: Noise, brighten: Harmonizer, tmp_path: Path
) -> None:
    path = tmp_path / "composite.png"
    Image.fromarray(noise(HEIGHT, WIDTH)).save(path, icc_profile=PROFILE, dpi=(300, 300))
    result = brighten(path.read_bytes() if as_bytes else path, MASK)
    assert isinstance(result, Image.Image)
    assert result.info["icc_profile"] == PROFILE
    assert np.array_equal(np.asarray(result), brighten(noise(HEIGHT, WIDTH), MASK))


@pytest.mark.parametrize("ending", [".png", ".tif", ".ppm"])
@pytest.mark.parametrize("channels", [3, 4])
def test_files_of_16_bit_colour_give_arrays_of_16_bits(
    ending: str, channels: int, noise: Noise, brighten: Harmonizer, tmp_path: Path
) -> None:
    if (ending, channels) == (".ppm", 4):
        pytest.skip("PPM has no alpha")
    image = noise(HEIGHT, WIDTH, channels).astype(np.uint16) * 257
    path = tmp_path / f"composite{ending}"
    order = cv2.COLOR_RGBA2BGRA if channels == 4 else cv2.COLOR_RGB2BGR
    assert cv2.imwrite(str(path), cv2.cvtColor(image, order))
    result = brighten(path, MASK)
    assert isinstance(result, np.ndarray)
    assert np.array_equal(result, brighten(image, MASK))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("sixteen_bits", [False, True])
def test_exif_orientation_is_applied_and_the_result_says_so(
    orientation: int, sixteen_bits: bool, noise: Noise, brighten: Harmonizer, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = Image.fromarray(noise(HEIGHT, WIDTH))
    path = tmp_path / "composite.png"
    plain.save(path, exif=exif.tobytes())
    upright = turned(np.asarray(plain), orientation)
    if sixteen_bits:
        from harmonizer.imaging.saving import save_image

        save_image(np.asarray(plain).astype(np.uint16) * 257, path, {"exif": exif.tobytes()})
        upright = upright.astype(np.uint16) * 257
    mask = turned(MASK, orientation)
    result = brighten(path, mask)
    assert np.array_equal(np.asarray(result), brighten(upright, mask))
    if not sixteen_bits:
        assert result.getexif().get(0x0112, 1) == 1
    # The mask's own orientation is applied as well.
    Image.fromarray(MASK).save(tmp_path / "mask.png", exif=exif.tobytes())
    again = brighten(path, tmp_path / "mask.png")
    assert np.array_equal(np.asarray(again), np.asarray(result))


def encoded(noise: Noise, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise(HEIGHT, WIDTH)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF"])
def test_truncated_files_are_refused(kind: str, noise: Noise, tmp_path: Path) -> None:
    path = tmp_path / "cut.bin"
    whole = encoded(noise, kind)
    for share in (0.02, 0.3, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match=r"cut\.bin cannot be read as an image"):
            open_image(path)


def test_what_tiff_says_of_a_picture_is_kept(noise: Noise, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "ACME"
    exif[0x8769] = {0x9003: "2020:01:01 00:00:00"}
    Image.fromarray(noise(HEIGHT, WIDTH)).save(tmp_path / "a.tif", exif=exif.tobytes())
    kept = Image.Exif()
    kept.load(open_image(tmp_path / "a.tif").info["exif"])
    assert kept[0x010F] == "ACME"
    assert kept.get_ifd(0x8769)[0x9003] == "2020:01:01 00:00:00"
    assert 0x0100 not in kept, "the width belongs to the file, not to the picture"


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_picture_that_is_restored_once_is_the_same(
    ending: str, mode: str, noise: Noise, tmp_path: Path
) -> None:
    path = tmp_path / f"picture.{ending}"
    image = pil_image(mode, noise)
    (image.convert("RGB") if ending == "jpg" and mode == "RGBA" else image).save(path)
    kept, once = open_image(path), open_image(path, once=True)
    changed = 255 - kept.pixels
    expected = kept.restore(changed, MASK)
    found = once.restore(changed, MASK)
    assert (found.mode, found.info) == (expected.mode, expected.info)
    assert np.array_equal(np.asarray(found), np.asarray(expected))
    # The other one can be restored again, and its first result is its own.
    assert np.array_equal(np.asarray(kept.restore(kept.pixels, MASK)), np.asarray(Image.open(path)))
    assert np.array_equal(np.asarray(expected), np.asarray(found))


def test_a_folder_is_listed_without_folders_hidden_files_and_what_is_no_picture(
    tmp_path: Path,
) -> None:
    others = ("notes.txt", "a.pdf", "a.eps", "a.h5", "a.ico", "a.mpg")
    for name in ("b.PNG", "a.jpg", ".c.png", ".1f2e.tmp", *others):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert list_pictures(tmp_path) == [tmp_path / "a.jpg", tmp_path / "b.PNG"]
    with pytest.raises(InputError, match="there is no folder"):
        list_pictures(tmp_path / "missing")


def test_every_transparent_entry_of_a_palette_stays(noise: Noise, brighten: Harmonizer) -> None:
    """PNG's tRNS gives each entry its own alpha."""
    image = Image.fromarray(noise(HEIGHT, WIDTH)).quantize(16)
    transparency = bytes([0, 255, 0] + [255] * 13)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=transparency)
    image = Image.open(buffer)
    hidden = np.isin(np.asarray(image), (0, 2))
    result = brighten(image, MASK)
    assert result.info["transparency"] == transparency
    assert np.array_equal(np.isin(np.asarray(result), (0, 2)), hidden)


@pytest.mark.parametrize("as_file", [True, False])
@pytest.mark.parametrize("strength", [0, 1])
def test_each_pixel_of_a_palette_stays_as_opaque_as_it_was(
    as_file: bool, strength: int, noise: Noise, brighten: Harmonizer
) -> None:
    """Colours of one kind and of another opacity take up nearly all of the palette."""
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[: HEIGHT // 2] = np.linspace(0, 255, HEIGHT // 2)[:, None]
    image = Image.fromarray(np.dstack([noise(HEIGHT, WIDTH), alpha])).quantize(256)
    if as_file:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        image = Image.open(buffer)
    result = brighten(image, MASK, strength=strength)
    before, after = (np.asarray(one.convert("RGBA")) for one in (image, result))
    assert len(np.unique(before[MASK, 3])) > 3
    assert np.array_equal(before[..., 3], after[..., 3])
    assert np.array_equal(before[~MASK], after[~MASK])
    opaque = MASK & (before[..., 3] == 255)
    rise = (after[opaque].astype(float) - before[opaque])[:, :3].mean()
    assert 5 * strength <= rise <= 20 * strength


def test_sixteen_bits_that_nothing_reads_whole_are_refused(
    noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, content = cv2.imencode(".png", noise(HEIGHT, WIDTH).astype(np.uint16) * 257)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    with pytest.raises(InputError, match="save it as a plain 16-bit PNG"):
        open_image(content.tobytes())
