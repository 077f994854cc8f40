"""What the documentation's commands find in the folder where they are typed."""

import io
import json
from functools import cache
from pathlib import Path

import numpy as np
from by_rule import PAPER, released_weights
from helpers import EXAMPLES, box_mask
from hub_server import Server
from PIL import Image

_SMALL = (160, 107)
_CLIP = (160, 120)
_CLIP_BEHIND = (320, 240)


def lay_out_pictures(folder: Path) -> None:
    """Pictures, masks, cut-outs and datasets under the names that the pages give them."""
    composite = Image.open(EXAMPLES / "composite.png")
    mask = Image.open(EXAMPLES / "mask.png")
    small, small_mask = composite.resize(_SMALL), mask.resize(_SMALL)
    photographs = ("my-photographs", "my-other-photographs", "my photos")
    for name in ("composites", "masks", "examples", "cutouts", *photographs):
        (folder / name).mkdir()
    for name in ("a", "b"):
        small.save(folder / f"composites/{name}.png")
        small_mask.save(folder / f"masks/{name}.png")
        composite.save(folder / f"{name}.jpg")
        mask.save(folder / f"{name}_mask.png")
        for place in photographs:
            small.save(folder / place / f"{name}.jpg")
            small_mask.save(folder / place / f"{name}_mask.png")
    for place in (".", "examples"):
        composite.save(folder / place / "composite.png")
        mask.save(folder / place / "mask.png")
    composite.resize((500, 400)).save(folder / "background.jpg")
    composite.save(folder / "person.jpg")
    cutout = composite.convert("RGBA")
    cutout.putalpha(mask)
    cutout.save(folder / "cutout.png")
    cutout.save(folder / "cutouts/a.png")
    Image.fromarray(box_mask(427, 640).astype(np.uint8) * 3).save(folder / "labels.png")
    _lay_out_datasets(folder, small, small_mask)


def _lay_out_datasets(folder: Path, picture: Image.Image, mask: Image.Image) -> None:
    other = picture.point(lambda value: value * 0.9)
    for part in ("HFlickr", "Hday2night"):
        place = folder / "iHarmony4" / part
        for kind in ("composite_images", "masks", "real_images"):
            (place / kind).mkdir(parents=True)
        picture.save(place / "composite_images" / "a_1_1.jpg")
        mask.save(place / "masks" / "a_1.png")
        other.save(place / "real_images" / "a.jpg")
        for split in ("train", "test"):
            (place / f"{part}_{split}.txt").write_text("a_1_1.jpg\n")
    for kind, one in (("composites", picture), ("masks", mask), ("real", other)):
        (folder / "triples" / kind).mkdir(parents=True)
        one.save(folder / "triples" / kind / "a.png")


def lay_out_clips(folder: Path, *, masks_too: bool) -> None:
    """Three frames of each clip; the pictures of masks become theirs if asked for."""
    from made_clips import mask_video, write_clip

    if masks_too:
        _lay_out_masks_of_clips(folder)
    width, height = _CLIP
    background = Image.open(folder / "background.jpg")
    picture, behind = (np.asarray(background.resize(size)) for size in (_CLIP, _CLIP_BEHIND))
    mask = box_mask(height, width)
    cutout = np.dstack([picture, mask.astype(np.uint8) * 255])
    for name, one in (("composite", picture), ("foreground", picture), ("background", behind)):
        write_clip(folder / f"{name}.mp4", [one] * 3, codec="libx264")
    for name in ("masks", "alpha"):
        mask_video(folder / f"{name}.mp4", [mask] * 3)
    write_clip(folder / "composite.mov", [picture] * 3, codec="prores_ks", pix_fmt="yuv422p10le")
    for name, codec, pix_fmt in (
        ("cutout.mov", "prores_ks", "yuva444p10le"),
        ("cutout.webm", "libvpx-vp9", "yuva420p"),
    ):
        write_clip(folder / name, [cutout] * 3, codec=codec, pix_fmt=pix_fmt, source="rgba")


def _lay_out_masks_of_clips(folder: Path) -> None:
    mask = Image.fromarray(box_mask(*_CLIP[::-1]))
    for old in (folder / "masks").iterdir():
        old.unlink()
    for path in ("mask.png", *(f"masks/{number}.png" for number in range(3))):
        mask.save(folder / path)


def much_shorter(run: str) -> str:
    """A training run of the pages with two updates."""
    for long, short in (("steps = 2000", "steps = 2"), ("batch_size = 16", "batch_size = 2")):
        assert long in run
        run = run.replace(long, short)
    return f"workers = 0\n{run}"


@cache
def _released_file(name: str) -> bytes:
    import torch

    buffer = io.BytesIO()
    weights = released_weights(name, 1)
    torch.save({key: torch.from_numpy(value) for key, value in weights.items()}, buffer)
    return buffer.getvalue()


def with_released_models(server: Server, manifest: str) -> str:
    """Have a server give weights by rule for three networks; return a manifest that says so.

    They stand for the authors' files, which are too large to be downloaded for a test.
    """
    document = json.loads(manifest)
    for entry in document["models"]:
        if entry["name"] in _SERVED:
            (source,) = (one for one in entry["sources"] if one["kind"] == "released")
            path = f"/{Path(source['url']).name}"
            server.files[path] = _released_file(entry["name"])
            source |= {"url": server.address + path, "sha256": None, "size": None}
            entry["sources"] = [source]
        elif entry["name"] in PAPER:
            entry["sources"] = []
    return json.dumps(document)


_SERVED = ("idih", "is2am", "idih-hrnet-w18s", "idih-hrnet-w18")
