"""Say what the page has done as a line of the command line, and as lines of Python."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from harmonizer.imaging.saving import output_format
from harmonizer.jobs.scene import Scene
from harmonizer.lifting import Strength


@dataclass(frozen=True)
class Origin:
    """Which files a composite is made of, by their names, and how.

    Attributes:
        image: A composite, or a cut-out where `scene` has a background.
        mask: None for a cut-out.
        scene: How the files are read.
    """

    image: str
    mask: str | None
    scene: Scene

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
    """Return a program that does the same; `model` is None for the bundled one.

    Reading and writing are left to what the command calls, too: Pillow alone takes masks and depths
    for others, and writes other pixels.
    """
    scene, output = origin.scene, Path(origin.name + ending)
    imports = ["from harmonizer import Harmonizer"]
    mask = None if scene.background is not None else origin.mask
    arguments = [
        f"Harmonizer.from_pretrained({'' if model is None else repr(model)})",
        f"Path({origin.image!r})",
        "None" if mask is None else f"Path({mask!r})",
        repr(output_format(output)),
    ]
    if choices := _choices(scene, eight_bits):
        arguments.append(f"scene=Scene({', '.join(choices)})")
    if not strength.is_one_number:
        imports = ["from harmonizer import Harmonizer, Strength"]
        arguments.append(f"strength=Strength(light={strength.light:g}, color={strength.color:g})")
    elif not strength.is_all:
        arguments.append(f"strength={strength.light:g}")
    imports.append("from harmonizer.jobs.folder import harmonize_file")
    if choices:
        imports.append("from harmonizer.jobs.scene import Scene")
    call = ["data = harmonize_file(", *(f"    {one}," for one in arguments), ")"]
    written = f"Path({output.name!r}).write_bytes(data)"
    return "\n".join(["from pathlib import Path", "", *imports, "", *call, written])


def _choices(scene: Scene, eight_bits: bool) -> list[str]:
    """Return the arguments that make a scene, but for what it is without them."""
    said = list[str]()
    if scene.background is not None:
        said.append(f"background=Path({scene.background.name!r})")
    if scene.position is not None:
        said.append(f"position={scene.position}")
    if scene.scale is not None:
        said.append(f"scale={scene.scale:g}")
    if scene.resize_mask:
        said.append(f"resize_mask={scene.resize_mask!r}")
    if scene.invert_mask:
        said.append("invert_mask=True")
    if eight_bits:
        said.append("eight_bits=True")
    if scene.page is not None:
        said.append(f"page={scene.page}")
    return said
