"""Set a network up to be run: from where its weights lie, by a backend, on a device."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from harmonizer.errors import InputError
from harmonizer.inference.backends import Backend, check_backend
from harmonizer.inference.backends.run import Run
from harmonizer.zoo.find import StoredModel

if TYPE_CHECKING:
    import torch
    from torch import nn

Source: TypeAlias = "nn.Module | StoredModel"


@dataclass(frozen=True)
class Running:
    """A network that is ready.

    Attributes:
        run: Calls it.
        backend: What runs it.
        device: Where, as torch names it.
        dtype: Its arithmetic, as torch names it.
    """

    run: Run
    backend: Backend
    device: str
    dtype: str


def start(
    source: Source,
    input_size: tuple[int, int],
    device: "str | torch.device",
    dtype: "str | torch.dtype",
    backend: Backend,
) -> Running:
    """Set a network up; the arguments are those of `Harmonizer.from_pretrained`.

    A stored model is read for what runs it, and not kept besides.
    """
    check_backend(backend)
    graph = source.graph if isinstance(source, StoredModel) else None
    plain = str(device) in ("auto", "cpu") and str(dtype) in ("auto", "float32", "torch.float32")
    if isinstance(source, StoredModel) and graph and plain and backend in ("auto", "opencv"):
        from harmonizer.inference.backends.with_opencv import run_with_opencv

        run = run_with_opencv(graph.read(), source.weights.read())
        return Running(run, "opencv", "cpu", "float32")
    if backend == "opencv":
        raise InputError(
            "the backend 'opencv' runs the bundled models, on the CPU and in float32; got "
            f"device={str(device)!r}, dtype={str(dtype)!r}"
            f"{'' if graph else ' and another model'}: leave out backend=, or use 'torch'"
        )
    # Only here torch is needed, which takes longer to import than a picture to be harmonized.
    from harmonizer.inference.backends import open_backend
    from harmonizer.inference.runtime import resolve_device, resolve_dtype
    from harmonizer.networks.color_map import ColorMapAnswer, ColorMapNetwork

    by = "torch" if backend == "auto" else backend
    chosen = resolve_device("cpu" if str(device) == "auto" and by != "torch" else device)
    arithmetic = resolve_dtype(dtype)
    network = read(source)
    if isinstance(network, ColorMapNetwork):
        network = ColorMapAnswer(network)
    run = open_backend(by, network, input_size, chosen, arithmetic)
    return Running(run, by, str(chosen), str(arithmetic).removeprefix("torch."))


def read(source: Source) -> "nn.Module":
    """Return the network itself, in evaluation mode on the CPU."""
    if not isinstance(source, StoredModel):
        return source
    from harmonizer.zoo.loader import read_network

    return read_network(source.weights, source.info)
