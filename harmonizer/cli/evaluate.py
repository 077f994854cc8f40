"""Measure models and baselines on a dataset: `harmonizer evaluate`."""

import argparse
from pathlib import Path

from harmonizer.cli.options import Commands, shared, whole_number
from harmonizer.cli.process import freed_memory_kept
from harmonizer.cli.terminal import (
    check_apart,
    check_not_read,
    check_output,
    check_output_folder,
    complain,
    say,
)


def add_evaluate(commands: Commands) -> None:
    """Add the command to the command line."""
    evaluate = commands.add_parser(
        "evaluate",
        parents=shared("--device", "--force"),
        help="measure models and baselines on a dataset",
        description="Harmonize the composites of a dataset and measure the answers against the "
        "real pictures. Untouched composites are measured as well. Published results of the same "
        "protocol stand below, with the difference.",
        epilog="protocols: paper (256 x 256, as in the paper's tables), full-resolution, dccf, "
        "white-box, pasted; docs/evaluation.md explains them. baselines: composite, reinhard, "
        "xiao, histogram, monge-kantorovich, distribution, poisson.",
    )
    evaluate.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        required=True,
        help="iHarmony4 or a part of it, another folder of triplets, or a CSV file",
    )
    evaluate.add_argument(
        "--model",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="models of `harmonizer list`, folders of saved models, owner/name on the Hub, or "
        "baselines (default: the bundled model)",
    )
    evaluate.add_argument(
        "--protocol", default="paper", metavar="NAME", help="how to measure (default: paper)"
    )
    evaluate.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="write a row for each picture to DIR/images.csv; a stopped job goes on from there",
    )
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write the means to a file")
    evaluate.add_argument(
        "--report", type=Path, metavar="DIR", help="write a page to look at, DIR/index.html"
    )
    evaluate.add_argument(
        "--batch-size",
        type=whole_number(1),
        default=8,
        metavar="N",
        help="pictures at a time (default: 8)",
    )
    evaluate.add_argument(
        "--workers",
        type=whole_number(1),
        metavar="N",
        help="threads that read and measure (default: cores)",
    )
    evaluate.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        default="raise",
        help="stop at a missing or damaged picture, or leave it out (default: raise)",
    )
    evaluate.set_defaults(command=_evaluate)


def _evaluate(parsed: argparse.Namespace) -> int:
    import json

    from harmonizer.data.triplets import open_to_measure
    from harmonizer.evaluation import evaluate
    from harmonizer.evaluation.methods import open_methods
    from harmonizer.evaluation.protocols import find_protocol
    from harmonizer.evaluation.published import published_results
    from harmonizer.evaluation.report import PAGE, write_report
    from harmonizer.evaluation.row_file import CONFIGURATION, ROWS
    from harmonizer.evaluation.table import format_tables
    from harmonizer.files import write_atomically

    protocol = find_protocol(parsed.protocol)
    if parsed.json is not None:
        check_output(parsed.json, force=parsed.force)
    if parsed.report is not None:
        check_output_folder(parsed.report, force=parsed.force)
    if parsed.output is not None:
        check_output_folder(parsed.output, force=True)  # a stopped job goes on from what is there
    kept = [parsed.output / name for name in (ROWS, CONFIGURATION)] if parsed.output else []
    written = [*kept, parsed.json, parsed.report and parsed.report / PAGE]
    check_apart(written)
    dataset = open_to_measure(parsed.data, on_missing=parsed.on_error)
    check_not_read(written, [parsed.data, *(one for files in dataset.files for one in files[:3])])
    names = parsed.model or [None]
    names = names if "composite" in names else ["composite", *names]
    methods = open_methods(names, protocol, parsed.device)
    with freed_memory_kept():
        evaluation = evaluate(
            {method.label: method.model for method in methods},
            dataset,
            protocol=protocol,
            output=parsed.output,
            batch_size=parsed.batch_size,
            workers=parsed.workers,
            on_error=parsed.on_error,
            progress=True,
        )
    published = published_results(evaluation, methods)
    say(format_tables(evaluation, published))
    if parsed.json is not None:
        text = json.dumps(evaluation.to_json(), indent=2, ensure_ascii=False)
        write_atomically(parsed.json, f"{text}\n")
    if parsed.report is not None:
        page = write_report(evaluation, dataset, methods, parsed.report, published=published)
        say(f"\n{page}")
    for text in evaluation.skipped:
        complain(f"skipped: {text}")
    if evaluation.skipped:
        complain(f"error: {len(evaluation.skipped)} left out")
    return 1 if evaluation.skipped else 0
