"""What clips can be written as. Needs no PyAV, so that `--help` can list it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harmonizer.errors import InputError

FORMATS: Mapping[str, str] = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
# What encoders look ahead, and hold meanwhile: 40 frames of 4K, but a few of any size.
_PIXELS_AHEAD, _LEAST_AHEAD = 40 * 3840 * 2160, 5


@dataclass(frozen=True)
class Codec:
    """An encoder of FFmpeg.

    Attributes:
        encoder: Its name there.
        quality: Its option for the quality, if it has one, the usual value, and the highest.
        formats: How it can store pixels.
        endings: Of the files that hold it.
        options: What else it is told.
        lookahead: How many frames it usually looks ahead, and the option that says so, with the
            number's place in its value; None where it cannot be told.
        least: Pixels that each side has to have. Below, encoders end with errors of their own;
            x265 writes beyond its memory (34 x 32), and SVT-AV1 hangs (16 x 500).
    """

    encoder: str
    quality: tuple[str, int, int] | None
    formats: tuple[str, ...]
    endings: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    lookahead: tuple[int, str, str] | None = None
    least: int = 1

    def options_for(self, width: int, height: int, quality: int | None) -> dict[str, str]:
        """Return what it is told for frames of a size; it looks less far ahead through large ones.

        Args:
            width: In pixels.
            height: In pixels.
            quality: By its own scale; None is the usual one.

        Raises:
            InputError: It has no such quality, or the frames are too small for it.
        """
        if min(width, height) < self.least:
            raise InputError(
                f"{self.encoder} takes frames of at least {self.least} x {self.least} pixels; got "
                f"{width} x {height}: take another --codec, or a larger clip (or, with --on, a "
                "larger background)"
            )
        options = dict(self.options)
        if self.quality:
            name, usual, highest = self.quality
            if quality is not None and quality > highest:
                raise InputError(f"{self.encoder} has qualities from 0 to {highest}; got {quality}")
            options[name] = str(usual if quality is None else quality)
        elif quality is not None:
            raise InputError(f"{self.encoder} has no quality to choose")
        if self.lookahead:
            usual, name, value = self.lookahead
            most = max(_LEAST_AHEAD, _PIXELS_AHEAD // (width * height))
            options[name] = value.format(min(usual, most))
        return options


def _yuv(*names: str) -> tuple[str, ...]:
    return tuple(f"yuv{name}" for name in names)


_EIGHT = _yuv("420p", "422p", "444p")
_ALPHA = ("a420p", "a422p", "a444p", "a444p10le", "a444p16le")
_TEN = _yuv("420p10le", "422p10le", "444p10le")
_MP4 = (".mp4", ".m4v")
CODECS: Mapping[str, Codec] = {
    "h264": Codec(
        *("libx264", ("crf", 18, 51), (*_EIGHT, *_TEN), (*_MP4, ".mov", ".mkv")),
        {"preset": "medium"},
        (40, "rc-lookahead", "{}"),
        least=2,
    ),
    "hevc": Codec(
        *("libx265", ("crf", 20, 51), (*_EIGHT, *_TEN, *_yuv("420p12le", "422p12le", "444p12le"))),
        (*_MP4, ".mov", ".mkv"),
        {"preset": "medium"},
        (20, "x265-params", "log-level=error:rc-lookahead={}"),
        least=64,
    ),
    "vp9": Codec(
        *("libvpx-vp9", ("crf", 24, 63), (*_EIGHT, *_TEN, "yuva420p")),
        (*_MP4, ".mkv", ".webm"),
        {"b": "0", "row-mt": "1", "cpu-used": "4"},
        (25, "lag-in-frames", "{}"),
    ),
    "av1": Codec(
        *("libsvtav1", ("crf", 24, 63), ("yuv420p", "yuv420p10le"), (*_MP4, ".mkv", ".webm")),
        {"preset": "8"},
        least=64,
    ),
    "prores": Codec(
        *("prores_ks", None, _yuv("422p10le", "444p10le", "a444p10le"), (".mov", ".mkv"))
    ),
    "ffv1": Codec(
        "ffv1",
        None,
        (*_EIGHT, *_TEN, *_yuv("420p16le", "422p16le", "444p16le", *_ALPHA)),
        (*_MP4, ".mkv"),
        least=8,
    ),
}


def codec_for(path: Path, name: str | None, *, alpha: bool) -> Codec:
    """Return the codec of a file that is to be written.

    Args:
        path: The file.
        name: Of the codec, a key of `CODECS`; None is what suits the file.
        alpha: Whether there is an alpha channel.

    Raises:
        InputError: The file's ending stands for no format, or for one that does not hold the codec.
    """
    check_ending(path)
    name = name or _usual_codec(path, alpha=alpha)
    ending, codec = path.suffix.lower(), CODECS[name]
    if ending not in codec.endings:
        held = ", ".join(one for one, other in CODECS.items() if ending in other.endings)
        raise InputError(
            f"{path.name} cannot hold {name}; write {' or '.join(codec.endings)}, or take a codec "
            f"that {ending} holds: {held}"
        )
    return codec


def _usual_codec(path: Path, *, alpha: bool) -> str:
    ending = path.suffix.lower()
    if ending == ".webm":
        return "vp9"
    if not alpha:
        return "h264"
    return {".mov": "prores", ".mkv": "ffv1"}.get(ending, "h264")


def check_ending(path: Path) -> str:
    """Return FFmpeg's name of the format that a file's ending stands for.

    Raises:
        InputError: It stands for none.
    """
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise InputError(f"{path} does not end in what can be written: {', '.join(FORMATS)}")
    return found
