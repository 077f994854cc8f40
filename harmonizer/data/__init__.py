"""Training and test data: triplets, photographs to make composites from, augmentation."""

from harmonizer.data.augment import Augmentation, AugmentedTriplets
from harmonizer.data.edits import EditStrengths
from harmonizer.data.files import OnError
from harmonizer.data.photos import Photo, PhotoDataset, PhotoFiles
from harmonizer.data.sheet import contact_sheet
from harmonizer.data.synthesis import CompositeSynthesizer, Synthesis
from harmonizer.data.triplets import (
    IHARMONY4_PARTS,
    TrainingData,
    Triplet,
    TripletDataset,
    TripletFiles,
)

__all__ = [
    "IHARMONY4_PARTS",
    "Augmentation",
    "AugmentedTriplets",
    "CompositeSynthesizer",
    "EditStrengths",
    "OnError",
    "Photo",
    "PhotoDataset",
    "PhotoFiles",
    "Synthesis",
    "TrainingData",
    "Triplet",
    "TripletDataset",
    "TripletFiles",
    "contact_sheet",
]
