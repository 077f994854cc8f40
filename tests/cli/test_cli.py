"""The command line, as processes where start-up matters and in this process elsewhere."""

import io
import subprocess
import sys
import threading
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXAMPLES, box_mask
from PIL import Image

from harmonizer import Harmonizer, list_models
from harmonizer._version import __version__
from harmonizer.cli import main
from harmonizer.cli.run import _FORMATS
from harmonizer.cli.terminal import complain
from harmonizer.errors import InputError
from harmonizer.imaging.image import open_image
from harmonizer.imaging.saving import output_format, save_image
from harmonizer.jobs.folder import Outcome, find_jobs, run_jobs

COMPOSITE, MASK = str(EXAMPLES / "composite.png"), str(EXAMPLES / "mask.png")


def run(*arguments: object) -> int:
    return main(["run", *map(str, arguments)])


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr; nothing else may be there, and no traceback."""
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("harmonizer: error: ")
    return lines[0]


def test_one_picture(tmp_path: Path, model: Harmonizer) -> None:
    out = tmp_path / "out.png"
    assert run(COMPOSITE, MASK, "-o", out, "--device", "cpu") == 0
    expected = np.asarray(model(COMPOSITE, MASK))
    assert not np.array_equal(expected, np.asarray(Image.open(COMPOSITE)))
    assert np.array_equal(np.asarray(Image.open(out)), expected)


def test_the_change_as_a_table_beside_the_picture(
    tmp_path: Path, model: Harmonizer, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = tmp_path / "out.png", tmp_path / "change.cube"
    options = ["-o", out, "--lut", table, "--strength", "0.5", "--device", "cpu"]
    assert run(COMPOSITE, MASK, *options) == 0
    change = model.color_transform(COMPOSITE, MASK)
    change.to_cube(tmp_path / "full.cube")
    change.at(0.5).to_cube(tmp_path / "expected.cube")
    assert table.read_bytes() != (tmp_path / "full.cube").read_bytes()
    assert table.read_bytes() == (tmp_path / "expected.cube").read_bytes()
    out.unlink()
    assert run(COMPOSITE, MASK, *options) == 1
    assert "change.cube exists already" in error_line(capsys)
    assert not out.exists()
    with pytest.raises(SystemExit, match="2"):
        run(COMPOSITE, COMPOSITE, EXAMPLES, "-o", tmp_path / "out", "--lut", table)


def test_as_a_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from harmonizer.cli import main; raise SystemExit(main())"]
    arguments = ["run", COMPOSITE, MASK, "-o", str(tmp_path / "out.jpg"), "--strength", "0.5"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert open_image(tmp_path / "out.jpg").size == (427, 640)


def test_without_a_name_it_goes_beside_the_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "my.picture.JPG"
    Image.open(COMPOSITE).save(picture)
    beside = tmp_path / "my.picture_harmonized.JPG"
    assert run(picture, MASK) == 0
    assert capsys.readouterr().out == f"{beside}\n"
    before = beside.read_bytes()
    assert run(picture, MASK, "--strength", "0.5") == 1
    assert "exists already; add --force" in error_line(capsys)
    assert beside.read_bytes() == before
    assert run(picture, MASK, "--format", "png") == 0
    assert Image.open(tmp_path / "my.picture_harmonized.png").format == "PNG"
    unwritable = tmp_path / "picture.pcx"
    Image.open(COMPOSITE).save(unwritable)
    assert run(unwritable, MASK) == 0
    assert (tmp_path / "picture_harmonized.png").exists()


def test_through_pipes(model: Harmonizer) -> None:
    """A picture from stdin, the answer to stdout, as bytes and nothing else."""
    command = [sys.executable, "-c", "from harmonizer.cli import main; raise SystemExit(main())"]
    done = subprocess.run(
        [*command, "run", "-", MASK, "--device", "cpu"],
        input=Path(COMPOSITE).read_bytes(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert Image.open(io.BytesIO(done.stdout)).format == "PNG"
    expected = np.asarray(model(COMPOSITE, MASK))
    assert not np.array_equal(expected, open_image(COMPOSITE).pixels)
    assert np.array_equal(open_image(done.stdout).pixels, expected)


def test_a_mask_from_stdin(
    tmp_path: Path,
    model: Harmonizer,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = np.asarray(model(COMPOSITE, MASK))
    assert not np.array_equal(expected, open_image(COMPOSITE).pixels)
    for out in (Path("-"), tmp_path / "out.webp"):
        with Path(MASK).open() as piped:
            monkeypatch.setattr(sys, "stdin", piped)
            options = ["--format", "webp", "--device", "cpu"]
            assert run(COMPOSITE, "-", "-o", out, *options) == 0
        content = capfdbinary.readouterr().out or out.read_bytes()
        assert Image.open(io.BytesIO(content)).format == "WEBP"
        assert np.array_equal(open_image(content).pixels, expected)


def test_nothing_binary_goes_to_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(COMPOSITE, MASK, "-o", "-") == 1
    assert "stdout is a terminal" in error_line(capsys)


@pytest.mark.parametrize("name", _FORMATS)
def test_every_format_can_be_asked_for(name: str) -> None:
    assert output_format(Path(f"any.{name}"))


def test_quality_is_what_it_says(tmp_path: Path) -> None:
    sizes: list[int] = []
    for ending, quality in [("jpg", 30), ("jpg", 95), ("jpg", None), ("webp", 30), ("webp", None)]:
        out = tmp_path / f"{quality}.{ending}"
        assert run(COMPOSITE, MASK, "-o", out, *(["--quality", quality] if quality else [])) == 0
        sizes.append(out.stat().st_size)
    poor, good, usual, lossy, lossless = sizes
    assert poor < good == usual
    assert lossy < lossless


def test_existing_output_is_only_replaced_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    out.write_bytes(b"precious")
    assert run(COMPOSITE, MASK, "-o", out) == 1
    assert "exists already; add --force" in error_line(capsys)
    assert out.read_bytes() == b"precious"
    assert run(COMPOSITE, MASK, "-o", out, "--force") == 0
    assert open_image(out).size == (427, 640)


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = tmp_path / "small.png"
    Image.new("L", (10, 10)).save(small)
    Image.new("L", (10, 10)).save(tmp_path / "small.bmp")
    out = tmp_path / "out.png"
    for arguments, reason in [
        ((COMPOSITE, small, "-o", out), "the image is 640 x 427, the mask 10 x 10"),
        (("missing.png", MASK, "-o", out), "there is no file missing.png"),
        ((COMPOSITE, tmp_path, "-o", tmp_path / "o"), "two masks are called"),
        ((COMPOSITE, MASK, "-o", out, "--format", "jpg"), "does not end as --format jpg"),
        ((tmp_path / "*.nothing", MASK, "-o", out), "no file matches"),
        ((COMPOSITE, COMPOSITE, MASK, "-o", tmp_path / "o"), "there is no folder"),
        ((COMPOSITE, tmp_path, "-o", small), "need a folder to be written to"),
        ((COMPOSITE, EXAMPLES, tmp_path, "-o", tmp_path / "o"), "give one folder, or files"),
        ((COMPOSITE, MASK, "-o", tmp_path / "no" / "out.png"), "there is no folder"),
        ((COMPOSITE, MASK, "-o", tmp_path), "is a folder"),
        ((COMPOSITE, MASK, "-o", tmp_path / "out.xyz"), "cannot write the format"),
        ((COMPOSITE, MASK, "-o", out, "--model", "nonsense"), "there is no model 'nonsense'"),
        ((COMPOSITE, MASK, "-o", out, "--device", "nonsense"), "no device 'nonsense'"),
        ((tmp_path / "a", MASK, "-o", out), "there is no file"),
        ((EXAMPLES, tmp_path / "masks", "-o", tmp_path / "o"), "there is no folder"),
        ((tmp_path, COMPOSITE, "-o", tmp_path / "o"), "there is no folder"),
    ]:
        assert run(*arguments) == 1
        assert reason in error_line(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["run"],
        ["run", "a"],
        ["run", "-", "-"],
        ["run", "a", "b", "masks"],
        ["run", "a", "b", "--format", "psd"],
        ["run", "a", "b", "--quality", "0"],
        ["run", "a", "b", "--quality", "9.5"],
        ["run", "a", "b", "--workers", "0"],
        ["run", "a", "b", "--batch-size", "-1"],
        ["run", "a", "b", "--max-megapixels", "0.5"],
        ["run", "a", "b", "--backend", "tensorrt"],
        ["run", str(COMPOSITE), str(EXAMPLES), "-o", "nowhere/result.png"],
        ["run", "a", "b", "-o", "c", "--strength", "2"],
        ["run", "a", "b", "-o", "c", "--strength", "nan"],
        ["run", "a", "b", "-o", "c", "--strength", "half"],
        ["run", "a", "b", "-o", "c", "--strenght", "1"],
        ["info"],
        ["demo", "--port", "99999"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: harmonizer" in capsys.readouterr().err


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
    assert "1 of 4 were there already; --force" in capsys.readouterr().err
    assert (out / "a.png").read_bytes() == b"done before"
    assert (out / "b.jpg").exists()
    assert run(images, masks, "-o", out, "--force") == 0
    assert open_image(out / "a.png").size == (40, 60)


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
    assert "2 of 4 pictures failed" in errors
    assert sorted(path.name for path in out.iterdir()) == ["b.jpg", "d_composite.webp"]


def test_what_went_wrong_is_said_after_ctrl_c_too(
    folders: tuple[Path, Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, masks, out = folders

    def stopped_after_one(load: Any, jobs: Any, **options: Any) -> Iterator[Outcome]:
        yield Outcome(jobs[0], InputError("is damaged"), ())
        raise KeyboardInterrupt

    monkeypatch.setattr("harmonizer.jobs.folder.run_jobs", stopped_after_one)
    assert run(images, masks, "-o", out) == 130
    assert "a.png: is damaged\nharmonizer: stopped" in capsys.readouterr().err


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


def test_images_and_masks_in_one_folder(tmp_path: Path, noise: Any) -> None:
    Image.fromarray(noise(40, 60)).save(tmp_path / "a_composite.png")
    Image.fromarray(box_mask(40, 60)).save(tmp_path / "a_mask.png")
    assert run(tmp_path, tmp_path, "-o", tmp_path / "out") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_composite.png"]


def test_the_examples_are_a_folder_of_pictures(tmp_path: Path) -> None:
    for name in ("composite.png", "mask.png"):
        (tmp_path / name).write_bytes((EXAMPLES / name).read_bytes())
    assert run(tmp_path, tmp_path, "-o", tmp_path / "out") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["composite.png"]


def test_the_name_alone_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "harmonize a picture, or many" in capsys.readouterr().err


def test_an_empty_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, tmp_path, "-o", tmp_path / "out") == 1
    assert "holds no pictures" in error_line(capsys)


def test_sixteen_bits_and_profiles_go_through_files(tmp_path: Path, noise: Any) -> None:
    image = noise(40, 60).astype(np.uint16) * 257
    save_image(image, tmp_path / "a.png", {"icc_profile": b"a profile"})
    Image.fromarray(box_mask(40, 60)).save(tmp_path / "mask.png")
    for ending in ("png", "tif"):
        out = tmp_path / f"out.{ending}"
        assert run(tmp_path / "a.png", tmp_path / "mask.png", "-o", out) == 0
        picture = open_image(out)
        assert picture.pixels.dtype == np.uint16
        assert picture.info["icc_profile"] == b"a profile"
        assert np.array_equal(picture.pixels[~box_mask(40, 60)], image[~box_mask(40, 60)])


def test_a_warning_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (640, 427)).save(tmp_path / "empty.png")
    assert run(COMPOSITE, tmp_path / "empty.png", "-o", tmp_path / "out.png") == 0
    assert capsys.readouterr().err.startswith("harmonizer: warning: the mask is empty")
    assert np.array_equal(
        np.asarray(Image.open(tmp_path / "out.png")), np.asarray(Image.open(COMPOSITE))
    )


def test_list_and_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    listing = capsys.readouterr().out
    assert all(name in listing for name in list_models())
    assert listing.count("(default)") == 1
    assert main(["info", list_models()[0]]) == 0
    shown = capsys.readouterr().out
    assert "licence:" in shown
    assert "sha256 " in shown
    Harmonizer.from_pretrained().save_pretrained(tmp_path / "saved")
    assert main(["info", str(tmp_path / "saved")]) == 0
    assert "architecture:" in capsys.readouterr().out
    assert main(["info", "nonsense"]) == 1
    assert "there is no model 'nonsense'" in error_line(capsys)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab", reason="the extra `completion` is not installed")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("--strength", "download", *list_models()):
        assert word in script


def test_completion_says_what_it_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert "image-harmonizer[completion]" in error_line(capsys)


def test_the_demo_says_what_it_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["demo", "--model", "nonsense"]) == 1
    assert "there is no model 'nonsense'" in error_line(capsys)
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "GRADIO_RUN_HISTORY"):
        monkeypatch.setenv(name, "")  # as before, afterwards
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo"]) == 1
    assert "image-harmonizer[demo]" in error_line(capsys)


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["run", "--help"], ["evaluate", "--help"]]
)
def test_help_and_version_do_not_import_torch(arguments: list[str]) -> None:
    program = (
        "import sys; from harmonizer.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as stop: assert stop.code == 0, stop.code\n"
        "assert 'torch' not in sys.modules and 'cv2' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert __version__ in done.stdout or "usage: harmonizer" in done.stdout


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
    assert "no mask is called grey" in capsys.readouterr().err


def test_names_that_only_look_alike_are_not_paired(
    tmp_path: Path, noise: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for name in ("IMG.png", "IMG_7.png", "A_1.png", "A_1_2.png"):
        Image.fromarray(noise(40, 60)).save(images / name)
    for name in ("IMG.png", "A_1.png"):
        Image.fromarray(box_mask(40, 60)).save(masks / name)
    assert run(images, masks, "-o", tmp_path / "out") == 1
    errors = capsys.readouterr().err
    assert "no mask is called IMG_7" in errors
    assert "no mask is called A_1_2" in errors
    Image.fromarray(box_mask(40, 60)).save(masks / "IMG.bmp")
    assert run(images, masks, "-o", tmp_path / "out") == 1
    assert "two masks are called IMG" in error_line(capsys)


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
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 60 // 3)
    assert run(images / "a.png", masks / "a.png", "-o", tmp_path / "a.png") == 1
    assert "give harmonizer run --max-megapixels" in error_line(capsys)
    assert run(images, masks, "-o", out, "--max-megapixels", 1) == 0
    assert "warning" not in capsys.readouterr().err


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


def test_a_files_name_cannot_pass_for_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    complain("a\nharmonizer: all is well\x1b[2J\r.png: is damaged")
    assert capsys.readouterr().err == (
        "harmonizer: a\n  harmonizer: all is well\\x1b[2J\\r.png: is damaged\n"
    )


def test_too_little_memory_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, **__: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("harmonizer.jobs.folder.harmonize_file", exhausted)
    assert run(COMPOSITE, MASK, "-o", tmp_path / "out.png") == 1
    assert "there is not enough memory for this picture" in error_line(capsys)


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


def test_the_demo_says_where_it_is_and_ends_with_ctrl_c(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    @contextmanager
    def serve(**options: object) -> Generator[str]:
        asked.update(options)
        yield "http://127.0.0.1:7860/"

    def ctrl_c(_: threading.Event) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harmonizer.demo.page.serve", serve)
    monkeypatch.setattr(threading.Event, "wait", ctrl_c)
    assert main(["demo", "--device", "cpu"]) == 130
    assert "open http://127.0.0.1:7860/" in capsys.readouterr().out
    assert asked == {"host": "127.0.0.1", "port": None, "model": None, "device": "cpu"}
