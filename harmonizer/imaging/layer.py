"""Hand a changed foreground out alone, as a layer for a picture editor."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harmonizer.imaging.arrays import is_tensor
from harmonizer.imaging.color import convert
from harmonizer.imaging.picture import Picture
from harmonizer.preprocessing import Array, full_scale

if TYPE_CHECKING:
    import torch


def as_layer(
    picture: Picture, mask: NDArray[np.float32], background: Array | None = None
) -> Picture:
    """Let a composite come back as its foreground alone, as large as the composite.

    Args:
        picture: The composite.
        mask: Its mask, (H, W), in [0, 1], which becomes the layer's alpha.
        background: What lies under the foreground, (H, W, 3), of the composite's dtype. Its share
            of the pixels at soft edges is taken out, so that the layer over this background is the
            composite again, to a level. None leaves their colours as they are.

    Returns:
        The same composite, whose `restore` gives RGB and alpha, not multiplied by it: a
        `PIL.Image.Image` for 8 bits, else an array (H, W, 4), uint16 or float32. Colours keep an
        RGB profile; those of other profiles become sRGB.
    """
    space = picture.space if picture.space and picture.space.mode == "RGB" else None
    info = {key: value for key, value in picture.info.items() if key != "transparency"}
    if space is None:  # of CMYK, grey, or sRGB, which is what readers take for granted
        info.pop("icc_profile", None)

    def restore(pixels: Array, _: Array) -> Image.Image | Array:
        white = full_scale(pixels.dtype)
        integers = pixels.dtype.kind == "u"
        alpha = np.rint(mask * white) / white if integers else mask
        share = np.maximum(alpha, 1 / 65535)[..., None]
        colours = pixels.astype(np.float32) / np.float32(white)
        if background is not None:
            under = background.astype(np.float32) / np.float32(white)
            colours = ((colours - (1 - alpha[..., None]) * under) / share).clip(0, 1)
        if picture.space is not None and space is None:
            colours = convert(colours.astype(np.float32), picture.space, None)
        colours = np.where(alpha[..., None] > 0, colours, 0)
        layer = np.dstack([colours, alpha]) * white
        layer = (np.rint(layer) if integers else layer).astype(pixels.dtype)
        if layer.dtype != np.uint8:
            return layer
        image = Image.fromarray(layer)
        if space is not None:
            image.info["icc_profile"] = space.profile
        return image

    return replace(picture.restored_by(restore), info=info)


def layer_like(layer: Image.Image | Array, image: object) -> "Image.Image | Array | torch.Tensor":
    """Hand a layer out as the kind that belongs to an image: tensors are (4, H, W)."""
    if is_tensor(image):
        import torch

        values = np.ascontiguousarray(np.asarray(layer).transpose(2, 0, 1))
        return torch.from_numpy(values).to(image.device)
    return np.asarray(layer) if isinstance(image, np.ndarray) else layer
