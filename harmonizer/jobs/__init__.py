"""Harmonize many pictures, of folders and on clusters; a stopped job goes on where it was."""

from harmonizer.jobs.cluster import DatasetSummary, harmonize_dataset

__all__ = ["DatasetSummary", "harmonize_dataset"]
