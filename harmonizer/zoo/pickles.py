"""Look at what a pickle would make, and make nothing of it.

torch's own reader runs no foreign code, but a few bytes have what it does run fill the memory, or
compute for ever: the hash of sixty tuples, each of which holds the one before twice, has no end. So
pickles are read here first, and hold nothing but what state dicts and checkpoints are made of.
"""

import pickletools
from dataclasses import dataclass
from typing import IO, TypeAlias, cast

_DICT = "collections OrderedDict"
_TENSORS = {f"torch._utils _rebuild_{name}" for name in ("tensor", "tensor_v2", "parameter")}
_CALLED = {_DICT, *_TENSORS}
_KEYS = {
    *("BININT", "BININT1", "BININT2"),
    *("BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING"),
}
_PLAIN = {"NONE", "NEWTRUE", "NEWFALSE", "BINFLOAT"}
_ATTRIBUTE = "_metadata"  # of a state dict: the versions of its layers
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MOST_OPEN = 100_000  # values that wait to be put together: pickles are written by the thousand
_JUST_MADE = {"EMPTY_TUPLE", "TUPLE", *_TUPLES}
_PUT, _GET = {"BINPUT", "LONG_BINPUT"}, {"BINGET", "LONG_BINGET"}
# What may lie on the stack: plain values, texts and whole numbers, the name of `_ATTRIBUTE`, an
# empty tuple, one of plain values and types, a dict that `_DICT` has made, and anything else; or a
# type, which lies there as its name. A list is followed, and so are a tuple of nothing else and
# other dicts.
_VALUE, _NAME, _NOTHING = "value", "name", "nothing"
_MADE, _OTHER = "made", "other"
_WIDE = "wide"  # a tuple that holds one of more plain values than a tensor has dimensions
_MOST_DIMENSIONS = 16
_STORAGE_PARTS = (5, 6)  # of the tuple that says where the numbers of a tensor are
_MOST_NUMBERS = 1 << 60  # of a tensor; beyond, whole numbers have the hashes of others


@dataclass(frozen=True)
class Storage:
    """What a pickle says of the numbers of a tensor: which they are, and how many of which type."""

    key: str
    kind: str  # such as FloatStorage
    count: int


@dataclass(frozen=True)
class Contents:
    """What a pickle holds: the numbers of tensors, and the texts of the list that it is, if any."""

    storages: set[Storage]
    listed: set[str]


@dataclass(eq=False)
class _Word:
    """A text or a whole number. Of large numbers thousands can have one hash: they are no keys."""

    value: str | int
    may_be_key: bool


@dataclass(eq=False)
class _Flat:
    """A tuple of plain values and types."""

    parts: "list[_Kind]"


class _List:
    """What is known of a list, which grows, wherever it lies: Python 2 wrote dicts as such.

    Attributes:
        first: What it begins with, if anything.
        is_pairs: Whether it holds nothing but lists that begin with what may be a key.
        used: Whether a dict was made of it, which is done once.
        texts: The texts that it holds.
    """

    def __init__(self) -> None:
        self.first: _Kind | None = None
        self.is_pairs = True
        self.used = False
        self.texts = set[str]()

    def append(self, values: "list[_Kind]") -> None:
        for value in values:
            self.first = self.first or value
            self.is_pairs &= isinstance(value, _List) and _is_key(value.first)
            if isinstance(value, _Word) and isinstance(value.value, str):
                self.texts.add(value.value)


class _Dict:
    """What is known of a dict that is no state dict, wherever it lies.

    Attributes:
        is_attributes: Whether it holds nothing but what a state dict has for an attribute.
    """

    def __init__(self) -> None:
        self.is_attributes = True


_Kind: TypeAlias = str | _Word | _Flat | _List | _Dict | tuple[_List]


def check_pickle(stream: IO[bytes]) -> Contents:
    """Read one pickle to its end, and return what is to be compared with the file around it.

    Raises:
        ValueError: It holds something else than dicts, whose keys are texts or small numbers,
            lists, tuples, tensors, texts and numbers; or it is damaged.
    """
    stack: list[_Kind] = []
    marks: list[int] = []
    memo: dict[int, _Kind] = {}
    storages = set[Storage]()
    before = ""  # the last opcode but those that keep a value for later

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
        if len(stack) + len(marks) > _MOST_OPEN:
            raise ValueError(f"more than {_MOST_OPEN:,} of its values belong to nothing")
        if name in _PLAIN:
            stack.append(_VALUE)
        elif name in _KEYS or name == "LONG1":
            word = _Word(cast("str | int", argument), name in _KEYS)
            stack.append(_NAME if argument == _ATTRIBUTE else word)
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
            if not all(map(_is_key, keys)):
                raise ValueError("a key in it is neither a text nor a small number")
            if isinstance(filled := stack[-1], _Dict):
                filled.is_attributes &= all(key == _NAME for key in keys)
        elif name in ("APPEND", "APPENDS"):
            values = since_mark() if name == "APPENDS" else taken(1)
            if not isinstance(grown := stack[-1], _List):
                raise ValueError("it adds to what is no list")
            grown.append(values)
        elif name in ("BINPERSID", "REDUCE") and before not in _JUST_MADE:
            raise ValueError("it uses a tuple again that others make anew")
        elif name == "BINPERSID":  # the numbers of a tensor, which are elsewhere
            storages.add(_as_storage(taken(1)[0]))
            stack.append(_OTHER)
        elif name == "REDUCE":
            what, given = taken(2)
            made_of_pairs = isinstance(given, tuple) and given[0].is_pairs and not given[0].used
            if isinstance(given, tuple):
                given[0].used = True
            if given == _WIDE:
                raise ValueError(f"a tensor in it has more than {_MOST_DIMENSIONS} dimensions")
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
        if name not in _PUT:
            before = name
    last = stack[-1] if stack else None
    return Contents(storages, last.texts if isinstance(last, _List) else set())


def _is_key(kind: "_Kind | None") -> bool:
    return kind == _NAME or (isinstance(kind, _Word) and kind.may_be_key)


def _as_storage(where: _Kind) -> Storage:
    """Read where the numbers of a tensor are: "storage", their type, key, device and count."""
    parts = where.parts if isinstance(where, _Flat) and len(where.parts) in _STORAGE_PARTS else []
    words = [part.value if isinstance(part, _Word) else None for part in parts]
    if words and words[0] == "storage" and isinstance(kind := parts[1], str):
        key, count = words[2], words[4]
        if isinstance(key, str) and isinstance(count, int) and 0 <= count < _MOST_NUMBERS:
            return Storage(key, kind.partition(" ")[2], count)
    raise ValueError("its tensors are not where tensors are")


def _checked_type(name: str) -> str:
    module, _, attribute = name.partition(" ")
    if name in _CALLED or (module == "torch" and attribute.endswith("Storage")):
        return name
    raise ValueError(f"it holds {module}.{attribute}, which no state dict is made of")


def _as_tuple(values: list[_Kind]) -> _Kind:
    if len(values) == 1 and isinstance(values[0], _List):
        return (values[0],)
    if all(isinstance(kind, _Word) or _is_plain(kind) for kind in values):
        return _Flat(values)
    wide = any(isinstance(kind, _Flat) and len(kind.parts) > _MOST_DIMENSIONS for kind in values)
    return _WIDE if wide else _OTHER


def _is_plain(kind: _Kind) -> bool:
    return isinstance(kind, str) and (kind in (_VALUE, _NAME) or kind.endswith("Storage"))
