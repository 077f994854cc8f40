"""Write a model as a folder that anybody can load, and upload it to the Hub."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, HfApi
from safetensors.torch import save
from torch import nn

from harmonizer._version import __version__
from harmonizer.errors import (
    InputError,
    WeightsCorruptedError,
    WeightsUnavailableError,
    raise_if_interrupted,
)
from harmonizer.files import read_json, write_atomically
from harmonizer.zoo.find import CONFIG_FILE, WEIGHTS_FILE
from harmonizer.zoo.loader import load_model
from harmonizer.zoo.manifest import ModelInfo, parse_model_info
from harmonizer.zoo.options import FetchOptions

CARD_FILE = "README.md"
_WHERE = ("status", "sources", "aliases")  # what of a model depends on who has it


def save_model(
    network: nn.Module, info: ModelInfo, directory: Path, repo_id: str = "OWNER/NAME"
) -> None:
    """Write a model as a folder: `config.json`, `model.safetensors` (float32) and a model card.

    Each file is whole or not there; the config, which holds the weights' hash, comes last.
    `repo_id` is what the card calls the model.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; name a folder to save the model in")
    known = describe(info)
    try:  # nobody could load it otherwise
        parse_model_info(json.loads(json.dumps(known)), "what is known of the model")
    except WeightsCorruptedError as error:
        raise InputError(f"the model cannot be saved: {error}") from error
    directory.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    state = {
        key: value.float() if value.is_floating_point() else value for key, value in state.items()
    }
    if odd := [key for key, value in state.items() if not value.isfinite().all()]:
        raise InputError(f"the model cannot be saved: NaN or infinity in {', '.join(odd[:5])}")
    content = save(state, metadata={"format": "pt"})
    write_atomically(directory / WEIGHTS_FILE, content)
    sha256 = hashlib.sha256(content).hexdigest()
    config = {"library": "image-harmonizer", "library_version": __version__} | known
    config["weights"] = {"file": WEIGHTS_FILE, "sha256": sha256, "size": len(content)}
    write_atomically(directory / CARD_FILE, _card(info, repo_id))
    write_atomically(directory / CONFIG_FILE, json.dumps(config, indent=2) + "\n")


def describe(info: ModelInfo) -> dict[str, Any]:
    """Return what is known of a model, but for where its weights are, as JSON has it."""
    known = {one.name: getattr(info, one.name) for one in fields(info)}
    known |= {
        "arguments": dict(info.arguments),
        "preprocessing": asdict(info.preprocessing),
        "metrics": [dict(metric) for metric in info.metrics],
    }
    return {key: value for key, value in known.items() if key not in _WHERE}


def _card(info: ModelInfo, repo_id: str) -> str:
    header = {
        "library_name": "image-harmonizer",
        "pipeline_tag": "image-to-image",
        "tags": ["image-harmonization", info.architecture],
    }
    rows = "\n".join(f"{key}: {json.dumps(value)}" for key, value in header.items())
    metrics = "\n\n".join(map(_results, info.metrics))
    return f"""---
{rows}
---

# {info.name}

{info.description or "A network for image harmonization."}

Image harmonization: given a composite photograph and the mask of its pasted foreground, the
foreground's colours are changed until it belongs to the background.

```python
from harmonizer import Harmonizer  # pip install image-harmonizer

harmonizer = Harmonizer.from_pretrained("{repo_id}")
result = harmonizer(image, mask)  # the mask's white is the foreground
```

- Network: `{info.architecture}` {dict(info.arguments) or ""}, {info.parameters:,} parameters
- Input: {info.preprocessing.input_size[1]} x {info.preprocessing.input_size[0]}, resized by \
`{info.preprocessing.resampler}`, mean {info.preprocessing.mean}, std {info.preprocessing.std}
- Trained on: {info.trained_on or "not stated"}
- Licence: {info.licence or "not stated"} {info.licence_url or ""}
- Origin: {info.origin or "not stated"}

## Results

{metrics or "None measured."}
{f"{chr(10)}## Note{chr(10)}{chr(10)}{info.note}{chr(10)}" if info.note else ""}"""


def _results(metric: Mapping[str, Any]) -> str:
    """One entry of `ModelInfo.metrics`: what was measured and how, and a table of the values."""
    about = ("data", "training", "protocol", "source")
    heading = "; ".join(str(metric[key]) for key in about if metric.get(key))
    if metric.get("command"):
        heading += f", by `{metric['command']}`"
    values: Mapping[str, Mapping[str, float]] = metric.get("values", {})
    columns = dict.fromkeys(name for row in values.values() for name in row)
    cells = [["", *columns], ["---", *("--:" for _ in columns)]]
    for part, row in values.items():
        found = (row.get(name) for name in columns)
        cells.append([part, *("" if value is None else f"{value:.6g}" for value in found)])
    return f"{heading}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in cells)


def push_folder(
    directory: Path,
    repo_id: str,
    *,
    commit_message: str = "Upload a model with image-harmonizer",
    private: bool | None = None,
    token: str | bool | None = None,
    branch: str | None = None,
    create_pr: bool | None = None,
) -> CommitInfo:
    """Upload a folder that `save_model` wrote, after loading it once to see that it works.

    The arguments are those of `Harmonizer.push_to_hub`. The commit's `oid` is the revision for a
    manifest entry.
    """
    if repo_id.count("/") != 1:
        raise InputError(f"a repository of the Hub is called owner/name; got {repo_id!r}")
    load_model(directory, None, FetchOptions())
    api = HfApi(token=token, library_name="image-harmonizer")
    # Everything that goes wrong on the way is the Hub's: no connection, no right, no space.
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        return api.upload_folder(
            repo_id=repo_id,
            folder_path=directory,
            allow_patterns=[CONFIG_FILE, WEIGHTS_FILE, CARD_FILE],
            commit_message=commit_message,
            revision=branch,
            create_pr=create_pr,
        )
    except Exception as error:
        raise_if_interrupted(error)
        raise WeightsUnavailableError(
            f"could not upload to {repo_id}: {error}; log in with `hf auth login`, or pass a token "
            "that may write"
        ) from error


def manifest_entry(directory: Path, repo_id: str, revision: str) -> dict[str, Any]:
    """Return the entry of `weights_manifest.json` for a folder that was uploaded as a commit."""
    config = read_json(directory / CONFIG_FILE)
    weights = config.pop("weights")
    config = {key: value for key, value in config.items() if not key.startswith("library")}
    source = {"kind": "hub", "repo": repo_id, "revision": revision, **weights}
    return config | {"status": "available", "sources": [source]}
