"""Train or fine-tune a network: `harmonizer train`."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from harmonizer.cli.options import Commands, shared
from harmonizer.cli.process import freed_memory_kept
from harmonizer.cli.terminal import check_output, complain, say

if TYPE_CHECKING:
    from harmonizer.training import TrainConfig


def add_train(commands: Commands) -> None:
    """Add the command to the command line."""
    train = commands.add_parser(
        "train",
        parents=shared("--force"),
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
        nargs="?",
        const="list",
        metavar="NAME",
        help="print a recipe of the paper and exit; without NAME, print their names",
    )
    train.set_defaults(command=_train, usage_error=train.error)


def _train(parsed: argparse.Namespace) -> int:
    if (parsed.config is None) == (parsed.print_recipe is None):
        parsed.usage_error("give --config FILE, or --print-recipe NAME")
    if parsed.print_recipe is not None:
        from harmonizer.training.recipes import list_recipes, read_recipe

        listing = parsed.print_recipe == "list"
        say("\n".join(list_recipes()) if listing else read_recipe(parsed.print_recipe).rstrip())
        return 0

    if parsed.sheet is None and parsed.force:
        parsed.usage_error("--force replaces a --sheet; a run's folder is never replaced")
    if parsed.sheet is not None and parsed.resume:
        parsed.usage_error("--sheet does not train, so there is nothing to --resume")

    from harmonizer.training import TrainConfig, train

    config = TrainConfig.from_toml(parsed.config)
    if parsed.sheet is not None:
        check_output(parsed.sheet, force=parsed.force)
        return _draw_sheet(config, parsed.sheet)
    with freed_memory_kept():
        result = train(config, resume=parsed.resume)
    if not result.finished:
        complain(f"stopped at step {result.step}; go on with --resume")
        return 1
    if os.environ.get("RANK", "0") == "0":  # under torchrun one of the processes speaks for all
        say(result.model)
    return 0


def _draw_sheet(config: "TrainConfig", output: Path) -> int:
    from dataclasses import replace

    from harmonizer.data import contact_sheet
    from harmonizer.imaging.saving import save_image
    from harmonizer.training.build import settle
    from harmonizer.training.pictures import training_pictures

    # The few that are drawn do not need all the others in memory.
    config = replace(config, train=replace(config.train, in_memory=False))
    pictures = training_pictures(settle(config))
    sheet = contact_sheet(pictures, count=min(24, len(pictures)), columns=3)
    save_image(sheet, output)
    return 0
