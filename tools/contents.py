"""What may be in a wheel and in a source distribution, and what has to be."""

import fnmatch
import tarfile
import zipfile
from pathlib import Path

_DATA = (
    "harmonizer/py.typed",
    "harmonizer/evaluation/report.html",
    "harmonizer/zoo/weights/NOTICE.md",
    "harmonizer/zoo/weights/idih-open.safetensors",
)
_METADATA = (
    *("METADATA", "RECORD", "WHEEL", "entry_points.txt"),
    *("licenses/LICENSE", "licenses/harmonizer/zoo/weights/NOTICE.md"),
)
# Every picture by name: none comes in with a pattern.
_PICTURES = (
    *("docs/idih-open/cases.jpg", "docs/idih-open/curve.svg"),
    *("docs/images/before-after.jpg", "docs/images/lifting.jpg"),
    *("examples/composite.png", "examples/mask.png"),
)
_SOURCES = (
    *("harmonizer/*.py", "harmonizer/training/recipes/*.toml", *_DATA),
    *("tests/*.py", "tests/*/fixtures/*.npz", "tests/*/fixtures/*.json.gz"),
    *("benchmarks/*.py", "fuzz/*.py", "tools/*.py", "docs/*.py", "examples/*.py"),
    *("docs/*.md", "docs/weights_manifest.schema.json"),
    *("examples/*.ipynb", "examples/README.md", *_PICTURES),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", ".gitignore"),
    *("pyproject.toml", "mkdocs.yml", "weights_manifest.json", "PKG-INFO"),
)


def library_files(root: Path) -> set[str]:
    """What of a checkout's package belongs into a wheel."""
    code = {path.relative_to(root).as_posix() for path in (root / "harmonizer").rglob("*.py")}
    recipes = (root / "harmonizer/training/recipes").glob("*.toml")
    return code | {path.relative_to(root).as_posix() for path in recipes} | set(_DATA)


def wheel_faults(wheel: Path, root: Path) -> list[str]:
    """What is missing in a wheel or has no place there.

    Args:
        wheel: The file.
        root: The checkout that it was built from.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    name, version = wheel.name.split("-")[:2]
    expected = library_files(root) | {"harmonizer/weights_manifest.json"}
    expected |= {f"{name}-{version}.dist-info/{one}" for one in _METADATA}
    return _difference(names, expected)


def sdist_faults(sdist: Path, root: Path) -> list[str]:
    """What is missing in a source distribution or has no place there."""
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    names = {one.name.partition("/")[2] for one in members if one.isfile()}
    odd = [f"no plain file: {one.name}" for one in members if not (one.isfile() or one.isdir())]
    strangers = {name for name in names if not any(fnmatch.fnmatch(name, one) for one in _SOURCES)}
    needed = library_files(root) | {"weights_manifest.json", "LICENSE", "tests/conftest.py"}
    return odd + _difference(names, (names - strangers) | needed)


def _difference(names: set[str], expected: set[str]) -> list[str]:
    missing = [f"missing: {name}" for name in sorted(expected - names)]
    return missing + [f"has no place here: {name}" for name in sorted(names - expected)]
