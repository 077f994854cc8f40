"""Measuring harmonization."""

from harmonizer.evaluation.metrics import fmse, fpsnr, mse, psnr

__all__ = ["fmse", "fpsnr", "mse", "psnr"]
