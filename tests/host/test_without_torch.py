"""The bundled models run without torch, with torch's answers."""

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from programs import program
from safetensors.numpy import save

from harmonizer import Harmonizer, list_models, model_info
from harmonizer.errors import InputError, WeightsCorruptedError
from harmonizer.inference.backends.with_opencv import run_with_opencv
from harmonizer.zoo.bundled import bundled_graph, bundled_weights
from harmonizer.zoo.manifest import BundledFile

Noise = Callable[..., NDArray[np.uint8]]


def with_graph() -> list[str]:
    return [name for name in list_models() if source_of(name).graph]


def source_of(name: str) -> BundledFile:
    sources = model_info(name).sources
    first = sources[0] if sources else None
    return first if isinstance(first, BundledFile) else BundledFile("", "", 0)


def files_of(name: str) -> tuple[bytes, bytes]:
    graph = bundled_graph(source_of(name))
    assert graph is not None
    return graph.read(), bundled_weights(source_of(name)).read()


def test_the_default_model_has_a_graph() -> None:
    assert list_models()[0] in with_graph()


@pytest.mark.parametrize("name", with_graph())
def test_opencv_answers_as_torch_does(name: str, noise: Noise) -> None:
    image, mask = noise(150, 200), np.zeros((150, 200), np.float32)
    mask[30:120, 50:140] = 0.8
    image[30:120, 50:140] //= 3
    by = {
        backend: Harmonizer.from_pretrained(name, device="cpu", backend=backend)
        for backend in ("opencv", "torch")
    }
    pairs = [(image, mask), (image[:, ::-1].copy(), mask), (255 - image, mask)]
    composites = [by["torch"].prepare(*pair) for pair in pairs]
    answers = {backend: one.answer(composites) for backend, one in by.items()}
    for found, expected, composite in zip(*answers.values(), composites, strict=True):
        assert found is not None
        assert expected is not None
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
        assert not np.allclose(by["torch"].scaled(composite, expected), composite.low_res, atol=2)


@pytest.mark.parametrize("name", with_graph())
def test_weights_are_in_the_package_once(name: str) -> None:
    graph, weights = files_of(name)
    assert len(graph) < len(weights) / 20


def test_what_makes_no_network_is_refused() -> None:
    graph, weights = files_of(with_graph()[0])
    of_doubles = save({"double": np.zeros(3)})
    for parts in ((graph, weights[:100]), (graph[:-50], weights), (graph, of_doubles)):
        with pytest.raises(WeightsCorruptedError, match="make no network"):
            run_with_opencv(*parts)


def test_a_damaged_graph_is_refused() -> None:
    graph = bundled_graph(replace(source_of(with_graph()[0]), graph_sha256="0" * 64))
    assert graph is not None
    with pytest.raises(WeightsCorruptedError, match="has the sha256"):
        graph.read()


@pytest.mark.parametrize(
    ("options", "backend"),
    [
        ({}, "opencv"),
        ({"device": "cpu", "dtype": "float32"}, "opencv"),
        ({"device": torch.device("cpu"), "dtype": torch.float32}, "opencv"),
        ({"backend": "torch"}, "torch"),
        ({"dtype": "bfloat16", "device": "cpu"}, "torch"),
    ],
)
def test_what_runs_the_bundled_model(options: dict[str, Any], backend: str) -> None:
    found = Harmonizer.from_pretrained(**options)
    assert found.backend == backend
    assert found.device.type in ("cpu", "cuda", "mps")
    assert found.dtype == (torch.bfloat16 if "bfloat16" in options.values() else torch.float32)


def test_opencv_runs_nothing_else(brighten: Harmonizer) -> None:
    with pytest.raises(InputError, match="'opencv' runs the bundled models"):
        Harmonizer(brighten._network, brighten.info, backend="opencv")
    with pytest.raises(InputError, match=r"'opencv' runs the bundled models.*float16"):
        Harmonizer.from_pretrained(backend="opencv", dtype="float16")


# A program in which torch and the Hub's client cannot be imported at all.
_WITHOUT = """
import sys
for name in ("torch", "huggingface_hub", "httpx"):
    sys.modules[name] = None
"""
_TRAINING, _OTHER_FORMATS = "harmonizer.data", "PIL.PdfImagePlugin"


def test_pictures_are_harmonized_where_torch_cannot_be_imported(
    tmp_path: Path, noise: Noise
) -> None:
    image, mask = noise(150, 200), np.zeros((150, 200), np.uint8)
    mask[30:120, 50:140] = 255
    given, out = tmp_path / "in.npz", tmp_path / "out.npz"
    np.savez(given, image=image, mask=mask)
    program(
        f"""
        import numpy as np, pickle
        from harmonizer import Harmonizer, harmonize
        given = np.load({str(given)!r})
        image, mask = given["image"], given["mask"]
        copy = pickle.loads(pickle.dumps(Harmonizer.from_pretrained()))
        many = list(copy.harmonize_batch([image, image], [mask, mask]))
        copy.color_transform(image, mask)
        np.savez({str(out)!r}, one=harmonize(image, mask), many=many)
        """,
        begin=_WITHOUT,
    )
    found = np.load(out)
    expected = Harmonizer.from_pretrained(backend="torch", device="cpu")(image, mask)
    assert (expected != image).any()
    for picture in (found["one"], *found["many"]):
        assert np.abs(picture.astype(int) - expected).max() <= 1


def test_commands_run_where_torch_cannot_be_imported(tmp_path: Path, noise: Noise) -> None:
    picture = noise(90, 120)
    mask = np.zeros((90, 120), np.uint8)
    mask[20:60, 30:90] = 255
    for folder, content in (("pictures", picture), ("masks", mask)):
        (tmp_path / folder).mkdir()
        for name in "ab":
            Image.fromarray(content).save(tmp_path / folder / f"{name}.png")
    one, many = tmp_path / "one.png", tmp_path / "many"
    pictures, masks = tmp_path / "pictures", tmp_path / "masks"
    for paths, written, left_alone in (
        ((pictures / "a.png", masks / "a.png", one), one, {_TRAINING, _OTHER_FORMATS}),
        ((pictures, masks, many), many / "b.png", {_TRAINING}),
    ):
        image, mask_path, out = map(str, paths)
        arguments = [image, mask_path, "-o", out]
        program(
            f"""
            from harmonizer.cli import main
            code = main(["run", *{arguments}])
            assert not {left_alone} & set(sys.modules), "imported, and not needed"
            raise SystemExit(code)
            """,
            begin=_WITHOUT,
        )
        assert (np.asarray(Image.open(written)) != picture).any()


def test_weights_are_in_memory_once() -> None:
    def count() -> int:
        gc.collect()
        alive = [one for one in gc.get_objects() if isinstance(one, torch.nn.Parameter)]
        return sum(one.numel() for one in alive)

    before = count()
    loaded = Harmonizer.from_pretrained(backend="torch", device="cpu")
    assert 0.9 < (count() - before) / loaded.info.parameters < 1.1
