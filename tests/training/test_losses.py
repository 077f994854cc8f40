"""The losses, by their definitions."""

import pytest
import torch

from harmonizer.errors import InputError
from harmonizer.training import FNMSELoss, FNRMSELoss, MSELoss, NoHarmLoss
from harmonizer.training.losses import build_loss


def images(seed: int) -> torch.Tensor:
    return torch.randn(3, 3, 20, 24, generator=torch.Generator().manual_seed(seed))


def test_fn_mse_divides_by_the_foreground() -> None:
    prediction, target = images(0), images(1)
    mask = torch.zeros(3, 1, 20, 24)
    mask[0, :, :10, :15] = 1  # 150 pixels: above the least area
    mask[1, :, :5, :5] = 1  # 25: counts as 100
    mask[2] = 0.5  # soft: 240
    error = (prediction - target).square().flatten(1).sum(dim=1)
    expected = (error / (3 * torch.tensor([150.0, 100.0, 240.0]))).mean()
    assert float(FNMSELoss(100)(prediction, target, mask)) == pytest.approx(
        float(expected), rel=1e-6
    )
    # The background's error counts in the sum, the area only in the divisor.
    assert FNMSELoss(1000)(prediction, target, mask) < FNMSELoss(100)(prediction, target, mask)


def test_fn_rmse_takes_the_root_of_each_image() -> None:
    prediction, target = images(0), images(1)
    mask = torch.ones(3, 1, 20, 24)
    of_each = (prediction - target).square().flatten(1).mean(dim=1)
    found = float(FNRMSELoss(100)(prediction, target, mask))
    assert found == pytest.approx(float((of_each + 1e-3).sqrt().mean()), rel=1e-6)
    exact = target.clone().requires_grad_()
    FNRMSELoss(100)(exact, target, mask).backward()
    assert exact.grad is not None
    assert exact.grad.isfinite().all()


def test_no_harm_counts_again_what_goes_beyond_the_composite() -> None:
    target, mask = images(0), torch.ones(3, 1, 20, 24)
    composite = target + torch.tensor([0.5, 0.5, 0.0]).view(3, 1, 1, 1)
    better, worse, touched = 0.2, 0.9, 0.1  # the last one was right as it was
    prediction = target + torch.tensor([better, worse, touched]).view(3, 1, 1, 1)

    def root(error: float) -> float:
        return (error**2 + 1e-3) ** 0.5

    apart = [root(better), root(worse), root(touched)]
    beyond = [0, root(worse) - root(0.5), root(touched) - root(0)]
    for weight in (0.0, 1.0, 3.0):
        expected = sum(a + weight * b for a, b in zip(apart, beyond, strict=True)) / 3
        found = float(NoHarmLoss(100, weight)(prediction, target, mask, composite))
        assert found == pytest.approx(expected, rel=1e-5)
    with pytest.raises(InputError, match="harm_weight"):
        NoHarmLoss(100, -1)


def test_mse_is_the_mean() -> None:
    prediction, target = images(0), images(1)
    expected = float((prediction - target).square().mean())
    found = float(MSELoss()(prediction, target, torch.zeros(3, 1, 20, 24)))
    assert found == pytest.approx(expected, rel=1e-6)
    of_run = build_loss("mse", min_area=0, harm_weight=-1)  # which it does without
    composite, mask = images(2), torch.zeros(3, 1, 20, 24)
    assert float(of_run(prediction, target, mask, composite)) == found


@pytest.mark.parametrize("area", [0, -1, float("nan")])
def test_an_impossible_area_is_refused(area: float) -> None:
    with pytest.raises(InputError, match="min_area"):
        FNMSELoss(area)
