"""Check that files hold the bytes that were promised."""

import hashlib
from functools import lru_cache
from pathlib import Path

from harmonizer.errors import WeightsCorruptedError

_START = 512  # bytes that are enough to tell a web page or a pointer from weights


def check_file(
    path: Path, sha256: str | None, size: int | None, what: str, *, cached: bool
) -> None:
    """Check a file of weights before anything reads it.

    A file of the cache that is wrong is set aside (renamed to `*.corrupted`), so that the next
    attempt downloads it again. Files of the user's are left as they are.

    Args:
        path: The file.
        sha256: What its hash has to be; None checks only that it is no web page or pointer.
        size: What its size in bytes has to be, if it is known.
        what: What to call it in an error, a `WeightsCorruptedError` with both hashes.
        cached: Whether it is in the cache.
    """
    problem = _find_problem(path, sha256, size, what)
    if problem is None:
        return
    reason = _not_weights(path)
    explanation = f" ({reason})" if reason else ""
    advice = f" {_set_aside(path)} Try again." if cached else ""
    raise WeightsCorruptedError(f"{problem}{explanation}; it was not loaded.{advice}")


def _find_problem(path: Path, sha256: str | None, size: int | None, what: str) -> str | None:
    found_size = path.stat().st_size
    if size is not None and found_size != size:
        return f"{what} has {found_size} bytes, expected {size}"
    if sha256 is None:
        return f"{what} holds no weights" if _not_weights(path) else None
    found = sha256_of(path)
    return None if found == sha256 else f"{what} has the sha256 {found}, expected {sha256}"


def _not_weights(path: Path) -> str | None:
    with path.open("rb") as file:
        start = file.read(_START)
    if start.startswith(b"version https://git-lfs"):
        return (
            "it is a git-lfs pointer: the weights themselves were never fetched; run 'git lfs pull'"
        )
    if start.lstrip()[:1] == b"<":
        return "it is a web page, perhaps of a login or a proxy"
    return None


def _set_aside(path: Path) -> str:
    real = path.resolve()
    aside = real.with_name(f"{real.name}.corrupted")
    try:
        real.replace(aside)
        if path.is_symlink():
            path.unlink()
    except OSError as error:
        return f"It could not be set aside ({error}); delete {real}."
    return f"It was set aside as {aside}."


def sha256_of(path: Path) -> str:
    """Return the hash of a file; files that have not changed are not read again."""
    status = path.stat()
    return _sha256(str(path.resolve()), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(path: str, size: int, modified: int) -> str:
    del size, modified  # part of the key only
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
