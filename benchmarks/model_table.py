"""Compare the models whose weights can be had: published quality, size, cost and licence.

    python benchmarks/model_table.py

The table in docs/choosing-a-model.md is replaced. Quality is what the manifest holds, under the
paper's protocol. Time is that of one picture through the network alone, on the CPU, as a ratio to
`idih`; the models take turns, so that a busy machine is busy for all of them.
"""

import statistics
import time
from pathlib import Path

import torch
from network_table import BEGIN, END, count

from harmonizer.networks import build_network
from harmonizer.zoo.manifest import ModelInfo, list_models, model_info

PAGE = Path(__file__).parents[1] / "docs" / "choosing-a-model.md"
REFERENCE = "idih"
ROUNDS = 7


def published(info: ModelInfo) -> str:
    """Return MSE and PSNR over iHarmony4's test set: of the released weights, if they are known."""
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


def row(info: ModelInfo, ratio: str) -> str:
    """Return the table's row for a model."""
    parameters, _, multiply_adds = count(
        info.architecture, info.preprocessing.input_size, **info.arguments
    )
    licence = "MPL-2.0" if info.licence == "MPL-2.0" else "see its notice"
    columns = (
        f"`{info.name}`",
        info.status,
        published(info),
        f"{parameters / 1e6:.1f}",
        f"{multiply_adds / 1e9:.1f}",
        ratio,
        licence,
    )
    return f"| {' | '.join(columns)} |\n"


def measure(infos: list[ModelInfo]) -> dict[str, float]:
    """Return each network's time for one picture, divided by the reference's."""
    torch.set_num_threads(1)
    networks = {
        info.name: build_network(info.architecture, **info.arguments).eval() for info in infos
    }
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


def main() -> None:
    """Write the table into the page."""
    infos = [model_info(name) for name in list_models(with_weights=True)]
    ratios = measure(infos)
    titles = "model|weights|MSE / PSNR|parameters, million|multiply-adds, 10^9|time|licence"
    head = f"| {titles.replace('|', ' | ')} |\n|---|---|---:|---:|---:|---:|---|\n"
    table = head + "".join(row(info, f"{ratios[info.name]:.1f}") for info in infos)
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}{table}{END}{after}", encoding="utf-8")
    print(f"wrote the table of {len(infos)} models into {PAGE}")


if __name__ == "__main__":
    main()
