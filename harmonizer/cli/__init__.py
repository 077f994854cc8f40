"""The command line, `harmonizer COMMAND`.

The commands are in `harmonizer.cli`. What needs torch they import when they run, so that
`--help` and `--version` answer at once.
"""

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, cast

from harmonizer._version import __version__
from harmonizer.cli.compare import add_compare
from harmonizer.cli.completion import add_completion
from harmonizer.cli.demo import add_demo
from harmonizer.cli.evaluate import add_evaluate
from harmonizer.cli.export import add_export
from harmonizer.cli.models import add_models
from harmonizer.cli.options import settle_resize_mask
from harmonizer.cli.process import STOPPED, warnings_in_one_line
from harmonizer.cli.run import add_run
from harmonizer.cli.terminal import complain, sound_streams
from harmonizer.cli.train import add_train
from harmonizer.cli.video import add_video
from harmonizer.errors import LACK_OF_MEMORY, HarmonizerError, is_lack_of_memory, printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What stands behind the command's name; None takes it from the process.

    Returns:
        0, or 1 if the job failed. Wrong usage exits with 2.
    """
    with sound_streams():
        return _run(_parser(), arguments)


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    parsed = parser.parse_args(settle_resize_mask(given))
    if "command" not in parsed:  # whoever types the name alone wants to see what there is
        parser.print_help(sys.stderr)
        raise SystemExit(2)
    try:
        with warnings_in_one_line():
            return parsed.command(parsed)
    except BrokenPipeError:
        raise
    except (HarmonizerError, OSError, Warning) as error:  # python -W error makes errors of warnings
        complain(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        complain("stopped")
        return STOPPED
    except Exception as error:
        if not is_lack_of_memory(error):
            raise
        complain(f"error: {LACK_OF_MEMORY}")
        return 1


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as its commands' users need it, and names of files without harm."""

    def __init__(self, *values: Any, **options: Any) -> None:  # noqa: ANN401 - argparse's own
        """Begin, as argparse does."""
        super().__init__(*values, **options)
        self.register("type", Path, _path)

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] - its overloads
        self,
        args: Any = None,  # noqa: ANN401
        namespace: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Refuse what is unknown: here the command is known, and so are its usage and options."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._guess(unknown)}")
        return parsed, unknown

    def _guess(self, words: Sequence[str]) -> str:
        options = list(self._option_string_actions)  # listed nowhere else
        names = [word.partition("=")[0] for word in words]
        close = [one for name in names for one in get_close_matches(name, options, n=1)]
        return f"; did you mean {' '.join(close)}?" if close else ""

    def error(self, message: str) -> NoReturn:
        """Print a message with the usage, and exit."""
        super().error(printable(message))


def _path(text: str) -> Path:
    """Read a path, for argparse: pathlib takes an empty one for the folder that one stands in."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty: is a variable not set?")
    return Path(text)


def _parser() -> argparse.ArgumentParser:
    kind = cast(type[argparse.ArgumentParser], _Parser)  # whose commands are of its own type
    parser = kind(
        prog="harmonizer",
        description="Change the colours of a pasted foreground until it belongs to its background.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    add_run(commands)
    add_video(commands)
    add_models(commands)
    add_evaluate(commands)
    add_compare(commands)
    add_export(commands)
    add_train(commands)
    add_demo(commands)
    add_completion(commands, parser)
    return parser
