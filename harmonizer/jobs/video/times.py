"""Times that rise, whatever a clip says of its packets and frames."""

from fractions import Fraction
from typing import Any

from harmonizer.errors import warn

# Seconds back from which on another part begins, as FFmpeg has it; less is a wrong time.
_JUMP = Fraction(1, 10)
# A time of so many may be wrong before another kind of time is taken.
_FEW = 8


class Times:
    """Sets the times of one file right.

    A file may be several, one behind the other, as `cat` joins those of MPEG-TS. The times of each
    part begin anew, and the whole part is moved behind the one before, audio together with video.
    Single frames may be wrong, too, and all those of H.264 with B-frames in AVI, which knows only
    the order in which they are decoded.
    """

    def __init__(self, name: str, video: Any, rate: float) -> None:  # noqa: ANN401 - PyAV
        """Begin.

        Args:
            name: Of the file, for the warning.
            video: Its video stream.
            rate: Frames in a second, on average.
        """
        self._name, self._video = name, int(video.index)
        self._usual = max(1, round(1 / (rate * float(video.time_base))))  # ticks of a frame
        self._moves = [Fraction(0)]  # seconds by which each part is moved
        self._reached: dict[int, tuple[int, Fraction]] = {}  # each stream's part, and time there
        self._end = Fraction(0)  # of all that has come, as moved
        self._shown: int | None = None  # the last frame's time, in ticks
        self._said: list[int | None] = [None, None]  # its two times, as the file has them
        self._wrong = [0, 0]  # how often each of them did not rise
        self._count = 0
        self._warned = False

    def move(self, packet: Any) -> None:  # noqa: ANN401 - PyAV
        """Move a packet with its part; to be called with each one, in the order of the file."""
        time = packet.dts if packet.pts is None else packet.pts
        if time is None:  # the end of a stream
            return
        base = Fraction(packet.time_base)
        ticks = round(self._moves[self._part_of(packet, time * base)] / base)
        packet.pts, packet.dts = (
            None if one is None else one + ticks for one in (packet.pts, packet.dts)
        )
        lasts = packet.duration or (self._usual if packet.stream.index == self._video else 0)
        self._end = max(self._end, (time + ticks + lasts) * base)

    def settle(self, frame: Any) -> None:  # noqa: ANN401 - PyAV
        """Give a frame a time after that of the frame before."""
        time = self._better(frame.pts, frame.dts)
        if time is None:
            time = 0 if self._shown is None else self._shown + self._usual
        if self._shown is not None and time <= self._shown:
            time = self._shown + 1  # those that follow stay with their sound
            self._warn()
        frame.pts = self._shown = time

    def _part_of(self, packet: Any, time: Fraction) -> int:  # noqa: ANN401 - PyAV
        """Return which part a packet is of; time is that at which it would be shown."""
        # Subtitles are too few to tell by: they are of the video's part.
        subtitle = packet.stream.type == "subtitle"
        index = self._video if subtitle else int(packet.stream.index)
        newest = len(self._moves) - 1
        if packet.dts is None or subtitle:
            return self._reached[index][0] if index in self._reached else newest
        decoded = packet.dts * Fraction(packet.time_base)
        part, before = self._reached.get(index, (newest, decoded))
        if decoded < before - _JUMP:
            part += 1
            if part > newest:
                self._moves.append(self._end - time)
                self._warn()
        self._reached[index] = part, decoded
        return part

    def _better(self, pts: int | None, dts: int | None) -> int | None:
        """Return when a frame is shown, or when it is decoded, if that was wrong less often."""
        for index, (now, before) in enumerate(zip((pts, dts), self._said, strict=True)):
            self._wrong[index] += now is not None and before is not None and now <= before
        self._said = [pts, dts]
        self._count += 1
        wrong = self._wrong[0] > max(self._wrong[1], self._count // _FEW)
        return dts if pts is None or (wrong and dts is not None) else pts

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            warn(f"the times of {self._name} go back; they are made to rise")
