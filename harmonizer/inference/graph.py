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
_TYPES = {"float32": 1, "float16": 10}  # TensorProto.DataType


def with_weights(graph: bytes, weights: Mapping[str, NDArray[np.floating]]) -> NDArray[np.uint8]:
    """Return the bytes of the ONNX model that a graph becomes with weights.

    Args:
        graph: An ONNX model without weights, of float32.
        weights: By the names that the graph has for them, float32 or float16; OpenCV makes float32
            of either.
    """
    heads = [_head(name, values) for name, values in weights.items()]
    length = sum(map(len, heads)) + sum(one.nbytes for one in weights.values())
    start = graph + _varint(_MODEL_GRAPH << 3 | 2) + _varint(length)
    model = np.empty(len(start) + length, np.uint8)
    model[: len(start)] = np.frombuffer(start, np.uint8)
    place = len(start)
    for head, values in zip(heads, weights.values(), strict=True):
        data = place + len(head)
        model[place:data] = np.frombuffer(head, np.uint8)
        place = data + values.nbytes
        ordered = values.reshape(-1).astype(values.dtype.newbyteorder("<"), copy=False)
        model[data:place] = ordered.view(np.uint8)
    return model


def _head(name: str, values: NDArray[np.floating]) -> bytes:
    """What stands before a tensor's numbers."""
    shape = b"".join(_number(_TENSOR_DIMS, size) for size in values.shape)
    encoded = name.encode()
    before = shape + _number(_TENSOR_TYPE, _TYPES[values.dtype.name])
    before += _varint(_TENSOR_NAME << 3 | 2) + _varint(len(encoded)) + encoded
    before += _varint(_TENSOR_RAW << 3 | 2) + _varint(values.nbytes)
    return _varint(_GRAPH_INITIALIZER << 3 | 2) + _varint(len(before) + values.nbytes) + before


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
