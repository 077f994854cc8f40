"""Write networks as ONNX models, for programs without Python or torch."""

import io
import json
import logging
import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from harmonizer._version import __version__
from harmonizer.errors import ExportError, InputError, import_extra
from harmonizer.files import write_atomically
from harmonizer.inference.folding import fold_batch_norm
from harmonizer.inference.graph import ANSWER, IMAGE, MASK
from harmonizer.zoo.manifest import ModelInfo

_TOLERANCE = 1e-3  # of normalised values: a seventeenth of a grey level of 255


def trace_network(network: nn.Module, input_size: tuple[int, int]) -> torch.export.ExportedProgram:
    """Trace a network into a graph of a fixed height and width; its batch norms are folded."""
    height, width = input_size
    # Two pictures, because torch takes a batch of one for a size that never changes.
    example = tuple(  # whatever the program around has set
        torch.zeros(2, channels, height, width, dtype=torch.float32, device="cpu")
        for channels in (3, 1)
    )
    batch = {0: torch.export.Dim("batch", min=1)}
    with translating():
        return torch.export.export(
            fold_batch_norm(network), example, dynamic_shapes=(batch, batch), strict=False
        )


def to_onnx(network: nn.Module, input_size: tuple[int, int]) -> Any:  # noqa: ANN401 - no types
    """Translate a network, in evaluation mode on the CPU, into an ONNX model.

    Returns:
        An `onnx.ModelProto` with the inputs `image` (N, 3, H, W), normalised, and `mask` (N, 1, H,
        W), in [0, 1], and the output `harmonized` (N, 3, H, W), normalised; all float32. The axis N
        is called `batch`; H and W are fixed.
    """
    _send_nothing()
    onnx = import_extra("onnx", "onnx")
    import_extra("onnxscript", "onnx")  # torch translates with it
    with translating():
        program: Any = torch.onnx.export(
            trace_network(network, input_size),
            input_names=[IMAGE, MASK],
            output_names=[ANSWER],
            dynamo=True,
            verbose=False,
        )
    buffer = io.BytesIO()
    program.save(buffer)
    model = onnx.load_from_string(buffer.getvalue())
    _name_batch(model.graph)
    return model


def _name_batch(graph: Any) -> None:  # noqa: ANN401 - an `onnx.GraphProto`
    """Give the free axis a name that tells what it is: torch numbers it, as `s31`."""
    numbered = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param == numbered:
                axis.dim_param = "batch"


@contextmanager
def translating() -> Generator[None]:
    """Keep the arithmetic of the program around out of a graph.

    What torch says of its own parts, and of packages that it does not need, is kept to itself.
    """
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.autocast("cpu", enabled=False):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def import_onnxruntime() -> Any:  # noqa: ANN401 - no types
    """Import ONNX Runtime, which is to send nothing to its maker.

    Raises:
        InputError: It is not installed.
    """
    _send_nothing()
    return import_extra("onnxruntime", "onnx")


def _send_nothing() -> None:
    """Switch off what ONNX Runtime would tell its maker, unless the user has said otherwise.

    The translators import it, too, so this comes before them.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def check_ending(path: Path) -> None:
    """Refuse a name under which no program would look for an ONNX file."""
    if path.suffix.lower() != ".onnx":
        raise InputError(f"an ONNX file is written, so end its name in .onnx; got {path.name!r}")


def export_onnx(network: nn.Module, info: ModelInfo, path: Path) -> None:
    """Write a model as an ONNX file, after its answers have been compared with torch's.

    How a picture is resized and normalised, and the answer's colours are brought back, stands in
    the file's metadata, under the key `preprocessing`, as JSON: `input_size` (height, width),
    `mean` and `std` of R, G, B in [0, 1], and `resampler`. `name`, `licence` and `trained_on` stand
    beside it. How the answer is carried to the picture's own size (`harmonizer.lifting.lift`) is
    not in the file.

    Raises:
        InputError: `path` ends otherwise, or ONNX or ONNX Runtime is not installed.
        ExportError: The ONNX model answers differently; nothing is written.
    """
    check_ending(path)
    onnxruntime = import_onnxruntime()
    size = info.preprocessing.input_size
    model = to_onnx(network, size)
    known = {
        "name": info.name,
        "licence": info.licence,
        "trained_on": info.trained_on,
        "preprocessing": json.dumps(asdict(info.preprocessing)),
        "library": f"image-harmonizer {__version__}",
    }
    for key, value in known.items():
        if value:
            model.metadata_props.add(key=key, value=value)
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    for count in (1, 3):  # the batch has to have stayed free
        images = generator.standard_normal((count, 3, *size), np.float32)
        masks = generator.random((count, 1, *size), np.float32)
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            expected = network(torch.from_numpy(images), torch.from_numpy(masks)).numpy()
        (found,) = session.run(None, {IMAGE: images, MASK: masks})
        difference = float(np.abs(found - expected).max())
        if not difference <= _TOLERANCE:
            raise ExportError(
                f"the ONNX model of {info.name} differs from torch by {difference:.2g} of "
                f"normalised values, more than {_TOLERANCE}; nothing was written"
            )
    write_atomically(path, content)
