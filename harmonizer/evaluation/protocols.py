"""How published figures were measured: each protocol as one dataclass.

A figure means something only with its protocol. The definitions here follow the evaluation code
that was published with each paper; `source` says which.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.data import Triplet
from harmonizer.errors import InputError, as_whole
from harmonizer.evaluation.metrics import (
    SSIM_WINDOW,
    Array,
    decibels,
    foreground_mean,
    inner_mean,
    squared_errors,
    ssim_map,
    weighted_similarity,
)

# `counted`: errors there count. `left out`: errors are weighted by the mask. `replaced`: the
# target's own background is pasted into the answer.
Background: TypeAlias = Literal["counted", "left out", "replaced"]
# What PSNR compares errors with: each target's own maximum, each answer's range, or white.
Peak: TypeAlias = Literal["target's maximum", "answer's range", "255"]
ResizeMethod: TypeAlias = Literal["opencv-linear", "pillow-bilinear"]

# The share of pixels whose mask is above a half; both ends belong to an interval, as in the
# released evaluation. The names are those of the manifest's published results.
FOREGROUND_BINS: Mapping[str, tuple[float, float]] = {
    "0-5 %": (0.0, 0.05),
    "5-15 %": (0.05, 0.15),
    "15-100 %": (0.15, 1.0),
}


class Scores(NamedTuple):
    """How far one answer is from its real picture, by one protocol.

    Attributes:
        mse: Mean squared error, from 0 to 255 squared.
        psnr: Peak signal-to-noise ratio, in decibels.
        fmse: Mean squared error over the foreground.
        fpsnr: Peak signal-to-noise ratio over the foreground, in decibels.
        ssim: Structural similarity, up to 1.
        fssim: Structural similarity over the foreground.
    """

    mse: float
    psnr: float
    fmse: float
    fpsnr: float
    ssim: float
    fssim: float


@dataclass(frozen=True)
class Protocol:
    """How to measure.

    Attributes:
        name: What `evaluate` calls it.
        description: One line for people.
        source: Whose figures are measured like this, and where that stands.
        size: Side of the square that composite, real picture and mask are resized to; None leaves
            them at their own size.
        resize: `opencv-linear` interpolates between the nearest pixels, the mask too;
            `pillow-bilinear` averages over all of them, and takes the nearest of the mask.
        binary_mask: Whether a mask counts as 1 from a half on, and as 0 below.
        background: What becomes of errors in the background.
        peak: What PSNR compares errors with.
        rounded: Whether answers are rounded to 8 bits.
        adobe_side: Longest side to which pictures of HAdobe5k are shrunk first, as the authors' own
            script does it (Lanczos, JPEG of quality 90); None leaves them alone.

    Raises:
        InputError: A value is none of those described here.
    """

    name: str
    description: str
    source: str
    size: int | None = None
    resize: ResizeMethod = "opencv-linear"
    binary_mask: bool = False
    background: Background = "counted"
    peak: Peak = "255"
    rounded: bool = False
    adobe_side: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is not described above, which would measure something else without a word.

        Raises:
            InputError: A value is none of those that there are.
        """
        for name, known in (("resize", ResizeMethod), ("background", Background), ("peak", Peak)):
            value = getattr(self, name)
            if value not in get_args(known):
                raise InputError(
                    f"{name} of a protocol is one of {', '.join(map(repr, get_args(known)))}; got "
                    f"{value!r}"
                )
        for name in ("binary_mask", "rounded"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} of a protocol is True or False")
        for name in ("size", "adobe_side"):
            value = getattr(self, name)
            if value is not None:
                as_whole(value, name, SSIM_WINDOW)

    def prepare(self, triplet: Triplet, part: str = "") -> Triplet:
        """Bring a triplet to the size at which it is measured.

        Args:
            triplet: As it was read.
            part: The part of iHarmony4 that it is of.

        Returns:
            The triplet to harmonize and to compare with.
        """
        if part == "HAdobe5k" and self.adobe_side is not None:
            triplet = _shrink(triplet, self.adobe_side)
        composite, mask, real, name = triplet
        if self.size is not None:
            composite, mask, real = self._resize(composite, mask, real, self.size)
        if self.binary_mask:
            mask = (mask >= 0.5).astype(np.float32)
        return Triplet(composite, mask, real, name)

    def score(self, answer: Array, triplet: Triplet) -> Scores:
        """Measure an answer.

        Args:
            answer: (H, W, 3), from 0 to 255, not yet rounded.
            triplet: What `prepare` returned.

        Raises:
            InputError: The pictures are smaller than the window of SSIM, 11 x 11.
        """
        mask, target = triplet.mask, triplet.real
        if self.rounded:
            answer = np.rint(answer)
        pasted = answer
        if self.background != "counted":
            share = mask[..., None]
            pasted = target + share * (answer - target)
        if self.background == "replaced":
            answer = pasted = np.rint(pasted) if self.rounded else pasted
        errors = squared_errors(answer, target)
        mse = float((errors * mask if self.background == "left out" else errors).mean())
        fmse = foreground_mean(errors, mask)
        peak = self._peak_of(answer, target)
        similarity = ssim_map(pasted, target)
        return Scores(
            mse=mse,
            psnr=decibels(mse, peak),
            fmse=fmse,
            fpsnr=decibels(fmse, peak),
            ssim=inner_mean(similarity),
            fssim=weighted_similarity(similarity, mask),
        )

    def _peak_of(self, answer: Array, target: Array) -> float:
        if self.peak == "target's maximum":
            return float(target.max())
        if self.peak == "answer's range":
            return float(answer.max()) - float(answer.min())
        return 255.0

    def _resize(
        self,
        composite: NDArray[np.uint8],
        mask: NDArray[np.float32],
        real: NDArray[np.uint8],
        side: int,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        if self.resize == "opencv-linear":
            first, second, plane = (
                cv2.resize(one, (side, side), interpolation=cv2.INTER_LINEAR)
                for one in (composite, real, mask)
            )
        else:
            first, second = (
                np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BILINEAR))
                for one in (composite, real)
            )
            nearest = Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST)
            plane = np.asarray(nearest)
        return first.astype(np.uint8), plane.astype(np.float32), second.astype(np.uint8)


def _shrink(triplet: Triplet, longest: int) -> Triplet:
    """Shrink as the authors did with HAdobe5k before they trained and measured on it."""
    height, width = triplet.mask.shape
    if max(height, width) <= longest:
        return triplet
    scale = longest / max(height, width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    composite, real = (
        _as_jpeg(cv2.resize(one, size, interpolation=cv2.INTER_LANCZOS4))
        for one in (triplet.composite, triplet.real)
    )
    grey = np.rint(triplet.mask * 255).astype(np.uint8)
    mask = cv2.resize(grey, size, interpolation=cv2.INTER_LANCZOS4) / np.float32(255)
    return Triplet(composite, mask.astype(np.float32), real, triplet.name)


def _as_jpeg(image: Array) -> NDArray[np.uint8]:
    """What a JPEG file of quality 90 makes of a picture, RGB."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 90]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), options)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(np.asarray(decoded, np.uint8)[..., ::-1])


PAPER = Protocol(
    name="paper",
    description="256 x 256, whole image, PSNR peak = each target's maximum, unrounded",
    source=(
        "Sofiiuk, Popenova, Konushin, 2020 (arXiv:2006.00809), by the authors' own evaluation; "
        "also CDTNet (Cong et al., 2022)"
    ),
    size=256,
    background="counted",
    peak="target's maximum",
    adobe_side=1024,
)
FULL_RESOLUTION = Protocol(
    name="full-resolution",
    description="original size, background left out, PSNR peak = 255, unrounded",
    source="PCT-Net (Guerreiro et al., 2023), by its authors' own evaluation",
    background="left out",
    peak="255",
)
_DCCF = Protocol(
    name="dccf",
    description=(
        "original size, background left out, PSNR peak = each target's maximum, unrounded"
    ),
    source="DCCF (Xue et al., 2022), by its authors' own evaluation",
    background="left out",
    peak="target's maximum",
)
_WHITE_BOX = Protocol(
    name="white-box",
    description="original size, binary masks, whole image, PSNR peak = the answer's range",
    source=(
        "Harmonizer, the white-box filters of Ke et al., 2022, by its authors' own evaluation; but "
        "SSIM as everywhere here"
    ),
    binary_mask=True,
    background="counted",
    peak="answer's range",
)
_PASTED = Protocol(
    name="pasted",
    description=(
        "256 x 256, averaged, nearest mask, the target's background pasted in, PSNR peak = 255, "
        "8 bits"
    ),
    source=(
        "RainNet (Ling et al., 2021), HDNet (Chen et al., 2023), DiffHarmony (Zhou et al., 2024), "
        "by their authors' own evaluation; but SSIM as everywhere here"
    ),
    size=256,
    resize="pillow-bilinear",
    binary_mask=True,
    background="replaced",
    peak="255",
    rounded=True,
)

PROTOCOLS: Mapping[str, Protocol] = {
    one.name: one for one in (PAPER, FULL_RESOLUTION, _DCCF, _WHITE_BOX, _PASTED)
}


def find_protocol(protocol: str | Protocol) -> Protocol:
    """Return a protocol by its name, or as it is.

    Raises:
        InputError: None has this name.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if not isinstance(protocol, str) or protocol not in PROTOCOLS:  # pyright: ignore[reportUnnecessaryIsInstance] - of callers
        raise InputError(f"the protocols are {', '.join(PROTOCOLS)}; got {protocol!r}")
    return PROTOCOLS[protocol]
