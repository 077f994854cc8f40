"""Composites made from photographs with object masks, as they are drawn."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.data.augment import Augmentation, draw_crop, draws_of
from harmonizer.data.camera import as_by_another_camera, as_jpeg
from harmonizer.data.color_transfer import TRANSFER_METHODS, Colours
from harmonizer.data.edits import EditStrengths, draw_edit
from harmonizer.data.files import ON_ERROR, OnError, read_or_replace
from harmonizer.data.illumination import Illuminations
from harmonizer.data.photos import Photo, PhotoDataset
from harmonizer.data.triplets import Triplet
from harmonizer.errors import InputError, as_whole, check_one_of, check_within

_REFERENCE_COLOURS = 2000  # of the reference object: its statistics need no more
_HIGHEST_WEIGHT = 1e6  # of a recipe
_MOST_REDRAWS = 1000


@dataclass(frozen=True)
class Synthesis:
    """How composites are made.

    The target is the photograph, or an edit of it; three recipes give the foreground:

    - rendition: the same photograph, edited in another way, as HAdobe5k takes it from what an
      expert made of a raw file. In `flat` of these cases the target is a flat, dark rendition, as
      cameras record it and HAdobe5k has it.
    - transfer: the object takes the colours of an object in another photograph, by one of the four
      methods of HCOCO and HFlickr. The target is made vivid, as photographs are that people share.
      Composites that a person would sort out are drawn again.
    - illumination: the object goes through the change of colours between two real scenes, as
      ccHarmony's do, and as what people paste does.

    Attributes:
        foreign: Probability in [0, 1] that the foreground is what another photograph's mask covers,
            laid over this one: objects of any shape, and parts of objects.
        rendition: Weight of the recipe, from 0 up; the three weights count relative to their sum.
        transfer: Weight of the recipe.
        illumination: Weight of the recipe, which needs `illuminants`.
        illuminants: A table of colour charts in real scenes, for `Illuminations.from_csv`.
        flat: Probability in [0, 1] that the target of a rendition is flat and dark.
        edited: Probability in [0, 1] that the target is edited as a whole, in the other cases.
        same_label: Probability in [0, 1] of taking the reference among the objects of the same
            label, or, where there is no other, of the same group.
        methods: Names of colour transfers in `harmonizer.data.color_transfer.TRANSFER_METHODS`,
            drawn evenly.
        least_strength: A transfer's share of the way to the full effect is drawn evenly from here
            to 1.
        keep_light: A transfer's share of the difference in mean brightness that is left out is
            drawn evenly from 0 to this, in [0, 1].
        most_transferred: Foreground mean squared error (0 to 65025) above which a transfer is
            implausible.
        most_colourful: Growth of the foreground's spread of chroma, above which a transfer is
            implausible.
        dulled: Probability in [0, 1] that a transfer has to take colour away, as most of HFlickr's
            do.
        dull: The share of its spread of chroma that the foreground then has left at most.
        redraws: How often an implausible transfer is drawn again; the last one is taken.
        most_change: Foreground mean squared error above which a change is scaled back.
        noise: The most noise that is laid over composite and target alike, as a standard deviation
            in levels of 255, drawn evenly from 0. An edit of 8 bits leaves levels out that the
            background has; files that were compressed or reduced since then do not show it, and
            nothing shall be learned from it.
        compressed: Probability in [0, 1] that the composite was saved as a JPEG file, of a quality
            from 70 to 98. Photographs have less detail in colour than in light; a change of colours
            gives their finest detail a colour, from which it can be read, but not in what was
            compressed or reduced since. The target then has the same losses.
        pasted: Probability in [0, 1] that the foreground, in composite and target alike, is softer,
            sharper, noisier or more compressed than the rest, as it is where it comes from another
            picture. It is not recoloured by a transfer, whose place `illumination` takes; that
            needs `illuminants`.
        right: Probability in [0, 1] that such a foreground is not recoloured at all.
        target: Strengths of the edits of targets.
        vivid: Strengths of the edits of targets of transfers.
        foreground: Strengths of the edits of foregrounds.
        dark: Strengths of flat and dark renditions.
    """

    foreign: float = 0.0
    rendition: float = 0.4
    transfer: float = 0.4
    illumination: float = 0.0
    illuminants: str = ""
    flat: float = 0.6
    edited: float = 2 / 3
    same_label: float = 0.9
    methods: tuple[str, ...] = ("reinhard", "xiao", "histogram", "distribution")
    least_strength: float = 0.7
    keep_light: float = 0.5
    most_transferred: float = 4_000.0
    most_colourful: float = 1.2
    dulled: float = 0.75
    dull: float = 0.75
    redraws: int = 6
    most_change: float = 10_000.0
    noise: float = 0.0
    compressed: float = 0.0
    pasted: float = 0.0
    right: float = 0.15
    target: EditStrengths = field(default_factory=EditStrengths)
    vivid: EditStrengths = field(
        default_factory=lambda: EditStrengths(
            exposure=0.4, temperature=0.15, saturation_mean=0.1, saturation=0.2, contrast_mean=0.05
        )
    )
    foreground: EditStrengths = field(default_factory=EditStrengths)
    dark: EditStrengths = field(
        default_factory=lambda: EditStrengths(
            exposure_mean=-1.3, exposure=0.5, black_mean=0.02, contrast=0.1
        )
    )

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            InputError: A number is out of its range, or a method unknown.
        """
        weights = ("rendition", "transfer", "illumination")
        check_within(self, weights, 0, _HIGHEST_WEIGHT)
        if not any(getattr(self, name) for name in weights):
            raise InputError(f"one of {', '.join(weights)} is above 0; all of them are 0")
        if (self.illumination or self.pasted) and not self.illuminants:
            raise InputError("illumination and pasted need illuminants, a table of colour charts")
        shares = ("foreign", "flat", "edited", "same_label", "least_strength", "keep_light")
        check_within(self, (*shares, "dulled", "compressed", "pasted", "right"), 0, 1)
        check_within(self, ("noise",), 0, 255)
        check_within(self, ("redraws",), 0, _MOST_REDRAWS)
        unknown = [name for name in self.methods if name not in TRANSFER_METHODS]
        if unknown or not self.methods:
            raise InputError(
                f"methods are some of {', '.join(TRANSFER_METHODS)}; got {self.methods}"
            )
        for name in ("most_change", "most_transferred", "most_colourful", "dull"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is above 0; got {getattr(self, name)}")


class CompositeSynthesizer:
    """Photographs with object masks as training data: each draw makes another composite.

    A part of the photograph is cut out and recoloured as it is; what comes of it is resized and
    mirrored afterwards. A change of colours in 8 bits leaves levels out, which the background has;
    in real composites, which are reduced for the network, nothing of that is left to see, and so it
    is here. Outside the mask, composite and target are equal bit for bit.

    Args:
        photos: What to draw from.
        size: Side of the drawn pictures.
        seed: Of all random numbers.
        synthesis: How composites are made.
        augmentation: How the parts are chosen.
        balance: How groups share an epoch, from 1 (each photograph once) to 0 (each group as often
            as any other); a group of n photographs is drawn in proportion to n ** balance.
        on_error: "raise" stops at a damaged picture; "skip" names it in the log (logger
            `harmonizer.data`), notes it in `skipped`, and draws another one, always the same.

    Attributes:
        skipped: Index -> reason, of the damaged photographs that this process came across.

    Raises:
        InputError: `size` or `balance` is out of its range.
    """

    def __init__(
        self,
        photos: PhotoDataset,
        *,
        size: int = 256,
        seed: int = 0,
        synthesis: Synthesis | None = None,
        augmentation: Augmentation | None = None,
        balance: float = 1.0,
        on_error: OnError = "raise",
    ) -> None:
        """Sort the photographs by label and group; nothing is read yet."""
        self.photos = photos
        self.size = as_whole(size, "size", 1)
        self.seed = as_whole(seed, "seed", 0)
        self.synthesis = synthesis or Synthesis()
        self.augmentation = augmentation or Augmentation()
        self.balance = balance
        check_within(self, ("balance",), 0, 1)
        check_one_of(on_error, "on_error", ON_ERROR)
        self.on_error: OnError = on_error
        if self.synthesis.illuminants:
            self._illuminations = Illuminations.from_csv(self.synthesis.illuminants)
        self.skipped: dict[int, str] = {}
        self._labels = _members([files.label for files in photos.files])
        self._groups = _members([files.group for files in photos.files])
        shares = np.array([len(members) ** balance for members in self._groups.values()])
        self._group_shares = np.cumsum(shares / shares.sum())

    def __len__(self) -> int:
        """How many photographs there are."""
        return len(self.photos)

    def draw(self, index: int, epoch: int) -> Triplet:
        """Make one composite; see `TrainingData`.

        Args:
            index: Which photograph; with `balance` below 1, only which draw.
            epoch: Which time it is drawn; each gives another composite.

        Returns:
            Composite, mask and target, `size` x `size`; the name is the photograph's.

        Raises:
            IndexError: There are not so many, and `balance` is 1.
            InputError: A picture cannot be read, unless `on_error` is "skip"; or `index` or `epoch`
                is no whole number of at least 0.
        """
        generator = draws_of(self.seed, index, epoch)
        chosen = index if self.balance == 1 else self._draw_balanced(generator)
        chosen, photo = read_or_replace(self.photos, chosen, generator, self.on_error, self.skipped)
        whole = photo.mask
        if self.synthesis.foreign and generator.random() < self.synthesis.foreign:
            whole = self._draw_foreign(whole, generator)
        crop = draw_crop(whole, self.size, self.augmentation, generator)
        part = crop.cut(whole).astype(np.float32) / np.float32(255)
        image = crop.cut(photo.image)
        pasted = self.synthesis.pasted > 0 and generator.random() < self.synthesis.pasted
        if pasted:
            reduction = min(image.shape[:2]) / self.size
            image = as_by_another_camera(image, part, reduction, generator)
        target, changed = self._recolour(image, part, chosen, generator, pasted=pasted)
        if pasted and generator.random() < self.synthesis.right:
            changed = target
        composite = _paste(changed, target, part, self.synthesis.most_change)
        mask = crop.apply(whole, self.size).astype(np.float32) / np.float32(255)
        composite, target = (crop.resize(one, self.size) for one in (composite, target))
        composite = np.where(mask[..., None] > 0, composite, target)  # rounded masks end earlier
        if self.synthesis.noise:
            deviation = np.float32(generator.uniform(0, self.synthesis.noise))
            noise = deviation * generator.standard_normal(target.shape, np.float32)
            composite, target = (_rounded(one + noise) for one in (composite, target))
        if self.synthesis.compressed and generator.random() < self.synthesis.compressed:
            composite, target = _saved(composite, target, int(generator.integers(70, 99)))
        return Triplet(composite, mask, target, photo.name)

    def _draw_foreign(
        self, mask: NDArray[np.uint8], generator: np.random.Generator
    ) -> NDArray[np.uint8]:
        other = int(generator.integers(len(self.photos)))
        _, photo = read_or_replace(self.photos, other, generator, self.on_error, self.skipped)
        laid = cv2.resize(photo.mask, mask.shape[::-1], interpolation=cv2.INTER_AREA)
        return laid.astype(np.uint8, copy=False)

    def _draw_balanced(self, generator: np.random.Generator) -> int:
        groups = list(self._groups.values())
        place = int(np.searchsorted(self._group_shares, generator.random(), side="right"))
        members = groups[min(place, len(groups) - 1)]
        return int(members[generator.integers(len(members))])

    def _recolour(
        self,
        image: NDArray[np.uint8],
        mask: NDArray[np.float32],
        index: int,
        generator: np.random.Generator,
        *,
        pasted: bool,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The target, and the same picture with the colours the foreground shall take."""
        s = self.synthesis
        # What is pasted takes other light, and never the colours of another object.
        weights = {
            "rendition": s.rendition,
            "transfer": 0 if pasted else s.transfer,
            "illumination": s.illumination + (s.transfer if pasted else 0),
        }
        ends = np.cumsum([*weights.values()]) / sum(weights.values())
        recipe = [*weights][int(np.searchsorted(ends[:-1], generator.random(), side="right"))]
        if recipe == "rendition":
            target = image
            if generator.random() < s.flat:
                target = draw_edit(s.dark, generator).apply(image)
            elif generator.random() < s.edited:
                target = draw_edit(s.target, generator).apply(image)
            return target, draw_edit(s.foreground, generator).apply(image)
        strengths = s.vivid if recipe == "transfer" else s.target
        edited = generator.random() < s.edited
        target = draw_edit(strengths, generator).apply(image) if edited else image
        inside = mask > 0
        source = target[inside].astype(np.float32)
        if not len(source):
            return target, target
        if recipe == "transfer":
            moved = self._transfer(source, index, generator)
        else:
            illumination = self._illuminations.draw(generator)
            moved = illumination.of_colours(source.T / np.float32(255)).T * np.float32(255)
        changed = target.copy()
        changed[inside] = np.rint(moved).astype(np.uint8)
        return target, changed

    def _transfer(self, source: Colours, index: int, generator: np.random.Generator) -> Colours:
        """Colours as another object has them; drawn again while a person would sort them out."""
        s = self.synthesis
        most_colourful = s.dull if generator.random() < s.dulled else s.most_colourful
        moved = source
        for left in range(s.redraws, -1, -1):
            colours = _colours(self._draw_reference(index, generator), generator)
            if left and _colourfulness(colours) > max(1.0, most_colourful * _colourfulness(source)):
                continue
            moved = self._transferred(source, colours, generator)
            if float(np.square(moved - source).mean()) <= s.most_transferred:
                break
        return moved

    def _transferred(
        self, source: Colours, colours: Colours, generator: np.random.Generator
    ) -> Colours:
        s = self.synthesis
        name = s.methods[generator.integers(len(s.methods))]
        strength = np.float32(generator.uniform(s.least_strength, 1))
        kept = generator.uniform(0, s.keep_light)
        brighter = float(source.mean() - colours.mean())
        colours = (colours + np.float32(kept * brighter)).clip(0, 255)
        moved = TRANSFER_METHODS[name](source, colours)
        return (source + strength * (moved - source)).astype(np.float32, copy=False)

    def _draw_reference(self, index: int, generator: np.random.Generator) -> Photo:
        files = self.photos.files[index]
        candidates = None
        if generator.random() < self.synthesis.same_label:
            candidates = self._labels[files.label]
            if len(candidates) < 2:
                candidates = self._groups[files.group]
        if candidates is None or len(candidates) < 2:
            candidates = np.arange(len(self.photos))
        # Any of them but the photograph itself.
        step = 1 + generator.integers(max(len(candidates) - 1, 1))
        other = int(candidates[(np.searchsorted(candidates, index) + step) % len(candidates)])
        _, photo = read_or_replace(self.photos, other, generator, self.on_error, self.skipped)
        return photo


def _rounded(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _members(names: list[str]) -> dict[str, NDArray[np.intp]]:
    """The indices that share each name."""
    members: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        members.setdefault(name, []).append(index)
    return {name: np.array(indices) for name, indices in members.items()}


def _colours(photo: Photo, generator: np.random.Generator) -> Colours:
    """Colours of the object in a photograph, drawn with replacement."""
    places = np.flatnonzero(photo.mask > 127)
    if not len(places):  # a soft mask
        places = np.flatnonzero(photo.mask)
    chosen = places[generator.integers(len(places), size=_REFERENCE_COLOURS)]
    return photo.image.reshape(-1, 3)[chosen].astype(np.float32)


def _colourfulness(colours: Colours) -> float:
    """Spread of chroma: root of the summed variances of two opponent colours, at least 1."""
    red, green, blue = colours.T
    spread = float((red - green).var() + ((red + green) / 2 - blue).var())
    return max(spread**0.5, 1.0)


def _saved(
    composite: NDArray[np.uint8], target: NDArray[np.uint8], quality: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A composite as a JPEG file gives it back, and the target with what the file has changed."""
    saved = as_jpeg(composite, quality)
    losses = cv2.subtract(saved, composite, dtype=cv2.CV_16S)
    return saved, cv2.add(target, losses, dtype=cv2.CV_8U).astype(np.uint8, copy=False)


def _paste(
    changed: NDArray[np.uint8],
    target: NDArray[np.uint8],
    mask: NDArray[np.float32],
    most_change: float,
) -> NDArray[np.uint8]:
    """The target with the changed foreground, scaled back if that changes more than allowed."""
    weight = mask
    inside = (mask > 0.5).astype(np.uint8)
    squares = cv2.norm(changed, target, cv2.NORM_L2SQR, inside)
    change = squares / (3 * max(cv2.countNonZero(inside), 1))
    if change > most_change:
        weight = mask * np.float32(np.sqrt(most_change / change))
    pasted = cv2.blendLinear(changed, target, weight, 1 - weight)
    return pasted.astype(np.uint8, copy=False)
