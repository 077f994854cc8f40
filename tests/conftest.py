"""Fixtures that several test files share."""

import faulthandler
import os
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from harmonizer import Harmonizer, model_info

# `few` draws the same examples in every run; --hypothesis-profile=many draws others, for hours.
settings.register_profile(
    "few",
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "many", settings.get_profile("few"), max_examples=20_000, derandomize=False
)
settings.load_profile("few")


_SECONDS_TO_END = 120.0


def pytest_sessionfinish(exitstatus: int) -> None:
    """Let the run end with its result even if a thread or process that a test left does not."""

    def leave() -> None:
        faulthandler.dump_traceback()
        os._exit(exitstatus)

    end = threading.Timer(_SECONDS_TO_END, leave)
    end.daemon = True
    end.start()


@pytest.fixture(scope="session")
def model() -> Harmonizer:
    """The bundled default."""
    return Harmonizer.from_pretrained(device="cpu")


@pytest.fixture(scope="session")
def brighten() -> Harmonizer:
    from small_networks import Brighten  # torch, which most tests do without

    return Harmonizer(Brighten(), model_info("idih"), device="cpu")


@pytest.fixture
def noise() -> Callable[..., NDArray[np.uint8]]:
    """Pictures of smooth colours, so that no resizing hides anything."""

    def make(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
        generator = np.random.default_rng(seed)
        low, high = 40, 180
        rows = np.linspace(0, 1, height)[:, None, None]
        columns = np.linspace(0, 1, width)[None, :, None]
        ends = generator.uniform(low, high, (3, channels))
        smooth = ends[0] + rows * (ends[1] - ends[0]) + columns * (ends[2] - ends[0]) / 2
        return np.clip(smooth + generator.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)

    return make
