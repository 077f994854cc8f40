"""What is written beside the video: languages, titles, dispositions, fonts and covers."""

import io
from fractions import Fraction
from pathlib import Path

import pytest
from made_clips import add_tone, av, frames_of, still, video, write_lines
from PIL import Image

DEFAULT, FORCED, COMMENT, COVER = 1, 64, 8, 1024


def picture(kind: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(data, kind)
    return data.getvalue()


def clip_of_streams(
    path: Path,
    *,
    audio: str = "aac",
    subtitles: Path | None = None,
    files: tuple[tuple[str, str, bytes], ...] = (),
    cover: bytes | None = None,
    videos: int = 1,
) -> Path:
    """Two tracks of sound, of which the second is the default; and what is asked for beside."""
    with av.open(str(path), "w") as container:
        films = [container.add_stream("libx264", rate=25) for _ in range(videos)]
        for film in films:
            film.width, film.height, film.pix_fmt = 128, 96, "yuv420p"
        sounds = [container.add_stream(audio, rate=48000) for _ in range(2)]
        for sound, language, title, part in zip(
            sounds, ("deu", "fra"), ("Ton", "Son"), (0, DEFAULT | COMMENT), strict=True
        ):
            sound.metadata.update(language=language, title=title)
            sound.disposition = part
        lines = av.open(str(subtitles)) if subtitles else None
        texts = container.add_stream_from_template(lines.streams[0]) if lines else None
        if texts:
            texts.metadata.update(language="spa", title="Letreros")
            texts.disposition = FORCED
        for file in files:
            container.add_attachment(*file)
        if cover:
            with av.open(io.BytesIO(cover)) as image:
                held = container.add_stream_from_template(image.streams.video[0])
            held.disposition = COVER
            packet = av.Packet(cover)
            packet.stream, packet.pts, packet.dts = held, 0, 0
            packet.time_base = Fraction(1, 25)
            container.mux(packet)
        for film in films:
            for index in range(10):
                frame = av.VideoFrame.from_ndarray(still(), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(film.encode(frame))
            container.mux(film.encode(None))
        for sound in sounds:
            add_tone(container, sound, 0.4)
        for packet in lines.demux() if lines else ():
            if packet.dts is not None:
                packet.stream = texts
                container.mux(packet)
    return path


def told(path: Path, kind: str) -> list[tuple[str | None, str | None, int]]:
    """Language, title and disposition of each stream of a kind."""
    with av.open(str(path)) as container:
        return [
            (
                one.metadata.get("language"),
                one.metadata.get("title", one.metadata.get("name")),
                int(one.disposition),
            )
            for one in getattr(container.streams, kind)
        ]


def warning(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("harmonizer: warning: ")
    return line


@pytest.mark.parametrize("source", [".mp4", ".mkv"])
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov", ".webm"])
def test_language_title_and_part_of_sound_stay(
    source: str, ending: str, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codec = "libopus" if ending == ".webm" else "aac"
    clip = clip_of_streams(tmp_path / f"in{source}", audio=codec)
    out = tmp_path / f"out{ending}"
    assert video(clip, mask, "-o", out) == 0
    assert capsys.readouterr().err == ""
    german = "ger" if ending == ".mov" else "deu"  # as FFmpeg knows it there
    part = DEFAULT | (0 if ending in (".mov", ".webm") else COMMENT)
    assert told(out, "audio") == [(german, "Ton", 0), ("fra", "Son", part)]


def test_language_title_and_part_of_subtitles_stay(mask: Path, tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "lines.srt")
    clip, out = clip_of_streams(tmp_path / "in.mkv", subtitles=lines), tmp_path / "out.mkv"
    assert video(clip, mask, "-o", out) == 0
    assert told(out, "subtitles") == [("spa", "Letreros", FORCED)]


def test_what_is_said_of_the_video_stays(mask: Path, tmp_path: Path) -> None:
    clip, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    with av.open(str(clip), "w") as container:
        film = container.add_stream("libx264", rate=25)
        film.width, film.height, film.pix_fmt = 128, 96, "yuv420p"
        film.metadata.update(language="ita", title="Film")
        film.disposition = DEFAULT
        container.mux(film.encode(av.VideoFrame.from_ndarray(still(), format="rgb24")))
        container.mux(film.encode(None))
    assert video(clip, mask, "-o", out) == 0
    assert told(out, "video") == [("ita", "Film", DEFAULT)]


def attached(path: Path) -> list[tuple[str | None, str | None, bytes]]:
    with av.open(str(path)) as container:
        return [(one.name, one.mimetype, one.data) for one in container.streams.attachments]


def cover_of(path: Path) -> bytes | None:
    with av.open(str(path)) as container:
        for packet in container.demux():
            return bytes(packet) if packet.stream.disposition == COVER else None
    return None


FILES = (("face.ttf", "font/ttf", b"a font"), ("notes.txt", "text/plain", b"a text"))


def test_files_that_are_attached_stay(
    mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = clip_of_streams(tmp_path / "in.mkv", audio="libopus", files=FILES)
    assert video(clip, mask, "-o", tmp_path / "out.mkv") == 0
    assert capsys.readouterr().err == ""
    assert attached(tmp_path / "out.mkv") == list(FILES)
    for name in ("out.mp4", "out.webm"):
        assert video(clip, mask, "-o", tmp_path / name) == 0
        said = warning(capsys)
        assert f"{name} is written without what in.mkv holds beside" in said
        assert said.endswith("the attached file face.ttf, the attached file notes.txt")
        assert len(frames_of(tmp_path / name)) == 10


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("source", [".mp4", ".mkv"])
def test_a_cover_stays(
    source: str, kind: str, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, clip = picture(kind), tmp_path / f"in{source}"
    if source == ".mp4":
        clip_of_streams(clip, cover=image)
    else:
        clip_of_streams(clip, files=((f"cover.{kind}", f"image/{kind}", image),))
    assert cover_of(clip) == image
    for name in ("out.mp4", "out.m4v", "out.mkv"):
        assert video(clip, mask, "-o", tmp_path / name) == 0
        assert capsys.readouterr().err == ""
        assert cover_of(tmp_path / name) == image
        assert len(frames_of(tmp_path / name)) == 10
    assert video(clip, mask, "-o", tmp_path / "out.mov") == 0
    assert warning(capsys).endswith(": the picture of its cover")
    assert cover_of(tmp_path / "out.mov") is None


@pytest.mark.parametrize("cover", [picture("jpeg"), picture("png")[:20]], ids=["JPEG", "cut off"])
def test_a_cover_that_is_not_what_it_is_called_is_left_out(
    cover: bytes, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """FFmpeg refuses the whole MP4 then, without a word of the cover."""
    files = (("cover.png", "image/png", cover),)
    clip = clip_of_streams(tmp_path / "in.mkv", files=files)
    assert video(clip, mask, "-o", tmp_path / "out.mp4") == 0
    assert warning(capsys).endswith(": the picture of its cover")
    assert len(frames_of(tmp_path / "out.mp4")) == 10


def test_another_video_is_told_of(
    mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = clip_of_streams(tmp_path / "in.mkv", videos=2)
    assert video(clip, mask, "-o", tmp_path / "out.mkv") == 0
    assert warning(capsys).endswith(": the video in stream 1")
    assert len(told(tmp_path / "out.mkv", "video")) == 1
