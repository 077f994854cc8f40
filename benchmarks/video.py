"""What a harmonized clip is like, and what it costs, beside decoding and encoding it alone.

    python benchmarks/video.py [--frames 100] [--long 10000] [--model NAME]

The clips are made here of the example's picture: it moves, or stands still with noise and a pixel
of shake. All ratios are of one run, and both sides of each use the same encoder and settings.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer import Harmonizer, harmonize_video
from harmonizer.imaging.video_codecs import CODECS
from harmonizer.jobs.video.clip import ClipOptions, harmonize_clip
from harmonizer.jobs.video.reading import Clip
from harmonizer.jobs.video.writing import Output
from harmonizer.jobs.video.yuv import planes_of
from harmonizer.threads import count_cores

EXAMPLES = Path(__file__).parents[1] / "examples"
Picture = NDArray[np.uint8]
# What a process of its own took: `ru_maxrss` begins with what the one that starts it holds.
MEMORY = """
import re, sys
from pathlib import Path
from harmonizer.cli import main
main(["video", *sys.argv[1:]])
print(int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def example(height: int, width: int) -> tuple[Picture, NDArray[np.bool_]]:
    """The example's composite and mask, at a size."""
    picture = np.asarray(Image.open(EXAMPLES / "composite.png").convert("RGB"))
    mask = np.asarray(Image.open(EXAMPLES / "mask.png").convert("L"))
    size = (width, height)
    shown = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(shown, np.uint8), cv2.resize(mask, size) > 127


def shaken(picture: Picture, count: int, reach: int = 1) -> Iterator[Picture]:
    """A picture with noise, moved by up to some pixels."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        moved = np.roll(picture, generator.integers(-reach, reach + 1, 2), (0, 1))
        noisy = moved + 3 * generator.standard_normal(picture.shape, np.float32)
        yield np.rint(noisy.clip(0, 255)).astype(np.uint8)


def write(path: Path, pictures: Iterator[Picture], *, tone: bool = False) -> None:
    """Encode pictures as H.264, with a tone as AAC."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        sound: Any = container.add_stream("aac", rate=48000) if tone else None
        stream.pix_fmt = "yuv420p"
        first = next(pictures)
        stream.height, stream.width = first.shape[:2]
        count = 0
        for picture in chain([first], pictures):
            count += 1
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
        for start in range(0, count * 1920 if tone else 0, 1024):
            wave = np.sin(np.arange(start, start + 1024) / 20).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            container.mux(sound.encode(frame))
        if tone:
            container.mux(sound.encode(None))


class Spent(NamedTuple):
    """What work took, in seconds."""

    elapsed: float
    processor: float

    @classmethod
    def since(cls, start: "Spent | None" = None) -> "Spent":
        """Return the time since another one, or since some moment in the past."""
        now = cls(time.perf_counter(), time.process_time())
        return cls(now.elapsed - start.elapsed, now.processor - start.processor) if start else now


def plain(source: Path, output: Path, quality: int | None = None) -> Spent:
    """Decode and encode alone."""
    start = Spent.since()
    with Clip(source, others=True) as clip:
        written = Output(output, clip, CODECS["h264"], quality)
        for frame in clip.frames():
            written.write(written.prepared(frame))
        written.finish(whole=True)
    return Spent.since(start)


def harmonized(
    model: Harmonizer,
    source: Path,
    mask: Path,
    output: Path,
    quality: int | None = None,
    on: Path | None = None,
) -> Spent:
    """Harmonize; loading the model is not counted."""
    start = Spent.since()
    options = ClipOptions(codec="h264", quality=quality, on=on)
    harmonize_clip(lambda: model, source, mask, output, options, lambda _: lambda: None)
    return Spent.since(start)


def frame_to_frame(model: Harmonizer, window: float) -> NDArray[np.float64]:
    """How far the foreground's mean change moves from frame to frame, on a still picture.

    Its mask moves along with the foreground; it would else measure what comes and goes under it.
    """
    picture, mask = example(540, 960)
    frames = list(shaken(np.dstack([picture, np.where(mask, 255, 0).astype(np.uint8)]), 60))
    pictures, masks = [one[..., :3] for one in frames], [one[..., 3] > 127 for one in frames]
    results = harmonize_video(pictures, masks, model, window=window)
    changes = [
        (after[inside].astype(float) - before[inside]).mean(axis=0)
        for before, after, inside in zip(pictures, results, masks, strict=True)
    ]
    return np.abs(np.diff(changes, axis=0))


def frames_after_a_cut(model: Harmonizer) -> int:
    """How many frames after a cut still differ from those of the second scene alone."""
    one, mask = example(540, 960)
    two = np.ascontiguousarray(255 - one)
    together = list(harmonize_video([one] * 30 + [two] * 30, mask, model))[30:]
    alone = harmonize_video([two] * 30, mask, model)
    return sum(
        bool((first != second).any()) for first, second in zip(together, alone, strict=True)
    )  # fmt: skip


def background_difference(one: Path, other: Path, mask: NDArray[np.bool_]) -> tuple[int, float]:
    """The largest and the mean difference of brightness outside a mask, in levels."""
    largest, total, count = 0, 0.0, 0
    with av.open(str(one)) as first, av.open(str(other)) as second:
        for both in zip(first.decode(video=0), second.decode(video=0), strict=True):
            luma = [planes_of(frame)[0][~mask].astype(int) for frame in both]
            apart = np.abs(luma[0] - luma[1])
            largest, total, count = max(largest, int(apart.max())), total + apart.mean(), count + 1
    return largest, total / count


def audio(path: Path) -> list[tuple[int | None, bytes]]:
    """The audio's packets."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [(one.pts, bytes(one)) for one in packets if one.dts is not None]


def memory(folder: Path, count: int) -> int:
    """The most memory that the command took for so many small frames, in MiB."""
    picture, mask = example(180, 320)
    source, mask_path = folder / f"{count}.mp4", folder / "small.png"
    Image.fromarray(mask).save(mask_path)
    few = list(shaken(picture, 25))
    write(source, islice(cycle(few), count), tone=True)
    paths = [str(one) for one in (source, mask_path, "-o", folder / f"{count}_out.mp4")]
    command = [sys.executable, "-c", MEMORY, *paths]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure clips.")
    parser.add_argument("--frames", type=int, default=100, help="of the clip of 1080p")
    parser.add_argument("--long", type=int, default=10_000, help="frames of the long clip")
    parser.add_argument("--model")
    chosen = parser.parse_args()
    model = Harmonizer.from_pretrained(chosen.model)
    print(f"{model.info.name}, {count_cores()} cores, PyAV {av.__version__}")
    for label, window in (("a window of a second", 1.0), ("frame by frame", 0.0)):
        moved = frame_to_frame(model, window)
        print(
            f"still, noise and shake, {label}: foreground moves by {moved.max():.2f} levels at "
            f"most, {moved.mean():.2f} in the mean",
            flush=True,
        )
    print(f"frames after a cut that differ: {frames_after_a_cut(model)}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture, mask = example(1080, 1920)
        source, mask_path, alone, out = (
            folder / one for one in ("in.mp4", "mask.png", "alone.mp4", "out.mp4")
        )
        Image.fromarray(mask).save(mask_path)
        write(source, shaken(picture, chosen.frames, reach=3), tone=True)
        by = plain(source, alone)
        pasted = harmonized(model, source, mask_path, folder / "pasted.mp4", on=source)
        for label, whole in (
            ("a composite", harmonized(model, source, mask_path, out)),
            ("pasted into a clip on the way", pasted),
        ):
            print(
                f"1080p, {mask.mean():.0%} foreground, {label}: "
                f"{chosen.frames / whole.elapsed:.1f} frames a second, decoding and encoding alone "
                f"{chosen.frames / by.elapsed:.1f}: ratio {by.elapsed / whole.elapsed:.2f}, of "
                f"processor time {by.processor / whole.processor:.2f}",
                flush=True,
            )
        largest, mean = background_difference(alone, out, mask)
        print(f"background beside it: {largest} levels at most, {mean:.3f} in the mean")
        print(f"audio equal packet by packet: {audio(out) == audio(source)}", flush=True)
        plain(source, alone, 0)
        harmonized(model, source, mask_path, out, quality=0)
        largest, mean = background_difference(alone, out, mask)
        print(f"lossless (--quality 0): background differs by {largest} at most", flush=True)
        few, many = memory(folder, 300), memory(folder, chosen.long)
        print(f"memory of 300 frames: {few} MiB; of {chosen.long}: {many} MiB")


if __name__ == "__main__":
    main()
