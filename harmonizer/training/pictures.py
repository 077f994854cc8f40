"""The pictures of a run, as its configuration names them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np

from harmonizer.data import (
    Augmentation,
    AugmentedTriplets,
    CompositeSynthesizer,
    PhotoDataset,
    Triplet,
    TripletDataset,
)
from harmonizer.data.files import OnError, is_there, no_split
from harmonizer.data.triplets import open_to_measure
from harmonizer.errors import InputError
from harmonizer.training.config import DataConfig, TrainConfig

Pictures: TypeAlias = AugmentedTriplets | CompositeSynthesizer
_Item = TypeVar("_Item")
# Validation has to be the same in every run: what it draws depends on nothing but this.
_VALIDATION_SEED = 20_000


def training_pictures(config: TrainConfig) -> Pictures:
    """Open the pictures to learn from; they are read when they are drawn.

    Raises:
        InputError: No root is given, or the pictures are not as the configuration says.
    """
    if not config.train.root:
        raise InputError("train.root is the folder or the CSV of the pictures to learn from")
    wanted = config.train
    augmentation = Augmentation(
        area=(0.5, 1.0) if wanted.random_crop else None,
        flip=0.5 if wanted.horizontal_flip else 0.0,
        beyond=wanted.beyond,
        resampler=config.resampler or "opencv-linear",
    )
    return _open(wanted, augmentation, config.size, config.seed)


def listed(pictures: Pictures) -> str:
    """Say which pictures these are, in their order: how many, and what their names hash to.

    They are those of pictures, masks and real pictures, each with the folder that the file is in:
    data may lie elsewhere another day. What the files hold is not looked at.
    """
    if isinstance(pictures, AugmentedTriplets):
        several = [(files.composite, files.mask, files.real) for files in pictures.triplets.files]
    else:
        several = [(files.image, files.mask) for files in pictures.photos.files]
    names = "\n".join("\t".join("/".join(file.parts[-2:]) for file in files) for files in several)
    found = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{len(several):,} of sha256 {found[:16]}"


def validation_pictures(config: TrainConfig) -> list[Triplet]:
    """Draw the pictures to measure on, once: whole, not mirrored, and always the same.

    Raises:
        InputError: The pictures are not as the configuration says.
    """
    if not config.validation.root:
        return []
    whole = Augmentation(area=None, flip=0.0, resampler=config.resampler or "opencv-linear")
    pictures = _open(config.validation, whole, config.size, _VALIDATION_SEED, measured=True)
    return [pictures.draw(index, 0) for index in range(len(pictures))]


def _open(
    wanted: DataConfig,
    augmentation: Augmentation,
    size: int,
    seed: int,
    *,
    measured: bool = False,
) -> Pictures:
    on_error: OnError = "skip" if wanted.skip_broken else "raise"
    root = Path(wanted.root)
    if wanted.kind == "triplets":
        parts = wanted.parts or None
        if measured and not wanted.split:
            triplets = open_to_measure(root, parts=parts)
        else:
            triplets = TripletDataset.open(root, split=wanted.split or None, parts=parts)
        chosen = TripletDataset(_evenly(triplets.files, wanted.limit))
        return AugmentedTriplets(
            chosen, size=size, seed=seed, augmentation=augmentation, on_error=on_error
        )
    if is_there(root):
        found = PhotoDataset.from_csv(root, split=wanted.split or None, group=wanted.group)
    elif wanted.split:
        raise no_split(root, wanted.split)
    else:
        found = PhotoDataset.from_folder(root)
    photos = PhotoDataset(_evenly(found.files, wanted.limit), cache=wanted.in_memory)
    if wanted.in_memory:
        photos.preload()  # before there are workers, so that they share one copy
    return CompositeSynthesizer(
        photos,
        size=size,
        seed=seed,
        synthesis=wanted.synthesis,
        augmentation=augmentation,
        balance=wanted.balance,
        on_error=on_error,
    )


def _evenly(items: Sequence[_Item], limit: int) -> list[_Item]:
    if not 0 < limit < len(items):
        return list(items)
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, limit)]
