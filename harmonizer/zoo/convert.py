"""Weights of others into this project's networks: names, shapes and dtypes, all checked.

The authors' state dicts fit networks that are called differently inside. The tables below say what
each of our names is called there; nothing of a tensor changes but its dtype.
"""

import re
from collections.abc import Mapping

import torch
from torch import nn

from harmonizer.errors import InputError, WeightsCorruptedError
from harmonizer.networks import build_network, network_config
from harmonizer.networks.backbone import pretrained_parts
from harmonizer.networks.catalogue import NetworkConfig
from harmonizer.networks.dovenet import DoveNetConfig
from harmonizer.networks.encoder_decoder import EncoderDecoderConfig
from harmonizer.networks.foreground_aware import ForegroundAwareConfig
from harmonizer.networks.unet import UNetConfig

# What an ImageNet checkpoint has beyond the backbone: the parts that make it a classifier.
CLASSIFIER_PARTS = ("incre_modules", "downsamp_modules", "final_layer", "classifier", "fc")
_LISTED = 20  # how many tensors an error names before it only counts them

# (pattern of our name, what stands there in the released name); the first that matches counts.
_Renames = tuple[tuple[str, str], ...]

_HEADS: _Renames = (
    (r"head\.rgb\.", "decoder.to_rgb."),
    (r"head\.attention\.", "decoder.conv_attention."),
)
_ENCODER_DECODER: _Renames = (
    (r"encoder\.([01])\.conv\.", r"encoder.block\1.block.0."),
    (r"encoder\.([01])\.norm\.", r"encoder.block\1.block.1."),
    (r"encoder\.(\d+)\.conv\.", r"encoder.blocks_connected.block\1.block.0."),
    (r"encoder\.(\d+)\.norm\.", r"encoder.blocks_connected.block\1.block.1."),
    (r"decoder\.(\d+)\.conv\.", r"decoder.deconv_blocks.\1.block.0."),
    (r"decoder\.(\d+)\.norm\.", r"decoder.deconv_blocks.\1.block.1."),
    *_HEADS,
)
_ATTENTION = r"decoder.up_blocks.\1.attention"
_UNET: _Renames = (
    (r"encoder\.([01])\.(\d)\.conv\.", r"encoder.block\1.convs.block.\2.block.0."),
    (r"encoder\.([01])\.(\d)\.norm\.", r"encoder.block\1.convs.block.\2.block.1."),
    (r"encoder\.(\d+)\.(\d)\.conv\.", r"encoder.blocks_connected.block\1.convs.block.\2.block.0."),
    (r"encoder\.(\d+)\.(\d)\.norm\.", r"encoder.blocks_connected.block\1.convs.block.\2.block.1."),
    (r"decoder\.(\d+)\.up\.conv\.", r"decoder.up_blocks.\1.upconv.1.block.0."),
    (r"decoder\.(\d+)\.convs\.(\d)\.conv\.", r"decoder.up_blocks.\1.convs.block.\2.block.0."),
    (r"decoder\.(\d+)\.convs\.(\d)\.norm\.", r"decoder.up_blocks.\1.convs.block.\2.block.1."),
    (r"decoder\.(\d+)\.attention\.learn\.(\d)\.", rf"{_ATTENTION}.learning_block.\2.block."),
    (r"decoder\.(\d+)\.attention\.blur_kernel$", rf"{_ATTENTION}.mask_blurring.weight"),
    (r"decoder\.(\d+)\.attention\.(\w+)\.squeeze\.", rf"{_ATTENTION}.\2.attention_transform.0."),
    (r"decoder\.(\d+)\.attention\.(\w+)\.excite\.", rf"{_ATTENTION}.\2.attention_transform.2."),
    *_HEADS,
)
_OCR_HEAD = "backbone.hrnet.ocr_distri_head"
_OBJECT_CONTEXT = f"{_OCR_HEAD}.object_context_block"
_GUIDANCE: _Renames = (
    (r"mask_features\.conv\.", "mask_conv.0."),
    (r"mask_features\.scale$", "mask_conv.1.scale"),
    (r"pyramid\.reduce\.", "backbone.downsize.reduce_conv.block."),
    (r"pyramid\.levels\.(\d)\.", r"backbone.downsize.convs.\1.block."),
    (r"backbone\.hrnet\.", "backbone.hrnet."),
    (r"backbone\.ocr\.reduce\.", "backbone.hrnet.conv3x3_ocr."),
    (r"backbone\.ocr\.query\.0\.0\.", f"{_OBJECT_CONTEXT}.f_pixel.0."),
    (r"backbone\.ocr\.query\.0\.1\.", f"{_OBJECT_CONTEXT}.f_pixel.1.0."),
    (r"backbone\.ocr\.query\.1\.0\.", f"{_OBJECT_CONTEXT}.f_pixel.2."),
    (r"backbone\.ocr\.query\.1\.1\.", f"{_OBJECT_CONTEXT}.f_pixel.3.0."),
    (r"backbone\.ocr\.key\.0\.0\.", f"{_OBJECT_CONTEXT}.f_object.0."),
    (r"backbone\.ocr\.key\.0\.1\.", f"{_OBJECT_CONTEXT}.f_object.1.0."),
    (r"backbone\.ocr\.key\.1\.0\.", f"{_OBJECT_CONTEXT}.f_object.2."),
    (r"backbone\.ocr\.key\.1\.1\.", f"{_OBJECT_CONTEXT}.f_object.3.0."),
    (r"backbone\.ocr\.value\.0\.", f"{_OBJECT_CONTEXT}.f_down.0."),
    (r"backbone\.ocr\.value\.1\.", f"{_OBJECT_CONTEXT}.f_down.1.0."),
    (r"backbone\.ocr\.context\.0\.", f"{_OBJECT_CONTEXT}.f_up.0."),
    (r"backbone\.ocr\.context\.1\.", f"{_OBJECT_CONTEXT}.f_up.1.0."),
    (r"backbone\.ocr\.merge\.0\.", f"{_OCR_HEAD}.conv_bn_dropout.0."),
    (r"backbone\.ocr\.merge\.1\.", f"{_OCR_HEAD}.conv_bn_dropout.1.0."),
    (r"backbone\.resnet\.", "backbone.deeplab.backbone."),
    (r"backbone\.aspp\.branches\.(\d)\.", r"backbone.deeplab.aspp.concurent.\1."),
    (r"backbone\.aspp\.image_level\.0\.", "backbone.deeplab.aspp.concurent.4.gap.1."),
    (r"backbone\.aspp\.image_level\.1\.", "backbone.deeplab.aspp.concurent.4.gap.2."),
    (r"backbone\.aspp\.project\.", "backbone.deeplab.aspp.project."),
    (r"backbone\.skip\.", "backbone.deeplab.skip_project.skip_project."),
    (r"backbone\.head\.([01])\.", r"backbone.deeplab.head.block.\1.body."),
    (r"backbone\.head\.2\.", "backbone.deeplab.head.block.2."),
)


def convert_state_dict(
    name: str, released_state_dict: Mapping[str, object], **overrides: object
) -> dict[str, torch.Tensor]:
    """Convert a state dict under the authors' names into one for this project's network.

    A dict that was saved from `DataParallel` (every key begins with `module.`) is accepted.

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
        InputError: If an override is not a field of the configuration.
    """
    config = network_config(name, **overrides)
    with torch.device("meta"):
        ours = build_network(name, **overrides).state_dict()
    released_names = {key: _released_name(key, config) for key in ours}
    converted = _take(
        _without_data_parallel(released_state_dict),
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
    for part in parts:
        what = f"these weights do not fit the backbone {type(part).__name__}"
        part.load_state_dict(_take(features_only, part.state_dict(), what))


def _released_name(name: str, config: NetworkConfig) -> str:
    match config:
        case EncoderDecoderConfig():
            return _rename(name, _ENCODER_DECODER)
        case UNetConfig():
            return _rename(name, _UNET)
        case DoveNetConfig():
            return _dovenet_name(name, config.depth)
        case ForegroundAwareConfig():
            if name.startswith("base."):
                return "model." + _released_name(name.removeprefix("base."), config.base)
            return _rename(name, _GUIDANCE)


def _rename(name: str, renames: _Renames) -> str:
    for pattern, replacement in renames:
        renamed, count = re.subn(f"^{pattern}", replacement, name)
        if count:
            return renamed
    raise LookupError(f"no released name is known for {name}")


def _dovenet_name(name: str, depth: int) -> str:
    """Name what the released network nests: every level is a child of the level around it."""
    kind, level_text, layer, *rest = name.split(".")
    level = int(level_text)
    if kind == "gates":
        # A gate stands at the connection between two levels and is named after the inner one.
        return ".".join([_dovenet_level(level + 1), "attention.0", *rest])
    innermost = level == depth - 1
    if level == 0:
        position = {"down.conv": 0, "up.conv": 3}
    elif innermost:
        position = {"down.conv": 1, "up.conv": 3, "up.norm": 4}
    else:
        position = {"down.conv": 1, "down.norm": 2, "up.conv": 5, "up.norm": 6}
    return ".".join([_dovenet_level(level), "model", str(position[f"{kind}.{layer}"]), *rest])


def _dovenet_level(level: int) -> str:
    return "model" + ".model.1" * (level > 0) + ".model.3" * (level - 1)


def _without_data_parallel(state_dict: Mapping[str, object]) -> Mapping[str, object]:
    prefix = "module."
    if state_dict and all(key.startswith(prefix) for key in state_dict):
        return {key.removeprefix(prefix): value for key, value in state_dict.items()}
    return state_dict


def _take(
    given: Mapping[str, object], expected: Mapping[str, torch.Tensor], complaint: str
) -> dict[str, torch.Tensor]:
    """Return copies of what is given, in the expected dtypes, or say what does not fit."""
    shapes = {key: getattr(value, "shape", None) for key, value in given.items()}
    described = {
        key: f"a {type(given[key]).__name__}" if shape is None else tuple(shape)
        for key, shape in shapes.items()
    }
    if problems := list_misfits(expected, described):
        raise WeightsCorruptedError(f"{complaint}; {problems}")
    return {key: _copy(value, expected[key].dtype) for key, value in given.items()}


def list_misfits(
    expected: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...] | str]
) -> str:
    """List what keeps tensors from fitting a network.

    Args:
        expected: The network's state dict.
        shapes: What there is: its shape, or what it is in place of a tensor.

    Returns:
        How many are missing, unexpected or misshapen, and which, the first 20 of each by name;
        empty if everything fits.
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
