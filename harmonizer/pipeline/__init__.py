"""Go the whole way from a composite to a harmonized picture: image, network, full resolution.

This is the only place where images, networks and lifting meet.
"""

from harmonizer.pipeline.cutout import harmonize_cutout
from harmonizer.pipeline.harmonizer import Harmonizer
from harmonizer.pipeline.one_call import harmonize
from harmonizer.pipeline.prepared import Composite

__all__ = [
    "Composite",
    "Harmonizer",
    "harmonize",
    "harmonize_cutout",
]
