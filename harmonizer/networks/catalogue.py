"""List the networks by name, and build them."""

import dataclasses
from collections.abc import Mapping

import torch

from harmonizer.errors import InputError, UnknownModelError, near_names, shortened
from harmonizer.networks.color_map import ColorMapConfig
from harmonizer.networks.deeplab import DeepLabConfig
from harmonizer.networks.dovenet import DoveNetConfig
from harmonizer.networks.encoder_decoder import EncoderDecoderConfig
from harmonizer.networks.foreground_aware import ForegroundAwareConfig
from harmonizer.networks.initialization import initialize
from harmonizer.networks.network import Network, NetworkConfig
from harmonizer.networks.ocr import HRNetConfig
from harmonizer.networks.unet import UNetConfig

_IDIH = EncoderDecoderConfig(batchnorm_from=2, blend=True)
_IS2AM = UNetConfig(width=32, attention_expansion=0.5, blend=True, initial_gain=1.0)
_W18S = HRNetConfig(width=18, modules=(1, 3, 2), blocks=2)
_W18 = HRNetConfig(width=18, modules=(1, 4, 3), blocks=4)
_W32 = HRNetConfig(width=32, modules=(1, 4, 3), blocks=4)

_LARGEST = 1_000_000_000  # weights; the largest of the paper's has 55 million

NETWORKS: Mapping[str, NetworkConfig] = {
    "dih": EncoderDecoderConfig(batchnorm_from=0, blend=False),
    "idih": _IDIH,
    "s2am": UNetConfig(width=64, attention_expansion=2.0, blend=False, initial_gain=2.0),
    "is2am": _IS2AM,
    "dovenet": DoveNetConfig(),
    "idih-hrnet-w18s": ForegroundAwareConfig(_W18S, _IDIH),
    "idih-hrnet-w18s-nomask": ForegroundAwareConfig(_W18S, _IDIH, mask_features=False),
    "idih-hrnet-w18s-v2p": ForegroundAwareConfig(_W18S, _IDIH, pyramid_levels=4),
    "idih-hrnet-w18": ForegroundAwareConfig(_W18, _IDIH),
    "idih-hrnet-w18-v2p": ForegroundAwareConfig(_W18, _IDIH, pyramid_levels=4),
    "idih-hrnet-w32": ForegroundAwareConfig(_W32, _IDIH),
    "idih-deeplabv3p-r34": ForegroundAwareConfig(DeepLabConfig(), _IDIH),
    "is2am-hrnet-w18s": ForegroundAwareConfig(_W18S, _IS2AM),
    "is2am-hrnet-w18": ForegroundAwareConfig(_W18, _IS2AM),
    "colormap-lite0": ColorMapConfig(),
}


def list_networks() -> list[str]:
    """Return the names that `build_network` knows, in the order of the paper."""
    return list(NETWORKS)


def network_config(name: str, **overrides: object) -> NetworkConfig:
    """Return the configuration of a network, with some of its fields replaced.

    Raises:
        UnknownModelError: If no network has this name; the message lists close matches.
        InputError: If the configuration has no such field; the message lists the fields.
    """
    if not isinstance(name, str) or name not in NETWORKS:
        hint = near_names(str(name), NETWORKS) or f" The networks are: {', '.join(NETWORKS)}"
        raise UnknownModelError(f"no network is called {shortened(repr(name), 200)}.{hint}")
    config = NETWORKS[name]
    fields = [field.name for field in dataclasses.fields(config)]
    unknown = sorted(set(overrides) - set(fields))
    if unknown:
        raise InputError(
            f"the network {name!r} has no {', '.join(unknown)}; "
            f"what can be overridden: {', '.join(fields)}"
        )
    return dataclasses.replace(config, **overrides)


def build_network(name: str, **overrides: object) -> Network:
    """Build a network with random weights, drawn as the released ones were before training.

    Args:
        name: One of `list_networks()`.
        **overrides: Fields of the network's configuration to replace, for example `width=32`.

    Returns:
        The network in training mode, float32, on the current default device. Its call is
        `forward(image, mask)`: image (N, 3, H, W) normalised, mask (N, 1, H, W) in [0, 1]; the
        answer is (N, 3, H, W) in the space of the image. `input_sizes` says which H and W work.

    Raises:
        UnknownModelError: If no network has this name; the message lists close matches.
        InputError: If an override is not a field of the configuration, or has an impossible value.
    """
    config = network_config(name, **overrides)
    _check_size(name, config)
    network = config.build()
    initialize(network, config.initial_gain)
    return network


def _check_size(name: str, config: NetworkConfig) -> None:
    """Refuse, before memory is taken, a network that nobody's weights are for."""
    with torch.device("meta"):
        count = sum(weights.numel() for weights in config.build().parameters())
    if count > _LARGEST:
        raise InputError(
            f"the network {name!r} would have {count:,} weights, more than {_LARGEST:,}; "
            "is its width right?"
        )
