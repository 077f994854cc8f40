"""Every backend gives torch's answers, in any batch and from any thread."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from harmonizer.errors import InputError
from harmonizer.inference.backends import NetworkBackend, check_backend, open_backend
from harmonizer.inference.backends.run import Run
from harmonizer.networks import Network, build_network

SIZE = (64, 64)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> Network:
    return build_network("idih", width=8, depth=5).eval()


def pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(count)
    images = generator.standard_normal((count, 3, *SIZE), np.float32)
    return images, generator.random((count, 1, *SIZE), np.float32)


def plain(network: Network, images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(images), torch.from_numpy(masks)).numpy()


@pytest.fixture
def threads_of_torch(monkeypatch: pytest.MonkeyPatch) -> Generator[Callable[[int], None]]:
    """What sets torch's threads, on a machine of 64 cores, and sets them back in the end."""
    monkeypatch.setattr("harmonizer.threads.count_cores", lambda: 64)
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=get_args(NetworkBackend))
def run(request: pytest.FixtureRequest, network: Network) -> Run:
    if request.param == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    if request.param == "openvino":
        pytest.importorskip("openvino")
    return open_backend(request.param, network, SIZE, CPU, torch.float32)


@pytest.mark.parametrize("count", [1, 3])
def test_answers_are_those_of_the_network(run: Run, network: Network, count: int) -> None:
    images, masks = pictures(count)
    answer = run(images, masks)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, plain(network, images, masks), rtol=0, atol=1e-4)


def test_onnx_keeps_to_the_threads_that_torch_was_given(
    network: Network, threads_of_torch: Callable[[int], None]
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    for threads in (1, 6):
        threads_of_torch(threads)
        before = len(list(Path("/proc/self/task").iterdir()))
        run = open_backend("onnx", network, SIZE, CPU, torch.float32)
        run(*pictures(2))
        assert len(list(Path("/proc/self/task").iterdir())) - before == threads - 1


def test_openvino_keeps_to_the_threads_that_torch_was_given(
    network: Network, threads_of_torch: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")
    given: list[dict[str, Any]] = []
    compile_model = openvino.Core.compile_model

    def keep(core: Any, model: Any, device: str, settings: dict[str, Any]) -> Any:
        given.append(settings)
        return compile_model(core, model, device, settings)

    monkeypatch.setattr(openvino.Core, "compile_model", keep)
    for threads in (1, 6):
        threads_of_torch(threads)
        open_backend("openvino", network, SIZE, CPU, torch.float32)
        assert given[-1]["INFERENCE_NUM_THREADS"] == threads


def test_threads_do_not_disturb_each_other(run: Run, network: Network) -> None:
    inputs = [pictures(count) for count in (1, 2, 3, 4)] * 3
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda pair: run(*pair), inputs))
    for pair, answer in zip(inputs, answers, strict=True):
        np.testing.assert_allclose(answer, plain(network, *pair), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.2), (torch.float16, 0.03)])
def test_reduced_precision_rounds_only_what_is_predicted(
    network: Network, dtype: torch.dtype, tolerance: float
) -> None:
    images, masks = pictures(2)
    answer = open_backend("torch", network, SIZE, CPU, dtype)(images, masks)
    expected = plain(network, images, masks)
    assert answer.dtype == np.float32
    assert 0 < np.abs(answer - expected).max() < tolerance  # of values up to 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # Convolutions of float32 are computed in TF32 where the device has it: 10 bits.
    [(torch.float32, 0.02), (torch.float16, 0.03), (torch.bfloat16, 0.2)],
)
def test_cuda_gives_the_answers_of_the_network(
    network: Network, dtype: torch.dtype, tolerance: float
) -> None:
    images, masks = pictures(3)
    answer = open_backend("torch", network, SIZE, torch.device("cuda"), dtype)(images, masks)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, plain(network, images, masks), rtol=0, atol=tolerance)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_what_a_backend_cannot_do_is_refused(backend: NetworkBackend, network: Network) -> None:
    with pytest.raises(InputError, match="computes in float32"):
        open_backend(backend, network, SIZE, CPU, torch.float16)
    with pytest.raises(InputError, match="runs on the CPU"):
        open_backend(backend, network, SIZE, torch.device("cuda"), torch.float32)
    with pytest.raises(InputError, match="the backend is one of 'auto', 'opencv', 'torch', 'onnx'"):
        check_backend("tensorrt")
