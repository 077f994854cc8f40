"""Open images in arrays and tensors."""

import sys
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from harmonizer.errors import InputError
from harmonizer.imaging.picture import (
    Picture,
    changed_part,
    check_not_empty,
    from_rgb,
    put_foreground,
    to_rgb,
)
from harmonizer.preprocessing import RANGE_TOLERANCE, Array

if TYPE_CHECKING:
    import torch


def is_tensor(value: object) -> "TypeGuard[torch.Tensor]":
    """Tell a torch tensor, without importing torch: a program without it has none."""
    module = sys.modules.get("torch")
    return isinstance(value, getattr(module, "Tensor", ()))


def plain(array: Array) -> Array:
    """Return an array itself: subclasses, such as masked arrays, have arithmetic of their own."""
    return np.asarray(array)


def from_array(array: Array) -> Picture:
    """Open an array: see `harmonizer.imaging.image.open_image`."""
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] not in (1, 3, 4)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "; channels come last in arrays: image.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = "; harmonize_batch takes several images"
        raise InputError(
            "an array image has the shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); got "
            f"{array.shape}{hint}"
        )
    check_not_empty(array.shape[0], array.shape[1])
    array = plain(array)

    def restore(pixels: Array, mask: Array) -> Array:
        result = np.array(array, order="C")
        part = changed_part(mask)
        if part is not None:
            put_foreground(result[part], from_rgb(pixels[part], array), mask[part])
        return result

    pixels = to_rgb(to_working_dtype(array))
    same = pixels.shape == array.shape and pixels.dtype == array.dtype
    return Picture(pixels, restore, rebuild=plain if same and array.dtype.kind == "u" else None)


def from_tensor(tensor: "torch.Tensor") -> Picture:
    """Open a tensor: see `harmonizer.imaging.image.open_image`."""
    import torch

    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        hint = "; channels come first in tensors: image.permute(2, 0, 1)"
        raise InputError(
            "a tensor image has the shape (C, H, W) or (B, C, H, W) with 1, 3 or 4 channels; got "
            f"{tuple(tensor.shape)}{hint if tensor.shape[-1:] in ((1,), (3,), (4,)) else ''}"
        )
    if not (tensor.dtype in (torch.uint8, torch.uint16) or tensor.is_floating_point()):
        raise InputError(f"a tensor image is uint8, uint16, or float in [0, 1]; got {tensor.dtype}")
    check_not_empty(tensor.shape[1], tensor.shape[2])
    original = tensor.detach()
    inner = from_array(tensor_values(tensor).transpose(1, 2, 0))

    def restore(pixels: Array, mask: Array) -> "torch.Tensor":
        changed = torch.from_numpy(inner.restore(pixels, mask)).permute(2, 0, 1)
        selected = torch.from_numpy(mask > 0).to(original.device)
        changed = changed.to(device=original.device, dtype=original.dtype)
        return torch.where(selected, changed, original)

    return Picture(inner.pixels, restore)


def tensor_values(tensor: "torch.Tensor") -> Array:
    """Return what a tensor holds, floats as float32; refuse those that are no plain numbers."""
    if str(tensor.layout) != "torch.strided" or tensor.is_meta:
        raise InputError(
            f"expected a dense tensor with values; got {tensor.layout} on {tensor.device}: "
            "use tensor.to_dense()"
        )
    if tensor.is_quantized or tensor.is_nested:
        kind, way = ("quantized", "dequantize()") if tensor.is_quantized else ("nested", "unbind()")
        raise InputError(f"expected a dense tensor with values; got a {kind} one: tensor.{way}")
    values = tensor.detach().cpu()
    values = values.float() if values.is_floating_point() else values
    return values.resolve_conj().resolve_neg().numpy()


def to_working_dtype(array: Array) -> Array:
    """uint8 and uint16 as they are (in native byte order), floats as float32 in [0, 1]."""
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind != "f":
        raise InputError(
            "an array image is uint8, uint16, or float in [0, 1]; got "
            f"{array.dtype}: convert it, e.g. with image.astype(np.uint8)"
        )
    values = array.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError("the image holds NaN or infinite values; replace them first")
    if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
        hint = " (divide the image by 255?)" if 1 < high <= 255 and low >= 0 else ""
        raise InputError(f"a float image has values in [0, 1]; got {low:.4g} to {high:.4g}{hint}")
    return values.clip(0, 1)
