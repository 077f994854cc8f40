"""Say how weights may be fetched."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FetchOptions:
    """How weights may be fetched; named as in `huggingface_hub`, whose environment counts too.

    Attributes:
        cache_dir: Where files are kept; None is what HF_HOME says.
        local_files_only: Use what is on this machine; never connect. HF_HUB_OFFLINE does the same.
        force_download: Download again what is there already.
        token: For private repositories of the Hub; None takes the one of `hf auth login`.
    """

    cache_dir: Path | None = None
    local_files_only: bool = False
    force_download: bool = False
    token: str | bool | None = None

    @property
    def offline(self) -> bool:
        """Whether nothing may be downloaded."""
        from huggingface_hub import constants  # not imported for what needs no connection

        return self.local_files_only or constants.HF_HUB_OFFLINE
