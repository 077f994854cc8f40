"""Find what the package itself holds of a model: its weights, and a graph to run them by."""

from importlib import resources
from pathlib import Path

from harmonizer.errors import WeightsUnavailableError
from harmonizer.zoo.integrity import Weights
from harmonizer.zoo.manifest import BundledFile


def bundled_weights(source: BundledFile) -> Weights:
    """Find bundled weights: a safetensors file, to be checked when it is read."""
    return _find(source.file, source.sha256, source.size)


def bundled_graph(source: BundledFile) -> Weights | None:
    """Find the graph beside bundled weights: an ONNX model without weights."""
    return None if source.graph is None else _find(source.graph, source.graph_sha256, None)


def _find(file: str, sha256: str | None, size: int | None) -> Weights:
    path = Path(str(resources.files("harmonizer.zoo") / file))
    if not path.is_file():
        if any(folder.is_file() for folder in path.parents):
            raise WeightsUnavailableError(
                f"{path} is in an archive, where files have no path of their own; install the "
                "package unpacked"
            )
        raise WeightsUnavailableError(
            f"the bundled file {path} is missing; reinstall image-harmonizer"
        )
    what = f"the bundled file {path}"
    return Weights(path, sha256, size, what, advice=" Reinstall image-harmonizer.")
