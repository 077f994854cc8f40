"""No way to call hands its picture back untouched, nor ignores an option, nor mixes pictures up."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias, get_args

import cv2
import numpy as np
import pytest
import torch
from helpers import box_mask
from small_networks import Brighten
from torch import nn

from harmonizer import Harmonizer, harmonize, model_info
from harmonizer.errors import InputError
from harmonizer.networks import build_network
from harmonizer.preprocessing import Preprocessing, Resampler

SIZE = (96, 128)
MASK = box_mask(*SIZE)
Call: TypeAlias = Callable[..., Any]


class BrightenAll(nn.Module):
    """A stand-in that changes every pixel, whatever the mask says."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return image + 0.3


@pytest.fixture(scope="module")
def mapping() -> Harmonizer:
    """One that answers with a map of colours; its weights are random, and change a lot."""
    torch.manual_seed(0)
    preprocessing = Preprocessing((256, 256), (0.498,) * 3, (0.502,) * 3, "opencv-area")
    info = replace(model_info("idih"), name="random map", preprocessing=preprocessing)
    return Harmonizer(build_network("colormap-lite0"), info, device="cpu")


@pytest.fixture(params=["bundled", "picture", "map"])
def harmonizer(
    request: pytest.FixtureRequest, model: Harmonizer, brighten: Harmonizer, mapping: Harmonizer
) -> Harmonizer:
    """Every kind of answer that a network may give."""
    return {"bundled": model, "picture": brighten, "map": mapping}[request.param]


def by_function(harmonizer: Harmonizer, image: Any, mask: Any, **options: Any) -> Any:
    return harmonize(image, mask, harmonizer, **options)


def by_method(harmonizer: Harmonizer, image: Any, mask: Any, **options: Any) -> Any:
    return harmonizer.harmonize(image, mask, **options)


def in_a_batch(harmonizer: Harmonizer, image: Any, mask: Any, **options: Any) -> Any:
    (result,) = harmonizer.harmonize_batch([image], [mask], **options)
    return result


def as_tensors(harmonizer: Harmonizer, image: Any, mask: Any, **options: Any) -> Any:
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    result = harmonizer(tensor, torch.from_numpy(mask.copy())[None], **options)
    return result[0].permute(1, 2, 0).numpy()


CALLS: list[Call] = [by_function, by_method, in_a_batch, as_tensors]


@pytest.mark.parametrize("call", CALLS)
def test_no_call_hands_the_picture_back(call: Call, noise: Any, harmonizer: Harmonizer) -> None:
    image = noise(*SIZE)
    result = call(harmonizer, image, MASK)
    assert not np.array_equal(result[MASK], image[MASK])
    assert np.array_equal(result[~MASK], image[~MASK])


@pytest.mark.parametrize("call", CALLS)
def test_no_call_ignores_the_strength(call: Call, noise: Any, harmonizer: Harmonizer) -> None:
    image = noise(*SIZE)
    full, half, none = (call(harmonizer, image, MASK, strength=s) for s in (1.0, 0.5, 0.0))
    assert not np.array_equal(half, full)
    assert not np.array_equal(half, image)
    assert np.array_equal(none, image)
    expected = image + 0.5 * (full.astype(float) - image)
    assert np.abs(half - expected).max() <= 1


@pytest.mark.parametrize("call", CALLS)
def test_no_call_ignores_resize_mask(call: Call, noise: Any, brighten: Harmonizer) -> None:
    image, small = noise(*SIZE), np.ascontiguousarray(MASK[::2, ::2])
    with pytest.raises(InputError, match="resize_mask=True"):
        call(brighten, image, small)
    result = call(brighten, image, small, resize_mask=True)
    core = box_mask(*SIZE)
    core[:28], core[-28:], core[:, :36], core[:, -36:] = False, False, False, False
    assert np.array_equal(result[core], call(brighten, image, MASK)[core])
    assert not np.array_equal(result[core], image[core])


@pytest.mark.parametrize("batch_size", [1, 4, 9])
def test_pictures_of_one_size_keep_their_places_in_a_batch(
    batch_size: int, noise: Any, harmonizer: Harmonizer
) -> None:
    images = [noise(*SIZE, seed=number) for number in range(9)]
    results = list(harmonizer.harmonize_batch(images, [MASK] * 9, batch_size=batch_size, workers=3))
    for image, result in zip(images, results, strict=True):
        assert not np.array_equal(result, image)
        # What is computed beside others may be rounded otherwise.
        assert np.abs(result.astype(int) - harmonizer(image, MASK)).max() <= 1


@pytest.mark.parametrize("resampler", get_args(Resampler))
def test_picture_and_mask_reach_the_network_by_the_models_resampler(
    resampler: Resampler, noise: Any
) -> None:
    known = model_info("idih").preprocessing
    preprocessing = replace(known, input_size=(32, 32), resampler=resampler)
    seen: list[Any] = []

    class Looking(Brighten):
        def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            seen.extend((image[0].permute(1, 2, 0).numpy(), mask[0, 0].numpy()))
            return super().forward(image, mask)

    info = replace(model_info("idih"), preprocessing=preprocessing)
    image = noise(100, 150)
    soft = cv2.GaussianBlur(box_mask(100, 150).astype(np.float32), (0, 0), 9)
    Harmonizer(Looking(), info, device="cpu").predict(image, soft)
    kind = {"opencv-linear": cv2.INTER_LINEAR, "opencv-area": cv2.INTER_AREA}
    way = kind.get(resampler, cv2.INTER_NEAREST_EXACT)
    small, plane = (cv2.resize(one, (32, 32), interpolation=way) for one in (image, soft))
    assert np.abs(seen[1] - plane).max() < 1e-6
    assert np.abs(seen[0] - (small / 255 - known.mean) / known.std).max() < 1e-5


def test_a_soft_mask_weighs_what_is_pasted(noise: Any, mapping: Harmonizer) -> None:
    image = noise(*SIZE)
    soft = np.tile(np.linspace(0, 1, SIZE[1], dtype=np.float32), (SIZE[0], 1))
    for harmonizer in (Harmonizer(BrightenAll(), model_info("idih"), device="cpu"), mapping):
        composite = harmonizer.prepare(image, soft)
        (answer,) = harmonizer.answer([composite])
        full = replace(composite, mask=np.ones_like(soft))
        changed = harmonizer.finish(full, answer).astype(float)
        assert np.abs(changed - image).mean() > 3
        found = harmonizer.finish(composite, answer)
        # The answer is fitted to what the mask shows of it, so a picture may differ by a little.
        assert np.abs(found - (image + soft[..., None] * (changed - image))).max() <= 2.5


def test_a_map_is_exported_as_it_is_applied(noise: Any, mapping: Harmonizer) -> None:
    image = noise(*SIZE)
    transform = mapping.color_transform(image, MASK)
    result = transform.apply(image, MASK.astype(np.float32))
    assert not np.array_equal(result, image)
    assert np.array_equal(result, mapping(image, MASK))
    composite = mapping.prepare(image, MASK)
    (answer,) = mapping.answer([composite])
    assert answer is not None
    small = transform.apply(composite.low_res, composite.low_res_mask)
    assert np.abs(mapping.scaled(composite, answer) - small).max() <= 0.51


def test_a_map_is_one_of_the_pictures_colours_not_of_normalised_ones(
    noise: Any, mapping: Harmonizer
) -> None:
    """What the network itself makes of its input, in its own space, is what comes out."""
    image, mask = noise(256, 256), box_mask(256, 256)
    mean, std = (np.array(one) for one in ((0.498,) * 3, (0.502,) * 3))
    normalised = torch.from_numpy((image / 255 - mean) / std).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        answer = mapping._network(normalised, torch.from_numpy(mask)[None, None].float())
    expected = (answer[0].permute(1, 2, 0).numpy() * std + mean).clip(0, 1) * 255
    assert np.abs(mapping(image, mask) - expected)[mask].max() <= 0.6


def test_the_fitted_change_is_the_one_that_harmonize_makes(noise: Any, model: Harmonizer) -> None:
    image = noise(*SIZE)
    full = model(image, MASK)
    assert not np.array_equal(full, image)
    fitted = model.color_transform(image, MASK).apply(image, MASK.astype(np.float32))
    left = np.abs(fitted.astype(float) - full)[MASK].mean()
    assert left < 0.5 * np.abs(full.astype(float) - image)[MASK].mean()


def test_the_device_that_is_asked_for_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where "auto" would be another one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Harmonizer.from_pretrained(device="cpu").device == torch.device("cpu")


def test_floats_are_not_rounded_to_8_bits_on_the_way(noise: Any, harmonizer: Harmonizer) -> None:
    image = noise(*SIZE).astype(np.float32) / 255
    result = harmonizer(image, MASK)[MASK] * 255
    assert np.abs(result - np.rint(result)).max() > 0.2


def test_the_device_that_one_call_asks_for_is_used(noise: Any) -> None:
    wrong: tuple[Any, ...] = ("cpu:of another machine", "", 0, False)
    for device in wrong:
        with pytest.raises(InputError, match="there is no device"):
            harmonize(noise(*SIZE), MASK, device=device)
