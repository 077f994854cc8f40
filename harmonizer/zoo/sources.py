"""Fetch weights from their sources, as checked safetensors files on this machine."""

import errno
import hashlib
import json
import os
from pathlib import Path
from socket import gaierror
from ssl import SSLError
from typing import Any

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import WeakFileLock
from safetensors.torch import save

from harmonizer.errors import WeightsCorruptedError, WeightsUnavailableError, raise_if_interrupted
from harmonizer.files import read_json, write_atomically
from harmonizer.zoo.archive import read_archive
from harmonizer.zoo.bundled import bundled_weights
from harmonizer.zoo.convert import convert_state_dict
from harmonizer.zoo.download import LARGEST_DOWNLOAD, download
from harmonizer.zoo.integrity import Weights
from harmonizer.zoo.manifest import BundledFile, HubFile, ModelInfo, ReleasedFile, Source
from harmonizer.zoo.options import FetchOptions

# Part of the names of converted files: raised when this project's names of tensors change.
_CONVERSION = 1
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)


def fetch_weights(info: ModelInfo, options: FetchOptions) -> Path:
    """Find the weights of a model as `find_weights` does, and check them."""
    weights = find_weights(info, options)
    weights.read()
    return weights.path


def find_weights(info: ModelInfo, options: FetchOptions) -> Weights:
    """Find the weights of a model, downloading them if need be: a safetensors file, not yet read.

    Sources are tried in their order; the next one is only tried if one cannot be reached.

    Raises:
        WeightsUnavailableError: There are none, or no source could be reached.
        WeightsCorruptedError: What came is not what was promised.
    """
    if not info.sources:
        note = f" {info.note}" if info.note else ""
        raise WeightsUnavailableError(f"there are no weights of {info.name} to load.{note}")
    failures: list[str] = []
    for source in info.sources:
        try:
            return _fetch(info, source, options)
        except WeightsUnavailableError as error:
            failures.append(str(error))
    raise WeightsUnavailableError("; ".join(failures))


def _fetch(info: ModelInfo, source: Source, options: FetchOptions) -> Weights:
    match source:
        case BundledFile():
            return bundled_weights(source)
        case HubFile() if source.file.endswith(".safetensors"):
            path = fetch_from_hub(source.repo, source.file, source.revision, options)
            what = f"{source.file} of {source.repo}"
            return Weights(path, source.sha256, source.size, what, cached=True)
        case HubFile() | ReleasedFile():
            return _converted(info, source, options)


# --- the Hub ------------------------------------------------------------------------------------


def fetch_from_hub(
    repo: str,
    file: str,
    revision: str | None,
    options: FetchOptions,
    *,
    largest: int = LARGEST_DOWNLOAD,
) -> Path:
    """Fetch one file of a repository on the Hub into its cache; its content is not checked.

    One that is not in the cache yet, and has more than `largest` bytes, is not downloaded.
    """
    try:
        if not options.offline:
            _refuse_large(repo, file, revision, options, largest)
        return Path(
            huggingface_hub.hf_hub_download(
                repo,
                file,
                revision=revision,
                cache_dir=options.cache_dir,
                local_files_only=options.local_files_only,
                force_download=options.force_download and not options.offline,
                token=options.token,
                library_name="image-harmonizer",
            )
        )
    except WeightsUnavailableError:
        raise
    # Beside its own errors the client lets those of its HTTP library through, which changed once.
    except Exception as error:
        raise_if_interrupted(error)
        reason = _explain(error, repo, file, revision, options)
        raise WeightsUnavailableError(reason) from error


def _refuse_large(
    repo: str, file: str, revision: str | None, options: FetchOptions, largest: int
) -> None:
    cached = huggingface_hub.try_to_load_from_cache(
        repo, file, cache_dir=options.cache_dir, revision=revision
    )
    if isinstance(cached, str):
        return
    try:
        address = huggingface_hub.hf_hub_url(repo, file, revision=revision)
        size = huggingface_hub.get_hf_file_metadata(address, token=options.token).size
    except Exception as error:  # the download itself fails by the same, and says why
        raise_if_interrupted(error)
        if _is_without_connection(error):  # only after half a minute of asking again
            raise WeightsUnavailableError(_unreachable(error, repo, file)) from error
        return
    if size is None:
        raise WeightsUnavailableError(
            f"{file} of {repo} is not downloaded: the server does not say how large it is"
        )
    if size > largest:
        raise WeightsUnavailableError(
            f"{file} of {repo} has {size:,} bytes, more than {largest:,}, and is not downloaded"
        )


def _explain(
    error: Exception, repo: str, file: str, revision: str | None, options: FetchOptions
) -> str:
    match error:
        case GatedRepoError():
            return f"access to {repo} must be asked for on its page; then log in: hf auth login"
        case RepositoryNotFoundError():
            return (
                f"the Hub has no repository {repo}, or it is private: check the name, or log in "
                "(hf auth login) or pass token="
            )
        case RevisionNotFoundError():
            return f"{repo} has no revision {revision}"
        case LocalEntryNotFoundError() | OfflineModeIsEnabled() if options.offline:
            return _offline_advice(f"{file} of {repo}")
        case LocalEntryNotFoundError() | OfflineModeIsEnabled():
            return _unreachable(error, repo, file)
        case EntryNotFoundError():
            return f"{repo} holds no {file} at {revision or 'its newest commit'}"
        case HfHubHTTPError():
            return f"the Hub answered for {repo}: {_first_line(error)}; try again later"
        case HFValidationError():
            return f"{repo!r} cannot be a repository of the Hub: {error}"
        # The client reads certificates itself, and the error does not say that it was they.
        case FileNotFoundError() | SSLError() if error.filename is None:
            named = os.environ.get("SSL_CERT_FILE")
            return (
                f"cannot ask {constants.ENDPOINT} for {file} of {repo}: the certificates to trust "
                f"cannot be read ({error}); SSL_CERT_FILE is {named!r}: name a file of them there, "
                "or unset it"
            )
        case OSError():
            return (
                f"cannot store {file} of {repo}: {error}; free some space, or choose another "
                "folder by HF_HOME or cache_dir"
            )
        case _:
            return f"downloading {file} of {repo} broke off: {_first_line(error)}; try again"


def _is_without_connection(error: BaseException) -> bool:
    """Return whether no address was found, or no way to it, whatever wraps the system's error."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, gaierror) or getattr(found, "errno", None) in _NO_WAY:
            return True
        found = found.__cause__ or found.__context__
    return False


def _unreachable(error: Exception, repo: str, file: str) -> str:
    return (
        f"cannot reach {constants.ENDPOINT} for {file} of {repo} ({_first_line(error)}); "
        "check the connection, or set HF_ENDPOINT to a mirror"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _offline_advice(what: str) -> str:
    return (
        f"{what} is not on this machine, and downloading is switched off (local_files_only, or "
        "HF_HUB_OFFLINE); load this model once while online, or run `harmonizer download` with its "
        "name"
    )


# --- released state dicts -------------------------------------------------------------------------


def _converted(info: ModelInfo, source: HubFile | ReleasedFile, options: FetchOptions) -> Weights:
    """Fetch a released state dict and convert it, once; afterwards the converted file is used."""
    folder = _release_folder(info.name, source, options)
    try:
        found = _find_converted(folder, source)
        if found and not (options.force_download and not options.offline):
            return found
        if options.offline:
            raise WeightsUnavailableError(_offline_advice(f"the released file of {info.name}"))
        folder.mkdir(parents=True, exist_ok=True)
        # Processes that want the same file wait for the first one, and then find it done.
        with WeakFileLock(folder / "lock"):
            found = _find_converted(folder, source)
            if found and not options.force_download:
                return found
            return _fetch_and_convert(info, source, options, folder)
    except (WeightsCorruptedError, WeightsUnavailableError):
        raise
    except OSError as error:
        raise_if_interrupted(error)
        raise WeightsUnavailableError(
            f"cannot use the cache {folder}: {error}; choose another folder by HF_HOME or cache_dir"
        ) from error


def _release_folder(name: str, source: HubFile | ReleasedFile, options: FetchOptions) -> Path:
    """One folder for each place that a file comes from, so that their hashes never meet."""
    assets = Path(options.cache_dir or constants.HF_ASSETS_CACHE)
    place = hashlib.sha256(_place(source).encode()).hexdigest()[:8]
    return assets / "image-harmonizer" / "released" / f"{name}-{place}"


def _place(source: HubFile | ReleasedFile) -> str:
    return source.url if isinstance(source, ReleasedFile) else f"{source.repo}/{source.file}"


def _find_converted(folder: Path, source: HubFile | ReleasedFile) -> Weights | None:
    record = _read_record(folder)
    path = folder / f"model-{_CONVERSION}.safetensors"
    if not {"conversion", "converted_sha256"} <= record.keys() or not path.is_file():
        return None  # what a damaged record does not vouch for is made again
    if record["conversion"] != _CONVERSION:
        return None
    _check_against_record(record, record["sha256"], source)
    return Weights(path, record["converted_sha256"], None, f"the converted {path}", cached=True)


def _fetch_and_convert(
    info: ModelInfo, source: HubFile | ReleasedFile, options: FetchOptions, folder: Path
) -> Weights:
    if isinstance(source, HubFile):
        released = fetch_from_hub(source.repo, source.file, source.revision, options)
    else:
        released = folder / "released.pth"
        if not released.is_file() or options.force_download:
            download(source.url, released, size=source.size)
    content = Weights(released, source.sha256, source.size, _place(source), cached=True).read()
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        _check_against_record(_read_record(folder), sha256, source)
        state = read_archive(content, str(released))
        state = convert_state_dict(info.architecture, state, **info.arguments)
    except WeightsCorruptedError:
        if isinstance(source, ReleasedFile):
            released.unlink()  # or the next attempt would find it, and not download again
        raise
    record = {
        "source": _place(source),
        "sha256": sha256,
        "size": len(content),
        "conversion": _CONVERSION,
    }
    content = save(state)
    path = folder / f"model-{_CONVERSION}.safetensors"
    write_atomically(path, content)
    record["converted_sha256"] = hashlib.sha256(content).hexdigest()
    write_atomically(folder / "record.json", json.dumps(record, indent=2))
    if isinstance(source, ReleasedFile):
        released.unlink()  # the converted file has everything that was in it
    return Weights(path, record["converted_sha256"], None, f"the converted {path}", cached=True)


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record = read_json(folder / "record.json")
    except (OSError, ValueError):
        return {}
    hashes = (record.get("sha256"), record.get("converted_sha256", ""))
    return record if all(isinstance(one, str) for one in hashes) else {}


def _check_against_record(
    record: dict[str, Any], sha256: str, source: HubFile | ReleasedFile
) -> None:
    """Compare a hash with the promised one, or else with that of the first download."""
    expected = source.sha256 or record.get("sha256", sha256)
    if sha256 != expected:
        raise WeightsCorruptedError(
            f"the released file has the sha256 {sha256}, but {expected} was "
            f"{'promised' if source.sha256 else 'recorded when it was first downloaded'}; it was "
            "not loaded. If the authors replaced it, delete the folder "
            "image-harmonizer/released in the cache"
        )


def read_released(path: Path) -> dict[str, Any]:
    """Read a released state dict (`.pth`, `.pt`), without running any code that it may hold."""
    return read_archive(Weights(path, None, None, str(path)).read(), str(path))
