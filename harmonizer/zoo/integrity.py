"""Read files of weights, and check in the same pass that they hold what was promised."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from harmonizer.errors import WeightsCorruptedError, WeightsUnavailableError, raise_if_interrupted

_START = 512  # bytes that are enough to tell a web page or a pointer from weights


@dataclass(frozen=True)
class Weights:
    """A file of weights, and what it has to be.

    Attributes:
        path: The file.
        sha256: What its hash has to be; None checks only that it is no web page or pointer.
        size: What its size in bytes has to be, if it is known.
        what: What to call it in an error.
        cached: Whether it is in the cache, where a wrong one is set aside (renamed to
            `*.corrupted`), so that the next attempt downloads it again. Files of the user's are
            left as they are.
        advice: What to do about a wrong one.
    """

    path: Path
    sha256: str | None
    size: int | None
    what: str
    cached: bool = False
    advice: str = ""

    def read(self, largest: int | None = None) -> bytes:
        """Return the content, of which exactly these bytes were checked.

        Args:
            largest: More bytes than this are not even read.

        Raises:
            WeightsCorruptedError: It is not what was promised; the message has both hashes.
            WeightsUnavailableError: It cannot be read.
        """
        try:
            found = self.path.stat().st_size
            if self.size not in (None, found):
                self._refuse(f"{self.what} has {found} bytes, expected {self.size}")
            if largest is not None and found > largest:
                self._refuse(f"{self.what} has {found:,} bytes, more than its network could hold")
            content = self.path.read_bytes()
        except WeightsCorruptedError:
            raise
        except OSError as error:
            raise_if_interrupted(error)
            raise WeightsUnavailableError(f"{self.what} cannot be read: {error}") from error
        if self.sha256 is None:
            if _not_weights(content):
                self._refuse(f"{self.what} holds no weights", content)
        elif (sha256 := hashlib.sha256(content).hexdigest()) != self.sha256:
            self._refuse(f"{self.what} has the sha256 {sha256}, expected {self.sha256}", content)
        return content

    def _refuse(self, problem: str, content: bytes | None = None) -> None:
        if content is None:
            with self.path.open("rb") as file:
                content = file.read(_START)
        reason = _not_weights(content)
        explanation = f" ({reason})" if reason else ""
        advice = f" {_set_aside(self.path)} Try again." if self.cached else self.advice
        raise WeightsCorruptedError(f"{problem}{explanation}; it was not loaded.{advice}")


def _not_weights(content: bytes) -> str | None:
    start = content[:_START]
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
