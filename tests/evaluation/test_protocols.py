"""Every protocol, part and interval of foreground shares, by the definitions worked out here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from small_iharmony4 import PICTURES
from small_networks import Brighten
from ssim_formula import similarity

from harmonizer import Harmonizer, model_info
from harmonizer.data import Triplet
from harmonizer.errors import InputError
from harmonizer.evaluation import PROTOCOLS, Evaluation, evaluate
from harmonizer.zoo.manifest import default_model

METRICS = ("mse", "psnr", "fmse", "fpsnr", "ssim", "fssim")


def warm(image: Any, mask: Any) -> Any:
    """A function to evaluate, whose answer is easy to say: floats that no rounding changed."""
    return (image * 0.9 + 20.25 * mask[..., None]).clip(0, 255) / 255


def read(iharmony4: Path, part: str, number: int) -> tuple[Any, Any, Any]:
    """Composite, mask in [0, 1], and real picture."""
    folder = iharmony4 / part
    names = (
        f"composite_images/x{number}_1_1.png",
        f"masks/x{number}_1.png",
        f"real_images/x{number}.png",
    )
    composite, mask, real = (np.asarray(Image.open(folder / name)) for name in names)
    return composite, mask.astype(np.float32) / 255, real


def shrunk(tmp_path: Path, composite: Any, mask: Any, real: Any) -> tuple[Any, Any, Any]:
    """As the authors' script writes HAdobe5k again, through files."""
    height, width = mask.shape
    size = (1024, round(1024 / width * height))
    results: list[Any] = []
    for image in (composite, real):
        small = cv2.resize(image[..., ::-1], size, interpolation=cv2.INTER_LANCZOS4)
        cv2.imwrite(str(tmp_path / "a.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 90])
        results.append(np.asarray(Image.open(tmp_path / "a.jpg")))
    grey = (mask * 255).astype(np.uint8)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_LANCZOS4)
    return results[0], small.astype(np.float32) / 255, results[1]


def expected_row(protocol: str, tmp_path: Path, part: str, triplet: Any, model: Any) -> Any:
    """The share of the foreground and the six metrics, from the words of docs/evaluation.md."""
    composite, mask, real = triplet
    if protocol == "paper" and part == "HAdobe5k" and max(mask.shape) > 1024:
        composite, mask, real = shrunk(tmp_path, composite, mask, real)
    if protocol == "paper":
        composite, mask, real = (cv2.resize(one, (256, 256)) for one in (composite, mask, real))
    if protocol == "pasted":
        composite, real = (
            np.asarray(Image.fromarray(one).resize((256, 256), Image.Resampling.BILINEAR))
            for one in (composite, real)
        )
        rows, columns = (((np.arange(256) + 0.5) * n / 256).astype(int) for n in mask.shape)
        mask = mask[rows][:, columns]
    answer = model(composite, mask).astype(np.float32).astype(np.float64) * 255
    m, target = mask[..., None].astype(np.float64), real.astype(np.float64)
    if protocol == "pasted":
        answer = np.rint(np.rint(answer) * m + target * (1 - m))
    squares = (answer - target) ** 2
    mse = squares.mean()
    if protocol in ("full-resolution", "dccf"):
        mse = (m * squares).mean()
    fmse = (m * squares).sum() / (3 * m.sum() + 1e-6)
    peak = 255.0
    if protocol in ("paper", "dccf"):
        peak = target.max()
    if protocol == "white-box":
        peak = answer.max() - answer.min()
    if protocol in ("full-resolution", "dccf"):
        answer = answer * m + target * (1 - m)
    similar = similarity(answer, target)
    return {
        "share": (mask > 0.5).sum() / mask.size,
        "mse": mse,
        "psnr": 10 * np.log10(peak**2 / (mse + 1e-6)),
        "fmse": fmse,
        "fpsnr": 10 * np.log10(peak**2 / (fmse + 1e-6)),
        "ssim": similar[5:-5, 5:-5].mean(),
        "fssim": (similar * mask).sum() / mask.sum(),
    }


def check(evaluation: Evaluation, rows: list[tuple[str, Any]]) -> None:
    """Means over the rows of every part and interval, closed at both ends."""
    groups = {part: [row for name, row in rows if name == part] for part in PICTURES}
    for name, low, high in (("0-5 %", 0, 0.05), ("5-15 %", 0.05, 0.15), ("15-100 %", 0.15, 1)):
        groups[name] = [row for _, row in rows if low <= row["share"] <= high]
    groups["all"] = [row for _, row in rows]
    summary = evaluation.summary()
    assert list(summary) == [name for name, some in groups.items() if some]
    for name, means in summary.items():
        assert means["count"] == len(groups[name])
        for metric in METRICS:
            expected = np.mean([row[metric] for row in groups[name]])
            # The answers are in float32, and so is SSIM.
            assert means[metric] == pytest.approx(expected, rel=2e-6), (name, metric)


def expected_rows(protocol: str, tmp_path: Path, iharmony4: Path, model: Any) -> Any:
    """`expected_row` of every picture, with the part it belongs to."""
    return [
        (part, expected_row(protocol, tmp_path, part, read(iharmony4, part, number), model))
        for part, pictures in PICTURES.items()
        for number in range(len(pictures))
    ]


def small_triplet(level: int = 100) -> Triplet:
    """A flat real picture of 64 x 64 under a hard mask of a quarter."""
    real = np.full((64, 64, 3), level, np.uint8)
    mask = np.zeros((64, 64), np.float32)
    mask[:32, :32] = 1
    return Triplet(real, mask, real, "a")


BACKGROUND = {
    "paper": True,
    "full-resolution": False,
    "dccf": False,
    "white-box": True,
    "pasted": False,
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_background_counts_in_the_protocols_that_say_so_and_in_no_other(protocol: str) -> None:
    triplet = small_triplet()
    wrong = triplet.real.astype(np.float32) + np.arange(64, dtype=np.float32)[:, None]
    wrong = np.where(triplet.mask[..., None] > 0, triplet.real, wrong)  # in the background alone
    wrong[0, 0] = triplet.real[0, 0] + 30.0
    right = triplet.real.astype(np.float32)
    right[0, 0] += 30
    scores, alone = (PROTOCOLS[protocol].score(one, triplet) for one in (wrong, right))
    assert (scores.mse > 2 * alone.mse) == BACKGROUND[protocol]
    assert (scores.ssim < alone.ssim - 0.05) == BACKGROUND[protocol]
    if not BACKGROUND[protocol]:
        assert scores == alone
    assert scores.fmse == pytest.approx(alone.fmse)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_peak_of_psnr_is_the_one_that_the_protocol_says(protocol: str) -> None:
    triplet = small_triplet()
    answer = triplet.real.astype(np.float32)
    answer[:32, :32] += 40.0  # from 100 to 140
    scores = PROTOCOLS[protocol].score(answer, triplet)
    peak = {"paper": 100.0, "dccf": 100.0, "white-box": 40.0}.get(protocol, 255.0)
    assert scores.mse == pytest.approx(400)
    assert scores.psnr == pytest.approx(10 * np.log10(peak**2 / 400), abs=1e-4)
    assert scores.fpsnr == pytest.approx(10 * np.log10(peak**2 / 1600), abs=1e-4)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_masks_are_hard_and_answers_rounded_in_the_protocols_that_say_so(protocol: str) -> None:
    composite, mask, real, name = small_triplet()
    prepared = PROTOCOLS[protocol].prepare(Triplet(composite, mask * 0.7, real, name))
    assert prepared.mask.max() == pytest.approx(1 if protocol in ("white-box", "pasted") else 0.7)
    answer = real.astype(np.float32)
    answer[:16, :16] += 0.4
    mse = PROTOCOLS[protocol].score(answer, small_triplet()).mse
    assert (mse == 0) == (protocol == "pasted")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_part_and_interval(iharmony4: Path, tmp_path: Path, protocol: str) -> None:
    rows = expected_rows(protocol, tmp_path, iharmony4, warm)
    if protocol == "full-resolution":  # on the very ends, where a picture counts twice
        assert [row["share"] for _, row in rows][:2] == [0.05, 0.15]
    check(evaluate(warm, iharmony4, protocol=protocol, batch_size=3, workers=2), rows)


def test_a_network_of_256_is_measured_by_its_own_answer(
    iharmony4: Path, tmp_path: Path, brighten: Harmonizer
) -> None:
    """Not rounded, background and all: the stand-in adds 0.3 standard deviations by the mask."""
    std = np.array([0.229, 0.224, 0.225])

    def added(image: Any, mask: Any) -> Any:
        return (image / 255 + 0.3 * mask[..., None] * std).clip(0, 1)

    rows = expected_rows("paper", tmp_path, iharmony4, added)
    for found, (_, expected) in zip(evaluate(brighten, iharmony4).rows, rows, strict=True):
        for metric in METRICS:
            assert getattr(found, metric) == pytest.approx(expected[metric], rel=1e-5)


def test_a_network_of_another_size_is_measured_after_the_way_back(iharmony4: Path) -> None:
    info = model_info(default_model())
    small = replace(info.preprocessing, input_size=(128, 128))
    harmonizer = Harmonizer(Brighten(), replace(info, preprocessing=small), device="cpu")
    found = evaluate(harmonizer, iharmony4)

    def whole_way(image: Any, mask: Any) -> Any:
        return harmonizer(image.astype(np.float32) / 255, mask)

    expected = evaluate(whole_way, iharmony4)
    for one, other in zip(found.rows, expected.rows, strict=True):
        assert one.mse == pytest.approx(other.mse, rel=1e-6)


def test_full_resolution_is_what_harmonize_gives(iharmony4: Path, brighten: Harmonizer) -> None:
    """In floats, so that nothing is rounded."""

    def in_floats(image: Any, mask: Any) -> Any:
        return brighten(image.astype(np.float32) / 255, mask)

    found = evaluate(brighten, iharmony4, protocol="full-resolution")
    expected = evaluate(in_floats, iharmony4, protocol="full-resolution")
    for one, other in zip(found.rows, expected.rows, strict=True):
        assert one.fmse == pytest.approx(other.fmse, rel=1e-6)


def test_pictures_of_other_parts_are_not_shrunk() -> None:
    image = np.zeros((20, 2000, 3), np.uint8)
    triplet = Triplet(image, np.ones((20, 2000), np.float32), image, "a")
    long = replace(PROTOCOLS["paper"], size=None)
    assert long.prepare(triplet, "HCOCO").composite is image
    assert long.prepare(triplet, "HAdobe5k").composite.shape == (10, 1024, 3)


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1)])
def test_a_line_is_shrunk_to_a_line(size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.uint8)
    triplet = Triplet(image, np.ones(size, np.float32), image, "a")
    shrunk = replace(PROTOCOLS["paper"], size=None).prepare(triplet, "HAdobe5k")
    assert shrunk.mask.shape == (min(size[0], 1024), min(size[1], 1024))


@pytest.mark.parametrize(
    "setting",
    [
        {"peak": "target"},
        {"peak": 1.0},
        {"resize": "opencv-area"},
        {"background": "ignored"},
        {"background": "left_out"},
        {"binary_mask": "no"},
        {"rounded": 1},
        {"adobe_side": -3},
        {"size": (64, 64)},
        {"size": 64.0},
        {"size": 0},
    ],
)
def test_a_setting_that_there_is_not_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(setting))):
        replace(PROTOCOLS["paper"], **setting)
