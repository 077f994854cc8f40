"""Write clips: the codec and format that hold what was there, and the streams that are copied."""

import os
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from harmonizer.errors import InputError, import_extra, warn
from harmonizer.jobs.video.reading import Clip
from harmonizer.jobs.video.yuv import planes_of

FORMATS: Mapping[str, str] = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
_FULL_RANGE, _BT709 = 2, 1
_ENOUGH = 8  # bits


@dataclass(frozen=True)
class Codec:
    """An encoder of FFmpeg.

    Attributes:
        encoder: Its name there.
        quality: Its option for the quality, if it has one, and the usual value.
        formats: How it can store pixels.
        options: What else it is told.
    """

    encoder: str
    quality: tuple[str, int] | None
    formats: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict[str, str])


def _yuv(*names: str) -> tuple[str, ...]:
    return tuple(f"yuv{name}" for name in names)


_EIGHT = _yuv("420p", "422p", "444p")
_ALPHA = ("a420p", "a422p", "a444p", "a444p10le", "a444p16le")
_TEN = _yuv("420p10le", "422p10le", "444p10le")
CODECS: Mapping[str, Codec] = {
    "h264": Codec("libx264", ("crf", 18), (*_EIGHT, *_TEN), {"preset": "medium"}),
    "hevc": Codec(
        *("libx265", ("crf", 20), (*_EIGHT, *_TEN, *_yuv("420p12le", "422p12le", "444p12le"))),
        {"preset": "medium", "x265-params": "log-level=error"},
    ),
    "vp9": Codec(
        *("libvpx-vp9", ("crf", 24), (*_EIGHT, *_TEN, "yuva420p")),
        {"b": "0", "row-mt": "1", "cpu-used": "4"},
    ),
    "av1": Codec("libsvtav1", ("crf", 24), ("yuv420p", "yuv420p10le"), {"preset": "8"}),
    "prores": Codec("prores_ks", None, _yuv("422p10le", "444p10le", "a444p10le")),
    "ffv1": Codec(
        "ffv1",
        None,
        (*_EIGHT, *_TEN, *_yuv("420p16le", "422p16le", "444p16le", *_ALPHA)),
    ),
}


def usual_codec(path: Path, *, alpha: bool) -> str:
    """Return which codec a file gets when nothing is said."""
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


def pixel_format(name: str, codec: Codec, path: Path) -> str:
    """Choose how pixels are stored: nothing is lost if the codec can hold it.

    Args:
        name: How the clip stores them.
        codec: What will.
        path: The file to write, for messages.

    Raises:
        InputError: There is an alpha channel, and nowhere to put it.
    """
    av = import_extra("av", "video")
    source, alpha = _traits(av, name)

    def losses(candidate: str) -> tuple[int, ...]:
        found, _ = _traits(av, candidate)
        lost = [max(0, have - get) for have, get in zip(source, found, strict=True)]
        spent = [max(0, get - have) for have, get in zip(source, found, strict=True)]
        return (*lost, *spent)

    fitting = [one for one in codec.formats if _traits(av, one)[1] == alpha]
    if not fitting:
        raise InputError(
            f"the clip has an alpha channel, which {codec.encoder} in {path.name} cannot hold; "
            "write .mov (ProRes), .webm (VP9) or .mkv (FFV1)"
        )
    best = min(fitting, key=losses)
    if _traits(av, best)[0][0] < source[0] and source[0] > _ENOUGH:
        warn(f"{codec.encoder} holds fewer bits than the clip's {source[0]}")
    return best


def _traits(av: Any, name: str) -> tuple[tuple[int, int, int], bool]:  # noqa: ANN401 - PyAV
    """Bits, and values of colour across and down for 2 x 2 pixels; and whether there is alpha."""
    form = av.VideoFormat(name, 2, 2)
    parts = form.components
    if form.is_rgb or form.has_palette or len(parts) < 3:
        return (max(8, parts[0].bits), 2, 2), form.has_palette is False and len(parts) in (2, 4)
    return (parts[0].bits, parts[1].width, parts[1].height), len(parts) == 4


class Output:
    """A clip that is being written, under another name until it is whole."""

    def __init__(self, path: Path, clip: Clip, codec: Codec, quality: int | None) -> None:
        """Begin.

        Args:
            path: The file, which is replaced when the new one is finished.
            clip: Whose timing, colours and other streams are kept.
            codec: What encodes the frames.
            quality: Of the codec; None is the usual one.

        Raises:
            InputError: The format cannot hold what there is.
        """
        self._av = import_extra("av", "video")
        self._path = Path(os.path.realpath(path))
        self._temporary = self._path.with_name(f".{uuid.uuid4().hex}.tmp")
        self._clip = clip
        self.frames = self.rotation = 0
        self._waiting: deque[Any] = deque()
        form = check_ending(path)
        source = clip.stream.codec_context
        self.format = pixel_format(clip.pixel_format, codec, path)
        self._from_rgb = self._av.VideoFormat(source.pix_fmt, 2, 2).is_rgb
        options = dict(codec.options)
        if codec.quality:
            options[codec.quality[0]] = str(codec.quality[1] if quality is None else quality)
        elif quality is not None:
            raise InputError(f"{codec.encoder} has no quality to choose")
        if codec.encoder == "prores_ks":
            options["profile"] = "hq" if "422" in self.format else "4444"
        time_base = Fraction(clip.stream.time_base)
        about = {"movflags": "faststart", "video_track_timescale": str(time_base.denominator)}
        self._container: Any = self._av.open(
            str(self._temporary), "w", format=form, options=about if form in ("mp4", "mov") else {}
        )
        try:
            self._container.metadata.update(clip.container.metadata)
            self._video = self._container.add_stream(codec.encoder, rate=clip.stream.average_rate)
            self._video.options = options
            self._video.metadata.update(
                {k: v for k, v in clip.stream.metadata.items() if k in ("language", "title")}
            )
            context = self._video.codec_context
            context.width, context.height = source.width, source.height
            context.pix_fmt = self.format
            context.time_base = time_base
            if source.sample_aspect_ratio:
                context.sample_aspect_ratio = source.sample_aspect_ratio
            for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
                setattr(context, name, getattr(source, name))
            if self._from_rgb:
                context.colorspace, context.color_range = _BT709, 1
            elif source.pix_fmt.startswith("yuvj"):
                context.color_range = _FULL_RANGE
            if codec.encoder == "libx265" and form in ("mp4", "mov"):
                context.codec_tag = "hvc1"
            self._copied = {one.index: self._copy(one) for one in clip.others}
            if clip.container.chapters():
                self._container.set_chapters(clip.container.chapters())
        except BaseException:
            self.discard()
            raise

    def _copy(self, stream: Any) -> Any:  # noqa: ANN401 - streams of PyAV
        name = stream.codec_context.codec.canonical_name
        try:
            if name not in self._container.supported_codecs:
                raise ValueError(name)
            return self._container.add_stream_from_template(stream)
        except (ValueError, self._av.error.FFmpegError) as error:
            option = "--no-audio" if stream.type == "audio" else "--no-subtitles"
            raise InputError(
                f"{self._path.name} cannot hold the clip's {stream.type}, {name}; write .mkv, "
                f"which holds nearly all, or leave it out: {option}"
            ) from error

    def prepared(self, frame: Any) -> Any:  # noqa: ANN401 - a frame of PyAV
        """Return a frame as it will be stored, in memory that may be written to."""
        self.rotation = int(frame.rotation)
        name = frame.format.name
        if name == self.format:
            frame.make_writable()
            return frame
        if name.replace("yuvj", "yuv") == self.format:
            ready = self._av.VideoFrame(frame.width, frame.height, self.format)
            for target, plane in zip(planes_of(ready), planes_of(frame), strict=True):
                target[...] = plane
            ready.colorspace, ready.color_range = frame.colorspace, _FULL_RANGE
        elif self._from_rgb:
            ready = frame.reformat(format=self.format, dst_colorspace=_BT709, dst_color_range=1)
            ready.colorspace, ready.color_range = _BT709, 1
        else:
            ready = frame.reformat(format=self.format)
        ready.pts, ready.time_base = frame.pts, frame.time_base
        return ready

    def write(self, frame: Any) -> None:  # noqa: ANN401 - a frame of PyAV
        """Encode a frame, and copy what of the other streams belongs before it."""
        if self.frames == 0 and self.rotation:
            self._video.set_display_rotation(self.rotation)
        frame.pict_type = 0  # the encoder's choice, not the one of the encoder before
        self._waiting.extend(self._clip.packets)
        self._clip.packets.clear()
        while self._waiting and _time(self._waiting[0]) <= (frame.time or 0):
            self._mux_copied(self._waiting.popleft())
        try:
            self._container.mux(self._video.encode(frame))
        except self._av.error.FFmpegError as error:
            if isinstance(error, OSError) and self.frames:  # such as a full disk
                raise
            name = self._video.codec_context.name
            raise InputError(
                f"{name} cannot encode {frame.width} x {frame.height} as {self.format}: {error}. "
                "Choose another --codec"
            ) from error
        self.frames += 1

    def finish(self, *, whole: bool) -> None:
        """End the file, and give it its name.

        Args:
            whole: Whether the clip was read to its end, so that all that was read is copied.

        Raises:
            OSError: It cannot be written.
        """
        if whole:
            self._waiting.extend(self._clip.packets)
            while self._waiting:
                self._mux_copied(self._waiting.popleft())
        self._container.mux(self._video.encode(None))
        self._container.close()
        self._temporary.replace(self._path)

    def discard(self) -> None:
        """Leave nothing behind, if it was not finished."""
        if self._temporary.exists():
            self._container.close()
            self._temporary.unlink(missing_ok=True)

    def _mux_copied(self, packet: Any) -> None:  # noqa: ANN401 - a packet of PyAV
        packet.stream = self._copied[packet.stream.index]
        self._container.mux(packet)


def _time(packet: Any) -> float:  # noqa: ANN401 - a packet of PyAV
    return float((packet.pts if packet.pts is not None else packet.dts) * packet.time_base)
