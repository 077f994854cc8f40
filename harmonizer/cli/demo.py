"""Serve a page to try the library on: `harmonizer demo`."""

import argparse
import threading

from harmonizer.cli.options import Commands, shared, whole_number
from harmonizer.cli.process import ended_by_signals
from harmonizer.cli.terminal import say


def add_demo(commands: Commands) -> None:
    """Add the command to the command line."""
    demo = commands.add_parser(
        "demo",
        parents=shared("--model", "--device"),
        help="open a page in the browser to try pictures on (the extra `demo`)",
        description="Serve a page to try pictures on. It is reached from this machine alone unless "
        "--host says otherwise; pictures are not sent anywhere.",
    )
    demo.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (127.0.0.1)"
    )
    demo.add_argument(
        "--port",
        type=whole_number(1, 65535),
        metavar="N",
        help="default: the first free one from 7860",
    )
    demo.set_defaults(command=_demo)


def _demo(parsed: argparse.Namespace) -> int:
    from harmonizer.demo.page import serve
    from harmonizer.pipeline import Harmonizer

    with ended_by_signals():  # what was uploaded is removed whoever ends the page
        # A wrong name or device is better known now than at the first picture.
        Harmonizer.from_pretrained(parsed.model, device=parsed.device)
        with serve(
            host=parsed.host, port=parsed.port, model=parsed.model, device=parsed.device
        ) as address:
            say(f"open {address} in a browser; Ctrl-C ends it")
            threading.Event().wait()
    return 0
