"""Refuse JPEG 2000 of very many parts: OpenJPEG sets up all tiles, and all blocks of a tile."""

import re
import struct
from collections.abc import Iterator

_BOXES, _CODESTREAM = b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"
# The marker of sizes; what looks like it elsewhere hardly ever has the length of its components.
_SIZES = re.compile(rb"\xff\x51(?=(.{38}))", re.DOTALL)
_MOST = 100_000  # of all components; 1 to 4 KB each
# How a picture, or one of its components, is divided: how often it is halved, and its blocks'
# width and height, as powers of two; what follows may be those of the parts that hold the blocks.
_STYLES = re.compile(rb"\xff(?=\x52..[\0-\7][\0-\4]..[\0\1](.{5})|\x53...[\0\1](.{5}))", re.DOTALL)
_MOST_BLOCKS = 1 << 20  # some 400 bytes each
_MOST_STYLES = 1000  # times sizes
_MOST_VISITS = 1 << 25  # of each block, or what holds it, for each layer: seconds


def check_tiles(data: bytes) -> None:
    """Refuse a file of JPEG 2000, bare or in boxes, of more parts than pictures have.

    Raises:
        ValueError: It is such a one.
    """
    if not data.startswith((_BOXES, _CODESTREAM)):
        return
    styles = {_style(*one) for one in _styles(data)}
    sizes = set(_sizes(data))
    if len(styles) * len(sizes) > _MOST_STYLES:
        raise ValueError(f"it is divided in {len(styles) * len(sizes):,} ways; expected a few")
    layers = max((count for count, _ in styles), default=1)
    for width, height, tiles, components in sizes:
        if tiles * components > _MOST:
            raise ValueError(
                f"it has {tiles:,} tiles of {components} components, more than {_MOST:,} together; "
                "save it in larger tiles"
            )
        for _, style in styles:
            blocks = components * sum(_blocks(style, width, height))
            if blocks > _MOST_BLOCKS:
                raise ValueError(
                    f"a tile has {blocks:,} blocks, more than {_MOST_BLOCKS:,}; save it in larger "
                    "ones, of 64 x 64 samples"
                )
            if layers * tiles * blocks > _MOST_VISITS:
                raise ValueError(
                    f"it has {layers:,} layers of its blocks, which are far too many; save it with "
                    "fewer"
                )


def _sizes(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield width and height of a tile, and how many tiles and components there are."""
    for found in _SIZES.finditer(data):
        length, right, bottom, x, y, width, height, left, top, components = struct.unpack(
            ">H2x8IH", found[1]
        )
        if length != 38 + 3 * components or not width or not height:
            continue  # something else
        if right > max(x, left) and bottom > max(y, top):
            tiles = -((left - right) // width) * -((top - bottom) // height)
            yield min(width, right - x), min(height, bottom - y), tiles, components


def _styles(data: bytes) -> set[tuple[int, bytes, bytes]]:
    """Return the ways in which a file says that it is divided, each once.

    They are the number of layers, of which a component's own style says nothing (1); how often it
    is halved, and the powers of two of its blocks' sides; and those of the parts that hold them.

    Raises:
        ValueError: They are very many.
    """
    styles = set[tuple[int, bytes, bytes]]()
    for found in _STYLES.finditer(data):
        which, place = found.lastindex or 1, found.start() + 2  # behind the marker
        halvings, *powers = found[which][:3]
        start, end = found.end(which), place + int.from_bytes(data[place : place + 2], "big")
        if halvings > 32 or max(powers) > 8 or end - start not in (0, halvings + 1):
            continue  # something else
        layers = int.from_bytes(data[place + 4 : place + 6], "big") if which == 1 else 1
        styles.add((layers, found[which][:3], data[start:end]))
        if len(styles) > _MOST_STYLES:
            raise ValueError(f"it is divided in more than {_MOST_STYLES:,} ways; expected a few")
    return styles


def _style(layers: int, halved: bytes, parts: bytes) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Return layers, and the powers of two of the sides of blocks, from the lowest resolution."""
    halvings, *powers = halved
    sides = tuple(
        # Above the lowest, parts are halved like the picture.
        (min(powers[0] + 2, (part & 15) - inner), min(powers[1] + 2, (part >> 4) - inner))
        for part, inner in zip(
            parts or b"\xff" * (halvings + 1), (False, *[True] * halvings), strict=False
        )
    )
    return layers, sides


def _blocks(style: tuple[tuple[int, int], ...], width: int, height: int) -> Iterator[int]:
    """Yield the number of blocks of each resolution: of one band, and of three of half its size."""
    for number, (across, down) in enumerate(style):
        halved = len(style) - max(number, 1)
        columns = -(-width >> halved + max(0, across))
        rows = -(-height >> halved + max(0, down))
        yield (3 if number else 1) * columns * rows
