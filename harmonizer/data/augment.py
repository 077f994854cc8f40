"""Augmentation as the paper's authors did it, and triplets through it.

The numbers are those of the authors' released training code: a random part of the picture, of a
random shape, is resized to the training size and flipped in half of the cases; composite, mask and
real image are treated alike.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.data.files import ON_ERROR, OnError, read_or_replace
from harmonizer.data.triplets import Triplet, TripletDataset
from harmonizer.errors import InputError, as_whole, check_one_of, check_within
from harmonizer.preprocessing import Resampler, mirrored_beyond, resample

_ATTEMPTS = 10  # to fit a part of the drawn area and shape into the picture
_REDRAWS = 100  # to find a part that shows the foreground
_AS_IT_IS = 0.2  # share of the parts that go on nowhere


@dataclass(frozen=True)
class Augmentation:
    """How a sample is varied; numbers out of their ranges are an `InputError`.

    Attributes:
        area: The part's share of the picture's area, smallest and largest, in (0, 1]; None takes
            the whole picture.
        aspect: The part's width by its height, smallest and largest.
        flip: Probability of mirroring left and right.
        keep_empty: Probability of keeping a part in which the mask sums to `least_mask` or less;
            otherwise another part is drawn.
        least_mask: In pixels of the training size.
        beyond: How far at most the part goes on mirrored beyond each of its borders, as a share of
            its shorter side; so do pictures in the frame in which `Harmonizer` shows them. In one
            of five cases it does not.
        resampler: How the part is resized, as in `harmonizer.preprocessing.Preprocessing`: what
            the network is trained on should look like what it will be given.
    """

    area: tuple[float, float] | None = (0.5, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    keep_empty: float = 0.05
    least_mask: float = 1.0
    beyond: float = 0.0
    resampler: Resampler = "opencv-linear"

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.area is not None and not 0 < self.area[0] <= self.area[1] <= 1:
            raise InputError(f"area is two shares with 0 < first <= second <= 1; got {self.area}")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise InputError(f"aspect is two ratios with 0 < first <= second; got {self.aspect}")
        check_within(self, ("flip", "keep_empty", "beyond"), 0, 1)


class Crop(NamedTuple):
    """A part of a picture, in pixels, whether it is mirrored, and how it is resized.

    `beyond` says how far it goes on mirrored beyond its top, bottom, left and right.
    """

    top: int
    left: int
    height: int
    width: int
    flipped: bool
    resampler: Resampler = "opencv-linear"
    beyond: tuple[int, int, int, int] = (0, 0, 0, 0)

    def apply(self, plane: NDArray[Any], size: int) -> NDArray[Any]:
        """Cut the part out of an array (H, W) or (H, W, C) and resize it to `size` x `size`."""
        return self.resize(self.cut(plane), size)

    def cut(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Cut the part out of an array (H, W) or (H, W, C): a view of (height, width, ...)."""
        return plane[self.top : self.top + self.height, self.left : self.left + self.width]

    def resize(self, part: NDArray[Any], size: int) -> NDArray[Any]:
        """Resize what was cut out to `size` x `size`, and mirror it if that was drawn."""
        shown = mirrored_beyond(part, *self.beyond)
        resized = resample(shown, (size, size), self.resampler)
        return cv2.flip(resized, 1) if self.flipped else resized


def draw_crop(
    mask: NDArray[Any],
    size: int,
    augmentation: Augmentation,
    generator: np.random.Generator,
) -> Crop:
    """Draw the part of a picture to train on, at `size` pixels a side.

    The mask is of the whole picture, (H, W), float in [0, 1] or uint8 up to 255.
    """
    full = 255 if mask.dtype == np.uint8 else 1
    height, width = mask.shape
    flipped = generator.random() < augmentation.flip
    crop = Crop(0, 0, height, width, flipped, augmentation.resampler)
    if augmentation.area is None:
        return _beyond(crop, augmentation.beyond, generator)
    for _ in range(_REDRAWS):
        box = _draw_box(height, width, augmentation.area, augmentation.aspect, generator)
        crop = Crop(*box, flipped, augmentation.resampler)
        if generator.random() < augmentation.keep_empty:
            break
        # The sum after resizing, without resizing.
        if crop.cut(mask).mean(dtype=np.float64) * size * size > augmentation.least_mask * full:
            break
    return _beyond(crop, augmentation.beyond, generator)


def draws_of(seed: int, index: int, epoch: int) -> np.random.Generator:
    """Return what draws all random numbers of one sample.

    Raises:
        InputError: `index` or `epoch` is no whole number of at least 0.
    """
    which = as_whole(epoch, "epoch", 0), as_whole(index, "index", 0)
    return np.random.Generator(np.random.Philox([seed, *which]))


def _beyond(crop: Crop, share: float, generator: np.random.Generator) -> Crop:
    most = int(share * min(crop.height, crop.width))
    if most == 0 or generator.random() < _AS_IT_IS:
        return crop
    top, bottom, left, right = map(int, generator.integers(0, most + 1, 4))
    return crop._replace(beyond=(top, bottom, left, right))


def _draw_box(
    height: int,
    width: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
    generator: np.random.Generator,
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random part."""
    for _ in range(_ATTEMPTS):
        pixels = generator.uniform(*area) * height * width
        ratio = math.exp(generator.uniform(math.log(aspect[0]), math.log(aspect[1])))
        part_width = round(math.sqrt(pixels * ratio))
        part_height = round(math.sqrt(pixels / ratio))
        if 0 < part_width <= width and 0 < part_height <= height:
            top = int(generator.integers(height - part_height + 1))
            left = int(generator.integers(width - part_width + 1))
            return top, left, part_height, part_width
    # A picture so long that no such part fits: its middle.
    ratio = min(max(width / height, aspect[0]), aspect[1])
    part_width = min(width, max(1, round(height * ratio)))
    part_height = min(height, max(1, round(width / ratio)))
    return (height - part_height) // 2, (width - part_width) // 2, part_height, part_width


class AugmentedTriplets:
    """Triplets as training data: a random part of each, at the training size.

    Args:
        triplets: What to draw from.
        size: Side of the drawn pictures.
        seed: Of all random numbers.
        augmentation: How to vary.
        on_error: "raise" stops at a damaged picture; "skip" names it in the log (logger
            `harmonizer.data`), notes it in `skipped`, and draws another one, always the same.

    Attributes:
        skipped: Index -> reason, of the damaged triplets that this process came across.
    """

    def __init__(
        self,
        triplets: TripletDataset,
        *,
        size: int = 256,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        on_error: OnError = "raise",
    ) -> None:
        """Keep the arguments."""
        self.triplets = triplets
        self.size = as_whole(size, "size", 1)
        self.seed = as_whole(seed, "seed", 0)
        self.augmentation = augmentation or Augmentation()
        check_one_of(on_error, "on_error", ON_ERROR)
        self.on_error: OnError = on_error
        self.skipped: dict[int, str] = {}

    def __len__(self) -> int:
        """How many triplets there are."""
        return len(self.triplets)

    def draw(self, index: int, epoch: int) -> Triplet:
        """Give one triplet, augmented; see `TrainingData`.

        Args:
            index: Which triplet.
            epoch: Which time it is drawn; each gives another part.

        Returns:
            The triplet, its pictures `size` x `size`.

        Raises:
            IndexError: There are not so many.
            InputError: It cannot be read, unless `on_error` is "skip"; or `index` or `epoch` is no
                whole number of at least 0.
        """
        generator = draws_of(self.seed, index, epoch)
        _, whole = read_or_replace(self.triplets, index, generator, self.on_error, self.skipped)
        crop = draw_crop(whole.mask, self.size, self.augmentation, generator)
        composite, mask, real = (crop.apply(plane, self.size) for plane in whole[:3])
        return Triplet(composite, mask, real, whole.name)
