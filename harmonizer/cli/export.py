"""`harmonizer export`: a model for programs without torch."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harmonizer.cli.terminal import check_output

if TYPE_CHECKING:
    from harmonizer.cli.terminal import Commands


def add_export(commands: "Commands") -> None:
    """Add the command to the command line."""
    export = commands.add_parser(
        "export",
        help="write a model as an ONNX file",
        description="Write a model as an ONNX file: inputs `image` (N, 3, H, W), normalised, and "
        "`mask` (N, 1, H, W), from 0 to 1; output `harmonized`, of the same size. How a picture is "
        "resized and normalised stands in the file's metadata; how the answer is carried to the "
        "picture's own size is not in the file. The file is compared with torch before it is kept.",
    )
    export.add_argument(
        "model",
        metavar="NAME",
        help="a model of `harmonizer list`, a folder of a saved model, or owner/name on the Hub",
    )
    export.add_argument("--format", choices=["onnx"], default="onnx", help="(default: onnx)")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.onnx")
    export.add_argument("--force", action="store_true", help="replace what is already there")
    export.set_defaults(command=_export)


def _export(parsed: argparse.Namespace) -> int:
    output: Path = parsed.output
    check_output(output, force=parsed.force)

    from harmonizer.inference.export import check_ending, export_onnx
    from harmonizer.zoo.loader import load_model
    from harmonizer.zoo.sources import FetchOptions

    check_ending(output)  # before a model is downloaded in vain
    network, info = load_model(parsed.model, None, FetchOptions())
    export_onnx(network, info, output)
    print(output)
    return 0
