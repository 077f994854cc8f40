"""The command line, as processes where start-up matters and in this process elsewhere."""

import io
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXAMPLES, error_line, run
from PIL import Image

from harmonizer import Harmonizer, list_models
from harmonizer._version import __version__
from harmonizer.cli import main
from harmonizer.cli.run_files import FORMATS
from harmonizer.cli.terminal import complain
from harmonizer.imaging.image import open_image
from harmonizer.imaging.saving import output_format

COMPOSITE, MASK = str(EXAMPLES / "composite.png"), str(EXAMPLES / "mask.png")


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


def test_a_table_replaces_nothing_that_is_read_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, mask = shutil.copy(COMPOSITE, tmp_path / "a.png"), shutil.copy(MASK, tmp_path / "m.png")
    for table in (image, mask, tmp_path / "x" / ".." / "out.png"):
        (tmp_path / "x").mkdir(exist_ok=True)
        assert run(image, mask, "-o", tmp_path / "out.png", "--lut", table, "--force") == 1
        assert re.search("would (replace|be written twice)", error_line(capsys))
    assert Path(mask).read_bytes() == Path(MASK).read_bytes()
    assert not (tmp_path / "out.png").exists()


def test_the_network_runs_once_for_a_picture_and_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, asked = Harmonizer.answer, list[int]()

    def counted(self: Harmonizer, composites: Any) -> Any:
        asked.append(len(composites))
        return answer(self, composites)

    monkeypatch.setattr(Harmonizer, "answer", counted)
    out = ["-o", tmp_path / "out.png", "--lut", tmp_path / "change.cube"]
    assert run(COMPOSITE, MASK, *out, "--device", "cpu") == 0
    assert asked == [1]


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


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_asked_for(name: str) -> None:
    assert output_format(Path(f"any.{name}"))


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
        ((COMPOSITE, COMPOSITE, MASK, "-o", tmp_path / "o"), "would both be written"),
        ((COMPOSITE, tmp_path, "-o", small), "need a folder to be written to"),
        ((COMPOSITE, EXAMPLES, tmp_path, "-o", tmp_path / "o"), "give one folder, or files"),
        ((COMPOSITE, MASK, "-o", tmp_path / "no" / "out.png"), "there is no folder"),
        ((COMPOSITE, MASK, "-o", tmp_path / "out.xyz"), "cannot write the format"),
        ((COMPOSITE, MASK, "-o", f"{tmp_path}/new/"), "new is no folder that exists"),
        ((COMPOSITE, MASK, "-o", out, "--model", "nonsense"), "there is no model 'nonsense'"),
        ((COMPOSITE, MASK, "-o", out, "--device", "nonsense"), "no device 'nonsense'"),
        ((tmp_path / "a", MASK, "-o", out), "there is no file"),
        ((EXAMPLES, tmp_path / "masks", "-o", tmp_path / "o"), "there is no folder"),
    ]:
        assert run(*arguments) == 1
        assert reason in error_line(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["run", "a.png", "b.png", "--strenght", "0.5"], "--strength"),
        (["run", "a.png", "b.png", "--colour=0.2"], "--color"),
        (["compare", "a.png", "b.png", "-o", "c.png", "--modles", "idih"], "--models"),
    ],
)
def test_a_misspelt_option_is_guessed_and_its_command_explained(
    arguments: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    said = capsys.readouterr().err
    assert f"; did you mean {option}?" in said
    assert said.startswith(f"usage: harmonizer {arguments[0]} ")


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
        ["run", "a", "b", "--recursive"],
        ["run", "a", "b", "--lut", "-"],
        ["run", str(COMPOSITE), str(EXAMPLES), "-o", "nowhere/result.png"],
        ["run", "a", "b", "-o", "c", "--strength", "2"],
        ["run", "a", "b", "-o", "c", "--strength", "nan"],
        ["run", "a", "b", "-o", "c", "--strength", "half"],
        ["run", "a", "b", "-o", "c", "--strenght", "1"],
        ["evaluate", "--data", "a", "--batch-size", "0"],
        ["evaluate", "--data", "a", "--workers", "0"],
        ["info"],
        ["demo", "--port", "99999"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: harmonizer" in capsys.readouterr().err


def test_the_name_alone_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "harmonize a picture, or many" in capsys.readouterr().err


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
    assert re.search(r"^status: +bundled \(in the package\)$", shown, re.MULTILINE)
    assert "sha256 " in shown
    Harmonizer.from_pretrained().save_pretrained(tmp_path / "saved")
    assert main(["info", str(tmp_path / "saved")]) == 0
    shown = capsys.readouterr().out
    assert "architecture:" in shown
    assert re.search(r"^status: +on this machine$", shown, re.MULTILINE)
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
    ("arguments", "begin"),
    [
        (["--version"], f"harmonizer {__version__}\n"),
        (["--help"], "usage: harmonizer [-h] [--version]"),
        (["run", "--help"], "usage: harmonizer run "),
        (["evaluate", "--help"], "usage: harmonizer evaluate "),
    ],
)
def test_help_and_version_do_not_import_torch(arguments: list[str], begin: str) -> None:
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
    assert done.stdout.startswith(begin)


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


def test_a_warning_that_is_an_error_is_one_line(tmp_path: Path) -> None:
    """`python -W error`, or PYTHONWARNINGS=error, as continuous integration has it."""
    empty = tmp_path / "empty.png"
    Image.new("L", Image.open(COMPOSITE).size).save(empty)
    command = [*("-W", "error", "-m", "harmonizer", "run"), COMPOSITE, empty]
    done = subprocess.run(
        [sys.executable, *map(str, command), "-o", str(tmp_path / "out.png")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("harmonizer: error: the mask is empty")
