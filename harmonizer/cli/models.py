"""List, fetch and fill the zoo: `harmonizer list`, `info`, `download`, `convert`, `publish` ..."""

import argparse
import sys
from pathlib import Path

from harmonizer.cli.options import Commands, shared
from harmonizer.cli.terminal import check_output_folder, complain, say
from harmonizer.errors import HarmonizerError, InputError

# Where a model's weights come from.
_STATUS = {
    "bundled": "in the package",
    "available": "on the Hugging Face Hub",
    "origin-only": "downloaded from the authors' page and converted",
    "unpublished": "there are no weights; `info` says what would be needed",
}


def add_models(commands: Commands) -> None:
    """Add the commands to the command line."""
    show_all = commands.add_parser(
        "list",
        help="list the models",
        epilog=" ".join(f"{status}: {meaning}." for status, meaning in _STATUS.items()),
    )
    show_all.set_defaults(command=_list)

    info = commands.add_parser("info", help="show what is known of a model", parents=shared("name"))
    info.set_defaults(command=_info)

    fetch = commands.add_parser(
        "download",
        help="fetch the weights of models, to work offline later",
        description="Fetch the weights of models into the cache (HF_HOME), so that they load "
        "without a connection later. Prints where they are.",
        parents=shared("--force"),
    )
    known = "a model of `harmonizer list`, or owner/name on the Hub"
    fetch.add_argument("names", nargs="*", metavar="NAME", help=known)
    fetch.add_argument("--all", action="store_true", help="every model that has weights")
    fetch.set_defaults(command=_download, usage_error=fetch.error)

    convert = commands.add_parser(
        "convert",
        help="convert a released .pth file into a folder that from_pretrained loads",
        parents=shared("--force"),
    )
    convert.add_argument("file", type=Path, metavar="FILE.pth")
    convert.add_argument("--model", required=True, metavar="NAME", help="which network it is of")
    convert.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to write"
    )
    convert.set_defaults(command=_convert)

    publish = commands.add_parser(
        "publish",
        help="upload a saved model to the Hugging Face Hub",
        description="Upload a folder that save_pretrained, convert or training wrote, and print "
        "the entry for weights_manifest.json, pinned to the commit.",
    )
    publish.add_argument("directory", type=Path, metavar="DIR")
    publish.add_argument("--repo", required=True, metavar="OWNER/NAME")
    publish.add_argument("--private", action="store_true", help="make a new repository private")
    publish.set_defaults(command=_publish)

    text = "fetch, check and load every model that can be reached"
    verify = commands.add_parser("verify", help=text, description=f"{text.capitalize()}.")
    verify.set_defaults(command=_verify)


def _list(parsed: argparse.Namespace) -> int:
    from harmonizer.zoo.manifest import default_model, list_models, model_info

    names = list_models()
    width = max(len(name) for name in names)
    for name in names:
        info = model_info(name)
        default = " (default)" if name == default_model() else ""
        say(f"{name:{width}}  {info.status:11}  {info.description}{default}")
    if sys.stdout.isatty():
        say("\n" + "\n".join(f"{status:11}  {meaning}" for status, meaning in _STATUS.items()))
    return 0


def _info(parsed: argparse.Namespace) -> int:
    from harmonizer.zoo.find import known_of
    from harmonizer.zoo.names import LocalPath, parse_name

    info = known_of(parsed.name)
    local = isinstance(parse_name(parsed.name), LocalPath)
    size = info.preprocessing.input_size
    rows = {
        "name": info.name,
        "also known as": ", ".join(info.aliases),
        "description": info.description,
        "architecture": info.architecture,
        "arguments": ", ".join(f"{key}={value}" for key, value in info.arguments.items()),
        "parameters": f"{info.parameters:,}",
        "input": f"{size[1]} x {size[0]}, {info.preprocessing.resampler}",
        "status": "on this machine" if local else f"{info.status} ({_STATUS[info.status]})",
        "licence": " ".join(text for text in (info.licence, info.licence_url) if text),
        "trained on": info.trained_on,
        "origin": info.origin,
        "note": info.note,
    }
    for number, source in enumerate(info.sources, start=1):
        known = {key: value for key, value in vars(source).items() if value is not None}
        rows[f"source {number}"] = ", ".join(f"{key} {value}" for key, value in known.items())
    for key, value in rows.items():
        if value:
            say(f"{key + ':':15}{value}")
    for metric in info.metrics:
        about = (metric.get(key) for key in ("data", "protocol", "source"))
        say("\n" + "; ".join(filter(None, about)))
        for part, values in metric["values"].items():
            say(f"  {part:12}" + "  ".join(f"{name} {value}" for name, value in values.items()))
    return 0


def _download(parsed: argparse.Namespace) -> int:
    from harmonizer.zoo.find import find_model
    from harmonizer.zoo.manifest import list_models, model_info
    from harmonizer.zoo.names import ZooName, parse_name
    from harmonizer.zoo.options import FetchOptions

    if bool(parsed.names) == parsed.all:
        parsed.usage_error("name the models to download, or give --all")
    names = list_models(with_weights=True) if parsed.all else parsed.names
    for place in map(parse_name, names):  # a misspelt name fails before any download
        if isinstance(place, ZooName):
            model_info(place.name)
    failed = 0
    for name in names:
        try:
            weights = find_model(name, None, FetchOptions(force_download=parsed.force)).weights
            weights.read()  # which checks them
            say(f"{name}: {weights.path}")
        except HarmonizerError as error:
            complain(f"error: {name}: {error}")
            failed += 1
    return 1 if failed else 0


def _convert(parsed: argparse.Namespace) -> int:
    from dataclasses import replace

    from harmonizer.networks import build_network
    from harmonizer.zoo.convert import convert_state_dict
    from harmonizer.zoo.manifest import model_info
    from harmonizer.zoo.publish import save_model
    from harmonizer.zoo.sources import read_released

    info = model_info(parsed.model)
    if not parsed.file.is_file():
        raise InputError(f"there is no file {parsed.file}")
    check_output_folder(parsed.output, force=parsed.force)
    state = convert_state_dict(info.architecture, read_released(parsed.file), **info.arguments)
    network = build_network(info.architecture, **info.arguments)
    network.load_state_dict(state)
    name = "".join(one if one.isprintable() else "?" for one in parsed.file.name)
    save_model(network, replace(info, note=f"Converted from {name}."), parsed.output)
    return 0


def _publish(parsed: argparse.Namespace) -> int:
    import json

    from harmonizer.zoo.publish import manifest_entry, push_folder

    commit = push_folder(parsed.directory, parsed.repo, private=parsed.private or None)
    say(json.dumps(manifest_entry(parsed.directory, parsed.repo, commit.oid), indent=2))
    return 0


def _verify(parsed: argparse.Namespace) -> int:
    from harmonizer.errors import WeightsUnavailableError
    from harmonizer.zoo.loader import load_model
    from harmonizer.zoo.manifest import list_models
    from harmonizer.zoo.options import FetchOptions

    wrong = 0
    for name in list_models(with_weights=True):
        try:
            load_model(f"zoo:{name}", None, FetchOptions())
            say(f"{name}: good")
        except WeightsUnavailableError as error:
            say(f"{name}: not reached: {error}")
        except HarmonizerError as error:
            say(f"{name}: WRONG: {error}")
            wrong += 1
    return 1 if wrong else 0
