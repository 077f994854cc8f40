"""Weights and checkpoints that are damaged, swapped, bombs, or hold what no network has."""

import codecs
import io
import json
import os
import pickletools
import struct
import sys
import tracemalloc
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from zoo_models import tiny_model

from harmonizer import Harmonizer
from harmonizer.errors import (
    HarmonizerError,
    InputError,
    WeightsCorruptedError,
    WeightsUnavailableError,
)
from harmonizer.training.run_folder import (
    CHECKPOINT_FILE,
    load_checkpoint,
    read_progress,
    save_checkpoint,
)
from harmonizer.zoo import convert_state_dict
from harmonizer.zoo.archive import read_archive
from harmonizer.zoo.integrity import Weights


def saved(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


STATE: dict[str, Any] = {"step": 3, "network": {"a": torch.arange(200.0), "b": torch.ones(7, 5)}}


def test_no_flipped_bit_changes_what_is_loaded() -> None:
    """A flip in what nothing is read from, such as padding and dates, may pass."""
    content = saved(STATE)
    refused = 0
    for position in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        try:
            found = read_archive(bytes(damaged), "the file")
        except WeightsCorruptedError:
            refused += 1
            continue
        assert found["step"] == 3
        for name, tensor in STATE["network"].items():
            assert torch.equal(found["network"][name], tensor)
    assert refused > 100


def test_a_cut_archive_is_refused_at_every_length() -> None:
    for state in (saved(STATE), legacy(STATE)):
        for length in range(0, len(state) - 1, 97):
            with pytest.raises(WeightsCorruptedError):
                read_archive(state[:length], "the file")


def legacy(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def test_an_archive_is_not_unpacked_to_more_than_it_has() -> None:
    """1.4 MB of zeros, compressed, would be 1.4 GB."""
    plain, packed = io.BytesIO(saved({"a": torch.zeros(25_000_000)})), io.BytesIO()
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in source.namelist():
            bomb.writestr(name, source.read(name))
    assert len(packed.getvalue()) < 1_000_000
    with pytest.raises(WeightsCorruptedError, match="larger than the file"):
        read_archive(packed.getvalue(), "the file")


class Filled:
    """Pickled as a call that makes many bytes."""

    def __reduce__(self) -> Any:
        return bytearray, (200_000_000,)


class Doubled:
    """Pickled as calls that double what they are given, again and again."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __reduce__(self) -> Any:
        less = Doubled(self.times - 1) if self.times else b"0123456789"
        return codecs.encode, (less, "hex_codec")


class Called:
    """Pickled as a call of what torch's reader may call, with one number for many."""

    def __init__(self, function: Any, *more: Any) -> None:
        self.function, self.more = function, more

    def __reduce__(self) -> Any:
        return self.function, (torch.zeros(1).expand(100_000), *self.more)


REBUILD = torch._utils._rebuild_device_tensor_from_cpu_tensor  # type: ignore[attr-defined]
BOMBS: dict[str, Any] = {
    "filled": Filled(),
    "doubled": Doubled(24),
    "converted": Called(REBUILD, torch.float64, "cpu", False),
    "set": Called(set),
    "counter": Called(Counter),
    "untyped": Called(torch.UntypedStorage),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.parametrize("form", ["plain", "legacy", "compressed"])
def test_a_few_bytes_do_not_become_many(bomb: Any, form: str) -> None:
    content = (legacy if form == "legacy" else saved)({"a": bomb})
    if form == "compressed":  # beside something that is as large as what is unpacked
        plain, content = zipfile.ZipFile(io.BytesIO(content)), b""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as packed:
            for one in plain.infolist():
                kind = zipfile.ZIP_DEFLATED if "pkl" in one.filename else zipfile.ZIP_STORED
                packed.writestr(one.filename, plain.read(one), kind)
        content = buffer.getvalue()
    tracemalloc.start()
    try:
        with pytest.raises(WeightsCorruptedError):
            read_archive(content, "the file")
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def with_pickle(pickled: bytes) -> bytes:
    """Return an archive of torch's with another pickle."""
    plain, buffer = zipfile.ZipFile(io.BytesIO(saved({"a": torch.zeros(1)}))), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as changed:
        for one in plain.infolist():
            is_pickle = one.filename.endswith("data.pkl")
            changed.writestr(one.filename, pickled if is_pickle else plain.read(one))
    return buffer.getvalue()


DOUBLED = b")q\0" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(20))
ORDERED = b"ccollections\nOrderedDict\n"


@pytest.mark.parametrize(
    "pickled",
    [
        pytest.param(b"}h\x14K\1s.", id="a key"),
        pytest.param(b"}(K\2K\1h\x14K\1u.", id="a later key"),
        pytest.param(ORDERED + b"]](h\x14K\1ea\x85R.", id="a key of a call"),
        pytest.param(
            ORDERED + b"]q\x20\x85q\x21h\x20](h\x14K\1ea0h\x21R.", id="a key of a list that grew"
        ),
        pytest.param(b"}X\1\0\0\0ah\x14Qs.", id="where a tensor lies"),
        pytest.param(b"}X\1\0\0\0acbuiltins\nset\n]h\x14a\x85Rs.", id="a set"),
        pytest.param(b"}X\1\0\0\0a\x8f(h\x14\x90s.", id="a set of another protocol"),
    ],
)
def test_a_hash_without_an_end_is_not_begun(pickled: bytes) -> None:
    """Tuples, each of which holds the one before twice: of sixty, Ctrl-C would not end it."""
    with pytest.raises(WeightsCorruptedError, match="and was not loaded"):
        read_archive(with_pickle(b"\x80\2" + DOUBLED + pickled), "the file")


@pytest.mark.parametrize("opened", [b"]", b"(", b"K\1\x85", b"}"], ids=["[", "(", "1,", "{"])
def test_values_that_belong_to_nothing_are_not_kept(opened: bytes) -> None:
    """A byte of each would take hundreds in memory; what people save is written by the thousand."""
    with pytest.raises(WeightsCorruptedError, match="of its values belong to nothing"):
        read_archive(with_pickle(b"\x80\2](" + opened * 200_000 + b"e."), "the file")
    many = {f"layer{number}.weight": torch.zeros(1) for number in range(5000)}
    assert read_archive(saved(many), "the file").keys() == many.keys()


HOSTILE = b"\x80\2" + DOUBLED + b"}h\x14K\1s."


@pytest.mark.parametrize("name", ["archive/data.PKL", "archive/data.pkl\0.txt"])
def test_a_pickle_is_found_as_torch_finds_it(name: str) -> None:
    """It takes small letters for capitals, and a name to its end."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/" + "x" * (len(name) - 8), HOSTILE)
        archive.writestr("archive/version", "3\n")
    content = buffer.getvalue().replace(b"archive/" + b"x" * (len(name) - 8), name.encode())
    with pytest.raises(WeightsCorruptedError, match=r"neither a text nor a small|are alike"):
        read_archive(content, "the file")


def test_two_parts_of_one_name_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, pickled in (("a/data.pkl", HOSTILE), ("a/data.pkx", b"\x80\2}.")):
            archive.writestr(name, pickled)
    content = buffer.getvalue().replace(b"a/data.pkx", b"a/DATA.pkl")
    with pytest.raises(WeightsCorruptedError, match="names that are alike"):
        read_archive(content, "the file")


def test_a_part_of_two_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 3.13 on, Python's reader goes by the second, in the part's extra field; torch's not."""
    name, other = b"archive/data.pkl", b"archive/data"
    part = zipfile.ZipInfo(name.decode())
    part.extra = struct.pack("<HHBL", 0x7075, 5 + len(other), 1, zlib.crc32(name)) + other
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(part, HOSTILE)
        archive.writestr("archive/version", "3\n")
    if sys.version_info < (3, 13):

        def named(self: Any) -> None:
            if self.extra:
                self.filename = other.decode()

        monkeypatch.setattr(zipfile.ZipInfo, "_decodeExtra", named)
    with pytest.raises(WeightsCorruptedError, match="its parts have several names"):
        read_archive(buffer.getvalue(), "the file")


@pytest.mark.parametrize("wide", [True, False], ids=["end of 64 bits", "of 32"])
def test_an_archive_of_two_directories_is_refused(wide: bool) -> None:
    """Python's reader takes the one before the end, torch's the one that the end names."""
    content = saved({"a": torch.zeros(1)})
    end = content.index(b"PK\6\6")
    if not wide:
        content = with_pickle(b"\x80\2}.")
        end = content.index(b"PK\5\6")
    assert read_archive(content, "the file").keys() <= {"a"}
    moved = bytearray(content[:end] + b"another" + content[end:])
    if wide:  # its record is where the locator says; only the directory has another behind it
        place = moved.index(b"PK\6\7") + 8
        moved[place : place + 8] = (end + 7).to_bytes(8, "little")
    with pytest.raises(WeightsCorruptedError, match="directory is not where its end says"):
        read_archive(bytes(moved), "the file")


def tensor_of(key: str, count: int, size: int) -> bytes:
    """Pickle a tensor of floats whose numbers have a key and are so many, and of which it shows."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    where = text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu")
    where += b"J" + struct.pack("<i", count)
    shape = b"K\0J" + struct.pack("<i", size) + b"\x85K\1\x85\x89" + ORDERED + b")R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n((" + where + b"tQ" + shape + b"tR"


def archive_of(pickled: bytes, **parts: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\2](" + pickled + b"e.")
        archive.writestr("archive/version", b"3\n")
        for key, numbers in parts.items():
            archive.writestr(f"archive/data/{key}", numbers)
    return buffer.getvalue()


def put(place: int) -> bytes:
    return b"r" + struct.pack("<I", place)


def get(place: int) -> bytes:
    return b"h" + bytes([place])


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n" + put(2)
WHERE = STORAGE + b"K\1tQ" + put(0)
ONES = b"(" + b"K\1" * 3000 + b"t" + put(1)
SHOWN = get(0) + b"K\0" + get(1) + get(1) + b"\x89" + get(0)
PAIRS = b"](" + b"".join(b"](M" + struct.pack("<H", i) + b"Ne" for i in range(500)) + b"e"


@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        pytest.param(
            WHERE + b"a" + ONES + b"a" + TENSOR + b"(" + SHOWN + b"tRa",
            "more than 16 dimensions",
            id="a tensor of very many dimensions",
        ),
        pytest.param(
            WHERE
            + b"a(K\1t"
            + put(1)
            + b"a"
            + TENSOR
            + b"a("
            + SHOWN
            + b"t"
            + put(3)
            + b"a"
            + get(2)
            + get(3)
            + b"Ra",
            "uses a tuple again",
            id="what a tensor is made of, again",
        ),
        pytest.param(
            ORDERED + put(0) + b"a" + PAIRS + put(1) + b"a" + (get(0) + get(1) + b"\x85Ra") * 2,
            "calls something, or with something",
            id="a list of pairs, again",
        ),
        pytest.param(
            STORAGE + b"K\0" + b"N" * 1000 + b"t" + put(0) + b"a" + get(0) + b"Qa",
            "uses a tuple again",
            id="where numbers are, again",
        ),
        pytest.param(
            STORAGE + b"K\0" + b"N" * 1000 + b"tQa", "not where tensors are", id="a long place"
        ),
        pytest.param(
            STORAGE + b"\x8a\x0b" + (1 << 61).to_bytes(11, "little") + b"tQa",
            "not where tensors are",
            id="a count that hashes like others",
        ),
    ],
)
def test_few_bytes_do_not_stand_for_many_again_and_again(pickled: bytes, reason: str) -> None:
    with pytest.raises(WeightsCorruptedError, match=reason):
        read_archive(archive_of(pickled, **{"0": bytes(4)}), "the file")


def test_a_part_is_not_read_once_for_each_way_to_spell_it() -> None:
    once = archive_of(tensor_of("aB", 4, 4) * 2, aB=bytes(16))
    with pytest.raises(WeightsCorruptedError, match="it holds a list"):  # is read
        read_archive(once, "the file")
    many = archive_of(tensor_of("aB", 4, 4) + tensor_of("Ab", 4, 4), aB=bytes(16))
    with pytest.raises(WeightsCorruptedError, match="are called alike"):
        read_archive(many, "the file")


def test_a_tensor_has_the_numbers_that_it_says() -> None:
    """Torch 2.6 would read on in the memory behind."""
    content = archive_of(tensor_of("0", 4000, 4), **{"0": bytes(16)})
    with pytest.raises(WeightsCorruptedError, match="tensor 0 has fewer numbers than it says"):
        read_archive(content, "the file")


@pytest.mark.parametrize(
    ("count", "reason"), [(4, "lacks the numbers"), (1 << 30, "larger than the file")]
)
def test_an_old_file_has_the_numbers_of_its_tensors(count: int, reason: str) -> None:
    """For those that it does not name behind, torch would take whatever is in the memory."""
    content = legacy({"a": torch.zeros(4)})
    stream = io.BytesIO(content)
    for _ in range(3):
        list(pickletools.genops(stream))
    state = tensor_of("0", count, 4).replace(b"tQK", b"NtQK")  # no part of another
    pickled = b"\x80\2}X\1\0\0\0a" + state + b"s." + b"\x80\2]."
    with pytest.raises(WeightsCorruptedError, match=reason):
        read_archive(content[: stream.tell()] + pickled, "the file")


def test_keys_of_one_hash_are_not_compared() -> None:
    """Each of these has the hash 0, and is compared with all before it."""
    numbers = ((k * (2**61 - 1)).to_bytes(10, "little") for k in range(1, 2000))
    pickled = b"\x80\2}(" + b"".join(b"\x8a\x0a" + one + b"N" for one in numbers) + b"u."
    with pytest.raises(WeightsCorruptedError, match="neither a text nor a small number"):
        read_archive(with_pickle(pickled), "the file")


@pytest.mark.parametrize("name", ["items", "_metadata"])
def test_a_state_dict_has_no_attributes_but_its_versions(name: str) -> None:
    text = b"X" + len(name).to_bytes(4, "little") + name.encode()
    content = with_pickle(b"\x80\2" + ORDERED + b")RX\1\0\0\0aK\1s}" + text + b"K\5sb.")
    if name == "_metadata":
        assert read_archive(content, "the file") == {"a": 1}
    else:
        with pytest.raises(WeightsCorruptedError, match="attributes that no state dict has"):
            read_archive(content, "the file")


def test_what_python_2_wrote_is_read() -> None:
    """It made an OrderedDict of a list of lists; the weights of LPIPS, from 2018, are such."""
    pairs = b"](](X\1\0\0\0aK\1e](X\1\0\0\0bK\2ee\x85R."
    assert read_archive(with_pickle(b"\x80\2" + ORDERED + pairs), "it") == {"a": 1, "b": 2}


def test_what_people_save_is_read() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    optimizer = torch.optim.Adam(network.parameters(), betas=(0.5, 0.9))
    network(torch.zeros(2, 1, 3, 3)).sum().backward()
    optimizer.step()
    state: dict[str, Any] = {
        "state_dict": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "weight": network[0].weight,
        "epoch": 3,
        "best": 1.5,
        "names": ["a", None, True, (1, 2), -(2**40)],
        "random": torch.get_rng_state(),
        "half": torch.ones(3, dtype=torch.bfloat16),
    }
    for content in (saved(state), legacy(state)):
        found = read_archive(content, "the file")
        assert found["names"] == state["names"]
        assert found["optimizer"]["param_groups"] == state["optimizer"]["param_groups"]
        for name, values in state["state_dict"].items():
            assert torch.equal(found["state_dict"][name], values)
        assert torch.equal(found["weight"], state["weight"])
        assert torch.equal(found["half"], state["half"])


@pytest.mark.parametrize("key", ["step", "best", "metrics"])
def test_a_checkpoint_whose_text_would_have_no_end_is_refused(key: str) -> None:
    nested: Any = ["text"] * 10
    for _ in range(6):  # 40 MB as a text
        nested = [nested] * 10
    state = {"step": 1, "best": 1.0, "metrics": {}, key: {"fmse": nested}}
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="its "):
            read_progress(read_archive(saved(state), "the file"), 2)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, STATE)
    path = tmp_path / CHECKPOINT_FILE
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(200.0).numpy().tobytes()) + 30] ^= 1
    for damaged in (bytes(content), b"", b"PK\x03\x04", b"text", saved([1, 2]), saved({1: 2})):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="is damaged"):
            load_checkpoint(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model(seed=0).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def forget_the_hash(folder: Path) -> None:
    """As in a folder that somebody else made."""
    config = json.loads((folder / "config.json").read_text())
    del config["weights"]
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, folder: Path) -> None:
    forget_the_hash(folder)
    state = load_file(folder / "model.safetensors")
    name = next(key for key in state if key.endswith("weight"))
    state[name].view(-1)[0] = value
    save_file(state, folder / "model.safetensors")
    with pytest.raises(WeightsCorruptedError, match=f"NaN or infinite in {name}"):
        Harmonizer.from_pretrained(folder, device="cpu")


def test_weights_with_imaginary_parts_are_refused(folder: Path) -> None:
    """Which would be dropped without a word."""
    forget_the_hash(folder)
    state = load_file(folder / "model.safetensors")
    name = next(key for key in state if key.endswith("weight"))
    save_file({**state, name: state[name].to(torch.complex64)}, folder / "model.safetensors")
    with pytest.raises(WeightsCorruptedError, match=f"{name}.*a complex tensor"):
        Harmonizer.from_pretrained(folder, device="cpu")


def test_what_is_loaded_is_what_was_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the file is swapped: it is read once."""
    other = tiny_model(seed=1)
    other.save_pretrained(folder.parent / "other")
    good = Harmonizer.from_pretrained(folder, device="cpu").fingerprint()
    stranger = (folder.parent / "other" / "model.safetensors").read_bytes()
    read, weights = Path.read_bytes, folder / "model.safetensors"

    def swap_after(self: Path) -> bytes:
        content = read(self)
        if self == weights:
            weights.write_bytes(stranger)
        return content

    monkeypatch.setattr(Path, "read_bytes", swap_after)
    assert Harmonizer.from_pretrained(folder, device="cpu").fingerprint() == good
    with pytest.raises(WeightsCorruptedError, match="has the sha256"):
        Harmonizer.from_pretrained(folder, device="cpu")


def test_a_file_far_larger_than_its_network_is_not_read(folder: Path) -> None:
    forget_the_hash(folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(1 << 40)  # a file with a hole, of a TiB
    with pytest.raises(WeightsCorruptedError, match="more than its network could hold"):
        Harmonizer.from_pretrained(folder, device="cpu")


def odd_tensors() -> dict[str, Any]:
    return {
        "sparse": torch.eye(3).to_sparse(),
        "meta": torch.zeros(3, 3, device="meta"),
        "complex": torch.zeros(3, 3, dtype=torch.complex64),
        "quantized": torch.quantize_per_tensor(torch.zeros(3, 3), 0.1, 0, torch.qint8),
        "nested": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
    }


@pytest.mark.parametrize("kind", ["sparse", "meta", "complex", "quantized", "nested"])
@pytest.mark.filterwarnings("ignore")
def test_odd_tensors_are_named(kind: str) -> None:
    with pytest.raises(WeightsCorruptedError, match=f"a {kind} tensor|unexpected"):
        convert_state_dict("idih", {"encoder.block0.conv.weight": odd_tensors()[kind]})
    content = saved({"x": odd_tensors()[kind]})
    try:
        state = read_archive(content, "the file")
    except HarmonizerError:
        return  # torch itself refuses some
    with pytest.raises(WeightsCorruptedError):
        convert_state_dict("idih", state)


def test_other_odd_values_are_named() -> None:
    values: dict[str, Any] = {
        "text": np.array(["a"]),
        "object": np.array([None]),
        "list": [1.0],
        "none": None,
    }
    with pytest.raises(WeightsCorruptedError, match="4 unexpected: text, object, list, none"):
        convert_state_dict("idih", values)


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_a_file_that_cannot_be_read_is_an_error_of_ours(folder: Path, tmp_path: Path) -> None:
    """A folder stands for what this user may not read, so that it fails for root as well."""
    with pytest.raises(WeightsUnavailableError, match="cannot be read"):
        Weights(tmp_path, None, None, "the weights").read()


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "[]", "7", " ", "{", "\0"])
def test_a_config_that_is_no_object_or_endlessly_deep(content: str, folder: Path) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(WeightsCorruptedError, match=r"config\.json is not this library's"):
        Harmonizer.from_pretrained(folder, device="cpu")
    assert sys.getrecursionlimit() < 100_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"licence": 7},
        {"licence": ["MIT"]},
        {"licence_url": {}},
        {"trained_on": 1.5},
        {"origin": True},
        {"note": ["a"]},
        {"name": "a\x1b[2Jb"},
        {"name": "a\nlicence: MIT"},
        {"name": "a\u202eb"},
        {"description": "x" * 100_000},
        {"metrics": 3},
        {"metrics": [3]},
        {"metrics": [{"data": 7}]},
        {"metrics": [{"values": [1]}]},
        {"metrics": [{"values": {"all": {"mse": "low"}}}]},
        {"aliases": [1]},
    ],
)
def test_a_config_of_wrong_types_is_refused(wrong: dict[str, Any], folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | wrong))
    with pytest.raises(WeightsCorruptedError, match="is not what it should be") as caught:
        Harmonizer.from_pretrained(folder, device="cpu")
    assert len(str(caught.value)) < 5_000


@pytest.mark.parametrize("size", [[1, 1], [250, 250], [4095, 64]])
def test_an_input_that_the_network_cannot_have_is_refused(size: list[int], folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["preprocessing"]["input_size"] = size
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsCorruptedError, match="works at heights and widths"):
        Harmonizer.from_pretrained(folder, device="cpu")
