"""Define arguments that several commands have, and read their values."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from harmonizer.lifting import Strength

# argparse has no public name for it
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # pyright: ignore[reportPrivateUsage]

_RESIZE = "--resize-mask"
_MODEL = "a model of `harmonizer list`, a folder of a saved model, or owner/name on the Hub"


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return what reads an argument that is a whole number in a range, for argparse."""
    span = f"of at least {least}" if most is None else f"from {least} to {most}"

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
            raise argparse.ArgumentTypeError(f"expected a whole number {span}, got {text!r}")
        return int(text)

    return read


def number(least: float, most: float) -> Callable[[str], float]:
    """Return what reads an argument that is a number in a range, for argparse."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"expected a number from {least:g} to {most:g}, got {text!r}"
            )
        return value

    return read


_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "--device": {
        "default": "auto",
        "help": "auto, cpu, cuda, cuda:1, ... or mps (default: auto)",
    },
    "--force": {"action": "store_true", "help": "replace what is already there"},
    "--strength": {
        "type": number(0, 1),
        "default": 1.0,
        "metavar": "S",
        "help": "from 0, no change, to 1, the full change (default: 1)",
    },
    "--light": {
        "type": number(0, 1),
        "metavar": "S",
        "help": "how much of the change of lightness alone (default: as --strength says)",
    },
    "--color": {
        "type": number(0, 1),
        "metavar": "S",
        "help": "how much of the change of hue and saturation alone (default: as --strength says)",
    },
    "--model": {"metavar": "NAME", "help": f"{_MODEL} (default: the bundled one)"},
    "name": {"metavar": "NAME", "help": _MODEL},
}


def shared(*names: str) -> list[argparse.ArgumentParser]:
    """Return arguments that several commands have, as parents of a command's parser."""
    parent = argparse.ArgumentParser(add_help=False)
    for name in names:
        parent.add_argument(name, **_OPTIONS[name])
    return [parent]


def strengths(text: str) -> list[float]:
    """Read one strength or several, such as `0.3,0.6,1`, for argparse."""
    return [number(0, 1)(one) for one in text.split(",")]


def shares(parsed: argparse.Namespace, strength: float) -> "float | Strength":
    """Return a strength as --light and --color have it, where they are given."""
    from harmonizer.lifting import Strength

    given = parsed.light, parsed.color
    if given == (None, None):
        return strength
    return Strength(*(strength if one is None else one for one in given))


def add_masks(command: argparse.ArgumentParser) -> None:
    """Add how masks are taken that are not as they should be."""
    command.add_argument(
        _RESIZE,
        nargs="?",
        const=True,
        default=False,
        type=_resize_mask,
        metavar="stretch",
        help="accept a mask of another size but the same aspect; with stretch, of any size",
    )
    command.add_argument(
        "--invert-mask",
        action="store_true",
        help="of masks that are white where the background is: change what is black",
    )


def settle_resize_mask(arguments: Sequence[str]) -> list[str]:
    """Join `--resize-mask` with what it is given: argparse would take any word behind it."""
    settled: list[str] = []
    for word in arguments:
        if settled and settled[-1] == _RESIZE and word == "stretch":
            settled[-1] = f"{_RESIZE}=stretch"
        else:
            settled.append(word)
    return [f"{_RESIZE}=aspect" if word == _RESIZE else word for word in settled]


def _resize_mask(text: str) -> bool | str:
    if text not in ("aspect", "stretch"):
        raise argparse.ArgumentTypeError(f"expected nothing or stretch, got {text!r}")
    return text if text == "stretch" else True


def add_cutouts(command: argparse.ArgumentParser, *, background: str) -> "argparse._ArgumentGroup":  # pyright: ignore[reportPrivateUsage]
    """Add what a cut-out is pasted into, and where it goes there, as `compose` takes it."""
    options = command.add_argument_group("cut-outs")
    options.add_argument(
        "--on",
        type=Path,
        metavar="BACKGROUND",
        help=f"paste a cut-out, what is opaque of it, into this {background} first, and harmonize "
        "it there; OUT has the size of BACKGROUND",
    )
    options.add_argument(
        "--at",
        type=_whole,
        nargs=2,
        metavar=("X", "Y"),
        help="where its upper left corner goes, in pixels of BACKGROUND from the left and from the "
        "top (default: so that it is in the middle)",
    )
    options.add_argument(
        "--scale",
        type=_scale,
        metavar="S",
        help="its size, 0.5 for half (default: 1, or less where it is in the middle and too large)",
    )
    return options


def check_cutouts(parsed: argparse.Namespace) -> None:
    """End with the usage where a cut-out is placed, and there is nothing to paste it into."""
    if parsed.on is None and (parsed.at is not None or parsed.scale is not None):
        parsed.usage_error("--at and --scale place a cut-out: name the background by --on")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value
