"""What a run begins with: a network, its weights, and which of them are trained."""

from copy import deepcopy
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch
from torch import nn

from harmonizer.errors import HarmonizerError, InputError, WeightsCorruptedError
from harmonizer.inference.folding import fold_batch_norm
from harmonizer.networks import build_network, learning_rate_multipliers
from harmonizer.networks.color_map import ColorMapNetwork
from harmonizer.networks.encoder_decoder import EncoderDecoder
from harmonizer.networks.network import Network
from harmonizer.preprocessing import Preprocessing
from harmonizer.training.config import ModelConfig, TrainConfig
from harmonizer.zoo.convert import load_backbone_weights
from harmonizer.zoo.find import find_model
from harmonizer.zoo.loader import load_model
from harmonizer.zoo.manifest import ModelInfo, is_model, model_info
from harmonizer.zoo.options import FetchOptions
from harmonizer.zoo.sources import fetch_from_hub, read_released

NEW_STARTS = ("random", "imagenet")  # starts that are not of a trained model


def settle(config: TrainConfig) -> TrainConfig:
    """Return a run whose size and resampler are known: its own, or those of what it starts from.

    Raises:
        InputError: The model that it starts from has an input that is no square.
        HarmonizerError: That model cannot be found, as `Harmonizer.from_pretrained` says.
    """
    if config.size and config.resampler:
        return config
    wanted = config.model
    if wanted.start in NEW_STARTS:
        info = _known_of(wanted.network)
    else:
        info = find_model(wanted.start, None, FetchOptions()).info
    config = replace(config, resampler=config.resampler or info.preprocessing.resampler)
    height, width = info.preprocessing.input_size
    if config.size:
        return config
    if height != width:
        raise InputError(
            f"{wanted.start} has an input of {width} x {height} pixels; say which size to train at"
        )
    return replace(config, size=height)


def build_model(config: TrainConfig) -> tuple[nn.Module, ModelInfo]:
    """Build the network that a run trains, with gradients where it is to be trained.

    Random weights are drawn with the run's seed. Returned beside it is what is known of it.

    Raises:
        InputError: What it starts from is of another architecture, `encoder` is none that the
            network has room for, or `freeze` fits nothing.
        UnknownModelError: There is no such network or model.
    """
    wanted = config.model
    torch.manual_seed(config.seed)
    if wanted.start in NEW_STARTS:
        network = _new_network(wanted)
        if wanted.start == "imagenet":
            load_backbone_weights(network, _read_backbone_weights(wanted))
        base = replace(
            _known_of(wanted.network),
            arguments=dict(wanted.arguments),
            origin=None,
            licence=None,
            licence_url=None,
        )
    else:
        network, base = load_model(wanted.start, None, FetchOptions())
        network.requires_grad_(True)
        if base.architecture != wanted.network:
            raise InputError(
                f"{wanted.start} is of the network {base.architecture}, the configuration says "
                f"{wanted.network}; make them agree"
            )
    sizes = cast(Network, network).input_sizes
    if not sizes.accepts(config.size, config.size):
        raise InputError(f"{wanted.network} works at {sizes}; got size = {config.size}")
    if wanted.encoder:
        _start_encoder(network, base.preprocessing, wanted.encoder)
    _freeze(network, wanted.freeze)
    info = replace(
        base,
        name=wanted.name,
        description=wanted.description or f"{wanted.network}, trained with image-harmonizer",
        architecture=wanted.network,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        preprocessing=replace(
            base.preprocessing,
            input_size=(config.size, config.size),
            resampler=config.resampler or base.preprocessing.resampler,
        ),
        licence=wanted.licence or base.licence,
        licence_url=None if wanted.licence else base.licence_url,
        status="unpublished",
        origin=None,
        sources=(),
        aliases=(),
        metrics=(),
        note=None if wanted.start == "random" else f"Started from {wanted.start}.",
    )
    return network, info


def _new_network(wanted: ModelConfig) -> nn.Module:
    # Other floats are drawn in another order, so that a seed would stand for other weights.
    elsewhere = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        return build_network(wanted.network, **wanted.arguments)
    except HarmonizerError:
        raise
    except (
        *(TypeError, ValueError, RuntimeError),
        *(AttributeError, LookupError, ArithmeticError),
    ) as error:
        raise InputError(
            f"the network {wanted.network} cannot be built with {dict(wanted.arguments)}: {error}"
        ) from error
    finally:
        torch.set_default_dtype(elsewhere)


def _known_of(network: str) -> ModelInfo:
    """What is known of the model of this network, the paper's or our own, or else of iDIH."""
    return model_info(next(filter(is_model, (network, f"{network}-open", "idih"))))


def _read_backbone_weights(wanted: ModelConfig) -> dict[str, torch.Tensor]:
    place = wanted.backbone_weights
    if not place:
        raise InputError(
            "start = 'imagenet' needs backbone_weights: a .safetensors or .pth file, or a "
            "repository of the Hub such as timm/hrnet_w18.ms_in1k"
        )
    path = Path(place)
    if path.suffix not in (".safetensors", ".pth"):
        path = fetch_from_hub(place, "model.safetensors", None, FetchOptions())
    elif not path.is_file():
        raise InputError(f"there is no file {path}")
    if path.suffix == ".pth":
        return read_released(path)
    try:
        return safetensors_torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsCorruptedError(f"{path} is no sound safetensors file: {error}") from error


def _start_encoder(network: nn.Module, here: Preprocessing, name: str) -> None:
    """Give a network the encoder of a trained one, whose input may be normalised in another way."""
    trained, info = load_model(name, None, FetchOptions())
    if not isinstance(network, ColorMapNetwork) or not isinstance(trained, EncoderDecoder):
        raise InputError(
            f"encoder is for colormap-lite0, and names an iDIH; {name} is {info.architecture}"
        )
    weights = fold_batch_norm(trained).encoder.state_dict()
    weights = {key: weights[key] for key in network.encoder.state_dict() if key in weights}
    there = info.preprocessing
    deviation = torch.tensor(there.std)
    shift = (torch.tensor(here.mean) - torch.tensor(there.mean)) / deviation
    first, bias = weights["0.conv.weight"].clone(), weights["0.conv.bias"]
    weights["0.conv.bias"] = bias + first[:, :3].sum(dim=(2, 3)) @ shift
    first[:, :3] *= (torch.tensor(here.std) / deviation)[:, None, None]
    weights["0.conv.weight"] = first
    try:
        network.encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"the encoder of {name} does not fit: it takes that of an iDIH with "
            "{ width = 16, doubling = 1 } and a depth of 6 or more"
        ) from error


def _freeze(network: nn.Module, patterns: tuple[str, ...]) -> None:
    names = [name for name, _ in network.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            tops = sorted({name.split(".")[0] for name in names})
            raise InputError(
                f"freeze: no parameter is named {pattern!r}; the first parts of their names "
                f"are {', '.join(tops)}"
            )
    for name, parameter in network.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)


def set_training_mode(network: nn.Module, patterns: tuple[str, ...]) -> None:
    """Put a network into training mode, but for its frozen parts, whose statistics stay too."""
    network.train()
    if patterns:
        for name, module in cast(Any, network).named_modules():
            if any(fnmatchcase(f"{name}.", pattern) for pattern in patterns):
                module.eval()


def check_single_pictures(network: nn.Module, config: TrainConfig) -> None:
    """Refuse to train a network by single pictures if it normalises single values over a batch.

    Raises:
        InputError: It cannot be trained by fewer than two pictures at once.
    """
    shapes_only = deepcopy(network).to("meta")  # which computes nothing
    set_training_mode(shapes_only, config.model.freeze)
    composite = torch.empty(1, 3, config.size, config.size, device="meta")
    try:
        with torch.no_grad():
            shapes_only(composite, composite[:, :1])
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            f"{config.model.network} cannot be trained at {config.size} x {config.size} by single "
            "pictures: it normalises over a batch what is one pixel large. Let batch_size be 2 or "
            "more, for each process and each of the parts that accumulate makes"
        ) from error


def parameter_groups(network: nn.Module, config: TrainConfig) -> list[dict[str, object]]:
    """Group the parameters that are trained, for a torch optimizer, by their learning rates.

    Each group has the `multiplier` of its rate beside its `lr`. `InputError` if all are frozen.
    """
    multipliers = learning_rate_multipliers(network, pretrained=config.backbone_rate)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(multipliers[name], []).append(parameter)
    if not groups:
        raise InputError("freeze leaves nothing to train")
    return [
        {"params": parameters, "lr": config.learning_rate * multiplier, "multiplier": multiplier}
        for multiplier, parameters in groups.items()
    ]
