"""Write clips: the codec and format that hold what was there, and the streams that are copied."""

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from harmonizer.errors import InputError, import_extra, warn
from harmonizer.files import Draft
from harmonizer.imaging.video_codecs import Codec, check_ending
from harmonizer.jobs.video.reading import Clip, Stored
from harmonizer.jobs.video.streams import add_attached, describe, name_channels
from harmonizer.jobs.video.yuv import (
    BT709,
    FULL_RANGE,
    LIMITED_RANGE,
    has_alpha,
    is_coloured,
    is_full_range,
    is_rgb,
    planes_of,
)
from harmonizer.threads import priorities_kept

_ENOUGH = 8  # bits
_NAMES = ("canonical_name", "name")  # of a codec, as PyAV has them: `dts` is `dca`, too
# What writes the alpha channel beside the colours, where only Matroska and WebM have room for it.
_ALPHA_BESIDE = "libvpx-vp9"
_IN_ORDER = 2  # frames of a clip that are surely decoded in the order in which they are shown
# What leaves streams of a kind out.
_OPTIONS = {"audio": "--no-audio", "subtitle": "--no-subtitles"}


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

    fitting = [one for one in _formats_here(av, codec) if _traits(av, one)[1] == alpha]
    lost = codec.encoder == _ALPHA_BESIDE and path.suffix.lower() not in (".mkv", ".webm")
    if not fitting or (alpha and lost):
        raise InputError(
            f"the clip has an alpha channel, which {codec.encoder} in {path.name} cannot hold; "
            "write .mov (ProRes), .webm (VP9) or .mkv (FFV1)"
        )
    best = min(fitting, key=losses)
    if _traits(av, best)[0][0] < source[0] and source[0] > _ENOUGH:
        warn(f"{codec.encoder} holds fewer bits than the clip's {source[0]}")
    if is_coloured(av.VideoFormat(name, 2, 2)) and any(losses(best)[1:3]):
        warn(f"{codec.encoder} holds the colours of fewer pixels than the clip does")
    return best


def _formats_here(av: Any, codec: Codec) -> list[str]:  # noqa: ANN401 - PyAV
    """Return the formats that the encoder is built with: PyAV's libvpx has at most 8 bits."""
    try:
        built = {one.name for one in av.Codec(codec.encoder, "w").video_formats or ()}
    except ValueError:  # there is none, as will be said when it is needed
        return list(codec.formats)
    return [one for one in codec.formats if one in built]


def _traits(av: Any, name: str) -> tuple[tuple[int, int, int], bool]:  # noqa: ANN401 - PyAV
    """Bits, and values of colour across and down for 2 x 2 pixels; and whether there is alpha."""
    form = av.VideoFormat(name, 2, 2)
    parts = form.components
    if form.is_rgb or form.has_palette or not is_coloured(form):
        return (max(8, parts[0].bits), 2, 2), has_alpha(form)
    return (parts[0].bits, parts[1].width, parts[1].height), has_alpha(form)


class Output:
    """A clip that is being written, under another name until it is whole.

    Attributes:
        frames: How many are in the file.
        kept: Whether the file has its name.
        stored: How the pictures are stored, but for their format.
        format: The format that they have in the file, by FFmpeg's name.
        rotation: Degrees by which the frame that was last prepared is shown turned,
            counter-clockwise; `write` tells players so of the whole file at its first frame.
    """

    def __init__(
        self,
        path: Path,
        clip: Clip,
        codec: Codec,
        quality: int | None,
        stored: Stored | None = None,
    ) -> None:
        """Begin.

        Args:
            path: The file, which is replaced when the new one is finished.
            clip: Whose timing and other streams are kept.
            codec: What encodes the frames.
            quality: Of the codec; None is the usual one.
            stored: How the pictures are stored; None is as the clip does.

        Raises:
            InputError: The format cannot hold what there is.
        """
        self._av = import_extra("av", "video")
        self._path = path
        self._clip = clip
        self.frames = self.rotation = 0
        self._begun = self._left_out = False
        self.kept = False
        self._encoded: deque[Any] = deque()  # frames that are not in the file yet
        self._waiting: deque[Any] = deque()
        self._copied_until: dict[int, int] = {}  # the last time of each stream, in its own ticks
        form = check_ending(path)
        self.stored = stored or clip.stored
        self.format = pixel_format(self.stored.pixel_format, codec, path)
        options = codec.options_for(self.stored.width, self.stored.height, quality)
        if codec.encoder == "prores_ks":
            options["profile"] = "hq" if "422" in self.format else "4444"
        time_base = Fraction(clip.stream.time_base)
        about = {"movflags": "faststart", "video_track_timescale": str(time_base.denominator)}
        self._draft = Draft(path)
        self._container: Any = None
        try:
            self._container = self._av.open(
                str(self._draft.temporary),
                "w",
                format=form,
                options=about if form in ("mp4", "mov") else {},
            )
            self._container.metadata.update(clip.container.metadata)
            self._video = self._add_video(codec)
            self._video.options = options
            describe(self._video, clip.stream)
            context = self._video.codec_context
            context.pix_fmt, context.time_base = self.format, time_base
            for name, value in vars(self.stored).items():
                if name != "pixel_format" and value is not None:
                    setattr(context, name, value)
            if codec.encoder == "libx265" and form in ("mp4", "mov"):
                context.codec_tag = "hvc1"
            self._copied = {one.index: self._copy(one) for one in clip.others}
            self._attached = add_attached(self._container, clip, path)
            if clip.container.chapters():
                self._container.set_chapters(clip.container.chapters())
        except BaseException:
            self.discard()
            raise

    def _add_video(self, codec: Codec) -> Any:  # noqa: ANN401 - a stream of PyAV
        try:
            return self._container.add_stream(codec.encoder, rate=self._clip.told_rate)
        except ValueError as error:
            raise InputError(
                f"PyAV's FFmpeg cannot write {self._path.name} by {codec.encoder}; choose another "
                "--codec, or install PyAV from PyPI, which has it"
            ) from error

    def _copy(self, stream: Any) -> Any:  # noqa: ANN401 - streams of PyAV
        known = stream.codec_context is not None
        # One of both is FFmpeg's name of the decoder.
        names = [getattr(stream.codec_context.codec, kind) for kind in _NAMES] if known else []
        name = names[0] if known else "which FFmpeg does not know"
        try:
            if not self._container.supported_codecs.intersection(names):
                raise ValueError(name)
            added = self._container.add_stream_from_template(stream)
        except (ValueError, self._av.error.FFmpegError) as error:
            other = "write .mkv, which holds nearly all, or " if known else ""
            raise InputError(
                f"{self._path.name} cannot hold the clip's {stream.type}, {name}; {other}leave it "
                f"out: {_OPTIONS[stream.type]}"
            ) from error
        describe(added, stream)
        if stream.type == "audio":
            name_channels(added)
        return added

    def prepared(self, frame: Any) -> Any:  # noqa: ANN401 - a frame of PyAV
        """Return a frame as it will be stored, in memory that may be written to.

        Its `rotation` is kept here, since what is returned may have lost it.
        """
        self.rotation = int(frame.rotation)
        name = frame.format.name
        if name == self.format:
            frame.make_writable()
            return frame
        if name.replace("yuvj", "yuv") == self.format:
            ready = copied(frame, self.format)
            ready.color_range = FULL_RANGE
        elif is_rgb(frame.format, int(frame.colorspace)):
            bilevel = frame.format.components[0].bits == 1
            # White of one bit would be 255 there, not 235.
            source = frame.reformat(format="gray") if bilevel else frame
            ready = source.reformat(
                format=self.format, dst_colorspace=BT709, dst_color_range=LIMITED_RANGE
            )
            ready.colorspace, ready.color_range = BT709, LIMITED_RANGE
        else:
            full = FULL_RANGE if is_full_range(frame) else None
            ready = frame.reformat(format=self.format, dst_color_range=full)
        ready.pts, ready.time_base = frame.pts, frame.time_base
        return ready

    def write(self, frame: Any) -> None:  # noqa: ANN401 - a frame of PyAV
        """Encode a frame, and copy what of the other streams belongs before it.

        Raises:
            InputError: The codec cannot encode it, or the format not hold the streams together.
            OSError: It cannot be written.
        """
        if not self._begun and self.rotation:
            self._video.set_display_rotation(self.rotation)
        frame.pict_type = 0  # the encoder's choice, not the one of the encoder before
        try:
            # The first frame opens the encoder.
            with nullcontext() if self._begun else priorities_kept():
                self._encoded.extend(self._video.encode(frame))
        except self._av.error.FFmpegError as error:
            name = self._video.codec_context.name
            raise InputError(
                f"{name} cannot encode {frame.width} x {frame.height} as {self.format}: "
                f"{error.strerror}. "
                "Choose another --codec"
            ) from error
        with self._muxing():
            if not self._begun:
                self._container.start_encoding()
                self._begun = True
                for packet in self._attached:
                    self._container.mux(packet)
            self._take_packets()
            while self._waiting and _time(self._waiting[0]) <= (frame.time or 0):
                self._mux_copied(self._waiting.popleft())
            self._mux_frames()

    @contextmanager
    def _muxing(self) -> Generator[None]:
        """Say what to do where the format refuses something; errors of the system name the file."""
        try:
            with self._draft.named():
                yield
        except self._av.error.FFmpegError as error:
            options = sorted({_OPTIONS[stream.type] for stream in self._clip.others})
            other = f", or leave some out: {', '.join(options)}" if options else ""
            raise InputError(
                f"{self._path.name} cannot hold the clip's streams together: {error.strerror}. "
                f"Write .mkv, which holds nearly all{other}"
            ) from error

    def _take_packets(self) -> None:
        """Take what was read of other streams, perhaps by another thread at the same time."""
        while self._clip.packets:
            self._waiting.append(self._clip.packets.popleft())

    def finish(self, *, whole: bool) -> None:
        """End the file, and give it its name, if a frame was written.

        Args:
            whole: Whether the clip was read to its end, so that all that was read is copied.

        Raises:
            InputError: The format does not hold the rest; the file has its name nevertheless, with
                what came before.
            OSError: It cannot be written.
        """
        if not self._begun:
            return
        refused = None
        try:
            with self._muxing():
                self._encoded.extend(self._last_frames())
                self._mux_frames()
                if whole:
                    self._take_packets()
                    while self._waiting:
                        self._mux_copied(self._waiting.popleft())
        except InputError as error:
            refused = error
        if self.frames:
            with self._muxing():
                self._container.close()
            self._draft.keep()
            self.kept = True
        if refused:
            raise refused

    def _last_frames(self) -> list[Any]:
        """Return what the encoder still holds."""
        packets = self._video.encode(None)
        if self.frames + len(packets) <= _IN_ORDER:
            for packet in packets:  # for so few x265 gives any number as the time of decoding
                packet.dts = packet.pts
        return packets

    def discard(self) -> None:
        """Leave nothing behind, if it was not finished."""
        if self._draft.temporary.exists():
            if self._container is not None:
                with suppress(self._av.error.FFmpegError):  # on a full disk it cannot be ended
                    self._container.close()
            self._draft.discard()

    def _mux_frames(self) -> None:
        while self._encoded:
            # What is refused stays the next one: those behind it are made of it.
            self._container.mux(self._encoded[0])
            self._encoded.popleft()
            self.frames += 1

    def _mux_copied(self, packet: Any) -> None:  # noqa: ANN401 - a packet of PyAV
        stream, now = packet.stream, int(packet.dts)
        before = self._copied_until.get(stream.index)
        if before is not None and (now < before or (now == before and self._is_strict(stream))):
            if not self._left_out:
                self._left_out = True
                name = self._clip.path.name
                warn(f"the {stream.type} of {name} goes back in time, and is left out there")
            return
        self._copied_until[stream.index] = now
        packet.stream = self._copied[stream.index]
        self._container.mux(packet)

    def _is_strict(self, stream: Any) -> bool:  # noqa: ANN401 - a stream of PyAV
        """Return whether two packets of a stream cannot have the same time in this format."""
        same = self._av.format.Flags.ts_nonstrict.value
        return stream.type != "subtitle" and not self._container.format.flags & same


def copied(frame: Any, name: str) -> Any:  # noqa: ANN401 - frames of PyAV
    """Copy a planar frame, without its time, as a format that has the same planes."""
    copy = import_extra("av", "video").VideoFrame(frame.width, frame.height, name)
    for target, plane in zip(planes_of(copy), planes_of(frame), strict=True):
        target[...] = plane
    copy.colorspace, copy.color_range = frame.colorspace, frame.color_range
    return copy


def _time(packet: Any) -> float:  # noqa: ANN401 - a packet of PyAV
    return float((packet.pts if packet.pts is not None else packet.dts) * packet.time_base)
