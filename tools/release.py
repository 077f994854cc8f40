"""Everything that has to be true of a release, checked; and what then remains to be done by hand.

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
from collections.abc import Sequence
from pathlib import Path

from contents import sdist_faults, wheel_faults

ROOT = Path(__file__).parents[1]


class NotReadyError(Exception):
    """What keeps this checkout from being released."""


def run(command: Sequence[object]) -> str:
    """Run a command in the checkout; what it prints is shown only if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotReadyError(
            f"{' '.join(words)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    return done.stdout


def check_clean() -> None:
    """Nothing is changed, nothing lies about."""
    if changed := run(["git", "status", "--porcelain"]):
        raise NotReadyError(f"the checkout is not clean:\n{changed}")


def version_of(code: str, changelog: str) -> str:
    """The version that code and changelog agree on.

    Raises:
        NotReadyError: They do not, or the changelog has changes that belong to no version.
    """
    version = code.partition('__version__ = "')[2].partition('"')[0]
    heading = re.search(r"^## (.+)$", changelog, re.MULTILINE)
    found = heading[1] if heading else "nothing"
    if not re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", found):
        raise NotReadyError(
            f"_version.py says {version}, so the changelog has to begin with "
            f"'## {version} - YYYY-MM-DD'; it begins with '## {found}'"
        )
    return version


def check_version() -> str:
    """Code and changelog agree on a version that has no tag yet."""
    texts = [
        (ROOT / name).read_text("utf-8") for name in ("harmonizer/_version.py", "CHANGELOG.md")
    ]
    version = version_of(*texts)
    if run(["git", "tag", "--list", f"v{version}"]):
        raise NotReadyError(f"there is a tag v{version} already; raise the version")
    return version


def check_style() -> None:
    """Ruff, with its security rules, and pyright are content."""
    run([sys.executable, "-m", "ruff", "check"])
    run([sys.executable, "-m", "ruff", "format", "--check"])
    run([sys.executable, "-m", "pyright", "--pythonpath", sys.executable])


def build(folder: Path) -> Path:
    """A source distribution, the wheel out of it, and a look into both; returns the wheel."""
    run([sys.executable, "-m", "build", "--outdir", folder])
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    if faults := wheel_faults(wheel, ROOT) + sdist_faults(sdist, ROOT):
        raise NotReadyError("\n".join(faults))
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The wheel and the group `test` in an environment of their own; returns its Python."""
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run([sys.executable, "-m", "venv", folder])
    run([python, "-m", "pip", "install", "--upgrade", "pip"])
    run([python, "-m", "pip", "install", wheel, "--group", "test"])
    show = "import harmonizer, os; os.chdir('/'); print(harmonizer.__file__)"
    installed = run([python, "-P", "-c", show]).strip()
    if not installed.startswith(str(folder)):
        raise NotReadyError(f"the tests would not run against the wheel, but against {installed}")
    return python


def check_tests(python: Path) -> None:
    """The tests pass with what the wheel installed."""
    # As a script, pytest leaves the checkout's own package out of the path.
    run([python.with_name("pytest"), "-q"])


def check_vulnerabilities(python: Path) -> None:
    """No dependency has a known vulnerability, says a service that has to be reached."""
    packages = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
    try:
        run([sys.executable, "-m", "pip_audit", "--strict", "--path", packages])
    except NotReadyError as fault:
        raise NotReadyError(
            f"{fault}\npip-audit asks a service on the internet. Where that cannot be reached, "
            "leave it out by --skip-audit, and run it elsewhere before the release"
        ) from fault


def main() -> int:
    """Check, and say what remains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skip-tests", action="store_true", help="leave the tests out")
    parser.add_argument("--skip-audit", action="store_true", help="leave pip-audit out")
    chosen = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            print("the checkout is clean")
            check_clean()
            print("the version is the changelog's, and new")
            version = check_version()
            print("ruff and pyright")
            check_style()
            print("wheel and source distribution hold what they should")
            wheel = build(Path(temporary) / "dist")
            print("the wheel can be installed into a fresh environment")
            python = install(wheel, Path(temporary) / "environment")
            if not chosen.skip_audit:
                print("no dependency has a known vulnerability")
                check_vulnerabilities(python)
            if not chosen.skip_tests:
                print("the tests pass with the wheel")
                check_tests(python)
    except NotReadyError as fault:
        print(f"NOT READY: {fault}", file=sys.stderr)
        return 1
    skipped = [name for name in ("tests", "audit") if vars(chosen)[f"skip_{name}"]]
    if skipped:
        print(
            f"\nNOT CHECKED: {', '.join(skipped)}. Nothing else keeps {version} from its release."
        )
        return 0
    print(f"""
{version} can be released. By hand, in this order:
1. `.ci/run` and the tests on a machine with a GPU, which this one may not have.
2. `harmonizer verify`: every model of the manifest can still be downloaded.
3. `python tools/check_versions.py lowest` and `newest`.
4. `git tag -s v{version}`, and push the tag.
5. `python -m build`, and upload both files to the package index.
6. In a new environment: install image-harmonizer=={version} from there, harmonize a picture.
7. Build and publish the documentation.""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
