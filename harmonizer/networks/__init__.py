"""The networks of the paper: plain modules that know nothing of weights, files or users' images."""

from harmonizer.networks.catalogue import build_network, list_networks, network_config
from harmonizer.networks.initialization import initialize, learning_rate_multipliers
from harmonizer.networks.network import Network

__all__ = [
    "Network",
    "build_network",
    "initialize",
    "learning_rate_multipliers",
    "list_networks",
    "network_config",
]
