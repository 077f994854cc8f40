"""The page, served."""

from collections.abc import Iterator

import pytest

from harmonizer.demo import gate
from harmonizer.demo.page import serve


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "LARGEST_FILE", 1_000_000)
        # The page sets these; afterwards they are as before.
        for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "GRADIO_RUN_HISTORY"):
            patch.setenv(name, "")
        with serve(device="cpu") as url:
            yield url.rstrip("/")
