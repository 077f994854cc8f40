"""Released weights into this project's networks: names, shapes and dtypes, all checked.

The authors' state dicts fit networks that are called differently inside. The tables below say what
each of our names is called there; nothing else of a tensor changes but its dtype.
"""

import re
from collections.abc import Mapping

import torch

from harmonizer.errors import WeightsCorruptedError
from harmonizer.networks import build_network

_ENCODER_DECODER_NAMES = (
    (r"^encoder\.([01])\.", r"encoder.block\1.block."),
    (r"^encoder\.(\d+)\.", r"encoder.blocks_connected.block\1.block."),
    (r"^decoder\.(\d+)\.", r"decoder.deconv_blocks.\1.block."),
    (r"\.conv\.", r".0."),
    (r"\.norm\.", r".1."),
    (r"^head\.rgb\.", r"decoder.to_rgb."),
    (r"^head\.attention\.", r"decoder.conv_attention."),
)


def _released_name(name: str) -> str:
    for pattern, replacement in _ENCODER_DECODER_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def convert_state_dict(
    name: str, released_state_dict: Mapping[str, object], **overrides: object
) -> dict[str, torch.Tensor]:
    """Convert a state dict under the authors' names into one for this project's network.

    A dict that was saved from ``DataParallel`` (every key begins with ``module.``) is accepted.

    Args:
        name: one of ``harmonizer.networks.list_networks()``.
        released_state_dict: the authors' keys, with tensors or arrays of any floating-point dtype.
        **overrides: fields of the network's configuration, as for ``build_network``.

    Returns:
        The state dict of ``build_network(name, **overrides)``, in its order: contiguous CPU tensors
        of their own memory, float32 (counters int64).

    Raises:
        WeightsCorruptedError: one error that lists every missing, unexpected and misshapen tensor.
        UnknownModelError: if no network has this name.
        InputError: if an override is not a field of the configuration.
    """
    with torch.device("meta"):
        expected = build_network(name, **overrides).state_dict()
    given = _without_data_parallel(released_state_dict)
    released_names = {key: _released_name(key) for key in expected}
    _check(
        f"this state dict does not fit the network {name!r}",
        {released_names[key]: tensor for key, tensor in expected.items()},
        given,
    )
    return {key: _own(given[released_names[key]], tensor.dtype) for key, tensor in expected.items()}


def _without_data_parallel(state_dict: Mapping[str, object]) -> Mapping[str, object]:
    prefix = "module."
    if state_dict and all(key.startswith(prefix) for key in state_dict):
        return {key.removeprefix(prefix): value for key, value in state_dict.items()}
    return state_dict


def _check(what: str, expected: Mapping[str, torch.Tensor], given: Mapping[str, object]) -> None:
    problems: list[str] = []
    missing = [key for key in expected if key not in given]
    unexpected = [key for key in given if key not in expected]
    if missing:
        problems.append(f"{len(missing)} missing: {', '.join(missing)}")
    if unexpected:
        problems.append(f"{len(unexpected)} unexpected: {', '.join(unexpected)}")
    misshapen: list[str] = []
    for key, tensor in expected.items():
        if key in given:
            shape = getattr(given[key], "shape", None)
            if shape is None:
                misshapen.append(f"{key} is a {type(given[key]).__name__}, not a tensor")
            elif tuple(shape) != tuple(tensor.shape):
                misshapen.append(f"{key} should be {tuple(tensor.shape)}, is {tuple(shape)}")
    if misshapen:
        problems.append(f"{len(misshapen)} misshapen: {', '.join(misshapen)}")
    if problems:
        raise WeightsCorruptedError(f"{what}: {'; '.join(problems)}")


def _own(value: object, dtype: torch.dtype) -> torch.Tensor:
    """Copy, so that no two tensors share memory and a file can be closed behind them."""
    tensor = torch.as_tensor(value).detach()
    return tensor.to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)
