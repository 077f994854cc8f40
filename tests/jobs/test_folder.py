"""A folder's pictures: what is written, in which order, and with which options."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import box_mask
from PIL import Image, ImageCms

from harmonizer import Harmonizer
from harmonizer.errors import InputError
from harmonizer.imaging.image import open_image
from harmonizer.imaging.saving import save_image
from harmonizer.jobs.folder import Job, Outcome, find_jobs, harmonize_file, run_jobs
from harmonizer.jobs.scene import Scene

SIZE = (40, 60)
MASK = box_mask(*SIZE)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def jobs(tmp_path: Path, noise: Any) -> list[Job]:
    """Seven pictures of one size, each of other colours."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for number in range(7):
        Image.fromarray(noise(*SIZE, seed=number)).save(images / f"{number}.png")
        Image.fromarray(MASK).save(masks / f"{number}.png")
    (tmp_path / "out").mkdir()
    return find_jobs(images, masks, tmp_path / "out")


def done(outcomes: Iterator[Outcome]) -> list[Outcome]:
    """All of them, none of which may have failed."""
    found = list(outcomes)
    assert [one.error for one in found] == [None] * len(found)
    return found


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_every_file_is_its_own_picture_harmonized_at_the_strength(
    batch_size: int, strength: float, jobs: list[Job], model: Harmonizer
) -> None:
    found = done(run_jobs(lambda: model, jobs, strength=strength, batch_size=batch_size, workers=2))
    assert [one.job for one in found] == jobs
    for job in jobs:
        written = open_image(job.output).pixels
        composite = open_image(job.image).pixels
        assert not np.array_equal(written, composite)
        assert np.array_equal(written[~MASK], composite[~MASK])
        expected = model(composite, MASK, strength=strength)
        assert np.abs(written.astype(int) - expected).max() <= 1
        if strength < 1:
            assert not np.array_equal(expected, model(composite, MASK))


def test_what_is_done_is_left_alone_unless_forced(jobs: list[Job], brighten: Harmonizer) -> None:
    done(run_jobs(lambda: brighten, jobs))
    jobs[2].output.write_bytes(b"done before")

    def unneeded() -> Harmonizer:
        raise AssertionError("there is nothing to do")

    assert all(one.skipped for one in done(run_jobs(unneeded, jobs)))
    assert jobs[2].output.read_bytes() == b"done before"
    assert not any(one.skipped for one in done(run_jobs(lambda: brighten, jobs, force=True)))
    assert open_image(jobs[2].output).size == SIZE


@pytest.mark.parametrize("way", ["one file", "folder"])
@pytest.mark.parametrize(
    ("ending", "channels"), [("png", 3), ("png", 4), ("jpg", 3), ("tif", 3), ("webp", 4)]
)
def test_profile_exif_xmp_and_alpha_reach_the_file(
    way: str, ending: str, channels: int, tmp_path: Path, noise: Any, brighten: Harmonizer
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    info = {"icc_profile": PROFILE, "exif": exif.tobytes(), "xmp": b"<x:xmpmeta/>"}
    before = noise(*SIZE, channels)
    source, mask, output = (tmp_path / f"{name}.{ending}" for name in ("in", "mask", "out"))
    mask = mask.with_suffix(".png")
    save_image(Image.fromarray(before), source, info)
    Image.fromarray(MASK).save(mask)
    if way == "folder":
        done(run_jobs(lambda: brighten, [Job(source, mask, output)]))
    else:
        name = {"jpg": "JPEG", "tif": "TIFF"}.get(ending, ending.upper())
        output.write_bytes(harmonize_file(brighten, source, mask, name))
    with Image.open(output) as back:
        assert back.info["icc_profile"] == PROFILE
        assert back.getexif()[0x010E] == "a description"
        assert back.info["xmp"] == b"<x:xmpmeta/>"
        after = np.asarray(back)
    assert after.shape == before.shape
    assert not np.array_equal(after[MASK], before[MASK])
    if channels == 4:
        assert np.array_equal(after[..., 3], before[..., 3])


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        *(("PNG", "PNG"), ("png", "PNG"), ("jpg", "JPEG"), (".jpg", "JPEG"), ("JPG", "JPEG")),
        *((".TIFF", "TIFF"), ("JPEG2000", "JPEG2000"), ("jp2", "JPEG2000"), ("ppm", "PPM")),
    ],
)
def test_a_format_is_named_by_itself_or_an_ending(
    named: str, kind: str, jobs: list[Job], brighten: Harmonizer
) -> None:
    job = jobs[0]
    written = Image.open(io.BytesIO(harmonize_file(brighten, job.image, job.mask, named)))
    assert written.format == kind


def test_formats_qualities_and_pages_that_there_are_not_are_refused(
    jobs: list[Job], brighten: Harmonizer
) -> None:
    job = jobs[0]
    for named in ("", ".", "nope", "pdf", None, 3, ["png"], "x" * 9000):
        with pytest.raises(InputError, match=r"the format to write is one of PNG, .* got"):
            harmonize_file(brighten, job.image, job.mask, named)
    for quality in (0, 101, -5, 90.5, "90", True):
        with pytest.raises(InputError, match="quality is a whole number from 1 to 100; got"):
            harmonize_file(brighten, job.image, job.mask, "JPEG", quality=quality)
    for page in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="page is a whole number of at least 1; got"):
            harmonize_file(brighten, job.image, job.mask, "PNG", scene=Scene(page=page))
    assert harmonize_file(brighten, job.image, job.mask, "PNG", scene=Scene(page=1))


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_and_their_profile_reach_the_file(
    ending: str, tmp_path: Path, noise: Any, brighten: Harmonizer
) -> None:
    deep = noise(*SIZE).astype(np.uint16) * 257 + np.arange(60, dtype=np.uint16)[:, None]
    source, output = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    save_image(deep, source, {"icc_profile": PROFILE})
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    done(run_jobs(lambda: brighten, [Job(source, tmp_path / "mask.png", output)]))
    back = open_image(output)
    assert back.info["icc_profile"] == PROFILE
    assert np.array_equal(back.pixels, brighten(deep, MASK))
    assert not np.array_equal(back.pixels, deep)
