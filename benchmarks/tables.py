"""Write the tables of networks and models into the documentation.

    python benchmarks/tables.py

docs/networks.md: the parameters and multiply-adds of every network, counted without computing
anything: the networks have shapes but no values. docs/choosing-a-model.md: the models whose weights
can be had. Quality is what the manifest holds, under the paper's protocol; time is that of one
picture through the network alone, on the CPU, as a ratio to `idih`. The models take turns, so that
a busy machine is busy for all of them.
"""

import statistics
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from harmonizer.networks import build_network, list_networks
from harmonizer.networks.backbone import pretrained_parts
from harmonizer.zoo.manifest import ModelInfo, list_models, model_info

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
NETWORKS = """\
| network | parameters, million | of these from ImageNet | multiply-adds, 10^9 |
|---|---:|---:|---:|
"""
MODELS = """\
| model | weights | MSE / PSNR | parameters, million | multiply-adds, 10^9 | time | licence |
|---|---|---:|---:|---:|---:|---|
"""
REFERENCE = "idih"
ROUNDS = 7


def count(name: str, size: tuple[int, int], **arguments: object) -> tuple[float, float, float]:
    """Parameters and those of the ImageNet part, in millions, and multiply-adds, in 10^9."""
    with torch.device("meta"):
        network = build_network(name, **arguments).eval()
        image, mask = torch.empty(1, 3, *size), torch.empty(1, 1, *size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image, mask)
    of_imagenet = [one for part in pretrained_parts(network) for one in part.parameters()]
    parameters, pretrained = (
        sum(one.numel() for one in some) / 1e6 for some in (network.parameters(), of_imagenet)
    )
    # A multiply-add is two floating-point operations.
    return parameters, pretrained, counter.get_total_flops() / 2e9


def network_row(name: str) -> str:
    """The row of a network."""
    cells = (f"{value:.2f}" if value else "-" for value in count(name, (256, 256)))
    return f"| `{name}` | {' | '.join(cells)} |\n"


def published(info: ModelInfo) -> str:
    """MSE and PSNR over iHarmony4's test set: of the released weights, if they are known."""
    found = [
        metric
        for metric in info.metrics
        if metric["protocol"].startswith("paper") and "mse" in metric["values"].get("all", {})
    ]
    if not found:
        return "-"
    released = [metric for metric in found if "released weights" in metric["source"]]
    values = (released or found)[-1]["values"]["all"]
    return f"{values['mse']:.2f} / {values['psnr']:.2f}"


def model_row(info: ModelInfo, ratio: str) -> str:
    """The row of a model."""
    size = info.preprocessing.input_size
    parameters, _, multiply_adds = count(info.architecture, size, **info.arguments)
    licence = "MPL-2.0" if info.licence == "MPL-2.0" else "see its notice"
    cells = (f"`{info.name}`", info.status, published(info))
    cells += (f"{parameters:.1f}", f"{multiply_adds:.1f}", ratio, licence)
    return f"| {' | '.join(cells)} |\n"


def measure(infos: list[ModelInfo]) -> dict[str, float]:
    """Each network's time for one picture, divided by the reference's."""
    torch.set_num_threads(1)
    networks = {one.name: build_network(one.architecture, **one.arguments).eval() for one in infos}
    times: dict[str, list[float]] = {name: [] for name in networks}
    with torch.inference_mode():
        for _ in range(ROUNDS + 1):  # the first round warms up
            for info in infos:
                size = info.preprocessing.input_size
                image, mask = torch.zeros(1, 3, *size), torch.zeros(1, 1, *size)
                start = time.perf_counter()
                networks[info.name](image, mask)
                times[info.name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    return {name: value / medians[REFERENCE] for name, value in medians.items()}


def write(page: str, table: str) -> None:
    """Replace the table of a page."""
    path = DOCS / page
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    path.write_text(f"{before}{BEGIN}{table}{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    """Write both."""
    write("networks.md", NETWORKS + "".join(map(network_row, list_networks())))
    infos = [model_info(name) for name in list_models(with_weights=True)]
    ratios = measure(infos)
    rows = (model_row(info, f"{ratios[info.name]:.1f}") for info in infos)
    write("choosing-a-model.md", MODELS + "".join(rows))


if __name__ == "__main__":
    main()
