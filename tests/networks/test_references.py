"""Every network against the released one: the same weights must give the same numbers."""

from typing import Any

import numpy as np
import pytest
import torch
from by_rule import (
    PAPER,
    picture_by_rule,
    reference_values,
    references,
    released_weights,
    sample_positions,
)
from torch import nn

from harmonizer.networks import build_network
from harmonizer.networks.foreground_aware import ForegroundAware
from harmonizer.training import FNMSELoss
from harmonizer.zoo import convert_state_dict

IMAGENET = (np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225]))
HALF = (np.float32([0.5, 0.5, 0.5]), np.float32([0.5, 0.5, 0.5]))


def normalisation(name: str) -> tuple[Any, Any]:
    return HALF if name == "dovenet" else IMAGENET


def as_batch(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.atleast_3d(array).transpose(2, 0, 1)))[None]


def record_features(network: nn.Module) -> list[torch.Tensor]:
    """A list that fills with what the backbone hands to the base."""
    features: list[torch.Tensor] = []
    if isinstance(network, ForegroundAware):

        def record(_: nn.Module, arguments: tuple[Any, ...]) -> None:
            features.extend(arguments[2])

        network.base.register_forward_pre_hook(record)
    return features


def test_every_network_of_the_paper_has_references() -> None:
    assert set(PAPER) == set(references()["released_shapes"])


@pytest.mark.parametrize(
    ("name", "run"), [*((name, "s1") for name in PAPER), ("idih-hrnet-w18s", "strong")]
)
def test_agrees_with_the_released_network(name: str, run: str) -> None:
    strong = run == "strong"
    seed = 2 if strong else 1
    network = build_network(name).eval()
    network.load_state_dict(convert_state_dict(name, released_weights(name, seed, strong)))
    features = record_features(network)

    image, mask = picture_by_rule(seed)
    if strong:
        mask = reference_values()["soft_mask"]
    mean, std = normalisation(name)
    with torch.inference_mode():
        output = network(
            as_batch((image.astype(np.float32) / 255 - mean) / std),
            as_batch(mask.astype(np.float32) / 255),
        )
    predicted = np.clip((output[0].permute(1, 2, 0).numpy() * std + mean) * 255, 0, 255)

    expected = reference_values()[f"{name}.{run}.predicted"]
    sampled = predicted.flat[sample_positions(predicted.size, expected.size)]
    np.testing.assert_allclose(sampled, expected, rtol=0, atol=2e-3)
    expected_mean = reference_values()[f"{name}.{run}.predicted.mean"]
    np.testing.assert_allclose(predicted.mean((0, 1)), expected_mean, rtol=0, atol=2e-3)

    levels = [key for key in reference_values() if key.startswith(f"{name}.{run}.backbone")]
    assert len(features) == len(levels) / 2  # one entry for the values, one for the largest
    for i, feature in enumerate(features):
        key = f"{name}.{run}.backbone_features_{i}"
        expected, largest = reference_values()[key], reference_values()[f"{key}.largest"].item()
        every_16th = feature[0, ::16].numpy()
        sampled = every_16th.flat[sample_positions(every_16th.size, expected.size)]
        np.testing.assert_allclose(sampled, expected, rtol=0, atol=1e-5 * largest)
        np.testing.assert_allclose(np.abs(every_16th).max(), largest, rtol=1e-5)


def test_three_training_steps_agree_with_the_released_recipe() -> None:
    """IDIH, FN-MSE with a minimum area of 100, Adam; the loss before each step."""
    expected = references()["idih_training_steps"]
    network = build_network("idih")
    network.load_state_dict(convert_state_dict("idih", released_weights("idih", 1)))
    pictures = [picture_by_rule(seed) for seed in (11, 12)]
    mean, std = IMAGENET
    image = torch.cat([as_batch((p.astype(np.float32) / 255 - mean) / std) for p, _ in pictures])
    mask = torch.cat([as_batch(m.astype(np.float32) / 255) for _, m in pictures])
    target = image * (1 - mask) + (0.8 * image + 0.1) * mask
    measure = FNMSELoss(min_area=100)

    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses: list[float] = []
    norms: list[float] = []
    for step in range(3):
        loss = measure(network(image, mask), target, mask)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            norms = [p.grad.norm().item() for p in network.parameters() if p.grad is not None]
        optimizer.step()
        losses.append(loss.item())
    with torch.inference_mode():
        output = network.eval()(image, mask)

    np.testing.assert_allclose(losses, expected["loss"], rtol=1e-3)
    # Both lists are in the order of the layers. Below 1e-5 a gradient is rounding: that of a bias
    # which batch norm takes out again.
    np.testing.assert_allclose(
        sorted(norms), sorted(expected["grad_norm_step0"].values()), rtol=1e-3, atol=1e-5
    )
    assert output.mean().item() == pytest.approx(expected["eval_output_mean"], abs=2e-3)
    assert output.std().item() == pytest.approx(expected["eval_output_std"], abs=2e-3)
