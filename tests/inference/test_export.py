"""A model as an ONNX file: what is in it, and what it answers."""

import json
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_networks import small_idih

from harmonizer import Harmonizer, model_info
from harmonizer.cli import main
from harmonizer.errors import ExportError, InputError
from harmonizer.inference import export
from harmonizer.networks import build_network

onnx: Any = pytest.importorskip("onnx")
onnxruntime: Any = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def test_the_file_and_its_metadata_are_all_one_needs(tmp_path: Path, model: Harmonizer) -> None:
    path = tmp_path / "model.onnx"
    assert main(["export", model.info.name, "--format", "onnx", "-o", str(path)]) == 0
    onnx.checker.check_model(str(path), full_check=True)
    known = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert known["name"] == model.info.name
    todo = json.loads(known["preprocessing"])
    height, width = todo["input_size"]
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    mask = np.zeros((height, width), np.float32)
    mask[20:70, 30:90] = 1

    session = onnxruntime.InferenceSession(str(path))
    ends = (*session.get_inputs(), *session.get_outputs())
    assert {one.name: one.shape for one in ends} == {
        "image": ["batch", 3, height, width],
        "mask": ["batch", 1, height, width],
        "harmonized": ["batch", 3, height, width],
    }
    normalised = (picture / 255 - todo["mean"]) / todo["std"]
    image = normalised.transpose(2, 0, 1)[None].astype(np.float32)
    (answer,) = session.run(["harmonized"], {"image": image, "mask": mask[None, None]})
    found = (answer[0].transpose(1, 2, 0) * todo["std"] + todo["mean"]).clip(0, 1) * 255
    assert np.abs(found - picture).max() > 1
    np.testing.assert_allclose(found, model.predict(picture, mask), rtol=0, atol=1e-2)


def test_files_are_not_replaced_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"precious")
    assert main(["export", model_info("idih").name, "-o", str(path)]) == 1
    assert "exists already; add --force" in capsys.readouterr().err
    assert path.read_bytes() == b"precious"


def test_translating_works_where_warnings_are_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export.to_onnx(build_network("idih", width=4, depth=4).eval(), (32, 32))


def test_a_name_that_promises_another_format_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.pt"
    assert main(["export", "a-model-that-is-not-looked-for", "-o", str(path)]) == 1
    assert "end its name in .onnx; got 'net.pt'" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"end its name in \.onnx"):
        export.export_onnx(build_network("idih", width=4, depth=4), model_info("idih"), path)
    assert not list(tmp_path.iterdir())


def test_a_model_that_answers_differently_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = build_network("idih", width=4, depth=4).eval()
    other = build_network("idih", width=4, depth=4).eval()
    translate = export.to_onnx
    monkeypatch.setattr(export, "to_onnx", lambda _, size: translate(other, size))
    info = model_info("idih")
    small = replace(info.preprocessing, input_size=(32, 32))
    with pytest.raises(ExportError, match="differs from torch by"):
        export.export_onnx(network, replace(info, preprocessing=small), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_what_a_program_has_set_does_not_reach_the_graph(backend: str) -> None:
    """Types and devices that a notebook has set for itself."""
    pytest.importorskip("onnxruntime" if backend == "onnx" else backend)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        found = Harmonizer.from_pretrained(device="cpu", backend=cast(Any, backend))
        answer = found(*_picture())
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    expected = Harmonizer.from_pretrained(device="cpu", backend="torch")(*_picture())
    assert np.abs(answer.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_reduced_arithmetic_around_does_not_reach_the_graph(backend: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime" if backend == "onnx" else backend)
    small_idih().save_pretrained(tmp_path)
    load = partial(Harmonizer.from_pretrained, tmp_path, device="cpu", backend=cast(Any, backend))
    with torch.autocast("cpu", torch.bfloat16):
        found = load()
        if backend == "onnx":
            export.export_onnx(found._network, found.info, tmp_path / "model.onnx")
    expected = load().predict(*_picture())
    np.testing.assert_array_equal(found.predict(*_picture()), expected)


def _picture() -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    mask = np.zeros((40, 60), np.float32)
    mask[10:30, 10:40] = 1
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8), mask
