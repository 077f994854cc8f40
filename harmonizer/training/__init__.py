"""Training and fine-tuning."""

from harmonizer.training.config import DataConfig, ModelConfig, TrainConfig
from harmonizer.training.losses import FNMSELoss, MSELoss
from harmonizer.training.trainer import TrainResult, train

__all__ = [
    "DataConfig",
    "FNMSELoss",
    "MSELoss",
    "ModelConfig",
    "TrainConfig",
    "TrainResult",
    "train",
]
