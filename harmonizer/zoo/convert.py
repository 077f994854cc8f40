"""Convert weights of others for this project's networks: names, shapes and dtypes, all checked.

The authors' state dicts fit networks that are called differently inside; the configurations of ours
know the names there. Nothing of a tensor changes but its dtype.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from harmonizer.errors import InputError, WeightsCorruptedError
from harmonizer.networks import build_network, network_config
from harmonizer.networks.backbone import pretrained_parts
from harmonizer.networks.efficientnet import EfficientNetLite0
from harmonizer.zoo.imagenet import efficientnet_lite_weights

# What an ImageNet checkpoint has beyond the backbone: the parts that make it a classifier.
CLASSIFIER_PARTS = ("incre_modules", "downsamp_modules", "final_layer", "classifier", "fc")
_LISTED = 20  # how many tensors an error names before it only counts them


def convert_state_dict(
    name: str, released_state_dict: Mapping[str, object], **overrides: object
) -> dict[str, torch.Tensor]:
    """Convert a state dict under the authors' names into one for this project's network.

    A dict that was saved from `DataParallel` (every key begins with `module.`) is accepted, and so
    is one that holds the state dict under `state_dict`, as checkpoints of training scripts do.

    Args:
        name: One of `harmonizer.networks.list_networks()`.
        released_state_dict: The authors' keys, with tensors or arrays of any numeric dtype.
        **overrides: Fields of the network's configuration, as for `build_network`.

    Returns:
        The state dict of `build_network(name, **overrides)`, in its order: contiguous CPU tensors
        with memory of their own, float32 (counters int64).

    Raises:
        WeightsCorruptedError: One error that says which tensors are missing, unexpected or
            misshapen.
        UnknownModelError: If no network has this name.
        InputError: If an override is not a field of the configuration, or there is no state dict.
    """
    config = network_config(name, **overrides)
    with torch.device("meta"):
        ours = build_network(name, **overrides).state_dict()
    released_names = {key: config.released_name(key) for key in ours}
    converted = _take(
        _unwrapped(released_state_dict),
        {released_names[key]: tensor for key, tensor in ours.items()},
        f"this state dict does not fit the network {name!r}",
    )
    return {key: converted[released_names[key]] for key in ours}


def load_backbone_weights(network: nn.Module, state_dict: Mapping[str, object]) -> None:
    """Initialise a network's backbone from ImageNet weights, in place (section 4.2).

    The keys are those of timm's checkpoints of the same architecture: `hrnet_w18_small_v2`,
    `hrnet_w18` and `hrnet_w32` for the HRNets, `resnet34` for DeepLabV3+. Those of the
    classifier (`CLASSIFIER_PARTS`) are left out; all others must fit.

    Args:
        network: A network with a backbone, from `build_network`.
        state_dict: Tensors or arrays of any numeric dtype.

    Raises:
        InputError: If the network has no backbone.
        WeightsCorruptedError: One error that says which tensors are missing, unexpected or
            misshapen; the network is then unchanged.
    """
    parts = pretrained_parts(network)
    if not parts:
        raise InputError(
            f"{type(network).__name__} has no backbone to load ImageNet weights into; "
            "the networks with one have hrnet or deeplabv3p in their name"
        )
    features_only = {
        key: value
        for key, value in state_dict.items()
        if key.partition(".")[0] not in CLASSIFIER_PARTS
    }
    if odd := [key for key, value in features_only.items() if isinstance(describe(value), str)]:
        raise WeightsCorruptedError(
            f"these weights hold what is no tensor of numbers: {', '.join(odd[:_LISTED])}"
        )
    for part in parts:
        what = f"these weights do not fit the backbone {type(part).__name__}"
        if isinstance(part, EfficientNetLite0):
            features_only = efficientnet_lite_weights(features_only)
        part.load_state_dict(_take(features_only, part.state_dict(), what))


def _unwrapped(given: Mapping[str, object]) -> Mapping[str, object]:
    """Return a state dict without what training scripts put around it and its keys."""
    held: Any = given
    if isinstance(held, Mapping):
        held = cast("Mapping[str, Any]", held).get("state_dict", held)
    if not isinstance(held, Mapping) or not all(isinstance(one, str) for one in cast(Any, held)):
        raise InputError(
            f"a state dict has tensors by their names; got {type(cast(object, held)).__name__}"
        )
    state_dict = cast("Mapping[str, object]", held)
    prefix = "module."
    if state_dict and all(key.startswith(prefix) for key in state_dict):
        return {key.removeprefix(prefix): value for key, value in state_dict.items()}
    return state_dict


def _take(
    given: Mapping[str, object], expected: Mapping[str, torch.Tensor], complaint: str
) -> dict[str, torch.Tensor]:
    """Return copies of what is given, in the expected dtypes, or say what does not fit."""
    described = {key: describe(value) for key, value in given.items()}
    if problems := list_misfits(expected, described):
        raise WeightsCorruptedError(f"{complaint}; {problems}")
    return {key: _copy(value, own_dtype(expected[key])) for key, value in given.items()}


def describe(value: object) -> tuple[int, ...] | str:
    """Return the shape of a plain tensor or array of numbers, or what it is instead."""
    if isinstance(value, torch.Tensor):
        odd = {
            "nested": value.is_nested,
            "sparse": value.layout != torch.strided,
            "meta": value.is_meta,
            "quantized": value.is_quantized,
            "complex": value.is_complex(),
        }
        if not any(odd.values()):  # a few bytes that say that they are many
            held = value.untyped_storage().nbytes()
            odd["repeated"] = value.numel() * value.element_size() > held
        kinds = [kind for kind, found in odd.items() if found]
        return f"a {kinds[0]} tensor" if kinds else tuple(value.shape)
    array: Any = value
    if isinstance(value, np.ndarray | np.generic) and array.dtype.kind in "buif":
        return array.shape
    return f"a {type(array).__name__}"


def own_dtype(tensor: torch.Tensor) -> torch.dtype:
    """Return the dtype that a tensor of a network has here: float32, or that of its integers.

    A network that is built has its floats in torch's default dtype, which is the program's around.
    """
    return torch.float32 if tensor.is_floating_point() else tensor.dtype


def list_misfits(
    expected: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...] | str]
) -> str:
    """List what keeps tensors of some shapes from fitting a network's state dict.

    What is no tensor has a text in the place of its shape. The result says how many are missing,
    unexpected or misshapen, and which, the first 20 of each by name; it is empty if all fits.
    """
    wanted = {key: tuple(tensor.shape) for key, tensor in expected.items()}
    problems = {
        "missing": [key for key in wanted if key not in shapes],
        "unexpected": [key for key in shapes if key not in wanted],
        "misshapen": [
            f"{key} ({shape} instead of {'a tensor' if isinstance(shape, str) else wanted[key]})"
            for key, shape in shapes.items()
            if key in wanted and shape != wanted[key]
        ],
    }
    return "; ".join(
        f"{len(keys)} {kind}: {', '.join(keys[:_LISTED])}{', ...' if len(keys) > _LISTED else ''}"
        for kind, keys in problems.items()
        if keys
    )


def _copy(value: object, dtype: torch.dtype) -> torch.Tensor:
    """Copy, so that no two tensors share memory and a file can be closed behind them."""
    tensor = torch.as_tensor(value).detach()
    return tensor.to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)
