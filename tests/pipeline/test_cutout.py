"""From a cut-out and a background to a picture in one call."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from harmonizer import Harmonizer, compose, harmonize_cutout
from harmonizer.errors import InputError
from harmonizer.imaging.saving import save_image

CUTOUT_SIZE, SIZE = (40, 60), (90, 120)


@pytest.fixture
def cutout(noise: Any) -> Any:
    alpha = np.clip(np.add.outer(np.arange(40), np.arange(60)) * 8, 0, 255).astype(np.uint8)
    return np.dstack([noise(*CUTOUT_SIZE), alpha])


@pytest.mark.parametrize("place", [{}, {"position": (-5, 30), "scale": 1.3}])
def test_it_is_compose_and_harmonize(
    place: dict[str, Any], cutout: Any, noise: Any, model: Harmonizer
) -> None:
    background = noise(*SIZE, seed=1)
    found = harmonize_cutout(cutout, background, model, strength=0.7, **place)
    composite, mask = compose(cutout, background, **place)
    assert np.array_equal(found, model(composite, mask, strength=0.7))
    assert not np.array_equal(found, composite)
    assert np.array_equal(found[mask == 0], background[mask == 0])


def kinds(background: Any, folder: Path) -> dict[str, Any]:
    path = folder / "background.png"
    Image.fromarray(background).save(path)
    deep = folder / "deep.png"
    save_image(background.astype(np.uint16) * 257, deep)
    return {
        "PIL": Image.fromarray(background),
        "grey": Image.fromarray(background).convert("L"),
        "array": background,
        "uint16": background.astype(np.uint16) * 257,
        "float": background.astype(np.float32) / 255,
        "tensor": torch.from_numpy(background).permute(2, 0, 1).float() / 255,
        "path": path,
        "deep path": deep,
    }


@pytest.mark.parametrize(
    "kind", ["PIL", "grey", "array", "uint16", "float", "tensor", "path", "deep path"]
)
def test_a_layer_is_of_the_backgrounds_kind_and_gives_the_picture(
    kind: str, cutout: Any, noise: Any, tmp_path: Path, brighten: Harmonizer
) -> None:
    background = kinds(noise(*SIZE, seed=1), tmp_path)[kind]
    whole = harmonize_cutout(cutout, background, brighten)
    layer = harmonize_cutout(cutout, background, brighten, cutout_only=True)
    assert type(layer) is type(whole)
    if isinstance(layer, Image.Image):
        assert layer.mode == "RGBA"
    else:
        assert layer.dtype == whole.dtype
    pictures: list[Any] = []
    for one in (layer, whole, Image.open(background) if kind == "path" else background):
        values = np.asarray(one) if not isinstance(one, torch.Tensor) else one.permute(1, 2, 0)
        if kind == "deep path" and one is background:
            values = noise(*SIZE, seed=1).astype(np.uint16) * 257
        values = np.asarray(values)
        white = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
        pictures.append(values / white)
    top, expected, below = pictures
    if kind == "grey":
        expected, below = expected[..., None], below[..., None]
    alpha = top[..., 3:]
    over = alpha * top[..., :3] + (1 - alpha) * below
    tolerance = 1e-4 if kind in ("uint16", "float", "tensor", "deep path") else 1.5 / 255
    assert np.abs(over - expected).max() <= tolerance
    assert np.abs(expected - below).max() > 0.1


def test_a_cut_out_without_alpha_is_refused(noise: Any, brighten: Harmonizer) -> None:
    with pytest.raises(InputError, match="no alpha channel"):
        harmonize_cutout(noise(*CUTOUT_SIZE), noise(*SIZE), brighten)


def test_the_device_that_is_asked_for_is_minded(
    cutout: Any, noise: Any, brighten: Harmonizer
) -> None:
    with pytest.raises(InputError, match="there is no device"):
        harmonize_cutout(cutout, noise(*SIZE), device="cpu:of another machine")
    with pytest.raises(InputError, match="runs on 'cpu' already"):
        harmonize_cutout(cutout, noise(*SIZE), brighten, device="cpu")
