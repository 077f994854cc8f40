"""One change of colour for a whole foreground, to be kept, weakened and taken elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError, as_whole
from harmonizer.files import as_path, write_atomically
from harmonizer.lifting.checks import check_image, checked_mask, native_copy
from harmonizer.lifting.correction import PRODUCT_PIXELS, Floats, pieces
from harmonizer.lifting.pixel_map import PixelMap
from harmonizer.lifting.strength import Strength, as_strength
from harmonizer.preprocessing import bounding_box, full_scale

Pixel = TypeVar("Pixel", bound=np.generic)
# The terms of the map: 1, the channels, and the products of each with each.
PRODUCTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
TERMS = 1 + 3 + len(PRODUCTS)
_SMALLEST_CUBE, _LARGEST_CUBE = 2, 129
_LARGEST = 1e6  # of a coefficient, for colours in [0, 1]


@dataclass(frozen=True, eq=False)
class ColorTransform:
    """A quadratic map of colours, and how much of it is taken.

    Attributes:
        coefficients: (3, 10), float64, read-only: for each channel of the answer the factors of 1,
            r, g, b, rr, gg, bb, rg, rb and gb, of sRGB colours in [0, 1].
        strength: From 0 (no change) to 1 (the full change); or a `Strength` of light and colour.

    Raises:
        InputError: The coefficients have another shape or are no finite numbers of at most a
            million, or the strength is out of its range.
    """

    coefficients: NDArray[np.float64]
    strength: float | Strength = 1.0

    def __post_init__(self) -> None:
        """Check both, and keep a copy of the coefficients that nobody can change any more."""
        given: object = self.coefficients
        shape = given.shape if isinstance(given, np.ndarray) else None
        if shape != (3, TERMS):
            raise InputError(
                f"a colour transform has an array of coefficients of shape (3, {TERMS}); got "
                f"{shape or type(given).__name__}"
            )
        found = self.coefficients
        numbers = found.dtype.kind in "iuf" and not np.ma.is_masked(found)
        kept = np.array(found if numbers else np.nan, np.float64)  # of matrices and the like, too
        if not (np.abs(kept) <= _LARGEST).all():  # NaN, too
            raise InputError(
                "the coefficients of a colour transform are finite numbers, of at most a million"
            )
        kept.flags.writeable = False
        object.__setattr__(self, "coefficients", kept)
        as_strength(self.strength)

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how a copy is made, here or in another process: by the constructor, which checks."""
        return type(self), (self.coefficients, self.strength)

    @classmethod
    def identity(cls) -> Self:
        """Return the transform that changes nothing."""
        return cls(np.eye(3, TERMS, k=1))

    @classmethod
    def from_function(
        cls,
        function: Callable[[NDArray[np.float64]], NDArray[np.float64]],
        near: NDArray[Any] | None = None,
    ) -> Self:
        """Find the coefficients of a quadratic map by asking for enough of its values.

        Args:
            function: Colours (N, 3) in [0, 1] to colours (N, 3).
            near: Colours (N, 3) where the map shall be nearest to a function that is not quadratic.
        """
        steps = np.linspace(0, 1, 3)
        colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
        colours = colours if near is None else np.vstack([colours, near])
        found = np.linalg.lstsq(quadratic_terms(colours.T).T, function(colours), rcond=None)[0]
        return cls(found.T.astype(np.float64))

    @classmethod
    def of_normalised(
        cls, coefficients: NDArray[Any], mean: tuple[float, ...], std: tuple[float, ...]
    ) -> Self:
        """Take a network's map of normalised colours, (3, 10).

        Args:
            coefficients: The factors of the same terms as in `coefficients`.
            mean: Mean of each channel, of images in [0, 1].
            std: Standard deviation of each channel.
        """

        def changed(colours: NDArray[np.float64]) -> NDArray[np.float64]:
            normalised = (colours - mean) / std
            return (coefficients @ quadratic_terms(normalised.T)).T * std + mean

        return cls.from_function(changed)

    def at(self, strength: float | Strength) -> Self:
        """Return the same change at another strength: from 0 to 1, or a `Strength`.

        Raises:
            InputError: It is outside this range.
        """
        return replace(self, strength=strength)

    @np.errstate(all="ignore")  # whatever the program around asks for
    def of_colours(self, colours: NDArray[Any]) -> NDArray[Any]:
        """Return what becomes of colours (3, N), RGB, in [0, 1]: the same shape and range."""
        change = (self.coefficients @ quadratic_terms(colours)).clip(0, 1) - colours
        as_strength(self.strength).reduce(change, colours, 1)
        return (colours + change).astype(colours.dtype, copy=False)

    @np.errstate(all="ignore")  # whatever the program around asks for
    def apply(self, pixels: NDArray[Pixel], mask: NDArray[Any]) -> NDArray[Pixel]:
        """Change the colours of a foreground.

        Args:
            pixels: (H, W, 3), RGB: uint8, uint16, or floating point in [0, 1].
            mask: (H, W), in [0, 1], 1 = the foreground to change.

        Returns:
            A new array of the same shape and dtype, rounded once. Where the mask is 0 it is
            `pixels`, bit for bit.

        Raises:
            InputError: An argument is not as described here.
        """
        check_image(pixels)
        weight = checked_mask(mask, pixels.shape[:2])
        out, strength, box = native_copy(pixels), as_strength(self.strength), bounding_box(weight)
        if box is not None and not strength.is_nothing:
            scale = full_scale(out.dtype)
            PixelMap.of(self.coefficients, strength, scale).add_to(out, weight, box)
        return out.astype(pixels.dtype, copy=False)

    def to_cube(self, path: Path | str, size: int = 33) -> None:
        """Write the change as a 3-D lookup table, as Photoshop, Resolve, Affinity and ffmpeg read.

        Args:
            path: The `.cube` file, which is whole or not there.
            size: Steps along each axis, from 2 to 129.

        Raises:
            InputError: `size` is no whole number in this range.
            OSError: The file cannot be written.
        """
        size = as_whole(size, "the size of a table", _SMALLEST_CUBE, _LARGEST_CUBE)
        steps = np.linspace(0, 1, size)
        # Red changes fastest.
        blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
        colours = np.stack([red.ravel(), green.ravel(), blue.ravel()])
        # What is beyond white or black at full strength is clipped by readers, after they have
        # interpolated: clipped here, it would bend the colours beside it.
        full = as_strength(self.strength).is_all
        changed = self.coefficients @ quadratic_terms(colours) if full else self.of_colours(colours)
        lines = [f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in changed.T]
        head = ['TITLE "image-harmonizer"', f"LUT_3D_SIZE {size}"]
        head += ["DOMAIN_MIN 0.0 0.0 0.0", "DOMAIN_MAX 1.0 1.0 1.0"]
        write_atomically(as_path(path, "a table of colours"), "\n".join([*head, *lines, ""]))


def quadratic_terms(colours: NDArray[Any]) -> NDArray[Any]:
    """Return what a quadratic map weighs, (10, N), of colours (3, N)."""
    terms = np.empty((TERMS, colours.shape[1]), colours.dtype)
    terms[0] = 1
    terms[1:4] = colours
    for row, (i, j) in zip(terms[4:], PRODUCTS, strict=True):
        np.multiply(colours[i], colours[j], out=row)
    return terms


@dataclass(frozen=True)
class AddedColor:
    """What a transform adds, at its strength, to colours (3, N) from 0 to `scale`."""

    coefficients: Floats
    scale: np.float32
    strength: Strength

    @classmethod
    def on_scale(cls, transform: ColorTransform, scale: float) -> Self:
        """Return it for colours of which white is `scale`."""
        factors = np.repeat([scale, 1.0, 1 / scale], [1, 3, len(PRODUCTS)])
        coefficients = (transform.coefficients * factors).astype(np.float32)
        return cls(coefficients, np.float32(scale), as_strength(transform.strength))

    def __call__(self, colours: Floats) -> Floats:
        """Return what is added to each colour."""
        terms, changed = quadratic_terms(colours), np.empty_like(colours)
        for part in pieces(0, colours.shape[1], PRODUCT_PIXELS):
            np.matmul(self.coefficients, terms[:, part], out=changed[:, part])
        np.clip(changed, 0, self.scale, out=changed)
        changed -= colours
        self.strength.reduce(changed, colours, float(self.scale))
        return changed
