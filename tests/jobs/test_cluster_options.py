"""What a dataset's workers are told, without a cluster."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import box_mask
from PIL import Image

from harmonizer import Harmonizer
from harmonizer.errors import InputError
from harmonizer.imaging.image import open_image
from harmonizer.jobs import cluster
from harmonizer.jobs.folder import Job, Outcome

MASK = box_mask(40, 60)
LOADED: dict[str, Any] = {
    "model": "a model",
    "device": "cuda:1",
    "dtype": "bfloat16",
    "backend": "onnx",
}


@pytest.fixture
def in_this_process(
    tmp_path: Path, noise: Any, brighten: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[Any, dict[str, Any]]]:
    """Have a worker's tasks done here; return what models were loaded with meanwhile."""
    ray = SimpleNamespace(is_initialized=lambda: True, cluster_resources=lambda: {"CPU": 2})
    monkeypatch.setattr(cluster, "import_extra", lambda *_: ray)
    monkeypatch.setattr(cluster, "set_threads", lambda _: None)
    monkeypatch.setattr(cluster, "_portable", lambda model: model)
    loaded: list[tuple[Any, dict[str, Any]]] = []

    def load(name: Any, **options: Any) -> Harmonizer:
        loaded.append((name, options))
        return brighten

    def work(_: Any, settings: Any, __: Any, jobs: Sequence[Job]) -> Iterator[Outcome]:
        settings.attempts.mkdir(parents=True)
        columns = ("image", "mask", "output")
        batch = {name: [str(getattr(job, name)) for job in jobs] for name in columns}
        errors = cluster._Worker(settings)(batch)["error"]
        assert errors == [""] * len(jobs)
        yield from (Outcome(job, None, ()) for job in jobs)

    monkeypatch.setattr(Harmonizer, "from_pretrained", load)
    monkeypatch.setattr(cluster, "_work", work)
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.fromarray(noise(40, 60, seed=number)).save(tmp_path / "in" / f"{number}.png")
        Image.fromarray(MASK).save(tmp_path / "in" / f"{number}_mask.png")
    return loaded


@pytest.mark.parametrize("strength", [1.0, 0.4])
@pytest.mark.usefixtures("in_this_process")
def test_a_worker_harmonizes_each_picture_at_the_strength(
    strength: float, tmp_path: Path, brighten: Harmonizer
) -> None:
    options = {"strength": strength, "batch_size": 2}
    summary = cluster.harmonize_dataset(tmp_path / "in", tmp_path / "out", **options)
    assert summary.harmonized == 3
    for number in range(3):
        before, after = (
            open_image(tmp_path / folder / f"{number}.png").pixels for folder in ("in", "out")
        )
        assert not np.array_equal(after, before)
        assert np.array_equal(after, brighten(before, MASK, strength=strength))


def test_a_quality_that_there_is_not_is_refused_before_the_work(
    in_this_process: list[Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="quality is a whole number from 1 to 100; got 0"):
        cluster.harmonize_dataset(tmp_path / "in", tmp_path / "out", quality=0)
    assert not in_this_process


@pytest.mark.usefixtures("in_this_process")
def test_a_worker_does_again_what_is_forced_and_minds_quality(tmp_path: Path) -> None:
    sizes: list[int] = []
    for quality in (95, 30):
        options: dict[str, Any] = {"ending": ".jpg", "quality": quality, "force": True}
        summary = cluster.harmonize_dataset(tmp_path / "in", tmp_path / "out", **options)
        assert (summary.harmonized, summary.skipped) == (3, 0)
        sizes.append((tmp_path / "out" / "0.jpg").stat().st_size)
    assert sizes[1] < sizes[0]
    summary = cluster.harmonize_dataset(tmp_path / "in", tmp_path / "out", ending=".jpg")
    assert (summary.harmonized, summary.skipped) == (0, 3)


@pytest.mark.usefixtures("in_this_process")
def test_a_worker_resizes_a_mask_on_request(tmp_path: Path) -> None:
    Image.fromarray(MASK[::2, ::2]).save(tmp_path / "in" / "0_mask.png")
    with pytest.raises(AssertionError, match="same size"):
        cluster.harmonize_dataset(tmp_path / "in", tmp_path / "out")
    options: dict[str, Any] = {"resize_mask": True, "force": True}
    assert cluster.harmonize_dataset(tmp_path / "in", tmp_path / "out", **options).harmonized == 3


def test_a_workers_model_is_loaded_as_it_was_asked_for(
    tmp_path: Path, in_this_process: list[tuple[Any, dict[str, Any]]]
) -> None:
    cluster.harmonize_dataset(tmp_path / "in", tmp_path / "out", **LOADED)
    name = LOADED["model"]
    options = {key: value for key, value in LOADED.items() if key != "model"}
    # Once to see that there is such a model, on the machine that asks, and once in the worker.
    assert in_this_process == [(name, options | {"device": "cpu"}), (name, options)]
