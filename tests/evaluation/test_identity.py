"""Rows of one function are never taken for those of another, whatever it is that differs."""

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial, wraps
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import small_idih
from torch import nn

from harmonizer.errors import InputError
from harmonizer.evaluation import evaluate
from harmonizer.evaluation.identity import function_identity

_SHARE = 0.9
_own_module: Any = None


def scaled(image: Any, mask: Any, share: Any = 0.9) -> Any:
    return (image * float(np.mean(np.asarray(share)))).astype(np.uint8)


def by_its_module(image: Any, mask: Any) -> Any:
    return scaled(image, mask, _SHARE)


def by_another(image: Any, mask: Any) -> Any:
    return by_its_module(image, mask)


def logged(function: Any) -> Any:
    @wraps(function)
    def call(*arguments: Any) -> Any:
        return function(*arguments)

    return call


class Scale:
    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(self, image: Any, mask: Any) -> Any:
        return scaled(image, mask, self.share)

    def go(self, image: Any, mask: Any) -> Any:
        return self(image, mask)


@dataclass(frozen=True, slots=True)
class Slots:
    share: float
    names: list[str] = field(default_factory=list[str])

    def __call__(self, image: Any, mask: Any) -> Any:
        return scaled(image, mask, self.share)


class Network(nn.Module):
    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(share))

    @torch.no_grad()
    def forward(self, image: Any, mask: Any) -> Any:
        return scaled(image, mask, self.share)


def nested(share: float) -> Any:
    return lambda image, mask: scaled(image, mask, share)


def defaults(share: float) -> Any:
    def call(image: Any, mask: Any, by: float = share, *, other: int = 1) -> Any:
        return scaled(image, mask, by)

    return call


KINDS: dict[str, Callable[[float], Any]] = {
    "an argument of a partial": lambda share: partial(scaled, share=share),
    "a partial of a partial": lambda share: partial(partial(scaled, share=share)),
    "an array": lambda share: partial(scaled, share=np.full((4, 4), share)),
    "a tensor": lambda share: partial(scaled, share=torch.full((4,), share, dtype=torch.float64)),
    "a variable of the function around it": nested,
    "a default": defaults,
    "an object's state": Scale,
    "a method's object": lambda share: Scale(share).go,
    "an object with slots": Slots,
    "a function within a wrapper": lambda share: logged(nested(share)),
    "a function in a cache": lambda share: lru_cache(nested(share)),
    "weights": Network,
    "a method of a module": lambda share: Network(share).forward,
    "a strength": lambda share: partial(small_idih().harmonize, strength=share),
    "the weights of a model": lambda share: small_idih(int(10 * share)).harmonize,
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_what_a_function_holds_tells_it_from_another(make: Callable[[float], Any]) -> None:
    first, other = make(0.9), make(0.3)
    assert function_identity(first) == function_identity(make(0.9))
    assert function_identity(first) != function_identity(other)


def test_so_do_what_it_names_of_its_module_and_what_that_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = [function_identity(one) for one in (by_its_module, by_another)]
    monkeypatch.setitem(globals(), "_SHARE", 0.3)
    after = [function_identity(one) for one in (by_its_module, by_another)]
    monkeypatch.undo()
    assert len({*before, *after}) == 4
    assert [function_identity(one) for one in (by_its_module, by_another)] == before


def test_so_does_its_code_on_one_line_with_another() -> None:
    pair = [lambda image, mask: image * 0.9, lambda image, mask: image * 0.3]
    assert len({function_identity(one) for one in pair}) == 2


def test_modules_of_ones_own_are_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_module(image: Any, mask: Any) -> Any:
        return _own_module.scale(image)

    found: set[str] = set()
    for share in (0.9, 0.3):
        text = f"class By:\n    share = {share}\ndef scale(image):\n    return image * By.share\n"
        module: Any = ModuleType("own_scales")
        module.__file__ = "/home/somebody/own_scales.py"
        exec(compile(text, module.__file__, "exec"), vars(module))  # noqa: S102
        monkeypatch.setitem(sys.modules, "own_scales", module)
        monkeypatch.setitem(globals(), "_own_module", module)
        found.add(function_identity(by_module))
    assert len(found) == 2


def imported(folder: Path, gain: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The identity of a function whose module uses another, of which only `gain` differs."""
    (folder / "own_folder").mkdir(parents=True)  # no package that says so
    (folder / "own_folder" / "own_helpers.py").write_text(
        f"def brighten(i):\n    return i + {gain}\ndef gamma(i):\n    return i\n"
    )
    (folder / "own_model.py").write_text(
        "import own_folder.own_helpers\n"
        "import own_folder.own_helpers as own_helpers\n"
        "def helper(i):\n    return own_helpers.gamma(i)\n"
        "def model(i, m):\n    return helper(own_helpers.brighten(i))\n"
        "def by_folder(i, m):\n    return own_folder.own_helpers.brighten(i)\n"
        "class Held:\n"
        "    def __init__(self):\n        self.module = own_helpers\n"
        "    def __call__(self, i, m):\n        return self.module.brighten(i)\n"
    )
    with monkeypatch.context() as patched:
        patched.syspath_prepend(str(folder))
        module = importlib.import_module("own_model")
        found = [function_identity(one) for one in (module.model, module.by_folder, module.Held())]
    for name in ("own_model", "own_folder", "own_folder.own_helpers"):
        del sys.modules[name]
    return " ".join(found)


def test_own_modules_are_looked_into_for_each_function_that_uses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though another function has used them, for other names; by their folder; or by an object."""
    first, again, other = (
        imported(tmp_path / str(number), gain, monkeypatch).split(" ")
        for number, gain in enumerate((10, 10, 90))
    )
    assert first == again
    assert len(first) == len(other)
    differing = [one != two for one, two in zip(first, other, strict=True) if len(one) > 20]
    assert differing == [True] * 3


def test_any_tensor_has_content() -> None:
    strided = torch.arange(512.0).reshape(256, 2)[:, 0]
    same = partial(scaled, share=strided), partial(scaled, share=strided.clone())
    assert function_identity(same[0]) == function_identity(same[1])


def test_rows_of_another_state_are_refused(iharmony4: Path, tmp_path: Path) -> None:
    before = evaluate({"a": partial(scaled, share=0.9)}, iharmony4, output=tmp_path)
    assert evaluate({"a": partial(scaled, share=0.9)}, iharmony4, output=tmp_path) == before
    with pytest.raises(InputError, match="differs in models"):
        evaluate({"a": partial(scaled, share=0.3)}, iharmony4, output=tmp_path)


def test_what_cannot_be_told_apart_is_never_gone_on_with(iharmony4: Path, tmp_path: Path) -> None:
    lock = threading.Lock()

    def locked(image: Any, mask: Any) -> Any:
        with lock:
            return image

    assert len(evaluate(locked, iharmony4).rows) > 0  # nothing is kept, so nothing is said
    with pytest.warns(UserWarning, match=r"locked cannot be told .* '_thread.lock' object"):
        evaluate(locked, iharmony4, output=tmp_path)
    with (
        pytest.warns(UserWarning, match="locked cannot be told"),
        pytest.raises(InputError, match="differs in models"),
    ):
        evaluate(locked, iharmony4, output=tmp_path)


_PROGRAM = """
import abc
from enum import Enum
from functools import cached_property

from harmonizer.evaluation.identity import function_identity

class Kind(Enum):
    A, B = "a", "b"

class Base(abc.ABC):
    @abc.abstractmethod
    def __call__(self, image, mask): ...

class Odd(Base):
    names = {"a", "b", "c", "d", "e"}
    def __init__(self):
        self.kind, self.itself, self.set = Kind.B, self, frozenset("abcdef")
        self.first, self.second, self.third = self.names, len, object()
    @property
    def one(self):
        return self.kind
    @cached_property
    def two(self):
        return self.one
    @classmethod
    def three(cls):
        return cls
    @staticmethod
    def four():
        return 4
    def __call__(self, image, mask):
        return image if self.kind in {"x", "y", "z", Kind.A} else super().__call__(image, mask)

print(function_identity(Odd()))
"""


def test_every_process_finds_the_same() -> None:
    """No address and no order of a set is in it."""
    found = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(found) == 1
    assert "sha256" in found.pop()
