"""Resolve a model name to a zoo entry, a folder or a Hub repository; refuse what is ambiguous."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from harmonizer.errors import InputError
from harmonizer.files import as_path
from harmonizer.zoo.manifest import default_model, is_model

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class ZooName:
    """A model of the manifest."""

    name: str


@dataclass(frozen=True)
class LocalPath:
    """A folder that `save_pretrained` wrote, or its `.safetensors` file."""

    path: Path


@dataclass(frozen=True)
class HubName:
    """A repository of the Hub, `owner/name`, that `push_to_hub` filled."""

    repo: str


Place: TypeAlias = ZooName | LocalPath | HubName


def parse_name(name_or_path: str | os.PathLike[str] | None) -> Place:
    """Decide what a name means.

    Args:
        name_or_path: A name of `list_models()`, `owner/name` of a repository on the Hub, or a path;
            None is the default model. `zoo:` and `hub:` before a name, and `./` before a path, say
            which it is.

    Raises:
        InputError: It could mean two things; the message shows how to write each.
    """
    if name_or_path is None:
        return ZooName(default_model())
    if isinstance(name_or_path, os.PathLike):
        return LocalPath(as_path(name_or_path, "a model"))
    if not isinstance(name_or_path, str) or not name_or_path:
        raise InputError(
            "a model is called by a name of list_models(), owner/name of a repository, or a path; "
            f"got {name_or_path!r}"
        )
    kind, _, rest = name_or_path.partition(":")
    if kind == "zoo" and rest:
        return ZooName(rest)
    if kind == "hub" and rest:
        if not _HUB_NAME.fullmatch(rest):
            raise InputError(f"a repository of the Hub is called owner/name; got {rest!r}")
        return HubName(rest)
    path = Path(os.path.expanduser(name_or_path))  # noqa: PTH111 - Path's raises for unknown users
    spelt_as_path = name_or_path.startswith((".", "~", os.sep, "/")) or path.is_absolute()
    if spelt_as_path or path.suffix == ".safetensors":
        return LocalPath(path)
    if is_model(name_or_path):
        _refuse_if_there(name_or_path, path, f"zoo:{name_or_path}", "a model of the zoo")
        return ZooName(name_or_path)
    if _HUB_NAME.fullmatch(name_or_path):
        _refuse_if_there(name_or_path, path, f"hub:{name_or_path}", "a repository of the Hub")
        return HubName(name_or_path)
    like_a_path = "/" in name_or_path or os.sep in name_or_path or path.suffix in (".pth", ".pt")
    return LocalPath(path) if like_a_path or _exists(path) else ZooName(name_or_path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with characters that no path has
        return False


def _refuse_if_there(name: str, path: Path, spelling: str, what: str) -> None:
    if _exists(path):
        raise InputError(
            f"{name!r} could be {what} or the {'folder' if path.is_dir() else 'file'} of that name "
            f"here; write {spelling!r} for the one, './{name}' for the other"
        )
