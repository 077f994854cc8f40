"""Check what can be checked of a release, and say what remains to be done by hand.

    python tools/release.py

Run it from the root of a checkout with the dependency group `dev`. It builds into a temporary
folder, installs the wheel into a fresh environment and runs the tests there. It publishes nothing,
and changes nothing in the checkout.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*command: object) -> str:
    """Run a command in the checkout and show it; return what it prints.

    Raises:
        SystemExit: It fails.
    """
    words = [str(word) for word in command]
    print("$", *words, flush=True)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"NOT READY:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout.strip()


def version_of(code: str, changelog: str) -> str:
    """Return the version that code and changelog agree on.

    Raises:
        SystemExit: They do not, or the changelog has changes that belong to no version.
    """
    version = code.partition('__version__ = "')[2].partition('"')[0]
    heading = re.search(r"^## (.+)$", changelog, re.MULTILINE)
    found = heading[1] if heading else "nothing"
    if not re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", found):
        raise SystemExit(
            f"NOT READY: _version.py says {version}, so the changelog has to begin with "
            f"'## {version} - YYYY-MM-DD'; it begins with '## {found}'"
        )
    return version


def main() -> None:
    """Check, and say what remains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skip-tests", action="store_true", help="leave the tests out")
    parser.add_argument("--skip-audit", action="store_true", help="leave pip-audit out")
    chosen = parser.parse_args()
    files = (ROOT / "harmonizer/_version.py", ROOT / "CHANGELOG.md")
    version = version_of(*(path.read_text("utf-8") for path in files))
    if run("git", "tag", "--list", f"v{version}"):
        raise SystemExit(f"NOT READY: there is a tag v{version} already; raise the version")
    if changed := run("git", "status", "--porcelain"):
        raise SystemExit(f"NOT READY: the checkout is not clean:\n{changed}")
    with tempfile.TemporaryDirectory() as temporary:
        built, environment = Path(temporary) / "dist", Path(temporary) / "environment"
        run(sys.executable, "-m", "build", "--outdir", built)
        (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
        run(sys.executable, "-m", "check_wheel_contents", wheel)
        run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
        run(sys.executable, "-m", "venv", environment)
        python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        run(python, "-m", "pip", "install", "--upgrade", "pip")
        run(python, "-m", "pip", "install", wheel, "--group", "test")
        if not chosen.skip_audit:  # it asks a service on the internet
            where = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
            run(sys.executable, "-m", "pip_audit", "--strict", "--path", where)
        if not chosen.skip_tests:  # as a script, pytest leaves the checkout's package out
            run(python.with_name("pytest"), "-q")
    print(f"""
{version} can be released, if what was skipped is checked elsewhere. By hand, in this order:
1. `.ci/run`, and the tests on a machine with a GPU.
2. `harmonizer verify`: every model of the manifest can still be downloaded.
3. The tests with the lowest versions, as CONTRIBUTING.md says.
4. `git tag -s v{version}`, and push the tag.
5. `python -m build`, and upload both files to the package index.
6. In a new environment: install image-harmonizer=={version} from there, harmonize a picture.
7. Build and publish the documentation.""")


if __name__ == "__main__":
    main()
