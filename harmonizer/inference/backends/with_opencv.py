"""Run a bundled network by OpenCV's dnn, on the CPU, without torch."""

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from harmonizer.errors import WeightsCorruptedError
from harmonizer.inference.backends.run import Run
from harmonizer.inference.graph import IMAGE, MASK, with_weights
from harmonizer.threads import Lock


def run_with_opencv(graph: bytes, weights: bytes) -> Run:
    """Prepare a network to be run by OpenCV, in float32.

    Args:
        graph: An ONNX model without weights, of one picture.
        weights: Its weights, as a safetensors file holds them.

    Raises:
        WeightsCorruptedError: The two do not make a network.
    """
    try:
        model = with_weights(graph, load(weights))
        del weights  # nobody else has them
        network = cv2.dnn.readNetFromONNX(model)
    except (cv2.error, SafetensorError, KeyError, ValueError) as error:
        raise WeightsCorruptedError(f"graph and weights make no network: {error}") from error
    lock = Lock()  # a network holds its last input

    def run(images: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float32]:
        answers: list[NDArray[np.float32]] = []
        # One by one: OpenCV 4 fixes shapes when it reads a model.
        for image, mask in zip(images, masks, strict=True):
            with lock:
                network.setInput(image[None], IMAGE)
                network.setInput(mask[None], MASK)
                answers.append(np.array(network.forward(), np.float32))
        return np.concatenate(answers)

    return run
