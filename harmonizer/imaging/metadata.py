"""Choose which metadata a format can hold; say what is left out."""

import math
import re
from collections.abc import Mapping
from typing import Any

from PIL import Image

from harmonizer.errors import raise_if_interrupted, warn
from harmonizer.imaging.exif import bare, check_exif, descriptive_tags
from harmonizer.imaging.picture import Info

_NAMES = {
    "icc_profile": "colour profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "iptc": "IPTC",
    "dpi": "resolution",
    "text": "text",
    "colours": "gamma and primaries",
    "comment": "comment",
}
_FOUR = ("icc_profile", "exif", "xmp", "dpi")
HELD = {
    **{"PNG": (*_FOUR, "text", "colours", "comment"), "TIFF": (*_FOUR, "iptc")},
    **{"JPEG": (*_FOUR, "iptc", "comment"), "JPEG2000": _FOUR, "WEBP": _FOUR[:3]},
    **{"BMP": ("dpi",), "GIF": ("comment",)},
}
PHOTOSHOP_IPTC = 0x0404  # what Photoshop calls IPTC among its blocks
# What a segment of a JPEG file holds beside the name of what it is; and what readers of PNG take.
_LARGEST = {
    **{("JPEG", "xmp"): 65_502, ("JPEG", "exif"): 65_527, ("JPEG", "iptc"): 65_506},
    ("JPEG", "comment"): 65_533,
    ("PNG", "icc_profile"): 1 << 20,
}
# What XMP promises that stands elsewhere in the file it came in, and is not read.
_BESIDE_XMP = {b"HasExtendedXMP": "extended XMP", b"hdrgm:Version": "the gain map of HDR"}
_KEYWORD = re.compile(r"[ -~\xa1-\xff]{1,79}")  # of a PNG file's text
_DPI = (1, 65535)  # what a JPEG file can say; what is beyond is a mistake


def metadata_for(format_name: str, info: Info) -> dict[str, Any]:
    """Return of a picture's metadata what a format holds, and warn of what it does not.

    Args:
        format_name: As Pillow calls it.
        info: The metadata, as Pillow names it and formats differ in it: `icc_profile`, `exif`,
            `xmp`, `dpi`, `comment`; and, as `open_file` names them, `iptc`, and the `text` and
            `colours` of PNG files.

    Returns:
        Of these what there is: bytes; `exif` without what JPEG puts before it, `dpi` as two floats;
        for TIFF also `tags`, the EXIF as it stands in a directory.
    """
    lost: list[str] = []
    found = _sound(info, lost)
    kept = {key: value for key, value in found.items() if key in HELD.get(format_name, ())}
    for key, value in list(kept.items()):
        if len(value) > _LARGEST.get((format_name, key), math.inf):
            del kept[key]
    lost += [_NAMES[key] for key in found if key not in kept]
    if format_name == "TIFF" and "exif" in kept:
        kept["tags"] = _tags(kept.pop("exif"), lost)
    if lost:
        warn(f"{format_name} cannot hold all metadata; left out: {', '.join(lost)}")
    return kept


def _sound(info: Info, lost: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(profile := info.get("icc_profile"), bytes) and profile:
        found["icc_profile"] = profile
    if isinstance(exif := info.get("exif"), bytes) and (exif := bare(exif)):
        try:
            check_exif(exif)
            Image.Exif().load(exif)
            found["exif"] = exif
        except Exception as error:  # broken EXIF raises almost anything
            raise_if_interrupted(error)
            lost.append("EXIF, which is damaged")
    packet = info.get("xmp")
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "replace")
    if isinstance(packet, bytes) and packet:
        found["xmp"] = packet
        lost += [name for mark, name in _BESIDE_XMP.items() if mark in packet]
    if isinstance(iptc := info.get("iptc"), bytes) and iptc:
        found["iptc"] = iptc
    if (dpi := info.get("dpi")) is not None:
        try:
            across, down = (float(one) for one in dpi)
        except (TypeError, ValueError, ArithmeticError):
            across = down = 0.0
        if all(_DPI[0] <= one <= _DPI[1] for one in (across, down)):  # which NaN is not
            found["dpi"] = (across, down)
        else:
            lost.append(f"resolution of {across:g} x {down:g}")
    found["colours"] = info.get("colours")
    if isinstance(comment := info.get("comment"), bytes):
        found["comment"] = comment
    texts: dict[Any, Any] = info.get("text") or {}
    found["text"] = {
        key: value.encode("utf-8", "replace").decode()
        for key, value in texts.items()
        if isinstance(value, str) and isinstance(key, str) and _KEYWORD.fullmatch(key)
    }
    if len(found["text"]) < len(texts):
        lost.append("text without a keyword that PNG knows")
    return {key: value for key, value in found.items() if value}


def _tags(exif: bytes, lost: list[str]) -> Mapping[int, Any]:
    parsed = Image.Exif()
    parsed.load(exif)
    tags, unwritable = descriptive_tags(parsed)
    lost += unwritable
    return tags
