"""Say what the page has done as a line of the command line, and as lines of Python."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from harmonizer.jobs.scene import Scene
from harmonizer.lifting import Strength


@dataclass(frozen=True)
class Origin:
    """Which files a composite is made of, by their names, and how.

    Attributes:
        image: A composite, or a cut-out where `scene` has a background.
        mask: None for a cut-out.
        scene: How the files are read.
        deep: Whether they have 16 bits a channel, which Python gets as an array.
    """

    image: str
    mask: str | None
    scene: Scene
    deep: bool = False

    @property
    def name(self) -> str:
        """What the result is called, without an ending."""
        return f"{Path(self.scene.background or self.image).stem}_harmonized"


def command_line(
    origin: Origin, ending: str, *, model: str | None, strength: Strength, eight_bits: bool
) -> str:
    """Return the command that does the same; `model` is None for the bundled one."""
    scene, words = origin.scene, ["harmonizer", "run", _file(origin.image)]
    if scene.background is not None:
        words += ["--on", _file(scene.background.name)]
    elif origin.mask is not None:
        words.append(_file(origin.mask))
    words += ["-o", _file(origin.name + ending)]
    if scene.position is not None:
        words += ["--at", *map(str, scene.position)]
    if scene.scale is not None:
        words += ["--scale", f"{scene.scale:g}"]
    if scene.resize_mask:
        words.append("--resize-mask")
    if scene.resize_mask == "stretch":
        words.append("stretch")
    if scene.invert_mask:
        words.append("--invert-mask")
    if scene.page is not None:
        words += ["--page", str(scene.page)]
    if eight_bits:
        words += ["--depth", "8"]
    if model is not None:
        words += ["--model", model]
    if not strength.is_one_number:
        words += ["--light", f"{strength.light:g}", "--color", f"{strength.color:g}"]
    elif not strength.is_all:
        words += ["--strength", f"{strength.light:g}"]
    return shlex.join(words)


def _file(name: str) -> str:
    """Return a name that is not taken for an option."""
    return f"./{name}" if name.startswith("-") else name


def python_lines(
    origin: Origin, ending: str, *, model: str | None, strength: Strength, eight_bits: bool
) -> str:
    """Return a program that does the same; `model` is None for the bundled one."""
    scene, name = origin.scene, "harmonize"
    image, mask, before = repr(origin.image), repr(origin.mask), list[str]()
    if scene.background is not None:
        name, mask = "harmonize_cutout", repr(scene.background.name)
    imports = [f"from harmonizer import {name}"]
    if scene.page is not None:
        imports.append("from PIL import Image")
        before += [f"image = Image.open({image})", f"image.seek({scene.page - 1})"]
        image = "image"
    if scene.invert_mask:
        imports.append("from PIL import Image, ImageOps")
        before.append(f'mask = ImageOps.invert(Image.open({mask}).convert("L"))')
        mask = "mask"
    options = [image, mask]
    if scene.position is not None:
        options.append(f"position={scene.position}")
    if scene.scale is not None:
        options.append(f"scale={scene.scale:g}")
    if model is not None:
        options.append(f"model={model!r}")
    if not strength.is_one_number:
        imports = [f"from harmonizer import Strength, {name}", *imports[1:]]
        options.append(f"strength=Strength(light={strength.light:g}, color={strength.color:g})")
    elif not strength.is_all:
        options.append(f"strength={strength.light:g}")
    if scene.resize_mask:
        options.append(f"resize_mask={scene.resize_mask!r}")
    call, output = f"{name}({', '.join(options)})", repr(origin.name + ending)
    if not origin.deep:
        return "\n".join([*imports, "", *before, f"{call}.save({output})"])
    imports.append("import cv2")
    shown = "(result / 257).round().astype('uint8')" if eight_bits else "result"
    after = [f"result = {call}", f"cv2.imwrite({output}, {shown}[..., 2::-1])"]
    return "\n".join([*imports, "", *before, *after])
