"""Count the parameters and multiply-adds of every network.

    python benchmarks/network_table.py

The table in docs/networks.md is replaced by what was counted. Nothing is computed on the way: the
networks have shapes but no values.
"""

from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from harmonizer.networks import build_network, list_networks
from harmonizer.networks.backbone import pretrained_parts

PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
SIDE = 256


def count(
    name: str, size: tuple[int, int] = (SIDE, SIDE), **arguments: object
) -> tuple[int, int, int]:
    """Return the parameters, those of them in the ImageNet part, and the multiply-adds."""
    with torch.device("meta"):
        network = build_network(name, **arguments).eval()
        image, mask = torch.empty(1, 3, *size), torch.empty(1, 1, *size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image, mask)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    pretrained = sum(
        parameter.numel() for part in pretrained_parts(network) for parameter in part.parameters()
    )
    # A multiply-add is two floating-point operations.
    return parameters, pretrained, counter.get_total_flops() // 2


def row(name: str) -> str:
    """Return the table's row for a network."""
    parameters, pretrained, multiply_adds = count(name)
    of_imagenet = f"{pretrained / 1e6:.2f}" if pretrained else "-"
    return f"| `{name}` | {parameters / 1e6:.2f} | {of_imagenet} | {multiply_adds / 1e9:.2f} |\n"


def table() -> str:
    """Return the whole table, in Markdown."""
    head = (
        "| network | parameters, million | of these from ImageNet | multiply-adds, 10^9 |\n"
        "|---|---:|---:|---:|\n"
    )
    return head + "".join(row(name) for name in list_networks())


def main() -> None:
    """Write the table into the page."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}", encoding="utf-8")
    print(f"wrote the table of {len(list_networks())} networks into {PAGE}")


if __name__ == "__main__":
    main()
