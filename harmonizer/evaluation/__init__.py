"""Measuring harmonization."""

from harmonizer.evaluation.benchmark import evaluate
from harmonizer.evaluation.metrics import fmse, fpsnr, fssim, mse, psnr, ssim
from harmonizer.evaluation.protocols import PROTOCOLS, Protocol
from harmonizer.evaluation.results import Evaluation, Row

__all__ = [
    "PROTOCOLS",
    "Evaluation",
    "Protocol",
    "Row",
    "evaluate",
    "fmse",
    "fpsnr",
    "fssim",
    "mse",
    "psnr",
    "ssim",
]
