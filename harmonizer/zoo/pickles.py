"""Look at what a pickle would make, and make nothing of it.

torch's own reader runs no foreign code, but a few bytes have what it does run fill the memory, or
compute for ever: the hash of sixty tuples, each of which holds the one before twice, has no end. So
pickles are read here first, and hold nothing but what state dicts and checkpoints are made of.
"""

import pickletools
from typing import IO, TypeAlias, cast

_DICT = "collections OrderedDict"
_TENSORS = {f"torch._utils _rebuild_{name}" for name in ("tensor", "tensor_v2", "parameter")}
_CALLED = {_DICT, *_TENSORS}
_KEYS = {
    *("BININT", "BININT1", "BININT2"),
    *("BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING"),
}
_PLAIN = {"NONE", "NEWTRUE", "NEWFALSE", "LONG1", "BINFLOAT"}
_ATTRIBUTE = "_metadata"  # of a state dict: the versions of its layers
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT, _GET = {"BINPUT", "LONG_BINPUT"}, {"BINGET", "LONG_BINGET"}
# What may lie on the stack: plain values, those that may be keys (of large numbers thousands can
# have one hash), the name of `_ATTRIBUTE`, an empty tuple, one of plain values and types, a dict
# that `_DICT` has made, and anything else; or a type, which lies there as its name. A list is
# followed, and so are a tuple of nothing else and other dicts.
_VALUE, _KEY, _NAME, _NOTHING, _FLAT = "value", "key", "name", "nothing", "flat"
_MADE, _OTHER = "made", "other"


class _List:
    """What is known of a list, which grows, wherever it lies: Python 2 wrote dicts as such.

    Attributes:
        first: What it begins with, if anything.
        is_pairs: Whether it holds nothing but lists that begin with what may be a key.
    """

    def __init__(self) -> None:
        self.first: _Kind | None = None
        self.is_pairs = True

    def append(self, values: "list[_Kind]") -> None:
        for value in values:
            self.first = self.first or value
            self.is_pairs &= isinstance(value, _List) and value.first in (_KEY, _NAME)


class _Dict:
    """What is known of a dict that is no state dict, wherever it lies.

    Attributes:
        is_attributes: Whether it holds nothing but what a state dict has for an attribute.
    """

    def __init__(self) -> None:
        self.is_attributes = True


_Kind: TypeAlias = str | _List | _Dict | tuple[_List]


def check_pickle(stream: IO[bytes]) -> None:
    """Read one pickle to its end.

    Raises:
        ValueError: It holds something else than dicts, whose keys are texts or small numbers,
            lists, tuples, tensors, texts and numbers; or it is damaged.
    """
    stack: list[_Kind] = []
    marks: list[int] = []
    memo: dict[int, _Kind] = {}

    def taken(count: int) -> list[_Kind]:
        """Take so many from the top, but none from below the last mark."""
        first = len(stack) - count
        if first < (marks[-1] if marks else 0):
            raise ValueError("it ends before its values")
        values = stack[first:]
        del stack[first:]
        return values

    def since_mark() -> list[_Kind]:
        if not marks:
            raise ValueError("it has no beginning of its values")
        return taken(len(stack) - marks.pop())

    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in _PLAIN:
            stack.append(_VALUE)
        elif name in _KEYS:
            stack.append(_NAME if argument == _ATTRIBUTE else _KEY)
        elif name == "GLOBAL":
            stack.append(_checked_type(cast(str, argument)))
        elif name == "MARK":
            marks.append(len(stack))
        elif name in _PUT:
            memo[cast(int, argument)] = stack[-1]
        elif name in _GET:
            stack.append(memo[cast(int, argument)])
        elif name == "EMPTY_TUPLE":
            stack.append(_NOTHING)
        elif name == "TUPLE" or name in _TUPLES:
            values = since_mark() if name == "TUPLE" else taken(_TUPLES[name])
            stack.append(_as_tuple(values))
        elif name == "EMPTY_LIST":
            stack.append(_List())
        elif name == "EMPTY_DICT":
            stack.append(_Dict())
        elif name in ("SETITEM", "SETITEMS"):
            keys = (since_mark() if name == "SETITEMS" else taken(2))[::2]
            if any(key not in (_KEY, _NAME) for key in keys):
                raise ValueError("a key in it is neither a text nor a small number")
            if isinstance(filled := stack[-1], _Dict):
                filled.is_attributes &= all(key == _NAME for key in keys)
        elif name in ("APPEND", "APPENDS"):
            values = since_mark() if name == "APPENDS" else taken(1)
            if not isinstance(grown := stack[-1], _List):
                raise ValueError("it adds to what is no list")
            grown.append(values)
        elif name == "BINPERSID":  # the numbers of a tensor, which are elsewhere
            if taken(1) != [_FLAT]:
                raise ValueError("its tensors are not where tensors are")
            stack.append(_OTHER)
        elif name == "REDUCE":
            what, given = taken(2)
            made_of_pairs = isinstance(given, tuple) and given[0].is_pairs
            if what not in _CALLED or (what == _DICT and given != _NOTHING and not made_of_pairs):
                raise ValueError("it calls something, or with something, that no state dict does")
            stack.append(_MADE if what == _DICT else _OTHER)
        elif name == "BUILD":
            built, state = taken(2)
            if built != _MADE or not (isinstance(state, _Dict) and state.is_attributes):
                raise ValueError("it has attributes that no state dict has")
            stack.append(_MADE)
        elif name not in ("PROTO", "STOP"):
            raise ValueError(f"it does what no state dict does ({name})")


def _checked_type(name: str) -> str:
    module, _, attribute = name.partition(" ")
    if name in _CALLED or (module == "torch" and attribute.endswith("Storage")):
        return name
    raise ValueError(f"it holds {module}.{attribute}, which no state dict is made of")


def _as_tuple(values: list[_Kind]) -> _Kind:
    if len(values) == 1 and isinstance(values[0], _List):
        return (values[0],)
    flat = (
        kind in (_VALUE, _KEY, _NAME) or (isinstance(kind, str) and kind.endswith("Storage"))
        for kind in values
    )
    return _FLAT if all(flat) else _OTHER
