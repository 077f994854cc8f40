"""A process that has loaded a model is forked: gunicorn --preload, Celery, multiprocessing."""

import os

import pytest
from programs import program

if not hasattr(os, "fork"):
    pytest.skip("nothing forks here", allow_module_level=True)

# A child that hangs is killed after a minute; -14 is SIGALRM.
FORKED = """
import signal
torch.set_num_threads(2)

def in_child(work):
    child = os.fork()
    if not child:
        signal.alarm(60)
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def near(one, other):
    return int(np.abs(np.subtract(one, other, dtype=int)).max()) <= 1
"""


def forked(code: str) -> None:
    program(FORKED + code)


@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino"])
def test_a_child_harmonizes_with_the_parents_model(backend: str) -> None:
    if backend != "torch":
        pytest.importorskip("onnxscript" if backend == "onnx" else backend)
    forked(f"""
model = load(backend={backend!r})
expected = model(image, mask)
for _ in range(3):
    in_child(lambda: near(model(image, mask), expected) and torch.get_num_threads() == 1)
assert torch.get_num_threads() == 2
assert np.array_equal(model(image, mask), expected)
""")


def test_a_child_of_a_child_and_a_model_that_never_ran() -> None:
    forked("""
model = load()
def child():
    in_child(lambda: model(image, mask).shape == image.shape)
    return model(image, mask).shape == image.shape
in_child(child)
""")


def test_a_child_loads_models_itself() -> None:
    forked("""
expected = harmonize(image, mask, "colormap-lite0-open", device="cpu")
in_child(lambda: near(load()(image, mask), expected))
in_child(lambda: near(harmonize(image, mask, "zoo:colormap-lite0-open", device="cpu"), expected))
""")


def test_a_child_of_one_that_runs_by_opencv() -> None:
    forked("""
model = load(backend="opencv")
expected = model(image, mask)
in_child(lambda: near(model(image, mask), expected))
in_child(lambda: near(load(backend="opencv")(image, mask), expected))
""")


def test_a_pool_of_forked_processes() -> None:
    forked("""
import multiprocessing
model = load()
expected = model(image, mask)
def work(_):
    return model(image, mask)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert all(near(one, expected) for one in pool.map(work, range(6)))
""")


def test_forked_while_another_thread_loads_a_model() -> None:
    forked("""
import threading
from harmonizer.pipeline import one_call
loading, ended = threading.Event(), threading.Event()
def slow(*_, **__):
    loading.set()
    ended.wait(60)
    return model
model = load()
one_call.Harmonizer.from_pretrained = slow
thread = threading.Thread(target=harmonize, args=(image, mask))
thread.start()
loading.wait()
def child():
    ended.set()
    return near(harmonize(image, mask), model(image, mask))
in_child(child)
ended.set()
thread.join()
""")


def test_forked_while_another_thread_runs_a_model_by_opencv() -> None:
    forked("""
import threading
model = load(backend="opencv")
expected = model(image, mask)
running, ended = threading.Event(), threading.Event()
def work():
    while not ended.is_set():
        running.set()
        model(image, mask)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
running.wait()
for _ in range(8):
    in_child(lambda: near(model(image, mask), expected))
ended.set()
for thread in threads:
    thread.join()
""")


def test_forked_while_another_thread_reads_a_file() -> None:
    forked("""
import io
import threading
from PIL import Image
from harmonizer.imaging.files import open_file
reading, ended = threading.Event(), threading.Event()
file = io.BytesIO()
Image.fromarray(image).save(file, "PNG")
class Slow(io.BytesIO):
    def read(self, *size):
        reading.set()
        ended.wait(60)
        return super().read(*size)
slow = Slow(file.getvalue())
thread = threading.Thread(target=open_file, args=(slow,))
thread.start()
reading.wait()
def child():
    ended.set()
    return np.array_equal(open_file(slow)[0], image)
in_child(child)
ended.set()
thread.join()
""")


def test_a_program_that_forks_before_it_loads_keeps_its_threads() -> None:
    forked("""
in_child(lambda: load()(image, mask).shape == image.shape and torch.get_num_threads() == 2)
""")
