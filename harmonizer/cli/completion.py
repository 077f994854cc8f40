"""Print what makes a shell complete this command line: `harmonizer completion`."""

import argparse
from pathlib import Path
from typing import cast

from harmonizer.cli.options import Commands
from harmonizer.cli.terminal import say
from harmonizer.errors import import_extra


def add_completion(commands: Commands, parser: argparse.ArgumentParser) -> None:
    """Add the command to the command line of `parser`."""
    completion = commands.add_parser(
        "completion",
        help="print a script for the shell that completes commands, options and models",
        description="Print a completion script. For bash: harmonizer completion bash > "
        "~/.local/share/bash-completion/completions/harmonizer",
    )
    completion.add_argument("shell", choices=("bash", "zsh"))

    def run(parsed: argparse.Namespace) -> int:
        say(_script(parser, parsed.shell))
        return 0

    completion.set_defaults(command=run)


def _script(parser: argparse.ArgumentParser, shell: str) -> str:
    shtab = import_extra("shtab", "completion")
    from harmonizer.zoo.manifest import list_models

    for action in _actions(parser):
        if action.dest in ("model", "name", "names"):
            action.choices = list_models()
        elif action.type is Path:
            action.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue] - shtab's way
    return shtab.complete(parser, shell)


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments of a parser and of its commands."""
    found = list(parser._actions)  # pyright: ignore[reportPrivateUsage] - listed nowhere else
    for action in tuple(found):
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            for command in cast(Commands, action).choices.values():
                found += _actions(command)
    return found
