"""Write a model for programs without torch: `harmonizer export`."""

import argparse
from pathlib import Path

from harmonizer.cli.options import Commands, shared
from harmonizer.cli.terminal import check_output, say


def add_export(commands: Commands) -> None:
    """Add the command to the command line."""
    export = commands.add_parser(
        "export",
        parents=shared("name", "--force"),
        help="write a model as an ONNX file",
        description="Write a model as an ONNX file: inputs `image` (N, 3, H, W), normalised, and "
        "`mask` (N, 1, H, W), from 0 to 1; output `harmonized`, of the same size. How a picture is "
        "resized and normalised stands in the file's metadata; how the answer is carried to the "
        "picture's own size is not in the file. The file is compared with torch before it is kept.",
    )
    export.add_argument("--format", choices=["onnx"], default="onnx", help="(default: onnx)")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.onnx")
    export.set_defaults(command=_export)


def _export(parsed: argparse.Namespace) -> int:
    output: Path = parsed.output
    check_output(output, force=parsed.force)

    from harmonizer.inference.export import check_ending, export_onnx
    from harmonizer.zoo.loader import load_model
    from harmonizer.zoo.options import FetchOptions

    check_ending(output)  # before a model is downloaded in vain
    network, info = load_model(parsed.name, None, FetchOptions())
    export_onnx(network, info, output)
    say(output)
    return 0
