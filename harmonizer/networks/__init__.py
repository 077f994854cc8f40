"""The networks of the paper: plain modules that know nothing of weights, files or users' images."""

from harmonizer.networks.catalogue import Network, build_network, list_networks

__all__ = ["Network", "build_network", "list_networks"]
