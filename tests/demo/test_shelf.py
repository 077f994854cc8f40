"""The page keeps pictures within a number of bytes, whoever they belong to."""

import gc
from dataclasses import replace

import numpy as np
from helpers import EXAMPLES

from harmonizer import Harmonizer
from harmonizer.demo import work
from harmonizer.demo.shelf import Shelf


def harmonized(model: Harmonizer) -> work.Harmonized:
    """Harmonize an example."""
    image, mask = EXAMPLES / "composite.png", EXAMPLES / "mask.png"
    layers = work.open_composite(str(image), str(mask))
    return work.harmonize_layers(layers, model.info.name, "cpu")


def test_the_oldest_pictures_go_and_the_last_one_stays(model: Harmonizer) -> None:
    """One client can pass for as many visitors as it likes."""
    picture = harmonized(model)
    shelf = Shelf(2 * picture.nbytes)
    first, second = (shelf.keep(replace(picture)) for _ in range(2))
    assert [bool(kept.picture) for kept in (first, second)] == [True, True]
    third = shelf.keep(replace(picture))
    assert [bool(kept.picture) for kept in (first, second, third)] == [False, True, True]
    large = shelf.keep(replace(picture, full=np.concatenate([picture.full] * 9)))
    assert [bool(kept.picture) for kept in (second, third, large)] == [False, False, True]


def test_what_a_session_has_dropped_takes_no_room(model: Harmonizer) -> None:
    """Sessions end, and what they kept with them."""
    picture = harmonized(model)
    shelf = Shelf(2 * picture.nbytes)
    first = shelf.keep(replace(picture))
    dropped = shelf.keep(replace(picture))
    del dropped
    gc.collect()
    last = shelf.keep(replace(picture))
    assert [bool(kept.picture) for kept in (first, last)] == [True, True]


def test_all_full_size_pixels_count(model: Harmonizer) -> None:
    """Composite, change and mask: 3 + 3 + 4 bytes for each pixel."""
    picture = harmonized(model)
    height, width = picture.layers.mask.shape
    assert picture.nbytes == 10 * height * width
