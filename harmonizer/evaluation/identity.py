"""What tells one model or function from another: by what it is made of, not by its name."""

import copyreg
import hashlib
import sys
import sysconfig
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import (
    CellType,
    CodeType,
    EllipsisType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
    NoneType,
)
from typing import Any, cast

import torch

from harmonizer.pipeline import Harmonizer

# What its text says all of.
_PLAIN = (NoneType, EllipsisType, bool, int, float, complex, str, bytes)
# Of a class, what no answer depends on, some of it in an order that changes with each process.
_BESIDE = (
    *("__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "_abc_impl"),
    *("__static_attributes__", "__annotations__", "__annotate_func__", "__annotations_cache__"),
)
# Of a module, what says where it comes from.
_OF_MODULES = (
    *("__builtins__", "__cached__", "__doc__", "__file__", "__loader__", "__name__"),
    *("__package__", "__path__", "__spec__", "__annotations__"),
)
# What comes with Python, its packages and this library is known by its name.
_PYTHON = ("<frozen ", sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
_PACKAGES = {"site-packages", "dist-packages"}
_LIBRARY = Path(__file__).parents[1]


def model_identity(model: Harmonizer) -> str:
    """Return weights, what is not in them, input and arithmetic: what decides over answers."""
    info = model.info
    network = f"{info.architecture} {dict(info.arguments)}"
    return f"model {model.fingerprint()}, {network}, {info.preprocessing}, {model.dtype}"


def function_identity(function: object) -> str:
    """Return a hash of a function, or of an object that is called as one.

    It is of the code that runs, not of the text in its file, which may have been edited since; of
    what the function holds, that is arguments of a `partial`, defaults, variables of functions
    around it and of its module, an object's state; and of all this in what it holds. What an object
    holds is what a copy of it would be made of. Installed code is known by its name, and what is
    read or imported only when the function is called is not seen.

    Raises:
        Exception: It holds something that has no content to compare, such as an open file.
    """
    return f"function, sha256 {_digest(function)}"


def _digest(value: object) -> str:
    content = _Content()
    content.add(value)
    return content.sha256.hexdigest()


class _Content:
    """A hash of values by their content, the same in every process."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.sha256 = hashlib.sha256()
        # Kept with what they are numbers of, so that nothing later gets the id of what is gone.
        self._seen: dict[int, tuple[int, object]] = {}
        self._followed: dict[str, set[str]] = {}  # own modules, and which names of theirs

    def add(self, value: Any) -> None:  # noqa: ANN401
        """Add a value, with all that it holds."""
        if type(value) in _PLAIN:
            self._write(type(value).__name__, repr(value).encode())
        elif type(value) is tuple:
            several = cast("tuple[Any, ...]", value)
            self._write("tuple", str(len(several)).encode())
            for one in several:
                self.add(one)
        elif id(value) in self._seen:
            self._write("again", str(self._seen[id(value)][0]).encode())
        else:
            self._seen[id(value)] = len(self._seen), value
            self._add_new(value)

    def _write(self, kind: str, content: bytes) -> None:
        self.sha256.update(f"{kind} {len(content)} ".encode())
        self.sha256.update(content)

    def _add_new(self, value: Any) -> None:  # noqa: ANN401
        match value:
            case FunctionType():
                self._add_function(value)
            case MethodType():
                self.add((value.__func__, value.__self__))
            case CodeType():
                self.add((value.co_code, value.co_exceptiontable, value.co_flags, value.co_consts))
                self.add((value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars))
                self.add((value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount))
            case CellType():
                try:
                    self.add(("cell", value.cell_contents))
                except ValueError:  # which is filled later
                    self.add("empty cell")
            case ModuleType():  # held as a value: nobody knows what of it is used
                self._add_module(value, set(vars(value)))
            case type():
                self._add_class(cast("type[Any]", value))
            case property():
                self.add(("property", value.fget))
            case staticmethod() | classmethod():
                self.add((type(cast(Any, value)).__name__, cast(Any, value).__func__))
            case cached_property():
                self.add(("property", value.func))
            case torch.Tensor():
                self.add((type(value), str(value.dtype), tuple(value.shape)))
                whole = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
                self._write("tensor", whole.reshape(-1).view(torch.uint8).numpy().tobytes())
            case Harmonizer():
                self.add((type(value), model_identity(value)))
            case MappingProxyType():
                self.add(dict(cast("Mapping[Any, Any]", value)))
            case set() | frozenset() if type(cast(object, value)) in (set, frozenset):
                self.add(("set", *sorted(map(_digest, cast("set[object]", value)))))
            case _:
                self._add_object(value)

    def _add_function(self, function: FunctionType) -> None:
        self.add((function.__module__, function.__qualname__, vars(function)))
        self.add((function.__defaults__, function.__kwdefaults__, function.__closure__))
        if _is_own_file(function.__code__.co_filename):
            self.add(function.__code__)
            self._add_named(_names_in(function.__code__), function.__globals__)

    def _add_named(self, names: set[str], there: Mapping[str, Any]) -> None:
        """Add what of a module is named, there or in own modules that are named there."""
        for name in sorted(names & there.keys()):
            value = there[name]
            if isinstance(value, ModuleType):
                self.add(name)
                self._add_module(value, names)
            else:
                self.add((name, value))

    def _add_module(self, module: ModuleType, names: set[str]) -> None:
        """Add a module's name and, of an own one, what it has by these names and had not to add."""
        self.add(("module", module.__name__))
        if _is_own(module):
            followed = self._followed.setdefault(module.__name__, set(_OF_MODULES))
            new = names - followed
            followed |= new
            self._add_named(new, vars(module))

    def _add_class(self, kind: type[Any]) -> None:
        self.add((kind.__module__, kind.__qualname__))
        if _is_own(sys.modules.get(kind.__module__)):
            self.add(kind.__bases__)
            for name, held in sorted(vars(kind).items()):
                if name not in _BESIDE:
                    self.add((name, held))

    def _add_object(self, value: Any) -> None:  # noqa: ANN401
        """Add what a copy is made of, in the words of `copy` and `pickle`."""
        kind = cast("type[Any]", type(value))
        reduce = copyreg.dispatch_table.get(kind)
        made: Any = reduce(value) if reduce else value.__reduce_ex__(2)
        if isinstance(made, str):  # something that there is only one of
            self.add((kind, getattr(value, "__module__", None), made))
            self.add(getattr(value, "__dict__", None))
            return
        maker, arguments, state, items, pairs = (*made, None, None, None)[:5]
        self.add((maker, arguments, state, tuple(items or ()), tuple(pairs or ())))


def _names_in(code: CodeType) -> set[str]:
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))


def _is_own(module: ModuleType | None) -> bool:
    """Return whether a module is the caller's own, and no part of an installation."""
    if module is None or module.__name__ == "__main__":
        return True
    # Built-in ones have no file; folders that are packages without saying so have a path alone.
    files = [one for one in (getattr(module, "__file__", None),) if one]
    files = files or list(getattr(module, "__path__", ()))
    return bool(files) and _is_own_file(files[0])


def _is_own_file(file: str) -> bool:
    path = Path(file)
    installed = file.startswith(_PYTHON) or path.is_relative_to(_LIBRARY)
    return not installed and _PACKAGES.isdisjoint(path.parts)
