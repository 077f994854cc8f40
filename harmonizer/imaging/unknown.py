"""Say of files that are not read what they are."""

_PSD, _ICONS = b"8BPS", (b"\0\0\1\0", b"icns")
_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1")  # its brands


def why_unknown(data: bytes) -> str:
    """Say why Pillow takes a file for none of its formats."""
    if data.startswith(_PSD):
        return (
            f"it is a Photoshop file of {int.from_bytes(data[22:24], 'big')} bits a channel, in a "
            "mode that is not known here; save it as TIFF, which keeps 16"
        )
    if data.startswith(_ICONS):
        return "it is an icon; save its picture as PNG"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF:
        return (
            "it is HEIC, as phones write it, which Pillow reads with pillow-heif alone (in Python, "
            "after pillow_heif.register_heif_opener()); save it as JPEG or PNG"
        )
    return "it begins like no format that is known here, or its header is damaged"
