"""What a photographer does to the colours of a picture, drawn at random.

An edit is a table for each channel and one colour matrix, so that it costs the same however much it
does: exposure and white balance act on linear light, the rest on the picture's own values.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import check_within

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)
_STRONGEST = 10  # edits that are still numbers; all of use are far below
_WAVES = np.stack([np.sin(np.pi * k * _LEVELS) / k for k in (1, 2, 3)])


@dataclass(frozen=True)
class EditStrengths:
    """How strong random edits are: standard deviations around no change, unless said otherwise.

    Attributes:
        exposure: Stops of light, from 0 up; 1 doubles or halves it.
        exposure_mean: Stops; the average edit brightens if positive, darkens if negative.
        temperature: Stops of red against blue, from 0 up.
        tint: Stops of green against red and blue, from 0 up.
        gamma: Of the exponent's logarithm, from 0 up.
        contrast: Slope at the middle grey minus 1, from 0 to 0.5; slopes stay from 0.5 to 1.5.
        contrast_mean: The average slope minus 1.
        black: Shift of the black point as a share of full scale, from 0 up; positive is haze.
        black_mean: The average shift.
        curve: Bends of the tone curve, common to the channels, as a share of full scale, from 0 up.
        channel_curve: The same for each channel on its own.
        saturation: Of the factor's logarithm, from 0 up.
        saturation_mean: The average logarithm; the average edit makes colours stronger if positive.
        matrix: Share of each channel that comes from each other one, from 0 to 0.2; grey stays
            grey.
    """

    exposure: float = 0.6
    exposure_mean: float = 0.0
    temperature: float = 0.3
    tint: float = 0.1
    gamma: float = 0.12
    contrast: float = 0.2
    contrast_mean: float = 0.0
    black: float = 0.02
    black_mean: float = 0.0
    curve: float = 0.02
    channel_curve: float = 0.015
    saturation: float = 0.15
    saturation_mean: float = 0.0
    matrix: float = 0.03

    def __post_init__(self) -> None:
        """Refuse strengths below 0, and what no edit of a picture is."""
        names = [field.name for field in fields(self)]
        averages = [name for name in names if name.endswith("_mean")]
        check_within(self, averages, -_STRONGEST, _STRONGEST)
        check_within(self, set(names) - set(averages), 0, _STRONGEST)


class Edit(NamedTuple):
    """A change of colours.

    Attributes:
        table: (256, 3), float32: what becomes of each level of each channel, 0 to 255.
        matrix: (3, 3), float32: what is then done to the three channels.
    """

    table: NDArray[np.float32]
    matrix: NDArray[np.float32]

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Edit a picture (H, W, 3), uint8."""
        # Between table and matrix nothing is rounded, so that no bands appear.
        values = cv2.transform(cv2.LUT(image, self.table[None]), self.matrix)
        # OpenCV's conversion rounds and clips in one pass.
        rounded = cv2.addWeighted(values, 1, values, 0, 0, dtype=cv2.CV_8U)
        return rounded.astype(np.uint8, copy=False)


def draw_edit(strengths: EditStrengths, generator: np.random.Generator) -> Edit:
    """Draw an edit."""
    s = strengths
    exposure, temperature, tint, gamma, contrast, black, saturation = generator.standard_normal(7)
    stops = np.array([1, 0, -1]) * temperature * s.temperature
    stops += np.array([-1, 1, -1]) * tint * s.tint + s.exposure_mean + exposure * s.exposure
    light = _expose(np.exp2(stops), generator.random())
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    values **= np.exp(gamma * s.gamma)
    slope = np.clip(s.contrast_mean + contrast * s.contrast, -0.5, 0.5)
    values += 2 * slope * values * (1 - values) * (2 * values - 1)
    shift = s.black_mean + black * s.black
    values = (values + shift) / (1 + abs(shift)) if shift > 0 else (values + shift) / (1 + shift)
    bends = generator.standard_normal((1, 3)) * s.curve
    bends = bends + generator.standard_normal((3, 3)) * s.channel_curve
    places = (values.clip(0, 1) * 255).T  # the curve bends what the steps before have made
    waves = bends @ _WAVES
    for i in range(3):
        values[:, i] += np.interp(places[i], np.arange(256), waves[i])
    mixing = np.eye(3) + generator.standard_normal((3, 3)) * s.matrix
    mixing /= mixing.sum(axis=1, keepdims=True)
    factor = np.exp(s.saturation_mean + saturation * s.saturation)
    matrix = (factor * np.eye(3) + (1 - factor) * _LUMA) @ mixing
    table = values.clip(0, 1) * 255
    return Edit(table.astype(np.float32), matrix.astype(np.float32))


def _expose(gains: NDArray[np.float64], shoulder: float) -> NDArray[np.float64]:
    """Linear light times one gain a channel, (256, 3); `shoulder` from 0 to 1 keeps highlights."""
    light = _LINEAR[:, None] * gains
    # Reinhard's global operator with the white point where white comes to lie: it only compresses
    # what grew. Reinhard et al., Photographic tone reproduction for digital images, 2002.
    grown = np.maximum(gains, 1)
    compressed = light * (1 + light / grown**2) / (1 + light)
    keep = np.where(gains > 1, shoulder * (1 - 1 / grown), 0)
    return ((1 - keep) * light + keep * compressed).clip(0, 1)
