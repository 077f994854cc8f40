"""Make small clips, and read them again."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harmonizer.cli import main

av: Any = pytest.importorskip("av")

HEIGHT, WIDTH = 96, 128
TIME_BASE = Fraction(1, 12800)
TICKS = 512  # 25 frames a second


def still(seed: int = 0) -> NDArray[np.uint8]:
    """A picture of smooth colours with an object in it."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:1:96j, 0:1:128j]
    ends = generator.uniform(60, 180, (3, 3))
    smooth = ends[0] + rows[..., None] * (ends[1] - ends[0]) + columns[..., None] * ends[2] / 3
    smooth[object_mask()] = smooth[object_mask()] * [0.6, 0.8, 1.1] + 10
    return np.clip(smooth, 0, 255).astype(np.uint8)


def video(*arguments: object) -> int:
    """Run `harmonizer video` in this process; return its exit code."""
    return main(["video", *map(str, arguments)])


def object_mask() -> NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[24:72, 40:88] = True
    return mask


def write_clip(
    path: Path,
    pictures: Iterable[NDArray[Any]],
    *,
    codec: str = "ffv1",
    pix_fmt: str = "yuv420p",
    source: str = "rgb24",
    times: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    tags: dict[str, int] | None = None,
    rotation: int = 0,
    audio: str | None = None,
    subtitles: Path | None = None,
) -> Path:
    """Encode pictures; `times` are theirs in ticks, `tags` colour tags of the encoder."""
    pictures = list(pictures)
    times = times or [index * TICKS for index in range(len(pictures))]
    tags = tags or {}
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25, options=options or {})
        context = video.codec_context
        context.height, context.width = pictures[0].shape[:2]
        context.pix_fmt, context.time_base = pix_fmt, TIME_BASE
        for name, value in tags.items():
            setattr(context, name, value)
        if rotation:
            video.set_display_rotation(rotation)
        sound = container.add_stream(audio, rate=48000) if audio else None
        lines = av.open(str(subtitles)) if subtitles else None
        texts = container.add_stream_from_template(lines.streams[0]) if lines else None
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format=source).reformat(
                format=pix_fmt,
                dst_colorspace=tags.get("colorspace"),
                dst_color_range=tags.get("color_range"),
            )
            frame.pts, frame.time_base = time, TIME_BASE
            for name, value in tags.items():
                setattr(frame, name, value)
            container.mux(video.encode(frame))
        if sound is not None:
            add_tone(container, sound, max(times) * float(TIME_BASE))
        if lines is not None:
            for packet in lines.demux():
                if packet.dts is not None:
                    packet.stream = texts
                    container.mux(packet)
        container.mux(video.encode(None))
    return path


def write_lines(path: Path) -> Path:
    """Two subtitles, from 0 and from 0.4 seconds on."""
    times = ["00:00:00,000 --> 00:00:00,300", "00:00:00,400 --> 00:00:00,800"]
    path.write_text("".join(f"{i}\n{time}\nline {i}\n\n" for i, time in enumerate(times, 1)))
    return path


def add_tone(container: Any, stream: Any, seconds: float) -> None:
    size = stream.codec_context.frame_size or 1024
    for start in range(0, int(seconds * 48000), size):
        wave = np.sin(np.arange(start, start + size) / 20).astype(np.float32)
        samples = np.stack([wave, wave])
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def mask_video(path: Path, masks: Iterable[NDArray[np.bool_]], codec: str = "libx264") -> Path:
    pictures = (np.dstack([mask.astype(np.uint8) * 255] * 3) for mask in masks)
    return write_clip(path, pictures, codec=codec)


def frames_of(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def planes(frame: Any) -> list[NDArray[Any]]:
    from harmonizer.jobs.video.yuv import planes_of

    return [one.copy() for one in planes_of(frame)]


def packets(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """The time and the bytes of each packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        (stream, *_) = getattr(container.streams, kind)
        return [
            (round(float(packet.pts * packet.time_base), 3), bytes(packet))
            for packet in container.demux(stream)
            if packet.dts is not None
        ]
