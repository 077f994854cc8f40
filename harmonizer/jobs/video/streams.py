"""What is written beside the video: what is said of each stream, and what is attached to a clip."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from harmonizer.errors import import_extra, shortened, warn
from harmonizer.jobs.video.reading import Clip

# What players show, for people to choose by. MP4 has a title by the name of `name`, and many
# programs write it as the name of the handler.
_TOLD = {"language": "language", "title": "title", "name": "title", "handler_name": "handler_name"}
# Of languages that MOV numbers, those that FFmpeg knows there by other letters than ISO 639-2/T.
_IN_MOV = {
    "deu": "ger", "nld": "dut", "ell": "gre", "isl": "ice", "swe": "sve", "zho": "chi",
    "sqi": "alb", "mkd": "mac", "hye": "arm", "kat": "geo", "bod": "tib", "cym": "wel",
    "eus": "baq", "fas": "per", "msa": "may", "mya": "bur", "nob": "nor", "fre": "fra",
    "rum": "ron", "cze": "ces", "slo": "slk",
}  # fmt: skip
# Pictures of covers that MP4 holds, by FFmpeg's names, and how their files begin.
_COVERS = {"mjpeg": "image/jpeg", "png": "image/png"}
_BEGIN = {"image/jpeg": b"\xff\xd8", "image/png": b"\x89PNG"}


def describe(stream: Any, like: Any) -> None:  # noqa: ANN401 - streams of PyAV
    """Say of a stream that is written what another one says: language, title, and its part.

    That is whether it is the default, forced, a comment, for those who hear little, and so on.
    """
    for name, text in like.metadata.items():
        if name.lower() in _TOLD:
            stream.metadata[_TOLD[name.lower()]] = text
    language = stream.metadata.get("language")
    if stream.container.format.name == "mov" and language in _IN_MOV:
        stream.metadata["language"] = _IN_MOV[language]
    stream.disposition = int(like.disposition)


def name_channels(sound: Any) -> None:  # noqa: ANN401 - a stream of PyAV
    """Say what each channel is, of a file that says only how many: what is usual, as players do.

    So are those of PCM in AVI, as cameras write it. MP4 refuses it so, but only at its end.
    """
    context = sound.codec_context
    count = context.layout.nb_channels
    if context.layout.name == f"{count} channels":
        with suppress(ValueError):  # of nine nothing is usual
            context.layout = f"{count}c"


def add_attached(container: Any, clip: Clip, path: Path) -> list[Any]:  # noqa: ANN401 - PyAV
    """Add what is attached to a clip: fonts of its subtitles, the picture of its cover.

    There is a warning that names what is left out: what the format does not hold, and other videos,
    for which there are no masks. It does not name data streams, of which every phone writes some.

    Args:
        container: To be written, without a header yet.
        clip: What the files are attached to.
        path: Of the file to write, for the warning.

    Returns:
        Packets that belong behind the header.
    """
    holds_files, holds_covers = (container.format.name == name for name in ("matroska", "mp4"))
    packets: list[Any] = []
    left_out: list[str] = []
    pictures = clip.covers()
    for stream in clip.container.streams:
        kind = stream.metadata.get("mimetype")
        if stream.type == "attachment":
            name = str(stream.name)
            if holds_files:
                container.add_attachment(name, kind or "application/octet-stream", stream.data)
            else:
                left_out.append(f"the attached file {name}")
        elif picture := pictures.get(stream.index):
            known = _COVERS.get(getattr(stream.codec_context, "name", ""))
            kind = kind or known
            if holds_files and kind:
                usual = f"cover.{kind.rpartition('/')[2].replace('jpeg', 'jpg')}"
                name = stream.metadata.get("filename", usual)
                container.add_attachment(name, kind, picture)
            elif holds_covers and known and _is_cover(stream, picture, _BEGIN[known]):
                packets.append(_cover(container, stream, picture))
            else:
                left_out.append("the picture of its cover")
        elif stream.type == "video" and stream is not clip.stream:
            left_out.append(f"the video in stream {stream.index}")
    if left_out:
        names = shortened(", ".join(left_out), 400)
        warn(f"{path.name} is written without what {clip.path.name} holds beside: {names}")
    return packets


def _is_cover(stream: Any, picture: bytes, begin: bytes) -> bool:  # noqa: ANN401 - PyAV
    """Tell whether a cover is what it is called, and FFmpeg has found its size, which MP4 needs."""
    return picture.startswith(begin) and min(stream.width, stream.height) > 0


def _cover(container: Any, stream: Any, picture: bytes) -> Any:  # noqa: ANN401 - PyAV
    packet = import_extra("av", "video").Packet(picture)
    packet.stream = container.add_stream_from_template(stream)
    packet.stream.disposition = int(stream.disposition)
    packet.pts = packet.dts = 0
    packet.time_base = stream.time_base
    packet.is_keyframe = True
    return packet
