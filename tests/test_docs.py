"""What the documentation points at exists, and what it tells to type works."""

import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from helpers import EXAMPLES, box_mask
from PIL import Image

from harmonizer import errors, list_models, model_info
from harmonizer.cli import _parser, main
from harmonizer.training import TrainConfig
from harmonizer.zoo.manifest import default_model

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

# Commands that only read and write files here; the others connect, train, or serve until stopped.
OFFLINE = {"run", "list", "info", "completion"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    not_run: bool


def blocks(page: Path, language: str) -> list[Block]:
    found: list[Block] = []
    text = page.read_text(encoding="utf-8")
    pattern = r"(?P<marked><!-- not run: .+ -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```"
    for match in re.finditer(pattern, text, re.DOTALL):
        if match["language"] == language:
            line = text.count("\n", 0, match.start("text")) + 1
            found.append(Block(language, match["text"], line, match["marked"] is not None))
    return found


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@each_page
def test_named_tests_exist(page: Path) -> None:
    file = ""
    for name, test in re.findall(r"`(test_\w+\.py)?::(test_\w+)`", page.read_text()):
        file = name or file
        (path,) = (ROOT / "tests").rglob(file)
        assert f"def {test}(" in path.read_text(), f"{file}::{test}"


@each_page
def test_named_files_exist(page: Path) -> None:
    for name in re.findall(
        r"`((?:harmonizer|benchmarks|examples|tests)/[\w/.-]*)`", page.read_text()
    ):
        assert (ROOT / name).exists(), name


def make_iharmony4(folder: Path, picture: Image.Image, mask: Image.Image) -> None:
    for part in ("HFlickr", "Hday2night"):
        for kind in ("composite_images", "masks", "real_images"):
            (folder / part / kind).mkdir(parents=True)
        picture.save(folder / part / "composite_images" / "a_1_1.jpg")
        mask.save(folder / part / "masks" / "a_1.png")
        picture.save(folder / part / "real_images" / "a.jpg")
        for split in ("train", "test"):
            (folder / part / f"{part}_{split}.txt").write_text("a_1_1.jpg\n")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that holds what the pages speak of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # processes of one picture are faster with one
    composite = Image.open(EXAMPLES / "composite.png")
    mask = Image.open(EXAMPLES / "mask.png")
    for folder in ("composites", "masks", "my-photographs", "my photos", "examples"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        composite.resize((160, 107)).save(f"composites/{name}.png")
        mask.resize((160, 107)).save(f"masks/{name}.png")
        composite.save(f"{name}.jpg")
        mask.save(f"{name}_mask.png")
        for folder in ("my-photographs", "my photos"):
            composite.resize((160, 107)).save(f"{folder}/{name}.jpg")
            mask.resize((160, 107)).save(f"{folder}/{name}_mask.png")
    for folder in (".", "examples"):
        composite.save(f"{folder}/composite.png")
        mask.save(f"{folder}/mask.png")
    composite.resize((500, 400)).save("background.jpg")
    make_iharmony4(tmp_path / "iHarmony4", composite.resize((160, 107)), mask.resize((160, 107)))
    cutout = composite.convert("RGBA")
    cutout.putalpha(mask)
    cutout.save("cutout.png")
    (tmp_path / "cutouts").mkdir()
    cutout.save("cutouts/a.png")
    # Stands in for rembg, which gives a picture back with transparency.
    rembg = SimpleNamespace(remove=lambda image: image.putalpha(mask) or image)
    monkeypatch.setitem(sys.modules, "rembg", cast(ModuleType, rembg))
    composite.save("person.jpg")
    Image.fromarray(box_mask(427, 640).astype(np.uint8) * 3).save("labels.png")
    return tmp_path


def commands(page: Path) -> Iterator[tuple[int, str]]:
    """The command lines of a page that call `harmonizer`, without comments."""
    for block in blocks(page, "bash"):
        for offset, line in enumerate(block.text.splitlines()):
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                if any(Path(word).name == "harmonizer" for word in words):
                    yield block.line + offset, command.strip()


@each_page
def test_every_command_is_understood(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line, command in commands(page):
        words = shlex.split(command, comments=True)
        names = [Path(word).name for word in words]
        words = words[names.index("harmonizer") + 1 :]
        ends = [words.index(sign) for sign in ("<", ">", "|") if sign in words]
        try:
            _parser().parse_args(words[: min(ends, default=None)])
            code = 0
        except SystemExit as stop:
            code = stop.code
        assert code == 0, f"{page.name}:{line}: {command}\n{capsys.readouterr().err}"


@each_page
def test_commands_do_what_the_page_says(page: Path, desk: Path) -> None:
    program = "import sys; from harmonizer.cli import main; sys.exit(main())"
    shell = f'harmonizer() {{ {shlex.quote(sys.executable)} -c {shlex.quote(program)} "$@"; }}\n'
    for line, command in commands(page):
        words = shlex.split(command, comments=True)
        if words[0] not in ("harmonizer", "cat") or "--model" in words:
            continue  # --model downloads, or takes the result of a training
        if words[words.index("harmonizer") + 1] not in OFFLINE:
            continue
        where = f"{page.name}:{line}: {command}"
        if {"<", ">", "|"} & set(words):
            done = subprocess.run(["bash", "-c", shell + command], capture_output=True, check=False)
            assert done.returncode == 0, f"{where}\n{done.stderr.decode()}"
        else:  # patterns are expanded by the command itself
            assert main(words[1:]) == 0, where


@each_page
def test_python_blocks_run(page: Path, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In order, in one namespace, as a reader would type them."""
    namespace: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page, "python"):
        # Line numbers of an error are the page's.
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
        if not block.not_run:
            exec(code, namespace)  # noqa: S102 - the project's own pages


@each_page
def test_configurations_are_valid(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "toml")):
        assert tomllib.loads(block.text)
        path = tmp_path / f"{number}.toml"
        path.write_text(block.text)
        TrainConfig.from_toml(path)


def test_every_class_of_error_is_documented() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    classes = {name for name, one in vars(errors).items() if isinstance(one, type)}
    classes = {name for name in classes if name.endswith("Error")} - {"HarmonizerError"}
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == classes


def test_the_table_of_models_is_the_manifests() -> None:
    row = runpy.run_path(str(ROOT / "benchmarks" / "tables.py"))["model_row"]
    page = (ROOT / "docs" / "choosing-a-model.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in list_models(with_weights=True))
    for name in (default_model(), "idih", "idih-hrnet-w18s"):
        # How long it took is the one column that is measured.
        pattern = re.escape(row(model_info(name), "TIME")).replace("TIME", r"\d+\.\d")
        assert re.search(pattern, page), f"run benchmarks/tables.py: {name}"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="the group `docs` is not installed")
    pytest.importorskip("mkdocstrings", reason="the group `docs` is not installed")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    site = tmp_path / "site"
    for page in PAGES:
        if page.parent == ROOT / "docs":
            assert (site / page.name).with_suffix(".html").is_file()
    assert not list(site.rglob("*.py"))
    reference = (site / "api.html").read_text(encoding="utf-8")
    for name in (
        *("harmonize", "Harmonizer.__call__", "Harmonizer.harmonize", "show_comparison"),
        *("compose", "lift", "WeightsCorruptedError"),
    ):
        assert f'{name}"' in reference
    for name in ("__repr__", "__str__", "__reduce__", "__getstate__", "__post_init__"):
        assert f'{name}"' not in reference
