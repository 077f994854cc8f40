"""Changes to valid files that a parser should survive."""

import copy
import json
import random
import zlib
from typing import Any, cast

# Where length fields and dimensions go wrong first.
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 4096, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, 1e-320),
    *(float("nan"), float("inf"), "", "x", "../../etc/passwd", "\0", "\ud800", "é" * 1000),
    *([], [None], [0] * 100, {}, {"": {}}, [[[[]]]]),
)


def mutate_bytes(data: bytes, generator: random.Random) -> bytes:
    """Change a file in one to eight places, without knowing what it is."""
    changed = bytearray(data)
    for _ in range(generator.choice((1, 1, 2, 4, 8))):
        if not changed:
            return bytes(changed)
        # Headers are where the decisions are taken.
        reach = min(len(changed), 64) if generator.random() < 0.5 else len(changed)
        place = generator.randrange(reach)
        match generator.randrange(7):
            case 0:
                changed[place] ^= 1 << generator.randrange(8)
            case 1:
                changed[place] = generator.randrange(256)
            case 2:
                width = generator.choice((1, 2, 4))
                order = generator.choice(("little", "big"))
                value = generator.choice(_NUMBERS) % 256**width
                changed[place : place + width] = value.to_bytes(width, order)
            case 3:
                del changed[place : place + generator.randrange(1, 64)]
            case 4:
                changed[place:place] = generator.randbytes(generator.randrange(1, 64))
            case 5:
                changed[place:place] = changed[place : place + generator.randrange(1, 256)]
            case _:
                del changed[place:]
    return bytes(changed)


def repair_png(data: bytes) -> bytes:
    """Give every chunk of a damaged PNG a right checksum, so that its content is looked at."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    repaired, place = bytearray(data), 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(data):
            break
        repaired[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(repaired)


def mutate_json(text: bytes, generator: random.Random) -> bytes:
    """Replace, remove or add values in a JSON document; or change its bytes."""
    if generator.random() < 0.3:
        return mutate_bytes(text, generator)
    document = json.loads(text)
    for _ in range(generator.choice((1, 1, 2, 3))):
        containers = list(_containers(document))
        if not containers:
            break
        _change(generator.choice(containers), generator)
    return json.dumps(document).encode()


def _containers(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON
    """Every object and array of a document that holds something."""
    if not isinstance(value, dict | list) or not value:
        return []
    inner = cast(Any, value.values() if isinstance(value, dict) else value)
    return [value, *(found for one in inner for found in _containers(one))]


def _change(container: Any, generator: random.Random) -> None:  # noqa: ANN401
    place: Any
    if isinstance(container, dict):
        place = generator.choice(list(cast(dict[str, Any], container)))
    else:
        place = generator.randrange(len(container))
    match generator.randrange(4):
        case 0:
            del container[place]
        case 1:
            other = generator.choice(list(_containers(container)) or [None])
            container[place] = json.loads(json.dumps(other))
        case _:
            container[place] = copy.deepcopy(generator.choice(_VALUES))


def mutate_toml(text: bytes, generator: random.Random) -> bytes:
    """Give keys of a TOML document other values, or change its bytes."""
    if generator.random() < 0.3:
        return mutate_bytes(text, generator)
    lines = text.decode().splitlines()
    for _ in range(generator.choice((1, 2, 4))):
        place = generator.randrange(len(lines))
        key, equals, _ = lines[place].partition(" = ")
        if equals:
            value = generator.choice(_TOML)
            lines[place] = f"{key} = {value}"
        elif generator.random() < 0.3:
            lines[place] = generator.choice(("[model]", "[[train]]", "[train.synthesis]", "x"))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


_TOML = (
    *("0", "-1", "1", "7", "9223372036854775807", "1" + "0" * 50, "0.5", "-0.0", "1e400", "nan"),
    *("inf", "true", '""', '"x"', '"imagenet"', '"\\u0000"', '"""\n\\\n"""', "1979-05-27"),
    *("[]", "[1]", "[0.5, 0.5]", "['a', 1]", "[[]]", "{}", "{width = 32}", "{a = {b = 1}}"),
    *("07:32:00", "'cosine'", "{width = nan}", "{depth = 1e9}", '{"a b" = 1, "é" = "\\""}'),
)
