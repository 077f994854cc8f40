"""Look at a batch again through a camera that moved a little, and ask for the same answer.

In half of the cases what it sees is mirrored as well.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from harmonizer.training.losses import FNRMSELoss, Loss

_SHIFT = 0.04  # of the picture's side, at most, each way


def draw_view(seed: int, step: int, size: int) -> torch.Tensor:
    """Draw where the camera looks: an affine matrix (2, 3), as `affine_grid` takes it.

    It moves by whole pixels of pictures of this size, so that nothing is blurred: texture, by
    which a network may tell what was recoloured, is as sharp as before.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    most = round(_SHIFT * size)
    across, down = torch.randint(-most, most + 1, (2,), generator=generator) * (2 / size)
    side = 1 - 2 * torch.randint(2, (), generator=generator)
    one, nothing = torch.ones(()), torch.zeros(())
    return torch.stack([side * one, nothing, across, nothing, one, down]).reshape(2, 3)


def look(images: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
    """Return images (N, C, H, W) as they are seen from there; beyond the border they are mirrored.

    To change all colours by one straight line before or after this gives the same.
    """
    matrix = view.to(images).expand(len(images), 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def loss_of_two_views(
    network: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    loss: Loss,
    composite: torch.Tensor,
    mask: torch.Tensor,
    target: torch.Tensor,
    view: torch.Tensor,
    min_area: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Answer a batch as it is and as it is seen from elsewhere; `min_area` is that of the run.

    Returns:
        The mean loss of the two answers; and by how much they differ inside the mask, as
        `FNRMSELoss` measures it.
    """
    seen = [look(one, view) for one in (composite, mask, target)]
    both = network(torch.cat([composite, seen[0]]), torch.cat([mask, seen[1]]))
    answer, answer_seen = both.chunk(2)
    total = loss(answer, target, mask, composite) + loss(answer_seen, seen[2], seen[1], seen[0])
    return total / 2, FNRMSELoss(min_area)(answer_seen, look(answer, view), seen[1])
