"""The whole way, with the bundled network and with one whose answer is known."""

import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import EXAMPLES, box_mask
from PIL import Image
from small_networks import Brighten, small_idih

import harmonizer
from harmonizer import Harmonizer, harmonize, list_models, model_info
from harmonizer.errors import (
    HarmonizerError,
    InputError,
    UnknownModelError,
    WeightsCorruptedError,
)
from harmonizer.imaging.image import open_image
from harmonizer.imaging.mask import open_mask
from harmonizer.lifting import lift
from harmonizer.pipeline.prepared import open_composite

COMPOSITE, MASK_FILE = EXAMPLES / "composite.png", EXAMPLES / "mask.png"


def test_one_call_makes_the_example_fit_its_night(composite: Any, mask: Any) -> None:
    result = harmonize(COMPOSITE, MASK_FILE)
    assert isinstance(result, Image.Image)
    after = np.asarray(result).astype(float)
    background = mask == 0
    assert np.array_equal(after[background], composite[background])
    # A studio portrait before a night sky: its lights have to become visibly darker.
    lights = (mask == 255) & (composite.mean(axis=2) > 150)
    assert after[lights].mean() < composite[lights].mean() - 8


def test_harmonize_and_harmonizer_agree(composite: Any, mask: Any, model: Harmonizer) -> None:
    expected = model(composite, mask)
    assert not np.array_equal(expected, composite)
    assert np.array_equal(model.harmonize(composite, mask), expected)
    assert np.array_equal(harmonize(composite, mask, device="cpu"), expected)
    assert np.array_equal(harmonize(composite, mask, model), expected)
    name = list_models()[0]
    assert np.array_equal(harmonize(composite, mask, name, device="cpu"), expected)


def test_the_default_model_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from harmonizer.pipeline import one_call

    loads: list[str | None] = []
    original = Harmonizer.from_pretrained

    def counting(name: str | None = None, **options: Any) -> Harmonizer:
        loads.append(name)
        return original(name, **options)

    monkeypatch.setattr(Harmonizer, "from_pretrained", counting)
    one_call._models.cache_clear()
    image, mask = np.zeros((32, 32, 3), np.uint8), box_mask(32, 32)
    threads = [threading.Thread(target=harmonize, args=(image, mask)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [None]


def test_a_model_that_is_waited_for_keeps_nobody_else_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loading, ended = threading.Event(), threading.Event()
    original = Harmonizer.from_pretrained

    def slow(name: str | None = None, **options: Any) -> Harmonizer:
        if name is not None:
            loading.set()
            ended.wait(60)
        return original(None, **options)

    monkeypatch.setattr(Harmonizer, "from_pretrained", slow)
    image, mask = np.zeros((32, 32, 3), np.uint8), box_mask(32, 32)
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(harmonize, image, mask, "a/model-that-is-downloaded")
        assert loading.wait(60)
        try:
            assert pool.submit(harmonize, image, mask).result(timeout=30).shape == image.shape
            assert not waiting.done()
        finally:
            ended.set()
        waiting.result()


def test_a_folder_is_the_one_that_is_there_now(
    composite: Any, mask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two programs' folders, or one's, may each hold a `model` of its own."""
    for seed in (0, 1):
        model = small_idih(seed)
        model.save_pretrained(tmp_path / str(seed) / "model")
        monkeypatch.chdir(tmp_path / str(seed))
        answer = harmonize(composite, mask, "./model", device="cpu")
        assert np.array_equal(answer, model(composite, mask))


def test_strength_is_linear(composite: Any, mask: Any, model: Harmonizer) -> None:
    full = model(composite, mask).astype(float)
    assert not np.array_equal(full, composite)
    for strength in (0.25, 0.5, 0.75):
        part = model(composite, mask, strength=strength)
        assert not np.array_equal(part, full)
        expected = composite + strength * (full - composite)
        # Each is rounded once: the part, and the full change of which a part is expected.
        assert np.abs(part - expected).max() <= 0.5 + 0.5 * strength + 1e-6
        assert np.array_equal(part[mask == 0], composite[mask == 0])
    as_floats = model(composite / np.float32(255), mask, strength=0.5)
    expected = composite + 0.5 * (model(composite / np.float32(255), mask) * 255 - composite)
    assert np.abs(as_floats * 255 - expected).max() < 1e-3


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), float("inf"), "0.5", None])
def test_strength_out_of_range_is_refused(strength: Any, model: Harmonizer) -> None:
    with pytest.raises(InputError, match="strength is a number from 0"):
        model(np.zeros((8, 8, 3), np.uint8), box_mask(8, 8), strength=strength)


def test_soft_masks_blend_linearly(brighten: Harmonizer) -> None:
    image = np.full((64, 256, 3), 100, np.uint8)
    soft = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (64, 1))
    change = brighten(image, soft).astype(float)[32, :, 1] - 100
    full = change[-1]
    assert full == pytest.approx(0.3 * 0.224 * 255, abs=1.5)
    # The stand-in's answer is itself proportional to the mask; the blend multiplies once more or
    # keeps the fitted colour: between the two the change must grow steadily from 0.
    assert change[0] == 0
    assert (np.diff(change) >= 0).all()


def test_an_object_that_the_small_mask_does_not_show_is_harmonized(brighten: Harmonizer) -> None:
    image = np.full((2000, 2000, 3), 100, np.uint8)
    mask = np.zeros((2000, 2000), bool)
    mask[1000, 1000] = True
    assert not brighten.info.preprocessing.resize(mask.astype(np.float32)).any()
    composite = brighten.prepare(image, mask)
    (answer,) = brighten.answer([composite])
    assert answer is not None
    assert brighten.finish(composite, answer + 0.3)[mask].min() > 110


def test_a_device_beside_a_ready_harmonizer_is_refused(brighten: Harmonizer) -> None:
    image, mask = np.zeros((8, 8, 3), np.uint8), box_mask(8, 8)
    with pytest.raises(InputError, match=r"already; leave out device="):
        harmonize(image, mask, brighten, device="cpu")
    assert harmonize(image, mask, brighten)[mask].min() > 0


def test_predict_and_lift_are_the_two_halves(composite: Any, mask: Any) -> None:
    """Of a model whose network answers with a picture, and is shown all of it."""
    model = small_idih()
    answer = model.predict(composite, mask)
    assert answer.shape == (*model.info.preprocessing.input_size, 3)
    assert answer.dtype == np.float32
    low_res = model.info.preprocessing.resize(composite).astype(np.float32)
    lifted = lift(composite, open_mask(mask, composite.shape[:2]), low_res, answer)
    assert not np.array_equal(lifted, composite)
    shown = open_composite(composite, mask, model.info.preprocessing, whole=True)
    assert np.array_equal(lifted, model.finish(shown, *model.answer([shown])))


def test_predict_is_the_network_itself(model: Harmonizer) -> None:
    """At the network's own size, nothing but normalisation stands between."""
    generator = np.random.default_rng(0)
    height, width = model.info.preprocessing.input_size
    image = generator.integers(0, 256, (height, width, 3), np.uint8)
    mask = box_mask(height, width)
    mean, std = np.array(model.info.preprocessing.mean), np.array(model.info.preprocessing.std)
    normalised = torch.from_numpy((image / 255 - mean) / std).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        answer = model._network(normalised, torch.from_numpy(mask)[None, None].float())
    expected = (answer[0].permute(1, 2, 0).numpy() * std + mean).clip(0, 1)
    assert np.abs(expected - image / 255)[mask].mean() > 1e-3
    assert np.abs(model.predict(image, mask) / 255 - expected).max() < 1e-5
    sixteen = model.predict(image.astype(np.uint16) * 257, mask)
    assert np.abs(sixteen / 65535 - expected).max() < 1e-5


def test_batch_keeps_order_kinds_and_values(composite: Any, mask: Any, model: Harmonizer) -> None:
    sizes = [(64, 80), (300, 200), (40, 40), (256, 256), (33, 77)]
    images: list[Any] = [composite[:h, :w] for h, w in sizes]
    images[1] = Image.fromarray(images[1])
    images[2] = torch.from_numpy(images[2].copy()).permute(2, 0, 1)
    masks = [box_mask(h, w) for h, w in sizes]
    results = list(model.harmonize_batch(images, masks, batch_size=2))
    assert [type(one) for one in results] == [type(one) for one in images]
    for result, image, plane in zip(results, images, masks, strict=True):
        one, alone = open_image(result).pixels, open_image(model(image, plane)).pixels
        assert not np.array_equal(one, open_image(image).pixels)
        assert np.abs(one.astype(int) - alone).max() <= 1


def harmonizer_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("harmonizer")]


def test_batch_is_one_network_call_each(composite: Any) -> None:
    calls: list[int] = []

    class Counting(Brighten):
        def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            calls.append(len(image))
            return super().forward(image, mask)

    counting = Harmonizer(Counting(), model_info("idih"), device="cpu")
    images = [composite[:64, :64]] * 10
    assert len(list(counting.harmonize_batch(images, [box_mask(64, 64)] * 10, batch_size=4))) == 10
    assert calls == [4, 4, 2]


def test_batch_draws_no_more_than_it_says(composite: Any, brighten: Harmonizer) -> None:
    drawn = 0

    def endless() -> Any:
        nonlocal drawn
        while True:
            drawn += 1
            yield composite[:64, :64]

    plane = box_mask(64, 64)
    results = brighten.harmonize_batch(
        endless(), (plane for _ in iter(int, 1)), batch_size=3, workers=2
    )
    assert drawn == 0
    for handed_out in range(40):
        next(results)
        assert drawn <= handed_out + 2 * 3 + 2
    results.close()  # pyright: ignore[reportAttributeAccessIssue] - it is a generator


def test_a_closed_batch_leaves_no_thread(composite: Any, brighten: Harmonizer) -> None:
    assert harmonizer_threads() == []
    images, masks = [composite[:64, :64]] * 9, [box_mask(64, 64)] * 9
    for end in ("close", "drop", "exhaust", "never start", "fail"):
        results: Any = brighten.harmonize_batch(images, masks, batch_size=2, workers=2)
        if end == "never start":
            assert harmonizer_threads() == []
        elif end == "exhaust":
            assert len(list(results)) == 9
        elif end == "fail":
            results = brighten.harmonize_batch([*images, "no file"], [*masks, "none"])
            with pytest.raises(InputError, match="there is no file"):
                list(results)
        else:
            next(results)
            assert harmonizer_threads() != []
        if end == "close":
            results.close()
        del results
        assert harmonizer_threads() == []


def test_overlapping_changes_nothing(tmp_path: Path, noise: Any, model: Harmonizer) -> None:
    """Files, arrays and pictures of many sizes, in threads, as one by one."""
    images: list[Any] = []
    masks: list[Any] = []
    for index in range(9):
        size = (40 + 17 * index, 150 - 11 * index)
        image, mask = noise(*size, seed=index), box_mask(*size)
        if index % 3 == 0:
            Image.fromarray(image).save(tmp_path / f"{index}.png")
            Image.fromarray(mask).save(tmp_path / f"{index}_mask.png")
            images.append(tmp_path / f"{index}.png")
            masks.append(str(tmp_path / f"{index}_mask.png"))
        else:
            images.append(Image.fromarray(image) if index % 3 == 1 else image)
            masks.append(mask)
    together = list(model.harmonize_batch(images, masks, batch_size=1, workers=3))
    for image, mask, result in zip(images, masks, together, strict=True):
        assert np.array_equal(np.asarray(result), np.asarray(model(image, mask)))
        assert not np.array_equal(np.asarray(result), open_image(image).pixels)


def test_one_bad_picture_does_not_stop_the_rest(
    tmp_path: Path, composite: Any, brighten: Harmonizer
) -> None:
    image, plane = composite[:64, :64], box_mask(64, 64)
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(COMPOSITE.read_bytes()[:5000])
    images: list[Any] = [image, damaged, image, np.zeros((8, 8)), tmp_path / "missing.png", image]
    masks: list[Any] = [plane, plane, plane * 2.5, plane, plane, plane]
    for batch_size in (1, 2, 8):
        results = brighten.harmonize_batch(
            images, masks, batch_size=batch_size, on_error="return", workers=2
        )
        found = list(results)
        assert [isinstance(one, InputError) for one in found] == [False, *[True] * 4, False]
        assert "damaged.png cannot be read" in str(found[1])
        assert "mask values" in str(found[2])
        assert np.array_equal(found[0], brighten(image, plane))
        assert np.array_equal(found[0], found[5])


def test_a_bad_picture_stops_a_batch_by_default(composite: Any, brighten: Harmonizer) -> None:
    image, plane = composite[:64, :64], box_mask(64, 64)
    results = brighten.harmonize_batch([image, image, "missing.png", image], [plane] * 4)
    for _ in range(2):  # what comes before it is handed out
        assert np.array_equal(next(results), brighten(image, plane))
    with pytest.raises(InputError, match=r"there is no file missing\.png"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_an_answer_that_is_not_finite_concerns_its_own_picture(composite: Any) -> None:
    class Sometimes(Brighten):
        def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            bright = image.mean((1, 2, 3), keepdim=True) > 0
            return torch.where(bright, torch.nan, super().forward(image, mask))

    broken = Harmonizer(Sometimes(), model_info("idih"), device="cpu")
    bright, dark = np.full((64, 64, 3), 250, np.uint8), np.full((64, 64, 3), 5, np.uint8)
    masks = [box_mask(64, 64)] * 3
    first, second, third = broken.harmonize_batch([dark, bright, dark], masks, on_error="return")
    assert isinstance(second, WeightsCorruptedError)
    assert np.array_equal(first, third)
    with pytest.raises(WeightsCorruptedError, match="NaN or infinity"):
        broken(bright, masks[0])


@pytest.mark.parametrize("kind", ["array", "tensor", "batch"])
def test_masks_of_one_array_have_one_range(kind: str, model: Harmonizer) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (3, 48, 64, 3), np.uint8)
    values = np.array([255, 1, 12], np.uint8)
    masks = box_mask(48, 64).astype(np.uint8) * values[:, None, None]
    floats = [mask.astype(np.float32) / np.float32(255) for mask in masks]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of faint ones
        expected = [model(image, mask) for image, mask in zip(images, floats, strict=True)]
        if kind == "batch":
            both = torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(masks)[:, None]
            found = model(*both).permute(0, 2, 3, 1).numpy()
        else:
            many: Any = torch.from_numpy(masks) if kind == "tensor" else masks
            found = list(model.harmonize_batch(images, many))
    for one, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, wanted)


def test_batch_refuses_what_does_not_pair(model: Harmonizer) -> None:
    image, plane = np.zeros((8, 8, 3), np.uint8), box_mask(8, 8)
    with pytest.raises(InputError, match="as many masks as images"):
        list(model.harmonize_batch([image, image], [plane]))
    with pytest.raises(InputError, match="got a single ndarray: use harmonize"):
        list(model.harmonize_batch(image, plane))
    with pytest.raises(InputError, match="such as two lists; got NoneType"):
        model.harmonize_batch([image], None)  # pyright: ignore
    with pytest.raises(InputError, match="such as two lists; got type"):
        model.harmonize_batch(list, [plane])  # pyright: ignore
    with pytest.raises(InputError, match="harmonize_batch takes several"):
        model([image, image], plane)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="harmonize_batch takes several"):
        model(np.stack([image, image]), plane)
    with pytest.raises(InputError, match="batch_size"):
        model.harmonize_batch([image], [plane], batch_size=0)
    with pytest.raises(InputError, match="batch_size"):
        model.harmonize_batch([image], [plane], batch_size="8")  # pyright: ignore
    with pytest.raises(InputError, match='on_error is "raise" or "return"'):
        model.harmonize_batch([image], [plane], on_error="skip")  # pyright: ignore
    for workers in (0, 1.5, True, "2"):
        with pytest.raises(InputError, match="workers is a whole number"):
            model.harmonize_batch([image], [plane], workers=workers)  # pyright: ignore
    with pytest.raises(InputError, match="use harmonize"):
        model.harmonize_batch(Image.fromarray(image), [plane])  # pyright: ignore

    def broken() -> Any:
        yield image
        raise ValueError("the loader failed")

    results = model.harmonize_batch(broken(), [plane, plane], on_error="return")
    assert next(results).shape == image.shape  # what was drawn before is not lost
    with pytest.raises(ValueError, match="the loader failed"):
        next(results)
    with pytest.raises(InputError, match=r"\(2, 1, H, W\)"):
        model(torch.zeros(2, 3, 8, 8), plane)
    assert list(model.harmonize_batch([], [])) == []
    assert model(torch.zeros(0, 3, 8, 8), torch.zeros(0, 1, 8, 8)).shape == (0, 3, 8, 8)


def test_a_batch_with_an_empty_mask_keeps_its_order(composite: Any, model: Harmonizer) -> None:
    image, plane = composite[:64, :64], box_mask(64, 64)
    with pytest.warns(UserWarning, match="empty"):
        first, second = model.harmonize_batch([image, image], [plane & False, plane])
    assert np.array_equal(first, image)
    assert not np.array_equal(second, image)
    assert np.array_equal(second, model(image, plane))


def test_threads_give_what_one_thread_gives(composite: Any, model: Harmonizer) -> None:
    jobs = [(composite[: 100 + 10 * i, : 200 + 7 * i], i) for i in range(12)]

    def work(job: tuple[Any, int]) -> Any:
        image, i = job
        return model(image, box_mask(*image.shape[:2]), strength=1 - i / 24)

    serial = [work(job) for job in jobs]
    assert not any(np.array_equal(one, image) for one, (image, _) in zip(serial, jobs, strict=True))
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(work, jobs))
    for one, other in zip(serial, parallel, strict=True):
        assert np.array_equal(one, other)


def test_same_input_same_output(composite: Any, mask: Any, model: Harmonizer) -> None:
    first, second = model(composite, mask), model(composite, mask)
    assert not np.array_equal(first, composite)
    assert np.array_equal(first, second)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 5), (10, 3000)])
def test_extreme_sizes(size: tuple[int, int], noise: Any, model: Harmonizer) -> None:
    image = noise(*size)
    plane = np.zeros(size, np.uint8)
    plane.flat[: max(1, plane.size // 2)] = 1
    if plane.all():
        with pytest.warns(UserWarning, match="covers the whole"):
            assert np.array_equal(model(image, plane), image)
        return
    result = model(image, plane)
    assert result.shape == image.shape
    assert not np.array_equal(result, image)
    assert np.array_equal(result[plane == 0], image[plane == 0])


def test_unknown_model_names_close_ones() -> None:
    with pytest.raises(UnknownModelError, match="Did you mean colormap-lite0-open") as caught:
        Harmonizer.from_pretrained("colormap-lite-open")
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, HarmonizerError)
    assert not str(caught.value).startswith('"')


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", 3.5])
def test_impossible_devices_are_refused(device: Any) -> None:
    with pytest.raises(InputError, match="device"):
        Harmonizer.from_pretrained(device=device)


def test_what_is_no_model_is_refused() -> None:
    image, plane = np.zeros((8, 8, 3), np.uint8), box_mask(8, 8)
    for wrong in (["x"], b"x", 5):
        with pytest.raises(InputError, match="model is"):
            harmonize(image, plane, wrong)  # pyright: ignore
    for wrong in (5, ""):
        with pytest.raises(InputError, match="a model is called"):
            Harmonizer.from_pretrained(wrong)  # pyright: ignore
    for wrong in ("x" * 5000, "~nobody-of-this-name/x/y"):
        with pytest.raises(HarmonizerError):
            Harmonizer.from_pretrained(wrong)


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(InputError, match="float32"):
        Harmonizer.from_pretrained(dtype="int8")


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_every_backend_harmonizes_alike(
    backend: Any, composite: Any, mask: Any, model: Harmonizer
) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend))
    other = Harmonizer.from_pretrained(backend=backend)  # device="auto" is the CPU then
    assert (other.backend, other.device.type) == (backend, "cpu")
    found, expected = other.predict(composite, mask), model.predict(composite, mask)
    assert np.abs(expected - model.info.preprocessing.resize(composite)).max() > 1
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.02)


def test_reduced_precision_is_asked_for_and_close(
    composite: Any, mask: Any, model: Harmonizer
) -> None:
    assert model.dtype == torch.float32
    half = Harmonizer.from_pretrained(device="cpu", dtype="bfloat16")
    difference = np.abs(half.predict(composite, mask) - model.predict(composite, mask))
    assert 0 < difference.max() < 4  # grey levels of 255


def test_a_model_in_reduced_precision_is_saved_in_full(tmp_path: Path, model: Harmonizer) -> None:
    Harmonizer.from_pretrained(device="cpu", dtype="bfloat16").save_pretrained(tmp_path)
    assert Harmonizer.from_pretrained(tmp_path).fingerprint() == model.fingerprint()


def test_to_returns_the_harmonizer(model: Harmonizer) -> None:
    assert model.to("cpu") is model
    assert repr(model) == f"Harmonizer({model.info.name!r}, device='cpu')"


def test_the_public_names_exist() -> None:
    assert set(harmonizer.__all__) <= set(dir(harmonizer))
    for name in harmonizer.__all__:
        assert getattr(harmonizer, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = harmonizer.nonsense  # pyright: ignore


def test_a_harmonizer_can_be_sent_to_another_process(model: Harmonizer, noise: Any) -> None:
    image, mask = noise(60, 80), box_mask(60, 80)
    assert not np.array_equal(model(image, mask), image)
    for copy in (pickle.loads(pickle.dumps(model)), deepcopy(model)):  # noqa: S301
        assert copy.info == model.info
        assert copy.fingerprint() == model.fingerprint()
        assert np.array_equal(copy(image, mask), model(image, mask))
