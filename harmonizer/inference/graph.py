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


def with_weights(graph: bytes, weights: Mapping[str, NDArray[np.floating]]) -> NDArray[np.uint8]:
    """Return the bytes of the ONNX model that a graph becomes with weights, as float32.

    Args:
        graph: An ONNX model without weights.
        weights: By the names that the graph has for them, of any float dtype.
    """
    heads = [_head(name, values) for name, values in weights.items()]
    length = sum(
        len(head) + 4 * one.size for head, one in zip(heads, weights.values(), strict=True)
    )
    start = graph + _varint(_MODEL_GRAPH << 3 | 2) + _varint(length)
    model = np.empty(len(start) + length, np.uint8)
    model[: len(start)] = np.frombuffer(start, np.uint8)
    place = len(start)
    for head, values in zip(heads, weights.values(), strict=True):
        data = place + len(head)
        model[place:data] = np.frombuffer(head, np.uint8)
        place = data + 4 * values.size
        model[data:place].view("<f4")[:] = values.reshape(-1)  # no copy in between
    return model


def _head(name: str, values: NDArray[np.floating]) -> bytes:
    """What stands before a tensor's numbers."""
    shape = b"".join(_number(_TENSOR_DIMS, size) for size in values.shape)
    encoded = name.encode()
    before = shape + _number(_TENSOR_TYPE, _FLOAT)
    before += _varint(_TENSOR_NAME << 3 | 2) + _varint(len(encoded)) + encoded
    before += _varint(_TENSOR_RAW << 3 | 2) + _varint(4 * values.size)
    return _varint(_GRAPH_INITIALIZER << 3 | 2) + _varint(len(before) + 4 * values.size) + before


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
