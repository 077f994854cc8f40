"""Harmonize one picture: `python examples/harmonize_picture.py`."""

from pathlib import Path

from harmonizer import harmonize

folder = Path(__file__).parent
result = harmonize(folder / "composite.png", folder / "mask.png")
result.save("harmonized.png")
