"""Many pictures: folders of them, and clusters; started, stopped, and started again."""

from harmonizer.jobs.cluster import DatasetSummary, harmonize_dataset

__all__ = ["DatasetSummary", "harmonize_dataset"]
