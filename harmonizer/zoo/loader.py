"""A model's name to a network with its weights."""

import hashlib
from importlib import resources

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from harmonizer.errors import WeightsCorruptedError, WeightsUnavailableError
from harmonizer.networks import build_network
from harmonizer.zoo.manifest import ModelInfo, WeightsFile


def load_network(info: ModelInfo) -> nn.Module:
    """Build a model's network and load its weights.

    Args:
        info: Which model.

    Returns:
        The network in evaluation mode, float32, on the CPU; its parameters need no gradients.

    Raises:
        WeightsUnavailableError: The file of weights is not there.
        WeightsCorruptedError: Its content is not what the manifest promises.
    """
    content = _read_bundled(info.weights)
    network = build_network(info.architecture, **info.arguments)
    try:
        # Weights are stored in float16; the copy into the network makes them float32.
        network.load_state_dict(load(content))
    except (SafetensorError, RuntimeError) as error:
        raise WeightsCorruptedError(
            f"the weights of {info.name} do not fit; reinstall image-harmonizer: {error}"
        ) from error
    return network.eval().requires_grad_(False)


def _read_bundled(weights: WeightsFile) -> bytes:
    file = resources.files("harmonizer") / weights.file
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WeightsUnavailableError(
            f"cannot read the bundled weights {weights.file} ({error}); reinstall image-harmonizer"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != weights.sha256:
        raise WeightsCorruptedError(
            f"the bundled weights {weights.file} are damaged: their sha256 is {found}, expected "
            f"{weights.sha256}; reinstall image-harmonizer"
        )
    return content
