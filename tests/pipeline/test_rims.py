"""What a network is shown ends where the foreground does, though its mask be some pixels off."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from harmonizer import Harmonizer
from harmonizer.pipeline.prepared import open_composite
from harmonizer.pipeline.rims import on_the_edge
from harmonizer.preprocessing import Preprocessing

SIZE, SCALE = 256, 4
Floats = NDArray[np.float32]
LIKE = Preprocessing((SIZE, SIZE), (0.0,) * 3, (1.0,) * 3, "opencv-area")


def distances(radius: float) -> Floats:
    """How far inside of a wavy disk each pixel of the large picture lies, in small pixels."""
    rows, columns = (np.indices((SIZE * SCALE,) * 2, np.float32) + 0.5) / SCALE - SIZE / 2
    waves = 4 * np.sin(3 * np.arctan2(rows, columns))
    return (radius + waves - np.hypot(rows, columns)).astype(np.float32)


def disk(move: float = 0.0, softness: float = 0.5 / SCALE) -> Floats:
    """A mask of the disk, moved so far inwards, at the small size."""
    large = np.clip((distances(70) - move) / (2 * softness) + 0.5, 0, 1)
    small = cv2.resize(large.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def picture(contrast: float, noise: float = 4.0, dtype: type = np.uint8) -> NDArray[np.generic]:
    """A disk before something else, with noise."""
    generator = np.random.default_rng(0)
    plane = 110 + contrast * (distances(70) > 0)[..., None] * np.array([1, 0.6, -0.4])
    plane = (plane + generator.normal(0, noise, plane.shape)).clip(0, 255)
    scale = {np.uint8: 1.0, np.uint16: 257.0, np.float32: 1 / 255}[dtype]
    return (plane * scale).astype(dtype)


def apart(first: Floats, second: Floats) -> float:
    """How far two rims lie from each other, in pixels of the small size, on average."""
    return float(np.abs(first - second).sum() / (2 * np.pi * 70))


def outside(first: Floats, second: Floats) -> float:
    """How far the first lies outside of the second, where it lies inside counting against it."""
    return float((first - second).sum() / (2 * np.pi * 70))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("move", [-1.25, -0.75, -0.4, 0.4, 0.75, 1.25])
def test_a_rim_goes_to_the_edge(move: float, dtype: type) -> None:
    found = on_the_edge(picture(60, dtype=dtype), disk(move))
    assert (found.dtype, found.shape) == (np.float32, (SIZE, SIZE))
    assert 0 <= found.min() <= found.max() <= 1
    assert apart(disk(move), disk()) > 0.9 * abs(move)
    assert abs(outside(found, disk())) < 0.05
    assert apart(found, disk()) < 0.25


def test_it_follows_an_edge_that_is_off_in_another_way_on_each_side() -> None:
    shifted = np.roll(disk(), (1, -1), (0, 1))
    assert apart(shifted, disk()) > 0.7
    assert apart(on_the_edge(picture(60), shifted), disk()) < 0.35


def test_it_follows_an_edge_that_a_polygon_cuts_corners_of() -> None:
    """As masks are that people draw: off to both sides by turns, every few pixels."""
    whole = (distances(70) > 0).astype(np.uint8)
    (contour,), _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    corners = cv2.approxPolyDP(contour, 1.5 * SCALE, closed=True)
    drawn = cv2.fillPoly(np.zeros_like(whole), [corners], 1).astype(np.float32)
    polygon = np.asarray(cv2.resize(drawn, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.float32)
    assert len(corners) < 30
    assert apart(polygon, disk()) > 0.6
    assert apart(on_the_edge(picture(60), polygon), disk()) < 0.5 * apart(polygon, disk())


@pytest.mark.parametrize("softness", [1.0, 2.0])
def test_a_soft_rim_becomes_as_sharp_as_others(softness: float) -> None:
    soft = disk(softness=softness)
    assert apart(soft, disk()) > 0.2 * softness
    assert apart(on_the_edge(picture(60), soft), disk()) < 0.3
    assert np.array_equal(on_the_edge(picture(60), disk()), disk())


@pytest.mark.parametrize("opacity", [0.35, 0.5, 0.8])
def test_what_is_half_transparent_does_not_vanish(opacity: float) -> None:
    mask = disk() * np.float32(opacity)
    assert on_the_edge(picture(60), mask).max() == pytest.approx(opacity, abs=0.01)


@pytest.mark.parametrize("contrast", [3, 20, 60])
def test_a_rim_on_its_edge_stays_there(contrast: float) -> None:
    """Within what the steps of looking can tell; one that stays at all is not changed at all."""
    assert apart(on_the_edge(picture(contrast), disk()), disk()) < 0.05


@pytest.mark.parametrize("move", [0, 1])
def test_without_an_edge_a_mask_stays_as_it_is(move: float) -> None:
    assert apart(on_the_edge(picture(0), disk(move)), disk(move)) < 0.03
    plain = np.full((300, 300, 3), 90, np.uint8)
    assert np.array_equal(on_the_edge(plain, disk(move)), disk(move))


@pytest.mark.parametrize("move", [2, 8])
def test_an_edge_far_away_is_another_one(move: float) -> None:
    mask = disk(move)
    assert apart(on_the_edge(picture(60), mask), mask) < 0.1


@pytest.mark.parametrize(
    "mask",
    [np.zeros((SIZE, SIZE)), np.ones((SIZE, SIZE)), np.eye(SIZE) * np.eye(1, SIZE, 9)],
    ids=["empty", "full", "a point"],
)
def test_what_has_no_rim_stays_as_it_is(mask: NDArray[np.float64]) -> None:
    plane = mask.astype(np.float32)
    assert np.array_equal(on_the_edge(picture(60), plane), plane)


def test_a_picture_longer_than_opencv_samples() -> None:
    generator = np.random.default_rng(0)
    wide = generator.integers(0, 256, (16, 40_000, 3), np.uint8)
    assert on_the_edge(wide, disk()).shape == (SIZE, SIZE)


def test_networks_are_shown_it_and_pictures_keep_their_mask() -> None:
    tight = (distances(70) > 4 / SCALE).astype(np.float32)  # one small pixel
    composite = open_composite(picture(60), tight, LIKE)
    assert np.array_equal(composite.mask, tight)
    framed = LIKE.resize(composite.frame.of((distances(70) > 0).astype(np.float32)))
    assert apart(composite.low_res_mask, framed) < 0.3
    as_it_is = open_composite(picture(60), tight, LIKE, whole=True)  # for figures as published
    assert np.array_equal(as_it_is.low_res_mask, LIKE.resize(tight))


def test_the_same_colours_come_of_a_mask_a_little_tighter_or_wider(model: Harmonizer) -> None:
    """Of the bundled network, of a disk that has become darker and bluer."""
    generator = np.random.default_rng(1)
    places = np.indices((SIZE * SCALE,) * 2)[..., None] / (SIZE * SCALE)
    scene = 90 + 90 * places[0] + 30 * np.sin(places[1] * np.array([9, 7, 5]))
    inside = (distances(70) > 0)[..., None]
    scene = np.where(inside, scene * [0.5, 0.55, 0.75], scene)
    scene = (scene + generator.normal(0, 3, scene.shape)).clip(0, 255).astype(np.uint8)
    core = distances(70) > 8
    exact, *others = (
        model.harmonize(scene, (distances(70) > move).astype(np.float32))[core].mean(axis=0)
        for move in (0, -1, 1)
    )
    assert np.abs(exact - scene[core].mean(axis=0)).max() > 8
    for other in others:
        assert np.abs(other - exact).max() < 0.3 * np.abs(exact - scene[core].mean(axis=0)).max()


def test_where_arrays_lie_in_memory_changes_nothing() -> None:
    """What is computed in vectors is cut into them where an array begins, and rounds by turns."""
    generator, kept = np.random.default_rng(0), []
    rows, columns = np.indices((SIZE, SIZE), np.float32) - SIZE / 2
    waves = 9 * np.sin(np.arctan2(rows, columns) * 4)
    blob = ((60 - np.hypot(rows, columns) + waves) / 3).clip(0, 1)
    scene = 90 + 80 * np.asarray(cv2.resize(blob, (500, 400)))[..., None]
    scene = (scene + generator.normal(0, 4, (400, 500, 3))).clip(0, 255).astype(np.uint8)
    masks = [np.roll(blob, move, (0, 1)).astype(np.float32) for move in ((0, 1), (1, 0), (1, 1))]
    found: set[bytes] = set()
    for _ in range(24):
        kept.append(np.empty(generator.integers(1, 5000)))  # what comes after it lies elsewhere
        found.add(b"".join(on_the_edge(scene, mask).tobytes() for mask in masks))
    assert len(found) == 1
