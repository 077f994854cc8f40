"""Training and fine-tuning."""

from harmonizer.training.config import DataConfig, ModelConfig, TrainConfig
from harmonizer.training.losses import FNMSELoss, FNRMSELoss, MSELoss, NoHarmLoss
from harmonizer.training.trainer import TrainResult, train

__all__ = [
    "DataConfig",
    "FNMSELoss",
    "FNRMSELoss",
    "MSELoss",
    "ModelConfig",
    "NoHarmLoss",
    "TrainConfig",
    "TrainResult",
    "train",
]
