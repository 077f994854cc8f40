"""Small photographs with masks, on disk."""

from pathlib import Path

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
