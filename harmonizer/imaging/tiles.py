"""Refuse JPEG 2000 of very many tiles: OpenJPEG sets up all before it decodes one."""

import re
import struct

_BOXES, _CODESTREAM, _ICNS = b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"icns"
# The marker of sizes; what looks like it elsewhere hardly ever has the length of its components.
_SIZES = re.compile(rb"\xff\x51(?=(.{38}))", re.DOTALL)
_MOST = 100_000  # of all components; 1 to 4 KB each


def check_tiles(data: bytes) -> None:
    """Refuse a file of JPEG 2000, bare, in boxes or in an icon, with more tiles than pictures have.

    Raises:
        ValueError: It is such a one.
    """
    if not data.startswith((_BOXES, _CODESTREAM, _ICNS)):
        return
    for found in _SIZES.finditer(data):
        length, right, bottom, _, _, width, height, left, top, components = struct.unpack(
            ">H2x8IH", found[1]
        )
        if length != 38 + 3 * components or not width or not height:
            continue  # something else
        tiles = -((left - right) // width) * -((top - bottom) // height)
        if right > left and bottom > top and tiles * components > _MOST:
            raise ValueError(
                f"it has {tiles:,} tiles of {components} components, more than {_MOST:,} together; "
                "save it in larger tiles"
            )
