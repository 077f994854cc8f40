"""Small photographs with masks, on disk."""

from pathlib import Path

import numpy as np
import pytest
from pictures import picture, save

from harmonizer.data import PhotoDataset, PhotoFiles


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs 00.png to 23.png with masks 00_mask.png to 23_mask.png."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(24):
        image, mask = picture(number)
        save(folder / f"{number:02}.png", image)
        save(folder / f"{number:02}_mask.png", mask)
    return folder


@pytest.fixture(scope="session")
def photos(photo_folder: Path) -> PhotoDataset:
    """The photographs in two groups, 18 and 6, and two labels."""
    files = [
        PhotoFiles(
            photo_folder / f"{number:02}.png",
            photo_folder / f"{number:02}_mask.png",
            group="large" if number < 18 else "small",
            label="odd" if number % 2 else "even",
        )
        for number in range(24)
    ]
    return PhotoDataset(files, cache=True)


@pytest.fixture(scope="package")
def illuminants(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Charts of twelve colours under made-up lights: each with its own gains and gamma."""
    generator = np.random.default_rng(0)
    chart = generator.random((12, 3))
    lights = [
        255 * (chart ** generator.uniform(0.8, 1.25) * generator.uniform(0.6, 1, 3))
        for _ in range(15)
    ]
    path = tmp_path_factory.mktemp("charts") / "charts.csv"
    names = ["photo", *(f"{channel}{i}" for i in range(12) for channel in "rgb")]
    rows = [f"{k}," + ",".join(f"{v:.1f}" for v in light.ravel()) for k, light in enumerate(lights)]
    path.write_text("\n".join([",".join(names), *rows]))
    return str(path)
