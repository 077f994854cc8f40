"""Saved models on this machine, what names mean, and the manifest itself."""

import json
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import box_mask
from zoo_models import tiny_model

from harmonizer import Harmonizer, ModelInfo, list_models, model_info
from harmonizer.errors import (
    InputError,
    UnknownModelError,
    WeightsCorruptedError,
    WeightsUnavailableError,
)
from harmonizer.networks import build_network, list_networks
from harmonizer.zoo import bundled
from harmonizer.zoo.integrity import Weights
from harmonizer.zoo.manifest import BundledFile, default_model
from harmonizer.zoo.names import HubName, LocalPath, ZooName, parse_name
from harmonizer.zoo.options import FetchOptions
from harmonizer.zoo.publish import save_model
from harmonizer.zoo.sources import fetch_weights

ROOT = Path(__file__).parents[2]


def load(place: Any) -> Harmonizer:
    return Harmonizer.from_pretrained(place, device="cpu")


# --- saved models ---------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["folder", "text", "file", "slash"])
def test_a_saved_model_is_the_same_model(spelling: str, saved: Path) -> None:
    place: Any = {
        "folder": saved,
        "text": str(saved),
        "file": str(saved / "model.safetensors"),
        "slash": f"{saved}/",
    }[spelling]
    loaded, original = load(place), tiny_model()
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    assert np.array_equal(loaded(image, box_mask(60, 80)), original(image, box_mask(60, 80)))
    for field in ("name", "architecture", "arguments", "preprocessing", "licence", "metrics"):
        assert getattr(loaded.info, field) == getattr(original.info, field)


def test_loading_writes_nothing_beside_the_weights(saved: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in saved.rglob("*")}
    load(saved)
    assert {path: path.stat().st_mtime_ns for path in saved.rglob("*")} == before


def test_the_model_card_says_what_the_model_is(saved: Path) -> None:
    card = (saved / "README.md").read_text()
    assert card.startswith("---\nlibrary_name:")
    assert "MPL-2.0" in card
    assert "256 x 256" in card


def test_the_model_card_has_the_results_as_tables(tmp_path: Path, model: Harmonizer) -> None:
    values = {"all": {"mse": 12.345678901, "psnr": 30.5}, "a part": {"mse": 1855.36}}
    measured = {"data": "20 pairs", "protocol": "paper", "source": "measured", "command": "a --b"}
    info = replace(model.info, metrics=({**measured, "values": values}, model.info.metrics[0]))
    save_model(build_network("idih", width=4, depth=4), info, tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert (
        """
20 pairs; paper; measured, by `a --b`

|  | mse | psnr |
| --- | --: | --: |
| all | 12.3457 | 30.5 |
| a part | 1855.36 |  |
"""
        in card
    )
    assert model.info.metrics[0]["data"] in card


def test_a_model_is_not_saved_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"precious")
    with pytest.raises(InputError, match=r"cat\.png is a file; name a folder"):
        tiny_model().save_pretrained(tmp_path / "cat.png")
    assert (tmp_path / "cat.png").read_bytes() == b"precious"


def test_a_flipped_byte_is_refused(saved: Path) -> None:
    weights = saved / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WeightsCorruptedError, match="sha256"):
        load(saved)


def test_files_of_the_user_are_not_touched(saved: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    weights = saved / "model.safetensors"
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(precious)
    with pytest.raises(WeightsCorruptedError):
        load(saved)
    assert precious.read_text() == "mine"
    assert weights.is_symlink()


def test_a_loaded_model_does_not_depend_on_its_file(saved: Path) -> None:
    loaded, original = load(saved), tiny_model()
    with (saved / "model.safetensors").open("r+b") as file:
        file.write(bytes(20_000))
        file.truncate(20_000)
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    assert np.array_equal(loaded(image, box_mask(60, 80)), original(image, box_mask(60, 80)))


def rewrite_config(saved: Path, **changes: Any) -> None:
    config = json.loads((saved / "config.json").read_text())
    for key, value in changes.items():
        if value is ...:
            del config[key]
        else:
            config[key] = value
    (saved / "config.json").write_text(json.dumps(config))


PREPROCESSING = {
    "input_size": [256, 256],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "resampler": "opencv-linear",
}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architecture": ...}, "lacks 'architecture'"),
        ({"preprocessing": ...}, "lacks 'preprocessing'"),
        ({"architecture": "unet"}, "cannot be built"),
        ({"architecture": 3}, "expected a text"),
        ({"arguments": {"widht": 2}}, "cannot be built"),
        ({"arguments": {"width": "two"}}, "cannot be built"),
        ({"arguments": {"width": -4}}, "cannot be built"),
        ({"arguments": [1]}, "not what it should be"),
        ({"arguments": {"width": 4}}, "misshapen"),
        ({"architecture": "is2am", "arguments": {}}, "missing"),
        ({"parameters": "many"}, "not what it should be"),
        ({"status": "splendid"}, "expected one of bundled"),
        ({"preprocessing": {"input_size": [256, 256], "mean": [0, 0, 0]}}, "lacks 'std'"),
        (
            {"preprocessing": {"input_size": [0, 256], "mean": [0] * 3, "std": [1] * 3}},
            "at least 1",
        ),
        (
            {
                "preprocessing": {
                    "input_size": [256, 256],
                    "mean": [0, 0, 0],
                    "std": [1, 1, 1],
                    "resampler": "magic",
                }
            },
            "opencv-linear",
        ),
        ({"weights": []}, "not this library's"),
        ({"weights": {"sha256": 5}}, "not this library's"),
        ({"arguments": {"width": 10**9}}, "cannot be built|misshapen"),
        ({"arguments": {"depth": 10**6}}, "depth from 2 to 12"),
        ({"architecture": "is2am", "arguments": {"depth": 10**6}}, "depth from 2 to 12"),
        ({"architecture": "dovenet", "arguments": {"depth": 10**6}}, "depth from 2 to 12"),
        (
            {"architecture": "idih-hrnet-w18s", "arguments": {"pyramid_levels": 10**6}},
            "0 to 12 levels",
        ),
        (
            {"architecture": "idih-hrnet-w18s", "arguments": {"backbone": {"width": 10}}},
            "cannot be built",
        ),
        ({"architecture": "idih-hrnet-w18s", "arguments": {"base": "idih"}}, "cannot be built"),
        ({"parameters": float("inf")}, "whole number"),
        ({"preprocessing": PREPROCESSING | {"input_size": [10**6, 256]}}, "at most 4096"),
        ({"preprocessing": PREPROCESSING | {"input_size": ["256", 256]}}, "whole number"),
        ({"preprocessing": PREPROCESSING | {"std": [0, 1, 1]}}, "positive numbers"),
        ({"preprocessing": PREPROCESSING | {"mean": [float("nan"), 1, 1]}}, "three numbers"),
    ],
)
def test_a_wrong_config_is_refused_with_a_reason(
    changes: dict[str, Any], reason: str, saved: Path
) -> None:
    rewrite_config(saved, **changes)
    with pytest.raises(WeightsCorruptedError, match=reason):
        load(saved)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(file: str, saved: Path) -> None:
    (saved / file).unlink()
    with pytest.raises(WeightsUnavailableError, match=f"there is no file .*{file}"):
        load(saved)
    with pytest.raises(WeightsUnavailableError, match="there is no file"):
        load(saved / "nowhere")


def test_a_folder_of_a_run_names_the_model_in_it(tmp_path: Path, saved: Path) -> None:
    for name in ("model", "best"):
        shutil.copytree(saved, tmp_path / "run" / name)
    with pytest.raises(WeightsUnavailableError, match=r"Did you mean .*run.best\?"):
        load(tmp_path / "run")


def lying(header: dict[str, Any], length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + b"\0" * 16


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 4,
        lying({}, length=2**60),
        lying({}, length=0),
        lying({"a": {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4000]}}),
        lying({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}),
        lying({"a": {"dtype": "F99", "shape": [4], "data_offsets": [0, 16]}}),
        lying({"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}),
        lying({"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 16]}}),
        struct.pack("<Q", 4) + b"nope" + b"\0" * 16,
    ],
)
def test_safetensors_that_lie_are_refused(content: bytes, saved: Path) -> None:
    (saved / "model.safetensors").write_bytes(content)
    rewrite_config(saved, weights={})  # nobody vouches for the content
    with pytest.raises(WeightsCorruptedError):
        load(saved)


def test_a_header_of_many_tensors_is_not_read(saved: Path) -> None:
    one = b'"t%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
    header = b"{" + b"".join(one % i for i in range(100_000))[:-1] + b"}"
    (saved / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    rewrite_config(saved, weights={})
    with pytest.raises(WeightsCorruptedError, match="its header says that it has 5,"):
        load(saved)


def test_a_released_file_is_not_loaded_unconverted(tmp_path: Path) -> None:
    (tmp_path / "idih256.pth").write_bytes(b"")
    with pytest.raises(InputError, match="harmonizer convert"):
        load(tmp_path / "idih256.pth")


def test_saving_again_replaces_and_a_failure_leaves_the_old(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_model(seed=1).save_pretrained(saved)
    other = load(saved)
    assert str(other) == str(tiny_model())

    def disk_full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        tiny_model(seed=2).save_pretrained(saved)
    monkeypatch.undo()
    load(saved)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (None, ZooName("colormap-lite0-open")),
        ("idih", ZooName("idih")),
        ("zoo:idih", ZooName("idih")),
        ("idih256", ZooName("idih256")),
        ("owner/name", HubName("owner/name")),
        ("hub:owner/name", HubName("owner/name")),
        ("./idih", LocalPath(Path("idih"))),
        ("/a/b", LocalPath(Path("/a/b"))),
        ("a.safetensors", LocalPath(Path("a.safetensors"))),
        (Path("idih"), LocalPath(Path("idih"))),
        ("nonsense", ZooName("nonsense")),
    ],
)
def test_names(name: Any, place: Any) -> None:
    assert parse_name(name) == place


def test_ambiguous_names_are_refused_with_both_spellings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idih").mkdir()
    (tmp_path / "owner" / "name").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match=r"'zoo:idih' for the one, './idih' for the other"):
        parse_name("idih")
    with pytest.raises(InputError, match=r"'hub:owner/name' for the one, './owner/name'"):
        parse_name("owner/name")
    assert parse_name("zoo:idih") == ZooName("idih")
    assert parse_name("./idih") == LocalPath(Path("idih"))
    assert parse_name("mine") == LocalPath(Path("mine"))


@pytest.mark.parametrize("name", ["hub:gpt2", "hub:../../etc", "hub:a/b/c"])
def test_a_repository_has_an_owner_and_a_name(name: str) -> None:
    with pytest.raises(InputError, match="owner/name"):
        parse_name(name)


def test_weights_that_are_no_numbers_are_named(saved: Path) -> None:
    model = tiny_model()
    for parameter in model._network.parameters():
        parameter.data.fill_(float("nan"))
    broken = Harmonizer(model._network, model.info, device="cpu")
    with pytest.raises(WeightsCorruptedError, match="answers with NaN"):
        broken.predict(np.zeros((8, 8, 3), np.uint8), box_mask(8, 8))


def test_unknown_names_list_close_ones_and_all() -> None:
    with pytest.raises(UnknownModelError, match="Did you mean idih-hrnet-w18") as caught:
        load("idih-hrnet-w19")
    assert all(name in str(caught.value) for name in list_models())


def test_a_revision_belongs_to_the_hub() -> None:
    with pytest.raises(InputError, match="revision"):
        Harmonizer.from_pretrained("colormap-lite0-open", revision="main")


def test_a_backend_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="backend"):
        Harmonizer.from_pretrained(backend="tensorflow")  # pyright: ignore[reportArgumentType]


def test_models_without_weights_say_what_would_be_needed() -> None:
    for name in set(list_models()) - set(list_models(with_weights=True)):
        assert model_info(name).note
        with pytest.raises(WeightsUnavailableError, match="no weights of"):
            load(name)


# --- the manifest ---------------------------------------------------------------------------------


def test_every_network_is_in_the_manifest_with_its_size() -> None:
    assert set(list_networks()) == {model_info(name).architecture for name in list_models()}
    import torch

    for name in list_models():
        info = model_info(name)
        with torch.device("meta"):
            network = build_network(info.architecture, **info.arguments)
        assert info.parameters == sum(p.numel() for p in network.parameters())
        assert info.status == "unpublished" or (info.sources and info.licence and info.trained_on)


def test_aliases_lead_to_their_models() -> None:
    assert model_info("hrnet18_idih256").name == "idih-hrnet-w18"
    everything = [*list_models(), *(a for n in list_models() for a in model_info(n).aliases)]
    assert len(everything) == len(set(everything))


def test_the_manifest_fits_its_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "docs" / "weights_manifest.schema.json").read_text())
    manifest = json.loads((ROOT / "weights_manifest.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert [error.message for error in validator.iter_errors(manifest)] == []
    for changes in ({"status": "fine"}, {"parameters": 0}, {"colour": "blue"}, {"sources": [{}]}):
        broken = manifest | {"models": [manifest["models"][0] | changes]}
        assert list(validator.iter_errors(broken)), changes


def test_the_papers_rows_are_there() -> None:
    """Table 1 and table 3 of the paper, by the mean squared error over all test images."""
    found = {
        (info.name, metric["values"]["all"]["mse"])
        for info in map(model_info, list_models())
        for metric in info.metrics
        if "all" in metric["values"] and metric["source"] != "measured"
    }
    rows = {
        "dih": [76.77, 65.65, 55.44, 36.97, 34.80],
        "s2am": [59.67, 30.01],
        "dovenet": [52.36],
        "idih": [33.96, 30.79, 30.70],
        "idih-hrnet-w18s": [22.34, 22.82],
        "idih-hrnet-w18s-nomask": [27.00],
        "idih-hrnet-w18s-v2p": [23.07],
        "idih-hrnet-w18": [22.15, 22.99],
        "idih-hrnet-w18-v2p": [23.10],
        "idih-hrnet-w32": [23.67, 22.22],
        "idih-deeplabv3p-r34": [26.87, 27.37],
        "is2am": [24.65],
        "is2am-hrnet-w18s": [23.27],
        "is2am-hrnet-w18": [24.67],
    }
    assert found == {(name, mse) for name, values in rows.items() for mse in values}


def test_model_info_is_public_and_frozen() -> None:
    info = model_info("idih")
    assert isinstance(info, ModelInfo)
    with pytest.raises(AttributeError):
        info.name = "other"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_package_in_an_archive_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site.zip").touch()
    monkeypatch.setattr(bundled.resources, "files", lambda _: tmp_path / "site.zip" / "zoo")
    with pytest.raises(WeightsUnavailableError, match="is in an archive"):
        Harmonizer.from_pretrained(device="cpu")


def test_bundled_weights_that_are_missing_or_of_another_hash_are_refused() -> None:
    info = model_info(default_model())
    source = info.sources[0]
    assert isinstance(source, BundledFile)
    for broken, error, said in (
        (replace(source, file="weights/none"), WeightsUnavailableError, "is missing; reinstall"),
        (replace(source, sha256="0" * 64), WeightsCorruptedError, "has the sha256 .* Reinstall"),
    ):
        with pytest.raises(error, match=said):
            fetch_weights(replace(info, sources=(broken,)), FetchOptions())


def test_what_cannot_be_set_aside_is_left_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "model.safetensors"
    file.write_bytes(b"something else")
    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(WeightsCorruptedError, match=r"could not be set aside .*; delete "):
        Weights(file, "0" * 64, None, "the weights", cached=True).read()
    assert file.read_bytes() == b"something else"
