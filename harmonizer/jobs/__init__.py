"""Harmonize many pictures: of folders, of clips, on clusters."""

from harmonizer.jobs.cluster import DatasetSummary, harmonize_dataset

__all__ = ["DatasetSummary", "harmonize_dataset"]
