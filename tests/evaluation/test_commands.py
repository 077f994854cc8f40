"""`harmonizer evaluate` and `harmonizer compare`, as a user calls them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXAMPLES
from PIL import Image
from small_iharmony4 import PICTURES

from harmonizer.cli import main
from harmonizer.errors import InputError
from harmonizer.evaluation import evaluate
from harmonizer.evaluation.side_by_side import comparison_sheet

COMPOSITE, MASK = str(EXAMPLES / "composite.png"), str(EXAMPLES / "mask.png")


def run(*arguments: object) -> int:
    return main([str(one) for one in arguments])


def test_evaluate_prints_a_table_and_writes_files(
    iharmony4: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", "colormap-lite0-open", "reinhard", "--device", "cpu"]
    outputs = ["-o", tmp_path / "out", "--json", tmp_path / "a.json", "--report", tmp_path / "page"]
    assert run("evaluate", "--data", iharmony4, *arguments, *outputs) == 0
    printed = capsys.readouterr().out
    expected = evaluate("reinhard", iharmony4).summary()
    lines = printed.splitlines()
    where = next(i for i, line in enumerate(lines) if line.startswith("HFlickr, 1 picture"))
    assert [line for line in lines if line.startswith("foreground ")]
    assert not [line for line in lines if line[:1].isdigit()]  # a share says of what
    header, composite, published, network, reinhard = (
        line.split() for line in lines[where + 1 : where + 6]
    )
    assert header == ["MSE", "PSNR", "fMSE", "fPSNR", "SSIM", "fSSIM"]
    assert [composite[0], network[0], reinhard[0]] == [
        "composite",
        "colormap-lite0-open",
        "reinhard",
    ]
    assert reinhard[1] == f"{expected['HFlickr']['mse']:.2f}"
    assert published[:2] == ["[1]", "264.35"]
    assert float(published[2].strip("()")) == pytest.approx(float(composite[1]) - 264.35, abs=0.011)
    assert "[1] DoveNet" in printed
    assert "HCOCO 3 of 4,283" in printed
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["models"]["reinhard"]["all"] == expected["all"]
    count = sum(map(len, PICTURES.values()))
    assert len((tmp_path / "out/images.csv").read_text().splitlines()) == 1 + 3 * count
    assert (tmp_path / "page/index.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    "outputs",
    [
        ("-o", "out", "--json", "out/images.csv"),
        ("-o", "out", "--json", "out/configuration.json"),
        ("--report", "page", "--json", "page/index.html"),
    ],
)
def test_evaluate_writes_no_file_twice(
    outputs: tuple[str, ...],
    iharmony4: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("out", "page"):
        (tmp_path / folder).mkdir()
    assert run("evaluate", "--data", iharmony4, "--model", "reinhard", *outputs) == 1
    assert "would be written twice" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["images.csv", "configuration.json"])
def test_evaluate_follows_no_link_that_leads_nowhere(
    name: str, iharmony4: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    (out / name).symlink_to(elsewhere)
    assert run("evaluate", "--data", iharmony4, "--model", "reinhard", "-o", out) == 1
    assert f"{name} is a link that leads nowhere" in capsys.readouterr().err
    assert not elsewhere.exists()


def test_compare_with_no_model_draws_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    assert run("compare", COMPOSITE, MASK, "--models", ",", "-o", sheet) == 1
    assert "nothing is left to draw" in capsys.readouterr().err
    assert not sheet.exists()


def test_evaluate_names_what_it_left_out(
    iharmony4: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(iharmony4, tmp_path / "copy"))
    (copy / "HFlickr/masks/x0_1.png").unlink()
    assert run("evaluate", "--data", copy, "--model", "composite") == 1
    error = capsys.readouterr().err
    assert "masks for x0_1_1" in error
    assert run("evaluate", "--data", copy, "--model", "composite", "--on-error", "skip") == 1
    captured = capsys.readouterr()
    assert "all, 7 pictures" in captured.out
    assert "skipped: HFlickr/masks for x0_1_1" in captured.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "nowhere"], "no folder or table nowhere"),
        (["--data", "DATA", "--model", "nonsense"], "there is no model 'nonsense'"),
        (["--data", "DATA", "--json", "no/where.json"], "there is no folder no"),
        (["--data", "DATA", "--report", COMPOSITE], "is a file; name a folder"),
        (["--data", "DATA", "--report", "."], "is not empty; add --force"),
        (["--data", "DATA", "--json", COMPOSITE], "exists already; add --force"),
        (["--data", "DATA", "--json", "-"], "not written to stdout, and - is no file"),
        (["--data", "DATA", "--model", "poison"], "baselines are: composite, reinhard"),
        (["--data", "DATA", "--model", "reinhart"], "Did you mean reinhard?"),
        (["--data", "DATA", "-o", COMPOSITE], "is a file; name a folder"),
    ],
)
def test_evaluate_says_what_is_wrong(
    iharmony4: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    real = [str(iharmony4) if one == "DATA" else one for one in arguments]
    assert run("evaluate", *real) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert said in line


def test_compare_draws_a_labelled_sheet(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    models = "colormap-lite0-open,reinhard,poisson"
    assert run("compare", COMPOSITE, MASK, "--models", models, "-o", out, "--side", 64) == 0
    sheet = np.asarray(Image.open(out))
    # Five pictures of 64 x 43 under titles of 18 pixels, with gaps of 8 between them.
    rows, columns = (sheet.shape[0] + 8) / (18 + 43 + 8), (sheet.shape[1] + 8) / (64 + 8)
    assert rows == int(rows)
    assert columns == int(columns)
    assert rows * columns >= 5
    composite, mask = sheet[18:61, :64], sheet[18:61, 72:136]
    small = Image.open(COMPOSITE).convert("RGB").resize((64, 43), Image.Resampling.BOX)
    assert np.abs(composite.astype(float) - np.asarray(small)).mean() < 3
    assert set(np.unique(mask)) >= {0, 255}
    titles = sheet[:18, :64]
    assert titles.min() < 100  # something is written there


def test_compare_goes_on_past_what_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hollow").mkdir()
    hollow = tmp_path / "hollow"
    out = tmp_path / "sheet.png"
    arguments = (COMPOSITE, MASK, "-o", out, "--side", 64, "--models")
    assert run("compare", *arguments, f"{hollow},reinhard") == 1
    assert f"{hollow}: there is no file" in capsys.readouterr().err
    empty, drawn = cells(out)[2:4]
    assert (empty == empty[0, 0]).all()
    assert not (drawn == drawn[0, 0]).all()
    out.unlink()
    assert run("compare", *arguments, hollow) == 1
    assert "nothing is left to draw" in capsys.readouterr().err
    assert not out.exists()


def test_compare_minds_the_strength(tmp_path: Path) -> None:
    sheets: list[Any] = []
    for strength in (0, 0.5, 1):
        out = tmp_path / f"{strength}.png"
        models = ("--models", "reinhard", "--side", 64, "--strength", strength)
        assert run("compare", COMPOSITE, MASK, *models, "-o", out) == 0
        sheets.append(cells(out))
    none, half, full = (found[2].astype(float) for found in sheets)
    assert np.array_equal(none, sheets[0][0])
    assert np.abs(full - none).max() > 20
    assert np.abs(half - (none + full) / 2).max() <= 1.5


def cells(path: Path) -> list[Any]:
    """The pictures of a sheet, 64 x 43 each, under titles of 18 pixels, with gaps of 8."""
    sheet = np.asarray(Image.open(path))
    return [
        sheet[top : top + 43, left : left + 64]
        for top in range(18, sheet.shape[0], 18 + 43 + 8)
        for left in range(0, sheet.shape[1], 64 + 8)
    ]


def test_pictures_on_a_sheet_may_not_be_tiny() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(InputError, match="at least 16 pixels; got 15"):
        comparison_sheet(picture, np.ones((4, 4), np.float32), ["xiao"], side=15)


def test_compare_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.png"
    for arguments, said in [
        ((COMPOSITE, "nowhere.png", "-o", out), "there is no file nowhere.png"),
        ((COMPOSITE, MASK, "-o", out, "--models", "nonsense"), "there is no model 'nonsense'"),
        ((COMPOSITE, MASK, "-o", tmp_path / "no/sheet.png"), "there is no folder"),
        ((COMPOSITE, MASK, "-o", tmp_path / "sheet.xyz"), "cannot write the format"),
    ]:
        assert run("compare", *arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    with pytest.raises(SystemExit, match="2"):
        run("compare", COMPOSITE, MASK, "-o", out, "--side", 15)
    assert "--side: expected a whole number of at least 16, got '15'" in capsys.readouterr().err
    assert not out.exists()
    out.write_bytes(b"precious")
    assert run("compare", COMPOSITE, MASK, "-o", out) == 1
    assert out.read_bytes() == b"precious"
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["a.png", "m.png", "other.png"])
def test_compare_replaces_nothing_that_it_reads(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, mask = shutil.copy(COMPOSITE, tmp_path / "a.png"), shutil.copy(MASK, tmp_path / "m.png")
    (tmp_path / "other.png").hardlink_to(mask)
    models = ("--models", "reinhard")
    assert run("compare", image, mask, "-o", tmp_path / place, "--force", *models) == 1
    assert "is read; name another" in capsys.readouterr().err
    assert Path(image).read_bytes() == Path(COMPOSITE).read_bytes()
    assert Path(mask).read_bytes() == Path(MASK).read_bytes()


@pytest.mark.parametrize("place", ["data.csv", "a.png", "m.png"])
def test_evaluate_replaces_nothing_that_it_reads(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source, name in ((COMPOSITE, "a.png"), (MASK, "m.png")):
        shutil.copy(source, tmp_path / name)
    (tmp_path / "data.csv").write_text("composite,mask,real\na.png,m.png,a.png\n")
    read = tmp_path / place
    before = read.read_bytes()
    assert run("evaluate", "--data", tmp_path / "data.csv", "--json", read, "--force") == 1
    assert "is read; name another" in capsys.readouterr().err
    assert read.read_bytes() == before
