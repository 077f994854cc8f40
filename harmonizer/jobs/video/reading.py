"""Read clips: their frames, what they say of themselves, and what is wrong with them."""

import re
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from harmonizer.errors import InputError, import_extra, warn
from harmonizer.imaging.files import most_pixels
from harmonizer.jobs.video.alike import Alike
from harmonizer.jobs.video.pictures import PICTURES, JoinedFiles, numbered
from harmonizer.jobs.video.times import Times
from harmonizer.jobs.video.yuv import (
    BT709,
    FULL_RANGE,
    LIMITED_RANGE,
    has_alpha,
    is_coloured,
    is_rgb,
)

# Curves of brightness, by their numbers in ITU-T H.273, that are made for HDR.
_HDR = {16: "PQ (HDR10, Dolby Vision)", 18: "HLG"}
# The native decoder of VP9 leaves the alpha channel out, which this one reads.
_ALPHA_DECODERS = {"vp9": "libvpx-vp9", "vp8": "libvpx"}
# The formats that are read, by FFmpeg's names. Others are lists of files and addresses (concat,
# HLS, DASH, SDP), devices, or hold no video.
_FORMATS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "m4v", "h264", "hevc", "av1", "obu"),
    *("ivf", "flv", "asf", "ogg", "mxf", "nut", "dv", "rm", "mjpeg", "yuv4mpegpipe", "gif", "apng"),
    *PICTURES.values(),
)
_LASTS = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)")  # hours, minutes and seconds
# What FFmpeg says of streams that are a single picture: of the clip, or of chapters.
_PICTURE, _THUMBNAILS = 1 << 10, 1 << 11
_LEAD = 0.1  # seconds of sound that a decoder may want before the first that is heard


@dataclass(frozen=True)
class Stored:
    """How a clip stores its pictures: what a plain encoding has to keep.

    Colours are numbers of ITU-T H.273.
    """

    width: int
    height: int
    pixel_format: str
    sample_aspect_ratio: Fraction | None = None
    color_range: int = LIMITED_RANGE
    colorspace: int = BT709
    color_primaries: int = BT709
    color_trc: int = BT709


class Clip:
    """A file with a video stream, open to be read once, from its begin to its end.

    Attributes:
        path: The file.
        container: PyAV's.
        stream: The video stream.
        packets: What was read of other streams meanwhile; whoever wants it takes it.
    """

    def __init__(self, path: Path, *, others: bool = False, fps: float = 25.0) -> None:
        """Open a clip.

        Args:
            path: The file, or a folder of pictures of one kind, in the order of the numbers in
                their names.
            others: Whether packets of other streams than video are wanted.
            fps: Frames in a second, of pictures.

        Raises:
            InputError: It cannot be read, has no video, is HDR, or has frames of more pixels than
                `PIL.Image.MAX_IMAGE_PIXELS`.
        """
        self._av = import_extra("av", "video")
        self.path = path
        self._pictures = numbered(path) if path.is_dir() else []
        if not self._pictures and not path.is_file():
            raise InputError(f"there is no file {path}")
        with ExitStack() as opened:
            # An absolute path, because FFmpeg takes some names for addresses.
            source: Any = JoinedFiles(self._pictures) if self._pictures else str(path.absolute())
            form = PICTURES[self._pictures[0].suffix.lower()] if self._pictures else None
            options = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"}
            if form:
                options["framerate"] = f"{fps:g}"
            try:
                self.container: Any = opened.enter_context(
                    self._av.open(source, format=form, options=options, metadata_errors="replace")
                )
            except (self._av.error.FFmpegError, ValueError) as error:
                reason = getattr(error, "strerror", error)
                raise InputError(
                    f"{path} is no video that can be read, or it is truncated: {reason}. MP4, MOV, "
                    "Matroska, WebM, AVI, MPEG and the like are read; lists of files are not"
                ) from error
            self.stream: Any = self._choose()
            context = self.stream.codec_context
            self._refuse_hdr(int(context.color_trc or 0))
            self._refuse_large(context.width, context.height)
            self._close = opened.pop_all().close
        self.others: list[Any] = (
            [one for one in self.container.streams if one.type in ("audio", "subtitle")]
            if others
            else []
        )
        self.packets: deque[Any] = deque()
        self.stream.thread_type = "AUTO"

    def __enter__(self) -> "Clip":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._close()

    @property
    def stored(self) -> Stored:
        """How its pictures are stored."""
        context = self.stream.codec_context
        form = "yuva420p" if self._alpha_decoder() else str(context.pix_fmt)
        names = ("color_range", "colorspace", "color_primaries", "color_trc")
        colours = [int(getattr(context, name)) for name in names]
        pixels = self._av.VideoFormat(form, 2, 2)
        if is_rgb(pixels, colours[1]):  # which is converted
            colours[:2] = LIMITED_RANGE, BT709
        elif form.startswith("yuvj") or not is_coloured(pixels):
            colours[0] = FULL_RANGE
        aspect = context.sample_aspect_ratio or None
        return Stored(context.width, context.height, form, aspect, *colours)

    @property
    def alpha(self) -> bool:
        """Whether the video has an alpha channel."""
        return has_alpha(self._av.VideoFormat(self.stored.pixel_format, 2, 2))

    @property
    def counted(self) -> int | None:
        """How many frames there are, if the file says so; it counts those that are cut off, too."""
        if self._pictures:
            return len(self._pictures)
        stored, seconds, rate = int(self.stream.frames), self.seconds, self.told_rate
        shown = round(seconds * rate) if seconds and rate and stored else stored
        return stored if stored and abs(stored - shown) <= 1 + stored // 100 else None

    @property
    def told_rate(self) -> Fraction | None:
        """Frames in a second, on average, if the file says so."""
        # FFmpeg takes the ticks of raw DV for frames, 60000 in a second, and guesses right.
        rates: list[Fraction | None] = [self.stream.average_rate, self.stream.guessed_rate]
        return min((rate for rate in rates if rate), default=None)

    @property
    def rate(self) -> float:
        """Frames in a second, on average; 25 where the file does not say."""
        return float(self.told_rate or 25)

    def time_of(self, index: int, frame: Any) -> float:  # noqa: ANN401 - a frame of PyAV
        """Return when a frame is shown, in seconds; by its number, where it does not say."""
        return index / self.rate if frame.time is None else float(frame.time)

    @property
    def expected(self) -> int | None:
        """How many frames there should be; a guess for some formats."""
        seconds, rate = self.seconds, self.told_rate
        return self.counted or (round(seconds * rate) if seconds and rate else None)

    @property
    def seconds(self) -> Fraction | None:
        """How long the video should be, if the file says so."""
        if self.stream.duration:
            return Fraction(self.stream.duration * self.stream.time_base)
        if told := _LASTS.fullmatch(self.stream.metadata.get("DURATION", "")):  # in Matroska
            hours, minutes, seconds = told.groups()
            end = 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)
            # FFmpeg says when it ends, and mkvmerge how long it lasts; the lesser is promised.
            return end - self._begin if end > self._begin else None
        duration = self.container.duration  # of what lasts longest
        alone = len(self.container.streams) == 1
        return Fraction(duration, self._av.time_base) if duration and alone else None

    @property
    def _begin(self) -> Fraction:
        """When the first frame is shown, in seconds."""
        return Fraction((self.stream.start_time or 0) * self.stream.time_base)

    def frames(self) -> Iterator[Any]:
        """Yield the frames, as PyAV decodes them, each with a time after the one before.

        There is a warning where the file's own times go back.

        Raises:
            InputError: A frame is broken, too large, mirrored, HDR, or to be shown otherwise than
                those before, or the file ends before its time.
        """
        count, end, damaged, context = 0, None, 0, self.stream.codec_context
        decoder, times = self._decoder(), Times(self.path.name, self.stream, self.rate)
        alike = Alike(self.path)
        try:
            for packet in self.container.demux(self.stream, *self.others):
                times.move(packet)
                if packet.stream is not self.stream:
                    # What lies further before the begin than encoders need was cut off.
                    cut_off = packet.is_discard and (packet.pts or 0) * packet.time_base < -_LEAD
                    if packet.dts is not None and not cut_off:
                        self.packets.append(packet)
                    continue
                decoded = decoder(packet)
                # Of which a part is shown; known by now, though frames may come later.
                self._refuse_large(context.coded_width, context.coded_height)
                for frame in decoded:
                    self._refuse_hdr(int(frame.color_trc))
                    alike.check(frame, count)
                    if frame.is_corrupt:
                        damaged += 1
                        if damaged == 1:
                            warn(f"frame {count} of {self.path.name} is damaged")
                    if count == 0 and frame.interlaced_frame:
                        warn(f"{self.path.name} is interlaced; it is written as whole frames")
                    if frame.time is not None:
                        end = max(end or 0, frame.time)
                    times.settle(frame)
                    yield frame
                    count += 1
        except self._av.error.FFmpegError as error:
            raise InputError(f"frame {count} of {self.path} is broken: {error}") from error
        if count == 0:
            raise InputError(f"{self.path} holds no frame that can be read")
        seconds, begin = self.seconds, float(self._begin)
        if seconds and end is not None and end - begin + 1 < 0.98 * float(seconds):
            raise InputError(
                f"{self.path} ends at {end - begin:.2f} s, and promises {float(seconds):.2f} s: it "
                "is truncated"
            )

    def covers(self) -> dict[int, bytes]:
        """Return the pictures of its cover, as their files have them, by the number of a stream."""
        found: dict[int, bytes] = {}
        if any(map(is_cover, self.container.streams.video)):
            with Clip(self.path) as again:
                for packet in again.container.demux():
                    if not is_cover(packet.stream):  # they come before all others
                        break
                    found[packet.stream.index] = bytes(packet)
        return found

    def _choose(self) -> Any:  # noqa: ANN401 - a stream of PyAV
        for stream in self.container.streams.video:
            if not stream.disposition & _PICTURE:
                if getattr(stream.codec_context, "pix_fmt", None) is None:
                    raise InputError(
                        f"the video of {self.path} cannot be decoded; convert it first"
                    )
                return stream
        raise InputError(f"{self.path} has no video stream, or it is truncated")

    def _refuse_hdr(self, curve: int) -> None:
        if curve in _HDR:
            raise InputError(
                f"{self.path} is HDR, {_HDR[curve]}, which the models have never seen; convert it "
                "to SDR first, as ffmpeg's filters zscale and tonemap do"
            )

    def _refuse_large(self, width: int, height: int) -> None:
        most = most_pixels()
        if most and width * height > most:
            raise InputError(
                f"{self.path} has frames of {width} x {height}, more than {most:,} pixels, which "
                "PIL.Image.MAX_IMAGE_PIXELS limits them to"
            )

    def _alpha_decoder(self) -> str | None:
        if self.stream.metadata.get("alpha_mode") != "1":
            return None
        return _ALPHA_DECODERS.get(self.stream.codec_context.codec.canonical_name)

    def _decoder(self) -> Any:  # noqa: ANN401 - a function of PyAV
        name = self._alpha_decoder()
        if name is None:
            return self.stream.decode
        with_alpha = self._av.CodecContext.create(name, "r")
        with_alpha.extradata = self.stream.codec_context.extradata

        def decode(packet: Any) -> Iterator[Any]:  # noqa: ANN401 - PyAV
            for frame in with_alpha.decode(packet):
                frame.time_base = self.stream.time_base
                yield frame

        return decode


def is_cover(stream: Any) -> bool:  # noqa: ANN401 - a stream of PyAV
    """Return whether a stream is a picture of a whole clip, and not one of its chapters."""
    return (stream.disposition & (_PICTURE | _THUMBNAILS)) == _PICTURE
