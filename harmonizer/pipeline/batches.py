"""Take many pictures through the three steps at once: opened, answered in batches, finished."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import as_whole, check_one_of, collected_warnings, warn
from harmonizer.imaging.batch import check_batch, pairs
from harmonizer.imaging.image import ImageLike
from harmonizer.imaging.mask import MaskLike
from harmonizer.pipeline.prepared import Composite
from harmonizer.threads import overlap, usual_workers

Answer = NDArray[np.float32] | None


def harmonize_many(
    images: Iterable[ImageLike],
    masks: Iterable[MaskLike],
    prepare: Callable[[ImageLike, MaskLike], Composite],
    answer: Callable[[Sequence[Composite]], Sequence[Answer]],
    finish: Callable[[Composite, Answer], Any],
    *,
    batch_size: int,
    on_error: Literal["raise", "return"],
    workers: int | None,
) -> Iterator[Any]:
    """Do what `Harmonizer.harmonize_batch` describes, by its three steps."""
    batch_size = as_whole(batch_size, "batch_size", 1)
    workers = usual_workers() if workers is None else as_whole(workers, "workers", 1)
    check_batch(images, masks)
    check_one_of(on_error, "on_error", ("raise", "return"))

    # What there is to say of a picture is said in the caller's thread, with its result.
    def prepare_quietly(pair: tuple[ImageLike, MaskLike]) -> tuple[Composite, list[str]]:
        messages: list[str] = []
        with collected_warnings(messages):
            return prepare(*pair), messages

    def finish_quietly(prepared: tuple[Composite, list[str]], one: Answer) -> tuple[Any, list[str]]:
        composite, messages = prepared
        with collected_warnings(messages):
            return finish(composite, one), messages

    finished = overlap(
        pairs(images, masks),
        prepare_quietly,
        lambda batch: answer([composite for composite, _ in batch]),
        finish_quietly,
        batch_size=batch_size,
        workers=workers,
    )

    def results() -> Iterator[Any]:
        with closing(finished):
            for future in finished:
                if on_error == "return" and (error := future.exception()) is not None:
                    yield error
                    continue
                result, messages = future.result()
                for message in messages:
                    warn(message)
                yield result

    return results()
