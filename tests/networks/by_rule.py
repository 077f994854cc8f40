"""Weights and pictures by rule: large test data from a few lines instead of from files.

Every tensor of a released state dict is drawn from a random stream of its own, keyed by a seed and
by the CRC of the tensor's name, so the values depend neither on the order of the names nor on how
this project calls its modules. The reference values in `fixtures/` were computed with these.
"""

import gzip
import json
import math
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FIXTURES = Path(__file__).parent / "fixtures"

PAPER = [
    *("dih", "idih", "s2am", "is2am", "dovenet"),
    *("idih-hrnet-w18s", "idih-hrnet-w18s-nomask", "idih-hrnet-w18s-v2p"),
    *("idih-hrnet-w18", "idih-hrnet-w18-v2p", "idih-hrnet-w32", "idih-deeplabv3p-r34"),
    *("is2am-hrnet-w18s", "is2am-hrnet-w18"),
]

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]


@cache
def references() -> dict[str, Any]:
    """What the released networks are called inside, and how they learn."""
    return json.loads(gzip.decompress((FIXTURES / "references.json.gz").read_bytes()))


@cache
def reference_values() -> dict[str, Float32]:
    """Sampled outputs of the released networks, and the soft mask of the `strong` run."""
    with np.load(FIXTURES / "reference_values.npz") as file:
        return dict(file)


def released_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a released state dict."""
    return {key: tuple(shape) for key, shape in references()["released_shapes"][name]}


def released_weights(
    name: str, seed: int, strong: bool = False
) -> dict[str, npt.NDArray[np.generic]]:
    """A state dict under the released names, with weights by rule."""
    return {
        key: tensor_by_rule(key, shape, seed, strong)
        for key, shape in released_shapes(name).items()
    }


def tensor_by_rule(
    key: str, shape: tuple[int, ...], seed: int, strong: bool = False
) -> npt.NDArray[np.generic]:
    """One tensor of a released state dict.

    `strong` enlarges the object-contextual part and makes the scale of the mask features
    negative, because the other rule hides mistakes there.
    """
    if key.endswith("mask_blurring.weight"):
        return gaussian_7x7()
    stream = np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(key.encode())]))
    match key.rpartition(".")[2]:
        case "num_batches_tracked":
            return np.array(1, dtype=np.int64)
        case "running_var":
            values = stream.uniform(0.5, 1.5, shape)
        case "running_mean":
            values = 0.1 * stream.standard_normal(shape)
        case "scale":
            values = np.full(shape, -0.5 if strong else 0.5)
        case "bias":
            values = 0.05 * stream.standard_normal(shape)
        case "weight" if len(shape) == 1:
            values = stream.uniform(0.8, 1.2, shape)
        case _:
            gain = 0.6 if ".hrnet." in key else 1.0
            if strong and any(part in key for part in ("f_pixel", "f_object", "conv3x3_ocr")):
                gain = 2.5
            values = stream.standard_normal(shape) * gain * np.sqrt(1.0 / math.prod(shape[1:]))
    return values.astype(np.float32)


def gaussian_7x7() -> Float32:
    """The true kernel of the blurred mask, sigma 1."""
    x, y = np.meshgrid(np.arange(-3, 4), np.arange(-3, 4))
    kernel = np.exp(-(x**2 + y**2) / 2)
    return (kernel / kernel.sum()).astype(np.float32)[None, None]


def picture_by_rule(seed: int, size: int = 256) -> tuple[UInt8, UInt8]:
    """A smooth random RGB image with noise (size, size, 3), and an ellipse as mask, 0 or 255."""
    stream = np.random.Generator(np.random.Philox(key=[seed, 12345]))
    colours = stream.uniform(0, 255, (8, 8, 3)).astype(np.float32)
    enlarge = _cubic_interpolation(8, size)
    smooth = np.einsum("yi,xj,ijc->yxc", enlarge, enlarge, colours)
    noisy = smooth + stream.normal(0, 12, (size, size, 3))
    image = np.clip(np.round(noisy), 0, 255).astype(np.uint8)
    # The references were computed on an image enlarged in float32, which rounds a few values of
    # every picture to the other side.
    for index, value in references()["picture_corrections"].get(str(seed), []):
        image.flat[index] = value

    y, x = np.mgrid[:size, :size]
    center_y, center_x = stream.uniform(0.35, 0.65, 2) * size
    radius_y, radius_x = stream.uniform(0.18, 0.33, 2) * size
    inside = ((y - center_y) / radius_y) ** 2 + ((x - center_x) / radius_x) ** 2 < 1
    return image, inside.astype(np.uint8) * np.uint8(255)


def _cubic_interpolation(source: int, target: int) -> npt.NDArray[np.float64]:
    """The matrix of OpenCV's bicubic resize along one axis: (target, source)."""
    a = -0.75
    position = (np.arange(target) + 0.5) * source / target - 0.5
    nearest = np.floor(position).astype(int)
    matrix = np.zeros((target, source))
    for offset in range(-1, 3):
        d = np.abs(position - nearest - offset)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        column = np.clip(nearest + offset, 0, source - 1)
        np.add.at(matrix, (np.arange(target), column), np.where(d <= 1, near, far))
    return matrix


def sample_positions(size: int, count: int) -> npt.NDArray[np.int64]:
    """Where a reference array of `size` values was sampled: flat indices, spread at random."""
    stream = np.random.Generator(np.random.Philox(key=[size, count]))
    return np.sort(stream.choice(size, min(size, count), replace=False))
