"""Configurations: files in and out, and refusals that name every fault."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harmonizer.errors import InputError
from harmonizer.networks import list_networks
from harmonizer.training import DataConfig, ModelConfig, TrainConfig
from harmonizer.training.recipes import list_recipes, read_recipe
from harmonizer.training.schedule import learning_rate_factor
from harmonizer.zoo.manifest import default_model, model_info


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    config = TrainConfig(
        model=ModelConfig(
            arguments={"width": 32}, freeze=("encoder.*",), description='a "quoted" \\'
        ),
        train=DataConfig(root="a folder", parts=("HCOCO",)),
        betas=(0.8, 0.99),
        ema=0.998,
        compile=True,
    )
    path = tmp_path / "run.toml"
    path.write_text(config.to_toml())
    assert TrainConfig.from_toml(path) == config


def test_what_would_take_far_too_long_to_read_is_refused(tmp_path: Path) -> None:
    """However it is given."""
    deep, many = "a=" + "[" * 5000, "\n".join(f"k{number} = 1" for number in range(5000))
    with pytest.raises(ValueError, match="nested too deeply"):
        TrainConfig.parse_toml(deep)
    with pytest.raises(InputError, match="and perhaps more") as raised:
        TrainConfig.parse_toml(many)
    assert "k19" in str(raised.value)
    assert "k20" not in str(raised.value)
    (tmp_path / "run.toml").write_text(deep)
    with pytest.raises(InputError, match="no valid TOML"):
        TrainConfig.from_toml(tmp_path / "run.toml")


@pytest.mark.parametrize("text", ['"', "\\", "\n\r\t", "\0\x1f\x7f", "é 漢 🙂", "[model]\nx = 1"])
def test_texts_of_any_kind_survive_the_file(text: str, tmp_path: Path) -> None:
    model = ModelConfig(backbone_weights=text, freeze=(text,), arguments={text: [text, {text: 1}]})
    config = TrainConfig(model=model)
    (tmp_path / "run.toml").write_bytes(config.to_toml().encode())
    assert TrainConfig.from_toml(tmp_path / "run.toml") == config


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("learning_rat = 1", ["there is no learning_rat (did you mean learning_rate?)"]),
        ("[trian]\nroot = 'x'", ["there is no trian (did you mean train?)"]),
        ("steps = 'many'", ["steps is of type int; got 'many'"]),
        ("steps = true", ["steps is of type int; got True"]),
        ("compile = 1", ["compile is of type bool; got 1"]),
        ("loss = 'l1'", ["loss is one of 'fn-mse', 'fn-rmse', 'no-harm', 'mse'; got 'l1'"]),
        ("betas = [0.9]", ["betas has 2 values"]),
        ("milestones = 0.5", ["milestones is a list"]),
        ("train = 3", ["train is a table"]),
        ("[model]\narguments = 3", ["model.arguments is a table"]),
        ("stps = 1\n[train]\nroto = 'x'\nkind = 'y'", ["no stps", "no train.roto", "train.kind"]),
        ("[train.synthesis]\nflatt = 1.0", ["train.synthesis.flatt (did you mean", "flat?)"]),
        ("= 3", ["no valid TOML"]),
        ("batch_size = 0", ["batch_size is a number above 0"]),
        ("learning_rate = -1.0", ["learning_rate is a number above 0"]),
        ("epsilon = 0.0", ["epsilon is a number above 0"]),
        ("learning_rate = inf", ["learning_rate is a number above 0; got inf"]),
        ("clip_gradient = inf", ["clip_gradient is a number from 0 up; got inf"]),
        ("batch_size = 10\naccumulate = 3", ["cannot be computed in 3 equal parts"]),
        ("seed = -1", ["seed is a number from 0 up"]),
        ("size = 8192", ["size is a number from 0 to 4096; got 8192"]),
        ("epochs = 0", ["steps, or epochs"]),
        ("steps = -5", ["steps is a number from 0 up"]),
        ("[train]\nlimit = -1", ["limit is a number from 0 to inf; got -1"]),
        ("workers = -1", ["workers is a number from 0 up"]),
        ("workers = 1000000", ["workers is a number from 0 to 1024; got 1000000"]),
        ("min_area = 1e308", ["min_area is a number from 0 to"]),
        ("train.synthesis.noise = inf", ["noise is a number from 0 to 255; got inf"]),
        ('output = "a\\u0000b"', ["output is the path of a folder"]),
        ("betas = [0.9, 1.5]", ["betas are decays"]),
        ("ema = 1.0", ["ema is a decay"]),
        ("milestones = [160.0]", ["milestones are shares"]),
    ],
)
def test_faults_are_named(text: str, reasons: list[str], tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        TrainConfig.from_toml(path)
    assert all(reason in str(caught.value) for reason in reasons), str(caught.value)


def test_workers_are_no_more_than_the_cores_unless_one_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for cores, workers in ((1, 1), (2, 2), (64, 2)):
        monkeypatch.setattr("harmonizer.training.config.count_cores", lambda cores=cores: cores)
        assert TrainConfig().workers == TrainConfig.parse_toml("").workers == workers
        assert TrainConfig.parse_toml("workers = 5").workers == 5


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no configuration .*no\.toml.*--print-recipe"):
        TrainConfig.from_toml(tmp_path / "no.toml")


def test_a_configuration_extends_another(tmp_path: Path) -> None:
    """Tables are gone through key by key; a value, such as `arguments`, is replaced as a whole."""
    (tmp_path / "base.toml").write_text(
        'extends = "idih"\nseed = 3\n[model]\narguments = {width = 8, depth = 4}\nname = "a"'
    )
    (tmp_path / "inner").mkdir()
    path = tmp_path / "inner/run.toml"
    path.write_text('extends = "../base.toml"\nseed = 4\n[model]\narguments = {width = 16}')
    config = TrainConfig.from_toml(path)
    assert (config.seed, config.epochs, config.milestones[0]) == (4, 120, 0.875)
    assert (config.model.name, config.model.arguments) == ("a", {"width": 16})
    assert TrainConfig.parse_toml(config.to_toml()) == config


@pytest.mark.parametrize(
    ("extended", "reason"),
    [
        ("'nonsense'", "there is no recipe 'nonsense'; the recipes are .*, dih,"),
        ("'no.toml'", "there is no configuration .*no.toml"),
        ("'broken.toml'", "broken.toml is no valid TOML"),
        ("'run.toml'", "extend each other: .*run.toml -> .*run.toml"),
        ("'circle.toml'", "extend each other: .*run.toml -> .*circle.toml -> .*run.toml"),
        ("3", "extends is a recipe's name or a file's path; got 3"),
    ],
)
def test_what_cannot_be_extended_is_named(extended: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("= 3")
    (tmp_path / "circle.toml").write_text("extends = './run.toml'")
    (tmp_path / "run.toml").write_text(f"extends = {extended}")
    with pytest.raises(InputError, match=reason):
        TrainConfig.from_toml(tmp_path / "run.toml")


OUR_OWN = ("idih-open-1", "idih-open-2", "idih-open-3", "idih-open-4")
WITH_MSE = ("dih-plain", "dih-flip", "dih-flip-crop", "idih-mse", "s2am")
BACKBONES = {"w18s": "hrnet_w18_small_v2.ms", "w18": "hrnet_w18.ms", "w32": "hrnet_w32.ms"}


@pytest.mark.parametrize("name", [name for name in list_recipes() if "-open-" not in name])
def test_every_recipe_of_the_paper_is_as_released(name: str) -> None:
    config = TrainConfig.parse_toml(read_recipe(name))
    network = "dih" if name.startswith("dih-") else name.removesuffix("-mse")
    assert network in list_networks()
    assert (config.model.network, config.model.name) == (network, name)
    assert config.output == f"runs/{name}"
    assert config.loss == ("mse" if name in WITH_MSE else "fn-mse")
    assert config.min_area == (1000 if network.startswith("is2am") else 100)
    assert (config.batch_size, config.learning_rate, config.backbone_rate) == (16, 1e-3, 0.1)
    assert config.train.horizontal_flip == (name != "dih-plain")
    assert config.train.random_crop == (name not in ("dih-plain", "dih-flip"))
    assert (config.train.kind, config.train.root, config.train.split) == (
        *("triplets", "iHarmony4", "train"),
    )
    assert (config.validation.split, config.validation.limit) == ("test", 500)
    backbone = next((BACKBONES[part] for part in network.split("-") if part in BACKBONES), "")
    backbone = "resnet34.gluon" if "r34" in network else backbone
    assert config.model.backbone_weights == (f"timm/{backbone}_in1k" if backbone else "")
    assert config.model.start == ("imagenet" if backbone else "random")
    # The rate is multiplied by 0.1 at 160 and 175 of 180 epochs, or at 105 and 115 of 120.
    assert config.epochs == (180 if backbone else 120)
    steps = config.epochs * 4109
    epochs = [160, 175] if backbone else [105, 115]
    for epoch, after in zip(epochs, (0.1, 0.01), strict=True):
        assert learning_rate_factor(config, epoch * 4109 + 4, steps) == pytest.approx(after)
        assert learning_rate_factor(config, epoch * 4109 - 4, steps) == pytest.approx(after * 10)


def test_the_recipes_of_colormap_lite0_open_are_of_it_and_go_on_from_each_other() -> None:
    first, second = (
        TrainConfig.parse_toml(read_recipe(f"colormap-lite0-open-{stage}")) for stage in (1, 2)
    )
    assert first.model.network == second.model.network == model_info(default_model()).architecture
    assert (first.model.start, first.model.encoder) == ("imagenet", "runs/idih-open-4/model")
    assert (second.model.start, second.model.encoder) == (f"{first.output}/model", "")
    assert "encoder.*" in first.model.freeze
    assert "encoder.*" not in second.model.freeze
    assert (first.schedule, second.schedule) == ("constant", "cosine")
    assert (first.train.synthesis.pasted, second.train.synthesis.pasted) == (0, 0.4)
    assert (first.train.synthesis.compressed, second.train.synthesis.compressed) == (0, 0.75)
    assert first.train.synthesis.illumination == second.validation.synthesis.illumination == 0.2


def test_the_recipes_of_idih_open_go_on_from_each_other_and_fit_its_heir() -> None:
    stages = [TrainConfig.parse_toml(read_recipe(name)) for name in OUR_OWN]
    heir = TrainConfig.parse_toml(read_recipe("colormap-lite0-open-1"))
    assert heir.model.encoder == f"{stages[-1].output}/model"
    assert dict(stages[0].model.arguments) == {"width": 16, "depth": 6, "doubling": 1}
    assert {(stage.model.network, stage.size) for stage in stages} == {("idih", 128)}
    starts = [after.model.start for after in stages[1:]]
    folders = ("model", "model", "best")  # the third stage was stopped
    assert starts == [
        f"{before.output}/{folder}" for before, folder in zip(stages[:-1], folders, strict=True)
    ]
    assert stages[-1].resampler == "opencv-nearest"
    assert [stage.steps for stage in stages] == [20000, 40000, 42000, 11500]
    assert [stage.loss for stage in stages] == ["fn-mse", *["fn-rmse"] * 3]
    assert [stage.learning_rate for stage in stages] == [0.003, 0.003, 0.003, 0.001]
    assert [stage.schedule for stage in stages] == [*["constant"] * 2, *["cosine"] * 2]


def test_recipes_cover_the_papers_systems() -> None:
    papers = [name for name in list_networks() if name.startswith(("dih", "idih", "s2am", "is2am"))]
    assert len(papers) == 13
    assert set(papers) <= set(list_recipes())
    with pytest.raises(InputError, match="the recipes are"):
        read_recipe("nonsense")


def test_schedules() -> None:
    config: Any = TrainConfig(schedule="cosine", warmup_steps=10)
    assert learning_rate_factor(config, 0, 100) == pytest.approx(0.1)
    assert learning_rate_factor(config, 50, 100) == pytest.approx(0.5)
    assert learning_rate_factor(config, 100, 100) == pytest.approx(0, abs=1e-12)
    assert learning_rate_factor(replace(config, schedule="constant"), 99, 100) == 1


def test_whole_numbers_stand_for_floats(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("learning_rate = 1\nbetas = [0, 0.5]")
    config = TrainConfig.from_toml(tmp_path / "run.toml")
    assert config.learning_rate == 1.0
    assert type(config.learning_rate) is type(config.betas[0]) is float
