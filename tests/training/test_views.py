"""A network that is asked for steady answers is told how far they move with the picture."""

import pytest
import torch

from harmonizer.training.losses import build_loss
from harmonizer.training.views import draw_view, look, loss_of_two_views

LOSS = build_loss("fn-rmse", 100.0, 1.0)
NOWHERE = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
AWAY = torch.tensor([[1.0, 0, 0.25], [0, 1, 0]])  # an eighth of the picture to the right


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 4, 4, generator=generator) * 2 - 1
    composite = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")
    mask = torch.zeros(2, 1, 32, 32)
    mask[:, :, 8:24, 8:24] = 1
    return composite, mask, composite * 0.5


def test_a_view_shifts_and_zooms(batch: tuple[torch.Tensor, ...]) -> None:
    composite, *_ = batch
    torch.testing.assert_close(look(composite, NOWHERE), composite, rtol=0, atol=1e-5)
    seen = look(composite, AWAY)
    torch.testing.assert_close(seen[..., :28], composite[..., 4:], rtol=0, atol=1e-5)


def test_views_are_small_differ_and_come_again() -> None:
    views = [draw_view(3, step, 256) for step in range(50)]
    assert torch.equal(views[7], draw_view(3, 7, 256))
    assert not torch.equal(views[7], draw_view(4, 7, 256))
    moved = torch.stack(views)[:, :, 2]
    assert 0.05 < float(moved.abs().max()) <= 0.08
    mirrored = torch.stack(views)[:, 0, 0]
    assert set(mirrored.tolist()) == {-1.0, 1.0}
    assert 15 < int((mirrored < 0).sum()) < 35


def test_views_are_not_blurred() -> None:
    noise = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    for step in range(10):
        seen = look(noise, draw_view(3, step, 64))
        nearest = (seen.flatten()[:, None] - noise.flatten()).abs().min(dim=1).values
        assert float(nearest.max()) < 1e-5


def test_an_answer_that_knows_no_place_does_not_move(
    batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    composite, mask, target = batch
    loss, still = loss_of_two_views(lambda image, _: image * 0.8, LOSS, *batch, AWAY, 100.0)
    least = 1e-3**0.5  # what FN-RMSE is at no difference
    assert float(still) == pytest.approx(least, abs=1e-4)
    seen = [look(one, AWAY) for one in batch]
    expected = LOSS(composite * 0.8, target, mask, composite)
    expected = (expected + LOSS(seen[0] * 0.8, seen[2], seen[1], seen[0])) / 2
    torch.testing.assert_close(loss, expected)


def test_an_answer_that_depends_on_the_place_moves(
    batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    ramp = torch.linspace(0, 1, 32)
    _, movement = loss_of_two_views(
        lambda image, mask: image + ramp * mask, LOSS, *batch, AWAY, 100.0
    )
    assert float(movement) == pytest.approx(0.129, abs=0.01)  # four of 31 steps


def test_small_foregrounds_count_as_large_as_the_run_says(
    batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    """Four times the area: half the movement, beside what FN-RMSE is at no difference."""
    ramp = torch.linspace(0, 1, 32)
    squares = [
        float(
            loss_of_two_views(lambda image, mask: image + ramp * mask, LOSS, *batch, AWAY, area)[1]
        )
        ** 2
        - 1e-3
        for area in (1_000.0, 4_000.0)
    ]
    assert squares[0] == pytest.approx(4 * squares[1], rel=1e-3)
