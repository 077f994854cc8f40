"""`harmonizer run`: a picture, or a folder of pictures."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harmonizer.commands.terminal import complain
from harmonizer.errors import InputError

if TYPE_CHECKING:
    from harmonizer.commands.terminal import Commands


def add_run(commands: "Commands") -> None:
    """Add the command to the command line."""
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
            complain(f"warning: {one.job.image.name}: {text}")
        if one.error is not None:
            complain(f"{one.job.image.name}: {one.error}")
    if failed:
        complain(f"error: {failed} of {len(jobs)} pictures failed")
    return 1 if failed else 0
