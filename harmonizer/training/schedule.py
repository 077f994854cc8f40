"""How the learning rate goes up and down over a run."""

import math

from harmonizer.training.config import TrainConfig


def learning_rate_factor(config: TrainConfig, step: int, total: int) -> float:
    """Return what the learning rate is multiplied by at an update, from 0, of so many in all."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    share = step / total
    match config.schedule:
        case "constant":
            return warmup
        case "cosine":
            return warmup * 0.5 * (1 + math.cos(math.pi * share))
        case "step":
            return warmup * 0.1 ** sum(share >= milestone for milestone in config.milestones)
