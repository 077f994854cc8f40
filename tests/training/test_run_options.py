"""No setting of a run is ignored: what is saved, what learns how fast, what is minimised."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from runs import SmallRun, losses
from safetensors.torch import load_file

from harmonizer import Harmonizer
from harmonizer.data import Triplet
from harmonizer.errors import InputError
from harmonizer.networks import build_network
from harmonizer.networks.color_map import ColorMapNetwork
from harmonizer.preprocessing import Preprocessing
from harmonizer.training import DataConfig, ModelConfig, TrainConfig, train, trainer
from harmonizer.training.batches import batches
from harmonizer.training.build import build_model
from harmonizer.training.pictures import training_pictures, validation_pictures
from harmonizer.training.run_folder import load_checkpoint
from harmonizer.training.validation import COLUMNS, validate
from harmonizer.zoo.manifest import model_info

UNMEASURED: dict[str, Any] = {"validation": DataConfig(), "validate_every": 0}


def first_loss(config: TrainConfig) -> float:
    """The loss of the weights that a run starts with."""
    train(replace(config, steps=1))
    header, row = (Path(config.output) / "log.csv").read_text().splitlines()
    return float(row.split(",")[header.split(",").index("loss")])


def moved(config: TrainConfig, steps: int = 1) -> dict[str, float]:
    """By how much the first updates changed each tensor at most."""
    before = build_model(config)[0].state_dict()
    train(replace(config, steps=steps, ema=0.0))
    after = load_checkpoint(Path(config.output))["network"]
    return {
        key: float((after[key] - value).abs().max())
        for key, value in before.items()
        if value.is_floating_point()
    }


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[key], second[key]) for key in first)


def test_what_is_saved_is_the_running_average_if_there_is_one(small_run: SmallRun) -> None:
    for ema, kept, other in ((0.9, "average", "network"), (0.0, "network", None)):
        result = train(small_run(ema=ema, output=small_run().output + kept, **UNMEASURED))
        saved = load_file(result.model / "model.safetensors")
        checkpoint = load_checkpoint(result.model.parent)
        assert same(saved, checkpoint[kept])
        assert other is None or not same(saved, checkpoint[other])


def test_the_running_average_follows_the_weights(small_run: SmallRun) -> None:
    config = small_run(steps=1, ema=0.9, **UNMEASURED)
    start = build_model(config)[0].state_dict()
    train(config)
    state = load_checkpoint(Path(config.output))
    for key, average in state["average"].items():
        if average.is_floating_point():
            # At the first step the start counts for a tenth, whatever the decay.
            expected = start[key] + 0.9 * (state["network"][key] - start[key])
            assert torch.allclose(average, expected, atol=1e-6), key


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_pretrained_part_learns_at_its_own_rate(rate: float, small_run: SmallRun) -> None:
    """Adam's first step moves every weight by the learning rate, whatever its gradient."""
    model = ModelConfig(network="colormap-lite0", arguments={"width": 4, "hidden": 8})
    changes = moved(
        small_run(model=model, size=256, learning_rate=1e-3, backbone_rate=rate, **UNMEASURED)
    )
    backbone = [change for key, change in changes.items() if key.startswith("backbone.")]
    others = [change for key, change in changes.items() if not key.startswith("backbone.")]
    assert max(backbone) == pytest.approx(rate * 1e-3, rel=0.01)
    assert max(others) == pytest.approx(1e-3, rel=0.01)


def test_the_learning_rate_is_the_schedules(small_run: SmallRun) -> None:
    changes = moved(small_run(learning_rate=1e-3, warmup_steps=10, **UNMEASURED))
    weights = [change for key, change in changes.items() if "running_" not in key]
    assert max(weights) == pytest.approx(1e-4, rel=0.01)


def test_clipped_gradients_move_no_weight(small_run: SmallRun) -> None:
    """Clipped to far less than what Adam adds to its divisor."""
    for clip, most in ((0.0, 1.0), (1e-14, 0.01)):
        config = small_run(
            learning_rate=1e-3, clip_gradient=clip, output=f"{small_run().output}{clip}"
        )
        changes = moved(replace(config, **UNMEASURED))
        weights = [change for key, change in changes.items() if "running_" not in key]
        assert max(weights) <= most * 1.01e-3
        assert clip or max(weights) > 0.9e-3


def test_frozen_parts_keep_weights_and_statistics(small_run: SmallRun) -> None:
    """Also after a validation, for which the network leaves its training mode."""
    model = ModelConfig(network="idih", arguments={"width": 4, "depth": 4}, freeze=("encoder.*",))
    changes = moved(small_run(model=model), steps=7)
    assert any("running_mean" in key for key in changes if key.startswith("encoder."))
    for key, change in changes.items():
        assert key.startswith("encoder.") == (change == 0), key


def test_a_resumed_run_goes_on_with_optimizer_and_average(small_run: SmallRun) -> None:
    """Without a restart of the process, and without a loss that could hide it."""
    whole, parts = (small_run(output=f"{small_run().output}-{name}") for name in ("a", "b"))
    train(replace(whole, **UNMEASURED))
    expected = load_checkpoint(Path(whole.output))

    class StoppedError(Exception):
        pass

    def stop(self: Any, network: Any, batch: Any) -> torch.Tensor:
        if self.step == 4:
            raise StoppedError
        return update(self, network, batch)

    update = trainer._Run._update
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer._Run, "_update", stop)
        with pytest.raises(StoppedError):
            train(replace(parts, **UNMEASURED))
    train(replace(parts, **UNMEASURED), resume=True)
    found = load_checkpoint(Path(parts.output))
    for key in ("network", "average"):
        assert same(found[key], expected[key]), key
    for one, other in zip(
        *(state["optimizer"]["state"].values() for state in (found, expected)), strict=True
    ):
        assert same(one, other)


def test_the_loss_minds_min_area_and_harm_weight_of_the_run(small_run: SmallRun) -> None:
    def loss(name: str, **changes: Any) -> float:
        output = f"{small_run().output}-{name}-{'-'.join(map(str, changes.values()))}"
        return first_loss(small_run(loss=name, output=output, **UNMEASURED, **changes))

    few, many = loss("fn-mse", min_area=1e5), loss("fn-mse", min_area=2e5)
    assert few == pytest.approx(2 * many, rel=1e-5)
    assert loss("no-harm", harm_weight=3.0) > loss("no-harm", harm_weight=0.0) * 1.01


def test_the_loss_is_the_one_that_the_run_names(small_run: SmallRun) -> None:
    # With so large an area, that of all pixels, three of them are the same but for the root.
    area = 32.0 * 32.0
    found = {
        name: first_loss(
            small_run(loss=name, output=small_run().output + name, min_area=area, **UNMEASURED)
        )
        for name in ("mse", "fn-mse", "fn-rmse", "no-harm")
    }
    assert found["mse"] == pytest.approx(found["fn-mse"], rel=1e-4)
    assert found["fn-rmse"] > 1.2 * found["fn-mse"] or found["fn-rmse"] < found["fn-mse"] / 1.2
    assert found["no-harm"] > found["fn-rmse"]


@pytest.fixture
def ramps(tmp_path: Path) -> str:
    """A triplet whose red grows from left to right, from 0 to 255."""
    real = np.zeros((64, 64, 3), np.uint8)
    real[...] = np.linspace(0, 255, 64).astype(np.uint8)[None, :, None]
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    for folder, array in (("composites", 255 - real), ("masks", mask), ("real", real)):
        (tmp_path / "ramps" / folder).mkdir(parents=True)
        Image.fromarray(array).save(tmp_path / "ramps" / folder / "a.png")
    return str(tmp_path / "ramps")


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("crop", [True, False])
def test_pictures_are_flipped_and_cropped_as_configured(
    flip: bool, crop: bool, small_run: SmallRun, ramps: str
) -> None:
    data = DataConfig(kind="triplets", root=ramps, random_crop=crop, horizontal_flip=flip)
    config = small_run(train=data, validation=data)
    pictures = training_pictures(config)
    rows = [pictures.draw(0, epoch).real[0, :, 0].astype(int) for epoch in range(20)]
    flipped = [row[0] > row[-1] for row in rows]
    whole = [abs(row[0] - row[-1]) > 245 for row in rows]
    assert any(flipped) == flip
    assert not all(flipped)
    assert any(whole) != crop
    (measured,) = validation_pictures(config)
    assert measured.real[0, 0, 0] < 10
    assert measured.real[0, -1, 0] > 245


def test_pictures_go_on_beyond_their_borders_as_configured(small_run: SmallRun, ramps: str) -> None:
    for beyond in (0.0, 0.2):
        data = DataConfig(
            kind="triplets", root=ramps, random_crop=False, horizontal_flip=False, beyond=beyond
        )
        pictures = training_pictures(small_run(train=data))
        rows = [pictures.draw(0, epoch).real[0, :, 0].astype(int) for epoch in range(20)]
        assert any((np.diff(row) < 0).any() for row in rows) == (beyond > 0)


def test_validation_measures_the_model_that_is_saved(small_run: SmallRun) -> None:
    """In evaluation mode, as it will be used."""
    config = small_run(ema=0.0)
    result = train(config)
    harmonizer = Harmonizer.from_pretrained(result.model, device="cpu")
    preprocessing, device = harmonizer.info.preprocessing, torch.device("cpu")
    found = validate(harmonizer._network, validation_pictures(config), preprocessing, device)
    assert found["fmse"] == pytest.approx(result.metrics["fmse"], rel=1e-4)


def test_best_is_the_model_with_the_lowest_error(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def measured(network: Any, *_: Any) -> dict[str, float]:
        seen.append({key: value.clone() for key, value in network.state_dict().items()})
        return dict.fromkeys(COLUMNS, 1.0) | {"fmse": [7.0, 3.0, 5.0][len(seen) - 1]}

    monkeypatch.setattr(trainer, "validate", measured)
    result = train(small_run(validate_every=4))
    assert same(load_file(result.model.parent / "best" / "model.safetensors"), seen[1])
    assert same(load_file(result.model / "model.safetensors"), seen[2])


class Numbered:
    """Pictures that are as bright as their numbers."""

    def __len__(self) -> int:
        return 8

    def draw(self, index: int, epoch: int) -> Triplet:
        picture = np.full((2, 2, 3), index, np.uint8)
        return Triplet(picture, np.ones((2, 2), np.float32), picture, str(epoch))


def test_the_order_is_a_new_one_for_each_seed_and_epoch() -> None:
    preprocessing = Preprocessing((2, 2), (0.0,) * 3, (1 / 255,) * 3, "opencv-linear")

    def order(seed: int, **team: int) -> list[list[int]]:
        found = batches(
            Numbered(), preprocessing, batch_size=4, steps=range(4), seed=seed, workers=0, **team
        )
        return [one.composite[:, 0, 0, 0].round().int().tolist() for one in found]

    first = order(0)
    epochs = [first[0] + first[1], first[2] + first[3]]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert order(0) == first != order(1)
    halves = [order(0, part=part, parts=2) for part in (0, 1)]
    assert [one + other for one, other in zip(*halves, strict=True)] == first


def test_a_new_network_has_the_weights_of_the_runs_seed(small_run: SmallRun) -> None:
    first, again, other = (build_model(small_run(seed=one))[0].state_dict() for one in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)


def test_a_run_draws_in_the_order_of_its_seed(small_run: SmallRun, tmp_path: Path) -> None:
    """The same pictures and the same weights, which hardly move: only the order is another."""
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 255
    for number in range(6):
        real = np.full((32, 32, 3), 20 + 40 * number, np.uint8)
        for name, array in (("composites", 255 - real), ("masks", mask), ("real", real)):
            (tmp_path / "six" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / "six" / name / f"{number}.png")
    data = DataConfig(
        kind="triplets", root=str(tmp_path / "six"), random_crop=False, horizontal_flip=False
    )
    model = ModelConfig(start=small_idih(tmp_path / "start", width=4, depth=3))
    found = []
    for seed in (0, 1):
        options: dict[str, Any] = {"train": data, "model": model, "steps": 6, "batch_size": 1}
        config = small_run(**options, **UNMEASURED, seed=seed, learning_rate=1e-9)
        config = replace(config, output=str(tmp_path / f"run{seed}"))
        train(config)
        found.append(losses(config.output))
    assert sorted(found[0]) == pytest.approx(sorted(found[1]), rel=1e-3)
    assert found[0] != pytest.approx(found[1], rel=1e-2)


def small_idih(folder: Path, **arguments: int) -> str:
    """An iDIH with random batch norms, and a normalisation that is not colormap-lite0's."""
    torch.manual_seed(0)
    network = build_network("idih", **arguments)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean, module.running_var = torch.randn(2, module.num_features).square()
    info = replace(model_info("idih"), name="small", arguments=arguments)
    Harmonizer(network, info, device="cpu").save_pretrained(folder)
    return str(folder)


@torch.inference_mode()
def test_an_encoder_starts_as_a_trained_one_is(small_run: SmallRun, tmp_path: Path) -> None:
    place = small_idih(tmp_path / "idih", width=16, depth=6, doubling=1)
    model = ModelConfig("colormap-lite0", encoder=place)
    network, info = build_model(small_run(model=model, size=256))
    assert isinstance(network, ColorMapNetwork)
    theirs = Harmonizer.from_pretrained(place, backend="torch")
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 64:192, 64:192] = 1
    (x, y) = (
        torch.cat([torch.from_numpy(one.preprocessing.to_network(picture, 255))[None], mask], 1)
        for one in (info, theirs.info)
    )
    assert not torch.allclose(x, y, atol=0.1)
    for ours, block in zip(network.encoder, theirs._network.encoder, strict=False):
        x, y = ours(x), block(y)
        torch.testing.assert_close(x[..., 2:-2, 2:-2], y[..., 2:-2, 2:-2], rtol=1e-3, atol=1e-3)


def test_encoders_that_do_not_fit(small_run: SmallRun, tmp_path: Path) -> None:
    place = small_idih(tmp_path / "idih", width=8, depth=6)
    for network, said in (("colormap-lite0", "width = 16"), ("idih", "is for colormap-lite0")):
        with pytest.raises(InputError, match=said):
            build_model(small_run(model=ModelConfig(network, encoder=place), size=256))
