"""Put weights into an ONNX model that was written without them; name its inputs and output.

The package holds the weights of its networks once, in safetensors files; a graph beside them says
how the network computes, in a few kilobytes. ONNX models are protocol buffers, and two of those
one after the other are read as one that has the parts of both: weights need only be appended
(protobuf.dev/programming-guides/encoding, "Last One Wins"; messages are merged).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

IMAGE, MASK, ANSWER = "image", "mask", "harmonized"  # inputs and output

# Numbers of fields in onnx.proto: of ModelProto, GraphProto and TensorProto.
_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_FLOAT = 1  # TensorProto.DataType


def with_weights(graph: bytes, weights: Mapping[str, NDArray[np.floating]]) -> bytes:
    """Return the ONNX model that `graph` becomes with weights, by their names, as float32."""
    tensors = b"".join(
        _field(_GRAPH_INITIALIZER, _tensor(name, values)) for name, values in weights.items()
    )
    return graph + _field(_MODEL_GRAPH, tensors)


def _tensor(name: str, values: NDArray[np.floating]) -> bytes:
    shape = b"".join(_number(_TENSOR_DIMS, size) for size in values.shape)
    data = np.ascontiguousarray(values, "<f4").tobytes()
    kind = _number(_TENSOR_TYPE, _FLOAT)
    return shape + kind + _field(_TENSOR_NAME, name.encode()) + _field(_TENSOR_RAW, data)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
