"""What the commands say on the terminal."""

import argparse
import sys
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage] - argparse has no public name for it


def complain(text: str) -> None:
    """Write one line to stderr, under the program's name."""
    print(f"harmonizer: {text}", file=sys.stderr)
