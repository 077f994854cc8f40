"""ICC profiles, made here: of wide spaces for RGB, of a grey one, and of a simple press."""

import struct

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Chromaticities of red, green, blue and white, and gamma.
SPACES = {
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290), None),
    "Adobe RGB": ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), (0.3127, 0.3290), 2.19921875),
    "ProPhoto": ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585), 1.8),
}
D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def to_d50(name: str) -> Floats:
    """Linear RGB to XYZ under D50, (3, 3)."""
    *corners, white, _ = SPACES[name]
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in [*corners, white]]).T
    primaries, light = xyz[:, :3], xyz[:, 3]
    primaries = primaries * np.linalg.solve(primaries, light)
    gains = (_BRADFORD @ D50) / (_BRADFORD @ light)
    return np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD @ primaries


def rgb_profile(name: str) -> bytes:
    gamma = SPACES[name][-1]
    if gamma is None:  # that of sRGB
        curve = b"para" + struct.pack(">IHH", 0, 3, 0)
        curve += _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    else:
        curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + bytes(2)
    tags = {b"wtpt": _xyz(D50)}
    for letter, column in zip((b"r", b"g", b"b"), to_d50(name).T, strict=True):
        tags |= {letter + b"XYZ": _xyz(column), letter + b"TRC": curve}
    return _profile(b"RGB ", b"XYZ ", tags)


def chained_profile(name: str, elements: int) -> bytes:
    """A space whose processing elements, which are all the same one, halve every number."""
    half = np.vstack([np.eye(3) / 2, np.zeros(3)]).astype(">f4").tobytes()
    element = b"matf" + struct.pack(">IHH", 0, 3, 3) + half
    place = struct.pack(">II", 16 + 8 * elements, len(element))
    chain = b"mpet" + struct.pack(">IHHI", 0, 3, 3, elements) + elements * place + element
    plain = rgb_profile(name)
    head, count = plain[:128], int.from_bytes(plain[128:132], "big")
    table = b"".join(
        plain[at : at + 4] + struct.pack(">II", offset + 12, length)
        for at in range(132, 132 + 12 * count, 12)
        for offset, length in [struct.unpack(">II", plain[at + 4 : at + 12])]
    )
    table += b"D2B1" + struct.pack(">II", len(plain) + 12, len(chain))
    data = head[:8] + b"\x04\x40" + head[10:] + struct.pack(">I", count + 1) + table
    data += plain[132 + 12 * count :] + chain
    return struct.pack(">I", len(data)) + data[4:]


def grey_profile(gamma: float) -> bytes:
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + bytes(2)
    return _profile(b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": curve})


def press_profile() -> bytes:
    """CMYK whose inks absorb less than all of their light."""
    steps = 9
    inks = np.stack(np.meshgrid(*[np.linspace(0, 1, steps)] * 4, indexing="ij"), axis=-1)
    light = 1 - np.array([0.9, 0.85, 0.8]) * inks[..., :3]
    light = light * (1 - 0.9 * inks[..., 3:])
    forward = _lab_of(light.reshape(-1, 3))
    grid = np.linspace(0, 1, 17)
    lab = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), axis=-1).reshape(-1, 3)
    wanted = _light_of(lab * [100, 255, 255] - [0, 128, 128])
    back = ((1 - wanted) / np.array([0.9, 0.85, 0.8])).clip(0, 1)
    back = np.column_stack([back, np.zeros(len(back))])
    encoded = (forward + np.array([0, 128, 128])) / [100, 255, 255]
    tags = {b"wtpt": _xyz(D50), b"A2B0": _table(4, 3, steps, encoded)}
    tags |= {b"B2A0": _table(3, 4, 17, back)}
    return _profile(b"CMYK", b"Lab ", tags)


def encode(linear: Floats, name: str) -> Floats:
    """Linear light of a space as it is stored."""
    gamma = SPACES[name][-1]
    linear = linear.clip(0, 1)
    return linear ** (1 / gamma) if gamma else encode_srgb(linear)


def encode_srgb(linear: Floats) -> Floats:
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def decode_srgb(values: Floats) -> Floats:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


# Linear sRGB to XYZ under D50, of IEC 61966-2-1 and Bradford's adaptation.
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def from_srgb(pixels: Floats, name: str) -> Floats:
    """Colours of sRGB, in [0, 1], by the numbers of another space, in [0, 1]."""
    matrix = np.linalg.inv(to_d50(name)) @ SRGB
    return encode(decode_srgb(pixels) @ matrix.T, name)


def _lab_of(linear: Floats) -> Floats:
    ratio = (linear @ SRGB.T) / D50
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = root.T
    return np.column_stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _light_of(lab: Floats) -> Floats:
    y = (lab[:, 0] + 16) / 116
    root = np.column_stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200])
    ratio = np.where(root**3 > 216 / 24389, root**3, (116 * root - 16) * 27 / 24389)
    return ((ratio * D50) @ np.linalg.inv(SRGB).T).clip(0, 1)


def _table(inputs: int, outputs: int, steps: int, values: Floats) -> bytes:
    ramp = bytes(range(256))
    head = b"mft1" + struct.pack(">IBBBB", 0, inputs, outputs, steps, 0)
    head += _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = np.rint(values.clip(0, 1) * 255).astype(np.uint8).tobytes()
    return head + inputs * ramp + table + outputs * ramp


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _xyz(values: Floats) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    name = b"desc" + struct.pack(">II", 0, 5) + b"test\0" + bytes(12 + 67 + 4)
    tags = {b"desc": name, b"cprt": b"text" + bytes(4) + b"none\0", **tags}
    place, table, content = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, value in tags.items():
        padded = value + bytes(-len(value) % 4)
        table += tag + struct.pack(">II", place + len(content), len(value))
        content += padded
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = bytes(8) + struct.pack(">I", 0x02400000) + kind + space + connection
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(*D50)
    head = head.ljust(128, b"\0")
    data = head + table + content
    return struct.pack(">I", len(data)) + data[4:]
