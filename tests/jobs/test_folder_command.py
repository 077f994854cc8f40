"""`harmonizer run` on folders and on several files."""

import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import box_mask, error_line, run
from PIL import Image

from harmonizer import Harmonizer
from harmonizer.errors import InputError
from harmonizer.imaging.image import open_image
from harmonizer.jobs.folder import Outcome, find_jobs, run_jobs


@pytest.fixture
def folders(tmp_path: Path, noise: Any) -> tuple[Path, Path, Path]:
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    mask = Image.fromarray(box_mask(40, 60))
    for name, mask_name in [
        ("a.png", "a.png"),
        ("b.jpg", "b_mask.png"),
        ("c_1_2.png", "c_1.png"),
        ("d_composite.webp", "d_mask.bmp"),
    ]:
        Image.fromarray(noise(40, 60)).save(images / name)
        mask.save(masks / mask_name)
    (images / "notes.txt").write_text("not a picture")
    return images, masks, tmp_path / "out"


def test_a_folder(folders: tuple[Path, Path, Path], model: Harmonizer) -> None:
    images, masks, out = folders
    assert run(images, masks, "-o", out, "--device", "cpu") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "a.png",
        "b.jpg",
        "c_1_2.png",
        "d_composite.webp",
    ]
    expected = np.asarray(model(images / "a.png", masks / "a.png"))
    assert not np.array_equal(expected, np.asarray(Image.open(images / "a.png")))
    assert np.array_equal(np.asarray(Image.open(out / "a.png")), expected)


@pytest.mark.parametrize("options", [["--workers", 1], ["--workers", 3, "--batch-size", 3]])
def test_threads_and_batches_change_nothing(
    folders: tuple[Path, Path, Path], options: list[Any]
) -> None:
    images, masks, out = folders
    assert run(images, masks, "-o", out, "--device", "cpu") == 0
    assert run(images, masks, "-o", out / "again", "--device", "cpu", *options) == 0
    for name in ("a.png", "b.jpg", "c_1_2.png", "d_composite.webp"):
        assert not np.array_equal(open_image(out / name).pixels, open_image(images / name).pixels)
        one, other = (open_image(folder / name).pixels for folder in (out, out / "again"))
        assert np.abs(one.astype(int) - other).max() <= 1


def test_several_files_and_patterns(folders: tuple[Path, Path, Path]) -> None:
    images, masks, out = folders
    assert run(images / "a.png", images / "b.jpg", masks, "-o", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.jpg"]
    assert run(images / "?_*.*", masks, "-o", out, "--format", "tif") == 0
    assert {"c_1_2.tif", "d_composite.tif"} < {path.name for path in out.iterdir()}
    assert Image.open(out / "c_1_2.tif").format == "TIFF"
    assert run(images / "a.png", masks, "-o", out / "one") == 0
    assert [path.name for path in (out / "one").iterdir()] == ["a.png"]


def test_two_pictures_never_share_a_file(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks, out = folders
    Image.open(images / "a.png").save(images / "a.bmp")
    assert run(images, masks, "-o", out, "--format", "png") == 1
    assert "would both be written to" in error_line(capsys)
    assert not out.exists()


def test_a_folder_skips_what_is_done(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks, out = folders
    out.mkdir()
    (out / "a.png").write_bytes(b"done before")
    assert run(images, masks, "-o", out) == 0
    said = capsys.readouterr().err
    assert "harmonizer: 3 written, 0 failed, 1 skipped (they were there already; --force" in said
    assert (out / "a.png").read_bytes() == b"done before"
    assert (out / "b.jpg").exists()
    assert run(images, masks, "-o", out, "--force") == 0
    assert open_image(out / "a.png").size == (40, 60)


def test_a_link_to_a_file_that_is_yet_to_come_is_there(
    folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    images, masks, out = folders
    out.mkdir()
    (out / "a.png").symlink_to(tmp_path / "elsewhere.png")
    assert run(images, masks, "-o", out) == 0
    assert not (tmp_path / "elsewhere.png").exists()
    assert run(images, masks, "-o", out, "--force") == 0
    assert (tmp_path / "elsewhere.png").exists()  # as `open` follows it


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_pipe_under_the_name_of_a_result_is_not_waited_for(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks, out = folders
    out.mkdir()
    os.mkfifo(out / "a.png")
    kept = os.open(out / "a.png", os.O_RDWR)  # or a fault would wait for ever
    try:
        assert run(images, masks, "-o", out, "--force") == 1
    finally:
        os.close(kept)
    said = capsys.readouterr().err
    assert "a.png is no file; remove it" in said
    assert "3 written, 1 failed" in said


def test_a_folder_goes_on_past_bad_files(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks, out = folders
    (images / "a.png").write_bytes((images / "a.png").read_bytes()[:100])
    (masks / "c_1.png").unlink()
    assert run(images, masks, "-o", out) == 1
    errors = capsys.readouterr().err
    assert "a.png: " in errors
    assert "cannot be read" in errors
    assert "c_1_2.png: no mask is called c_1_2" in errors
    assert errors.endswith("harmonizer: error: 2 written, 2 failed, 0 skipped\n")
    assert sorted(path.name for path in out.iterdir()) == ["b.jpg", "d_composite.webp"]


def test_what_went_wrong_is_said_after_ctrl_c_too(
    folders: tuple[Path, Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, masks, out = folders

    def stopped_after_one(load: Any, jobs: Any, **options: Any) -> Iterator[Outcome]:
        yield Outcome(jobs[0], InputError("is damaged"), ())
        yield Outcome(jobs[1], MemoryError(), ())
        raise KeyboardInterrupt

    monkeypatch.setattr("harmonizer.jobs.folder.run_jobs", stopped_after_one)
    assert run(images, masks, "-o", out) == 130
    assert capsys.readouterr().err.splitlines()[-3:] == [
        "harmonizer: a.png: is damaged",
        "harmonizer: b.jpg: there is not enough memory for this picture",
        "harmonizer: stopped",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_no_way_leads_back_onto_the_pictures(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks, out = folders
    before = (images / "a.png").read_bytes()
    out.mkdir()
    (out / "a.png").symlink_to(images / "a.png")
    assert run(images, masks, "-o", out, "--force") == 1
    assert "the output would replace" in error_line(capsys)
    for own in (images / "a.png", masks / "a.png"):
        assert run(images / "a.png", masks / "a.png", "-o", own, "--force") == 1
        assert "the output would replace" in error_line(capsys)
    assert (images / "a.png").read_bytes() == before


def test_masks_and_results_among_the_pictures_are_no_pictures(
    tmp_path: Path, noise: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"
    for inner in (Path(), Path("day")):
        for folder in (tmp_path / inner, masks / inner):
            folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(40, 60)).save(tmp_path / inner / "a.jpg")
        Image.fromarray(box_mask(40, 60)).save(masks / inner / "a.png")
    for said in ("2 written, 0 failed, 0 skipped", "0 written, 0 failed, 2 skipped"):
        assert run(tmp_path, masks, "-o", out, "--recursive") == 0
        assert said in capsys.readouterr().err
    assert {path.relative_to(out).as_posix() for path in out.rglob("*")} == {
        *("a.jpg", "day", "day/a.jpg")
    }


def test_folders_in_folders(
    folders: tuple[Path, Path, Path], noise: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks, out = folders
    for inner in (Path("day"), Path("day/late"), Path("night"), Path(".hidden")):
        (images / inner).mkdir()
        Image.fromarray(noise(40, 60)).save(images / inner / "a.png")
    (masks / "day" / "late").mkdir(parents=True)
    for inner in ("day/a-mask.png", "day/late/mask_a.png"):
        Image.fromarray(box_mask(40, 60)).save(masks / inner)
    assert run(images, masks, "-o", out, "--recursive") == 1
    written = {path.relative_to(out).as_posix() for path in out.rglob("*.*")}
    top = {"a.png", "b.jpg", "c_1_2.png", "d_composite.webp"}
    assert written == top | {"day/a.png", "day/late/a.png"}
    before, after = (open_image(folder / "day/late/a.png").pixels for folder in (images, out))
    assert not np.array_equal(before, after)
    errors = capsys.readouterr().err
    assert f"{Path('night/a.png')}: no mask is called a" in errors
    assert "6 written, 1 failed, 0 skipped" in errors
    assert run(images, masks, "-o", out) == 0  # without: those of the folder itself
    assert "0 written, 0 failed, 4 skipped" in capsys.readouterr().err


def test_the_results_are_no_pictures_of_the_next_run(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks, _ = folders
    for _ in range(2):
        assert run(images, masks, "-o", images / "out", "-r") == 0
    assert "0 written, 0 failed, 4 skipped" in capsys.readouterr().err
    assert not (images / "out" / "out").exists()


def test_one_mask_for_all_pictures(folders: tuple[Path, Path, Path], model: Harmonizer) -> None:
    images, masks, out = folders
    mask = masks / "a.png"
    assert run(images, mask, "-o", out, "--device", "cpu") == 0
    assert len(list(out.iterdir())) == 4
    for name in ("a.png", "c_1_2.png"):
        written = np.asarray(Image.open(out / name))
        assert np.array_equal(written, np.asarray(model(images / name, mask)))
    mask.rename(images / "mask.png")
    assert run(images / "a.png", images / "b.jpg", images / "mask.png", "-o", out / "two") == 0
    assert sorted(path.name for path in (out / "two").iterdir()) == ["a.png", "b.jpg"]
    assert run(images, images / "mask.png", "-o", out / "again") == 0
    assert len(list((out / "again").iterdir())) == 4  # the mask is no picture


def test_one_picture_into_a_folder_keeps_its_name(folders: tuple[Path, Path, Path]) -> None:
    images, masks, out = folders
    out.mkdir()
    assert run(images / "b.jpg", masks / "b_mask.png", "-o", out) == 0
    assert run(images / "b.jpg", masks / "b_mask.png", "-o", out, "--format", "tif") == 0
    assert sorted(path.name for path in out.iterdir()) == ["b.jpg", "b.tif"]
    assert run(images / "b.jpg", masks / "b_mask.png", "-o", out) == 1  # as any file


def test_an_empty_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, tmp_path, "-o", tmp_path / "out") == 1
    assert "holds no pictures" in error_line(capsys)


def test_what_looks_like_pictures_and_is_left_out_is_told(
    folders: tuple[Path, Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images, masks, out = folders
    Image.init()
    known = {ending: name for ending, name in Image.EXTENSION.items() if name != "HEIF"}
    monkeypatch.setattr(Image, "EXTENSION", known)  # no plug-in for it, as usual
    for name in ("a.HEIC", "b.exr", "b.heic", "icon.ico", "raw.CR3"):
        (images / name).write_bytes(b"whatever it is")
    for name in ("meta.json", "Thumbs.db", ".DS_Store", ".hidden.heic"):
        (images / name).write_bytes(b"no picture")
    assert run(images, masks, "-o", out) == 0
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "harmonizer: warning: pictures left out, of kinds that are not taken from folders: 5 "
        "(.cr3, .exr, .heic, .ico); save them as JPEG, PNG or TIFF, or register a plug-in of "
        "Pillow's",
        "harmonizer: 4 written, 0 failed, 0 skipped",
    ]
    with pytest.warns(UserWarning, match=r"left out, of kinds .*: 5 \(\.cr3"):
        find_jobs(images, masks, out)
    (tmp_path / "phone").mkdir()
    (images / "a.HEIC").rename(tmp_path / "phone" / "a.HEIC")
    assert run(tmp_path / "phone", masks, "-o", out) == 1
    assert "phone holds no pictures; pictures left out" in error_line(capsys)


def test_what_a_plug_in_reads_is_taken(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, masks, out = folders
    (images / "a.png").rename(images / "a.heic")
    Image.init()
    monkeypatch.setattr(Image, "EXTENSION", Image.EXTENSION | {".heic": "HEIF"})
    assert run(images, masks, "-o", out) == 1  # it is not written
    assert run(images, masks, "-o", out / "png", "--format", "png") == 0
    assert (out / "png" / "a.png").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_linked_folders_are_told(
    folders: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks, out = folders
    (images / "day").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (images / "day" / "again").symlink_to(images)
    for name in ("b", "c", "d", ".hidden"):
        (images / name).symlink_to(tmp_path / "elsewhere")
    (images / "out").symlink_to(out)
    assert run(images, masks, "-o", out, "-r") == 0
    said = capsys.readouterr().err
    assert "not followed: 4 (b, c, d, ...); harmonize each by itself" in said
    assert run(images, masks, "-o", out) == 0
    assert "link" not in capsys.readouterr().err


def test_a_format_that_is_not_written_names_the_option(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks, out = folders
    (images / "a.png").rename(images / "a.tga")
    assert run(images, masks, "-o", out) == 1
    assert "a.tga: cannot write the format of 'a.tga'; end it" in (said := capsys.readouterr().err)
    assert "; all of a folder at once: --format png" in said


def test_a_folder_never_replaces_its_own_pictures(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks, _ = folders
    for output in (images, masks, images / ".." / "images"):
        assert run(images, masks, "-o", output, "--force") == 1
        assert "would replace the pictures" in error_line(capsys)


def test_a_picture_is_not_its_own_mask(
    tmp_path: Path, noise: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(noise(40, 60)[..., 0]).save(tmp_path / "in" / "grey.png")
    monkeypatch.chdir(tmp_path)
    assert run("in", tmp_path / "in", "-o", "out") == 1
    assert "holds no mask" in error_line(capsys)


def test_masks_that_are_all_missing_are_told_once(
    folders: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, _, out = folders
    (tmp_path / "others").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "others" / "z.png")
    assert run(images, tmp_path / "others", "-o", out) == 1
    assert "others holds no mask of these pictures; that of a.png is called" in error_line(capsys)
    assert not out.exists()


def test_a_folder_names_the_pictures_it_warns_of(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks, out = folders
    for name in ("a.png", "b_mask.png"):
        Image.new("L", (60, 40)).save(masks / name)
    assert run(images, masks, "-o", out) == 0
    errors = capsys.readouterr().err
    assert "warning: a.png: the mask is empty" in errors
    assert "warning: b.jpg: the mask is empty" in errors


def test_a_folder_stops_at_once_without_its_model(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks, out = folders
    assert run(images, masks, "-o", out, "--model", "nonsense") == 1
    assert "there is no model 'nonsense'" in error_line(capsys)
    assert not out.exists()


def test_the_limit_of_pixels_can_be_raised(
    folders: tuple[Path, Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, masks, out = folders
    few = 40 * 60 // 3
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", few)
    assert run(images / "a.png", masks / "a.png", "-o", tmp_path / "a.png") == 1
    assert "give harmonizer run --max-megapixels" in error_line(capsys)
    assert run(images, masks, "-o", out, "--max-megapixels", 1) == 0
    assert "warning" not in capsys.readouterr().err
    assert few == Image.MAX_IMAGE_PIXELS  # for the program that has called the command
    with pytest.raises(SystemExit):
        run(images, masks, "--max-megapixels", 1)
    assert few == Image.MAX_IMAGE_PIXELS


def test_a_folder_names_the_picture_that_is_nearly_too_large(
    folders: tuple[Path, Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, masks, out = folders
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 60 - 1)
    assert run(images, masks, "-o", out) == 0
    said = capsys.readouterr().err
    assert "warning: a.png: 60 x 40 pixels are more than 2,399" in said
    assert "Image size" not in said  # as Pillow says it, without a name


def test_warnings_of_other_threads_are_shown_all_the_same(
    folders: tuple[Path, Path, Path], model: Harmonizer
) -> None:
    """A program that harmonizes a folder may have something to warn of itself meanwhile."""
    images, masks, out = folders
    out.mkdir()
    shown: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "showwarning", lambda message, *_: shown.append(str(message)))
        for _ in run_jobs(lambda: model, find_jobs(images, masks, out)):
            warnings.warn("something else", stacklevel=1)
    assert "something else" in shown
