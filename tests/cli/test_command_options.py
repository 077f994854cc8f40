"""No option of `harmonizer run` is ignored, for one picture or for many."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import box_mask
from PIL import Image

from harmonizer import Harmonizer, Strength
from harmonizer.cli import main
from harmonizer.imaging.image import open_image
from harmonizer.imaging.saving import save_image

MASK = box_mask(40, 60)


@pytest.fixture
def composite(tmp_path: Path, noise: Any) -> Any:
    """The picture in the folder `in`, beside its mask."""
    (tmp_path / "in").mkdir()
    pixels = noise(40, 60)
    Image.fromarray(pixels).save(tmp_path / "in" / "a.png")
    Image.fromarray(MASK).save(tmp_path / "in" / "a_mask.png")
    return pixels


@pytest.fixture
def loaded(brighten: Harmonizer, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What models are loaded with; what is loaded is the stand-in."""
    calls: list[Any] = []

    def load(name: Any = None, **options: Any) -> Harmonizer:
        calls.append((name, options))
        return brighten

    monkeypatch.setattr(Harmonizer, "from_pretrained", load)
    return calls


def run(way: str, folder: Path, *options: object, ending: str = "png") -> Path:
    """Harmonize as one file, or as a folder of one; return what was written."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    if way == "one picture":
        names = [folder / "in" / "a.png", folder / "in" / "a_mask.png", "-o", out / f"a.{ending}"]
    else:
        names = [folder / "in", folder / "in", "-o", out, "--format", ending]
    assert main(["run", *map(str, [*names, *options]), "--force"]) == 0
    return out / f"a.{ending}"


ways = pytest.mark.parametrize("way", ["one picture", "folder"])


@ways
def test_strength_reaches_the_picture(
    way: str, tmp_path: Path, composite: Any, model: Harmonizer
) -> None:
    written = {
        strength: open_image(run(way, tmp_path, "--strength", strength, "--device", "cpu")).pixels
        for strength in (1.0, 0.4, 0.0)
    }
    assert not np.array_equal(written[1.0], composite)
    assert not np.array_equal(written[0.4], written[1.0])
    for strength, pixels in written.items():
        assert np.array_equal(pixels, model(composite, MASK, strength=strength))
    assert np.array_equal(written[0.0], composite)


@ways
@pytest.mark.usefixtures("composite")
def test_model_device_backend_and_dtype_reach_what_is_loaded(
    way: str, tmp_path: Path, loaded: list[Any]
) -> None:
    options = {"device": "cuda:1", "backend": "onnx", "dtype": "bfloat16"}
    arguments = [text for key, value in options.items() for text in (f"--{key}", value)]
    run(way, tmp_path, "--model", "a model", *arguments)
    assert loaded == [("a model", options)]


@ways
@pytest.mark.usefixtures("loaded")
def test_resize_mask_is_minded(way: str, tmp_path: Path, composite: Any) -> None:
    Image.fromarray(MASK[::2, ::2]).save(tmp_path / "in" / "a_mask.png")
    with pytest.raises(AssertionError):
        run(way, tmp_path)
    written = open_image(run(way, tmp_path, "--resize-mask")).pixels
    assert not np.array_equal(written, composite)


@ways
@pytest.mark.usefixtures("loaded")
def test_resize_mask_stretch_is_minded(way: str, tmp_path: Path, composite: Any) -> None:
    Image.fromarray(MASK).resize((64, 64)).save(tmp_path / "in" / "a_mask.png")
    with pytest.raises(AssertionError):
        run(way, tmp_path, "--resize-mask")
    written = open_image(run(way, tmp_path, "--resize-mask", "stretch")).pixels
    assert not np.array_equal(written, composite)
    with pytest.raises(SystemExit):
        run(way, tmp_path, "--resize-mask=bend")


@pytest.mark.usefixtures("loaded", "composite")
def test_resize_mask_takes_no_word_that_is_not_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    mask = folder / "a_mask.png"
    arguments = [folder / "a.png", "--resize-mask", mask, "-o", tmp_path / "out.png"]
    assert main(["run", *map(str, arguments)]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "", "mask.png"],
        ["run", "a.png", "mask.png", "--output="],
        ["run", "a.png", "--on", ""],
        ["compare", "a.png", "", "-o", "sheet.png"],
        ["convert", "a.pth", "--model", "idih", "-o", ""],
    ],
)
def test_an_empty_path_is_no_folder(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a variable that is not set; pathlib would take it for the current folder."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "the path is empty: is a variable not set?" in capsys.readouterr().err


@ways
@pytest.mark.usefixtures("loaded")
def test_an_inverted_mask_is_hinted_at_and_minded(
    way: str, tmp_path: Path, composite: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = open_image(run(way, tmp_path)).pixels
    assert "invert" not in capsys.readouterr().err
    Image.fromarray(~MASK).save(tmp_path / "in" / "a_mask.png")
    changed = open_image(run(way, tmp_path)).pixels
    assert "the mask's white covers 75% of the picture" in capsys.readouterr().err
    assert np.array_equal(changed[MASK], composite[MASK])
    assert not np.array_equal(changed[~MASK], composite[~MASK])
    assert np.array_equal(open_image(run(way, tmp_path, "--invert-mask")).pixels, expected)
    assert "invert" not in capsys.readouterr().err


@ways
@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_depth_is_minded(
    way: str, ending: str, tmp_path: Path, composite: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = open_image(run(way, tmp_path)).pixels
    (tmp_path / "in" / "a.png").unlink()
    save_image(composite.astype(np.uint16) * 257, tmp_path / "in" / "a.png")
    written = Image.open(run(way, tmp_path, "--depth", 8, ending=ending))
    assert written.mode == "RGB"
    assert np.abs(np.asarray(written).astype(int) - expected).max() <= (
        1 if ending == "png" else 40
    )
    if ending == "jpg":
        with pytest.raises(AssertionError):
            run(way, tmp_path, ending=ending)
        assert "16 bits a channel, which JPEG cannot hold" in (said := capsys.readouterr().err)
        assert "--depth 8" in said
    else:
        assert open_image(run(way, tmp_path)).pixels.dtype == np.uint16


@pytest.mark.usefixtures("loaded")
def test_depth_of_grey_pictures(tmp_path: Path, composite: Any) -> None:
    grey = composite[..., 0].astype(np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / "in" / "a.png")
    written = Image.open(run("one picture", tmp_path, "--depth", 8))
    assert written.mode == "L"
    assert np.array_equal(np.asarray(written)[~MASK], composite[..., 0][~MASK])
    assert not np.array_equal(np.asarray(written)[MASK], composite[..., 0][MASK])


@ways
@pytest.mark.usefixtures("loaded", "composite")
def test_page_is_minded(way: str, tmp_path: Path) -> None:
    pictures = [Image.new("RGB", MASK.shape[::-1], (40 * n, 90, 90)) for n in range(3)]
    (tmp_path / "in" / "a.png").unlink()
    pictures[0].save(tmp_path / "in" / "a.png", save_all=True, append_images=pictures[1:])
    with pytest.raises(AssertionError):
        run(way, tmp_path)
    for number, picture in enumerate(pictures, 1):
        written = open_image(run(way, tmp_path, "--page", number)).pixels
        assert np.array_equal(written[~MASK], np.asarray(picture)[~MASK])


@ways
@pytest.mark.usefixtures("loaded", "composite")
def test_quality_is_minded(way: str, tmp_path: Path) -> None:
    (poor, good, usual), (lossy, _, lossless) = (
        [
            run(way, tmp_path, *options, ending=ending).stat().st_size
            for options in (["--quality", 30], ["--quality", 95], [])
        ]
        for ending in ("jpg", "webp")
    )
    assert poor < good == usual
    assert lossy < lossless


@ways
def test_light_and_colour_reach_the_picture(
    way: str, tmp_path: Path, composite: Any, model: Harmonizer
) -> None:
    for options, strength in (
        (["--light", 0.2], Strength(light=0.2)),
        (["--color", 0, "--strength", 0.6], Strength(light=0.6, color=0)),
    ):
        written = open_image(run(way, tmp_path, *options, "--device", "cpu")).pixels
        assert np.array_equal(written, model(composite, MASK, strength=strength))
        assert not np.array_equal(written, model(composite, MASK, strength=strength.light))


@pytest.mark.usefixtures("loaded")
def test_several_strengths_are_drawn_beside_each_other(
    tmp_path: Path, composite: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = [open_image(run("one picture", tmp_path, "--strength", s)).pixels for s in (0.4, 1)]
    strip = open_image(run("one picture", tmp_path, "--strength", "0.4,1")).pixels
    assert strip.shape == (18 + 40, 3 * 60 + 2 * 8, 3)
    for number, expected in enumerate([composite, *alone]):
        cell = strip[18:, number * 68 :][:, :60]
        assert np.abs(cell.astype(int) - expected).max() <= 1
        assert strip[:18, number * 68 :][:, :60].min() < 100  # its title
    for options in (["--strength", "0.4,2"], ["--strength", "0,1", "--lut", tmp_path / "a.cube"]):
        with pytest.raises(SystemExit) as stop:
            run("one picture", tmp_path, *options)
        assert stop.value.code == 2
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run("folder", tmp_path, "--strength", "0.4,1")
    assert "of one picture" in capsys.readouterr().err


@pytest.mark.usefixtures("loaded", "composite")
def test_strength_reaches_the_table(tmp_path: Path) -> None:
    tables: list[str] = []
    for strength in (1.0, 0.4, 0.0):
        table = tmp_path / "change.cube"
        run("one picture", tmp_path, "--strength", strength, "--lut", table)
        tables.append(table.read_text())
    full, part, none = (
        np.array([row.split() for row in text.splitlines() if row[:1] in "-0123456789"], float)
        for text in tables
    )
    assert np.abs(part - full).max() > 0.01
    assert np.abs(part - none).max() > 0.01
    steps = np.linspace(0, 1, 33)
    assert np.abs(none - [[r, g, b] for b in steps for g in steps for r in steps]).max() < 1e-6
    assert np.abs(none + 0.4 * (full.clip(0, 1) - none) - part).max() < 1e-5


@pytest.mark.usefixtures("loaded", "composite")
def test_batch_size_and_workers_reach_the_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "harmonizer.jobs.folder.run_jobs", lambda *_, **options: asked.append(options) or iter(())
    )
    run("folder", tmp_path, "--batch-size", 5, "--workers", 3)
    assert (asked[0]["batch_size"], asked[0]["workers"]) == (5, 3)
