"""Configurations, tables and names of strangers: refused in words, and none acts on a terminal."""

from pathlib import Path

import pytest

from harmonizer.cli import main
from harmonizer.data import TripletDataset
from harmonizer.errors import InputError
from harmonizer.files.tables import RowTable, read_table
from harmonizer.training import TrainConfig
from harmonizer.training.build import build_model, settle


def read(folder: Path, text: str) -> TrainConfig:
    (folder / "run.toml").write_text(text)
    return TrainConfig.from_toml(folder / "run.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"[model]\narguments = {{a = {'[' * 5000}{']' * 5000}}}", "nested too deeply"),
        (f"{'.'.join('a' * 3000)} = 1", "no valid TOML: it has more than 2,000 dots"),
        (f"seed = {'9' * 5000}", "no valid TOML"),
        (f"learning_rate = {'9' * 400}", "learning_rate is larger than"),
        (f"seed = {2**63}", "seed is larger than"),
        ('extends = "a\\u0000b.toml"', "extends is a recipe's name"),
        ('[model]\ndescription = """\na\nb"""', "model.description: expected printable"),
        ('[model]\nname = "a\\u001b[31m"', "model.name: expected printable"),
    ],
)
def test_a_strange_configuration_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("width", ['"a"', "[1]", "{ a = 1 }"])
def test_arguments_of_the_wrong_kind_are_refused(width: str, tmp_path: Path) -> None:
    config = read(tmp_path, f'[model]\nnetwork = "idih"\narguments = {{ width = {width} }}')
    with pytest.raises(InputError, match="cannot be built with"):
        build_model(settle(config))


def test_a_table_with_a_huge_field_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(f"a,b\n{'x' * 200_000},1\n")
    with pytest.raises(InputError, match=r"log\.csv is damaged"):
        RowTable(tmp_path / "log.csv", ["a", "b"]).read()


@pytest.mark.parametrize("rows", ['a,"b\nc,d\n', 'a,"b\nc,"d\n'])
def test_a_quotation_mark_that_is_not_closed(rows: str, tmp_path: Path) -> None:
    """It would take the rows that follow for its field."""
    table = tmp_path / "table.csv"
    table.write_text("image,note\n" + rows)
    with pytest.raises(InputError, match="cannot be read"):
        read_table(table)
    table.write_text('image,note\na,"b, and ""c"""\n')
    assert read_table(table)[1][0]["note"] == 'b, and "c"'


def test_short_rows_of_a_wide_table_take_what_they_hold(tmp_path: Path) -> None:
    """Filled up, the 5 KB of these would be 40 MB."""
    table = tmp_path / "wide.csv"
    table.write_text(f"image,{','.join(map(str, range(1000)))}\n" + "a\n" * 500)
    columns, rows = read_table(table)
    assert (len(columns), len(rows)) == (1001, 500)
    assert sum(map(len, rows)) == 500
    assert (rows[7]["image"], rows[7]["999"]) == ("a", "")


def test_a_row_that_is_longer_than_the_header_is_named(tmp_path: Path) -> None:
    table = tmp_path / "long.csv"
    table.write_text('image,mask\n\n"a\nb",c\na,b,c\n')
    with pytest.raises(InputError, match=r"long\.csv, line 5: more fields than the header"):
        read_table(table)


def test_a_name_that_no_file_has_is_a_missing_file(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"composite,mask,real\n{'x' * 300}.png,a.png,b.png\n")
    with pytest.raises(InputError, match="3 missing"):
        TripletDataset.from_csv(table)
    with pytest.raises(InputError):
        TripletDataset.from_csv(table, on_missing="skip")


def test_what_a_shell_put_in_does_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (["list", "\x1b]0;title\x07.png"], ["info", "a", "\x9b31m"]):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
        said = capsys.readouterr().err
        assert "unrecognized arguments" in said
        assert not {"\x1b", "\x07", "\x9b"} & set(said)
