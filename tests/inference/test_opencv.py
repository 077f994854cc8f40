"""A graph and its weights make the network that OpenCV runs."""

import numpy as np
import pytest

from harmonizer.inference.graph import with_weights


def test_weights_go_into_the_graph_as_they_are_stored() -> None:
    """Half of their memory is saved by leaving float16 to OpenCV."""
    onnx = pytest.importorskip("onnx")
    half = np.arange(1000, dtype=np.float16).reshape(10, 100)
    single = np.float32(0.1).reshape(1)
    found = onnx.load_model_from_string(bytes(with_weights(b"", {"half": half, "single": single})))
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in found.graph.initializer}
    assert [one.dtype for one in stored.values()] == [np.float16, np.float32]
    assert np.array_equal(stored["half"], half)
    assert np.array_equal(stored["single"], single)
