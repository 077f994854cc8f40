"""Install the lowest versions that pyproject.toml states, or the newest, and run the tests there.

    python tools/check_versions.py lowest
    python tools/check_versions.py newest --python python3.13 --tests tests/imaging/test_image.py

Run it from the root of a checkout. pip's own configuration and environment count, so PIP_CONSTRAINT
and PIP_EXTRA_INDEX_URL say where torch comes from. `lowest` turns each `>=` of the dependencies, of
the chosen extras and of the group `test` into `==`; what these need themselves is pip's choice.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

_BOUND = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?>=([^,;\s]+)")


def lower_bounds(project: dict[str, Any], extras: list[str], group: str) -> list[str]:
    """The lowest versions of what a checkout asks for, as pip's constraints."""
    requirements: list[str] = [*project["project"]["dependencies"]]
    for extra in extras:
        requirements += project["project"]["optional-dependencies"][extra]
    requirements += [one for one in project["dependency-groups"][group] if isinstance(one, str)]
    bounds: dict[str, str] = {}
    for requirement in requirements:
        match = _BOUND.match(requirement)
        if match is None:
            raise SystemExit(f"{requirement!r} states no lowest version")
        bounds[match[1]] = match[2]
    return [f"{name}=={version}" for name, version in bounds.items()]


def main() -> int:
    """Make the environment, install, and run the tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("lowest", "newest"))
    parser.add_argument("--python", default=sys.executable, help="the interpreter to use")
    parser.add_argument("--extra", action="append", default=[], help="an extra to install too")
    parser.add_argument("--environment", type=Path, help="a virtual environment to make or use")
    parser.add_argument("--tests", nargs="+", default=["tests"], help="what pytest is given")
    chosen = parser.parse_args()
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.environment or Path(temporary) / "venv"
        python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        if not python.exists():
            subprocess.run([chosen.python, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--upgrade", "pip"], check=True)
        extras = f"[{','.join(chosen.extra)}]" if chosen.extra else ""
        install = [*pip, "--upgrade", "-e", f".{extras}", "--group", "test"]
        bounds = lower_bounds(project, chosen.extra, "test")
        if chosen.which == "lowest":
            constraints = Path(temporary) / "lowest.txt"
            constraints.write_text("\n".join(bounds) + "\n", encoding="utf-8")
            install += ["--constraint", constraints]
        subprocess.run(install, check=True)
        names = [bound.partition("==")[0] for bound in bounds]
        show = "import importlib.metadata as m, sys; print(sys.version.split()[0])\n"
        show += f"print(*(f'{{name}} {{m.version(name)}}' for name in {names}), sep='\\n')"
        subprocess.run([python, "-c", show], check=True)
        tests = [python, "-m", "pytest", "-q", *chosen.tests]
        return subprocess.run(tests, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
