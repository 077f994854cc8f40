"""Draw one picture as several models and baselines harmonize it: `harmonizer compare`."""

import argparse
from pathlib import Path

from harmonizer.cli.options import Commands, shared, shares, whole_number
from harmonizer.cli.terminal import check_not_read, check_output, complain


def add_compare(commands: Commands) -> None:
    """Add the command to the command line."""
    compare = commands.add_parser(
        "compare",
        parents=shared("--device", "--force", "--strength", "--light", "--color"),
        help="draw a picture as several models and baselines harmonize it",
        description="Harmonize one picture with several models and baselines, and lay the results "
        "out on a labelled sheet, the composite and its mask first.",
        epilog="What fails is said and has an empty place on the sheet; the exit code is 1 then. "
        "baselines: reinhard, xiao, histogram, monge-kantorovich, distribution, poisson.",
    )
    compare.add_argument("image", type=Path, metavar="IMAGE", help="a composite")
    compare.add_argument("mask", type=Path, metavar="MASK", help="its mask")
    compare.add_argument(
        "--models",
        type=lambda text: [name for name in text.split(",") if name],
        metavar="A,B,...",
        help="models and baselines (default: the bundled model and every baseline)",
    )
    compare.add_argument(
        "-o", "--output", type=Path, metavar="SHEET", required=True, help="the sheet to write"
    )
    compare.add_argument(
        "--side",
        type=whole_number(16),
        default=480,
        metavar="PIXELS",
        help="longest side of each picture on the sheet (default: 480)",
    )
    compare.set_defaults(command=_compare)


def _compare(parsed: argparse.Namespace) -> int:
    check_output(parsed.output, force=parsed.force)
    check_not_read([parsed.output], (parsed.image, parsed.mask))

    from harmonizer.data.files import read_mask, read_rgb
    from harmonizer.evaluation.baselines import BASELINES
    from harmonizer.evaluation.side_by_side import comparison_sheet
    from harmonizer.imaging.saving import output_format, save_image

    output_format(parsed.output)  # an unknown ending is better known before the work than after
    composite = read_rgb(parsed.image)
    mask = read_mask(parsed.mask, (composite.shape[0], composite.shape[1]))
    every: list[str | None] = [None, *(name for name in BASELINES if name != "composite")]
    names = every if parsed.models is None else parsed.models
    sheet, failures = comparison_sheet(
        *(composite, mask, names),
        device=parsed.device,
        strength=shares(parsed, parsed.strength),
        side=parsed.side,
    )
    for label, error in failures.items():
        complain(f"{label}: {error}")
    if len(failures) == len(names):
        complain("error: nothing is left to draw")
        return 1
    save_image(sheet, parsed.output)
    return 1 if failures else 0
