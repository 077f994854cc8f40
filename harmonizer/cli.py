"""The command line, `harmonizer COMMAND`.

What needs torch is imported inside the commands, so that `--help` and `--version` answer at once.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harmonizer._version import __version__
from harmonizer.errors import HarmonizerError, InputError

if TYPE_CHECKING:
    from harmonizer.training import TrainConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What stands behind the command's name; None takes it from the process.

    Returns:
        0, or 1 if the job failed. Wrong usage exits with 2.
    """
    parsed = _parser().parse_args(arguments)
    warnings.showwarning = _show_warning
    try:
        return parsed.command(parsed)
    except (HarmonizerError, OSError) as error:
        _complain(f"error: {error}")
        return 1
    except MemoryError:
        _complain("error: there is not enough memory for this picture")
        return 1
    except KeyboardInterrupt:
        _complain("stopped")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="harmonizer",
        description="Change the colours of a pasted foreground until it belongs to its background.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser(
        "run",
        help="harmonize a picture, or a folder of pictures",
        description="Harmonize a picture, or a folder of pictures with a folder of masks. "
        "The mask's white (255, or 1) is the foreground to change.",
        epilog="In folders, the mask of a.jpg is a.png or a_mask.png (any image format). What the "
        "output folder already holds is skipped, so a stopped job can be started again.",
    )
    run.add_argument("image", type=Path, metavar="IMAGE", help="a composite, or a folder of them")
    run.add_argument("mask", type=Path, metavar="MASK", help="its mask, or a folder of masks")
    run.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        required=True,
        help="where to write; for a picture, the ending says which format",
    )
    run.add_argument(
        "--model",
        metavar="NAME",
        help="a model of `harmonizer list`, a folder of a saved model, or owner/name on the Hub",
    )
    run.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, ... or mps (default: auto)"
    )
    run.add_argument(
        "--strength",
        type=_strength,
        default=1.0,
        metavar="S",
        help="from 0, no change, to 1, the full change (default: 1)",
    )
    run.add_argument(
        "--resize-mask",
        action="store_true",
        help="accept a mask of another size but the same aspect",
    )
    run.add_argument("--force", action="store_true", help="replace what is already there")
    run.set_defaults(command=_run)

    show_all = commands.add_parser(
        "list",
        help="list the models",
        epilog="bundled: in the package. available: on the Hugging Face Hub. origin-only: "
        "downloaded from the authors' page and converted. unpublished: there are no weights; "
        "`info` says what would be needed.",
    )
    show_all.set_defaults(command=_list)

    info = commands.add_parser("info", help="show what is known of a model")
    info.add_argument("name", metavar="NAME", help="a model of `harmonizer list`")
    info.set_defaults(command=_info)

    fetch = commands.add_parser(
        "download",
        help="fetch the weights of models, to work offline later",
        description="Fetch the weights of models into the cache (HF_HOME), so that they load "
        "without a connection later. Prints where they are.",
    )
    fetch.add_argument("names", nargs="*", metavar="NAME", help="models of `harmonizer list`")
    fetch.add_argument("--all", action="store_true", help="every model that has weights")
    fetch.add_argument("--force", action="store_true", help="download again what is there")
    fetch.set_defaults(command=_download, usage_error=fetch.error)

    convert = commands.add_parser(
        "convert",
        help="convert a released .pth file into a folder that from_pretrained loads",
    )
    convert.add_argument("file", type=Path, metavar="FILE.pth")
    convert.add_argument("--model", required=True, metavar="NAME", help="which network it is of")
    convert.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to write"
    )
    convert.set_defaults(command=_convert)

    train = commands.add_parser(
        "train",
        help="train or fine-tune a network",
        description="Train or fine-tune a network. The configuration is a TOML file; "
        "--print-recipe shows those of the paper, to be adapted.",
        epilog="Under torchrun, several GPUs or machines share each batch.",
    )
    train.add_argument("--config", type=Path, metavar="FILE", help="the run, as a TOML file")
    train.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint in the run's folder"
    )
    train.add_argument(
        "--sheet",
        type=Path,
        metavar="OUT.png",
        help="do not train: draw what the run would learn from",
    )
    train.add_argument(
        "--print-recipe",
        metavar="NAME",
        help="print a recipe of the paper and exit; 'list' prints their names",
    )
    train.set_defaults(command=_train, usage_error=train.error)

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

    verify = commands.add_parser(
        "verify",
        help="fetch, check and load every model that can be reached",
        description="Fetch, check and load every model that can be reached. Exits with 1 if any of "
        "them is not what the manifest promises.",
    )
    verify.set_defaults(command=_verify)
    return parser


def _strength(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def _run(parsed: argparse.Namespace) -> int:
    if parsed.image.is_dir():
        return _run_folder(parsed)
    if not parsed.output.parent.is_dir():
        raise InputError(f"there is no folder {parsed.output.parent} to write to; make it first")
    if parsed.output.is_dir():
        raise InputError(f"{parsed.output} is a folder; name a file, e.g. {parsed.output}/out.png")
    if parsed.output.exists() and not parsed.force:
        raise InputError(f"{parsed.output} exists already; add --force to replace it")

    from harmonizer.folder import harmonize_file
    from harmonizer.pipeline import Harmonizer
    from harmonizer.saving import output_format

    output_format(parsed.output)  # an unknown ending is better known before the work than after
    harmonizer = Harmonizer.from_pretrained(parsed.model, device=parsed.device)
    harmonize_file(
        harmonizer,
        parsed.image,
        parsed.mask,
        parsed.output,
        strength=parsed.strength,
        resize_mask=parsed.resize_mask,
    )
    return 0


def _run_folder(parsed: argparse.Namespace) -> int:
    from tqdm import tqdm

    from harmonizer.folder import find_jobs, run_jobs
    from harmonizer.pipeline import Harmonizer

    jobs = find_jobs(parsed.image, parsed.mask, parsed.output)
    parsed.output.mkdir(parents=True, exist_ok=True)
    results = run_jobs(
        lambda: Harmonizer.from_pretrained(parsed.model, device=parsed.device),
        jobs,
        strength=parsed.strength,
        resize_mask=parsed.resize_mask,
        force=parsed.force,
    )
    progress = tqdm(results, total=len(jobs), unit="picture", disable=None)
    outcomes = [one for one in progress if one.error is not None or one.warnings]
    failed = sum(one.error is not None for one in outcomes)
    for one in outcomes:
        for text in one.warnings:
            _complain(f"warning: {one.job.image.name}: {text}")
        if one.error is not None:
            _complain(f"{one.job.image.name}: {one.error}")
    if failed:
        _complain(f"error: {failed} of {len(jobs)} pictures failed")
    return 1 if failed else 0


def _list(parsed: argparse.Namespace) -> int:
    from harmonizer.zoo.manifest import default_model, list_models, model_info

    names = list_models()
    width = max(len(name) for name in names)
    for name in names:
        info = model_info(name)
        default = " (default)" if name == default_model() else ""
        print(f"{name:{width}}  {info.status:11}  {info.description}{default}")
    return 0


def _info(parsed: argparse.Namespace) -> int:
    from harmonizer.zoo.manifest import model_info

    info = model_info(parsed.name)
    size = info.preprocessing.input_size
    rows = {
        "name": info.name,
        "also known as": ", ".join(info.aliases),
        "description": info.description,
        "architecture": info.architecture,
        "arguments": ", ".join(f"{key}={value}" for key, value in info.arguments.items()),
        "parameters": f"{info.parameters:,}",
        "input": f"{size[1]} x {size[0]}, {info.preprocessing.resampler}",
        "status": info.status,
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
            print(f"{key + ':':15}{value}")
    for metric in info.metrics:
        print(f"\n{metric['data']}; {metric['protocol']}; {metric['source']}")
        for part, values in metric["values"].items():
            print(f"  {part:12}" + "  ".join(f"{name} {value}" for name, value in values.items()))
    return 0


def _download(parsed: argparse.Namespace) -> int:
    from harmonizer.zoo.manifest import list_models, model_info
    from harmonizer.zoo.sources import FetchOptions, fetch_weights

    if bool(parsed.names) == parsed.all:
        parsed.usage_error("name the models to download, or give --all")
    names = list_models(with_weights=True) if parsed.all else parsed.names
    infos = [model_info(name) for name in names]  # a misspelt name fails before any download
    failed = 0
    for info in infos:
        try:
            path = fetch_weights(info, FetchOptions(force_download=parsed.force))
            print(f"{info.name}: {path}")
        except HarmonizerError as error:
            _complain(f"error: {info.name}: {error}")
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
    state = convert_state_dict(info.architecture, read_released(parsed.file), **info.arguments)
    network = build_network(info.architecture, **info.arguments)
    network.load_state_dict(state)
    save_model(network, replace(info, note=f"Converted from {parsed.file.name}."), parsed.output)
    return 0


def _train(parsed: argparse.Namespace) -> int:
    if (parsed.config is None) == (parsed.print_recipe is None):
        parsed.usage_error("give --config FILE, or --print-recipe NAME")
    if parsed.print_recipe is not None:
        from harmonizer.training.recipes import list_recipes, read_recipe

        listing = parsed.print_recipe == "list"
        print("\n".join(list_recipes()) if listing else read_recipe(parsed.print_recipe).rstrip())
        return 0

    from harmonizer.training import TrainConfig, train

    config = TrainConfig.from_toml(parsed.config)
    if parsed.sheet is not None:
        return _draw_sheet(config, parsed.sheet)
    result = train(config, resume=parsed.resume)
    if not result.finished:
        _complain(f"stopped at step {result.step}; go on with --resume")
        return 1
    print(result.model)
    return 0


def _draw_sheet(config: "TrainConfig", output: Path) -> int:
    from PIL import Image

    from harmonizer.data import contact_sheet
    from harmonizer.saving import save_image
    from harmonizer.training.pictures import training_pictures

    pictures = training_pictures(config)
    sheet = contact_sheet(pictures, count=min(24, len(pictures)), columns=3)
    save_image(Image.fromarray(sheet), output, {})
    return 0


def _publish(parsed: argparse.Namespace) -> int:
    import json

    from harmonizer.zoo.publish import manifest_entry, push_folder

    commit = push_folder(parsed.directory, parsed.repo, private=parsed.private or None)
    print(json.dumps(manifest_entry(parsed.directory, parsed.repo, commit.oid), indent=2))
    return 0


def _verify(parsed: argparse.Namespace) -> int:
    from harmonizer.errors import WeightsUnavailableError
    from harmonizer.zoo.loader import load_model
    from harmonizer.zoo.manifest import list_models
    from harmonizer.zoo.sources import FetchOptions

    wrong = 0
    for name in list_models(with_weights=True):
        try:
            load_model(f"zoo:{name}", None, FetchOptions())
            print(f"{name}: good")
        except WeightsUnavailableError as error:
            print(f"{name}: not reached: {error}")
        except HarmonizerError as error:
            print(f"{name}: WRONG: {error}")
            wrong += 1
    return 1 if wrong else 0


def _show_warning(message: Warning | str, *_: object) -> None:
    _complain(f"warning: {message}")


def _complain(text: str) -> None:
    print(f"harmonizer: {text}", file=sys.stderr)
