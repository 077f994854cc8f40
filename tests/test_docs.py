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
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from desk import lay_out_clips, lay_out_pictures, much_shorter, with_released_models
from hub_server import ask_instead_of_the_hub, serving
from PIL import Image

from harmonizer import errors, list_models, model_info
from harmonizer.cli import _parser, main
from harmonizer.training import TrainConfig
from harmonizer.zoo import manifest
from harmonizer.zoo.manifest import default_model

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXTRAS = {"video": "av", "export": "onnx", "completion": "shtab"}  # what a command needs installed
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


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


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that holds what the pages speak of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # processes of one picture are faster with one
    lay_out_pictures(tmp_path)
    # Stands in for rembg, which gives a picture back with transparency.
    mask = Image.open("mask.png")
    rembg = SimpleNamespace(remove=lambda image: image.putalpha(mask) or image)
    monkeypatch.setitem(sys.modules, "rembg", cast(ModuleType, rembg))
    return tmp_path


@pytest.fixture
def authors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A server on this machine in place of the authors' pages and of the Hub; an empty cache."""
    pytest.importorskip("torch")
    with serving() as server:
        ask_instead_of_the_hub(server.address, monkeypatch)
        text = with_released_models(server, manifest._manifest_text())
        monkeypatch.setattr(manifest, "_manifest_text", lambda: text)
        (tmp_path / "idih256.pth").write_bytes(server.files["/idih256.pth"])
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_TOKEN", "a token")
        manifest._manifest.cache_clear()
        yield
    manifest._manifest.cache_clear()


def installed(module: str) -> bool:
    return find_spec(module) is not None


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
@pytest.mark.usefixtures("authors")
def test_commands_do_what_the_page_says(page: Path, desk: Path) -> None:
    """As they stand there, in order; only what serves until it is stopped is left out."""
    program = "import sys; from harmonizer.cli import main; sys.exit(main())"
    shell = f'harmonizer() {{ {shlex.quote(sys.executable)} -c {shlex.quote(program)} "$@"; }}\n'
    if installed("av"):
        lay_out_clips(desk, masks_too=page.name == "video.md")
    run, *_ = blocks(ROOT / "docs" / "training.md", "toml")
    (desk / "run.toml").write_text(much_shorter(run.text))
    trained = False
    for line, command in commands(page):
        words = shlex.split(command, comments=True)
        if words[0] not in ("harmonizer", "cat"):
            continue  # in an environment of its own, or on several GPUs
        name = words[words.index("harmonizer") + 1]
        if name == "demo" or not installed(EXTRAS.get(name, "harmonizer")):
            continue
        if "runs/mine/best" in command and not trained:
            assert main(["train", "--config", "run.toml"]) == 0
            trained = True
        if name == "train" and "--resume" not in words:
            shutil.rmtree("runs", ignore_errors=True)  # the page shows it twice
        trained |= name == "train"
        where = f"{page.name}:{line}: {command}"
        if {"<", ">", "|"} & set(words):
            done = subprocess.run(["bash", "-c", shell + command], capture_output=True, check=False)
            assert done.returncode == 0, f"{where}\n{done.stderr.decode()}"
        else:  # patterns are expanded by the command itself
            assert main(words[1:]) == 0, where
        for option, written in pairwise(words):
            if option in (">", "-o", "--report", "--sheet", "--lut") and written != "-":
                assert Path(written).exists(), where


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
