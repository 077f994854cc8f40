"""Harmonize video: a change of colour that is smooth over time, applied to every frame."""

from harmonizer.jobs.video.frames import harmonize_video

__all__ = ["harmonize_video"]
