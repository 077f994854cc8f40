"""Follow the change of colour through a clip: looked at now and then, smooth in between."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from harmonizer.errors import InputError
from harmonizer.jobs.video.cuts import Histogram, difference
from harmonizer.lifting import ColorTransform

Content = TypeVar("Content")
# Its time, its weight, and what it asks for.
_Key: TypeAlias = tuple[float, float, Future[NDArray[np.float64]]]
_LONGEST = 1_000_000  # seconds of a window: eleven days, for whoever means all of a clip
# Key frames in a window: enough for an average, few enough for the network to keep up.
_KEYS = 4
# Frames that are held back at most: those of the window, of a clip of usual speed. A file may say
# that thousands are shown at the same time.
_MOST_WAITING, _USUAL_RATE = 256, 60
# Bytes of them, for a second ahead: 4K in 10 bits at 43 frames a second.
_MOST_BYTES = 1 << 30
_MORE = 2.0  # times the weight of the last key frame: looked at, however soon


@dataclass(frozen=True)
class Moment(Generic[Content]):
    """A frame on its way through the track.

    Attributes:
        time: In seconds; never less than that of the frame before.
        content: Whatever is to be changed.
        histogram: Of its colours, for finding cuts.
        look: Asks the network for the frame's change; None where the mask is empty.
        size: Bytes that it keeps in memory.
        weight: What its change counts beside others': how much of it is seen in the frame.
    """

    time: float
    content: Content
    histogram: Histogram
    look: Callable[[], ColorTransform] | None
    size: int = 0
    weight: float = 1.0


class Track:
    """The changes of colour of one clip.

    Within a scene the change at a time is the mean of those of the key frames around it, weighted
    by how near they are, and by their own weights; nothing is averaged over a cut.
    """

    def __init__(self, *, window: float = 1.0, cut: float = 0.3) -> None:
        """Set how changes are smoothed.

        Args:
            window: Seconds over which they are averaged: a key frame so far away counts nothing,
                one half as far half as much as one close by. 0 looks at every frame by itself.
            cut: The share of pixels whose colours differ from one frame to the next, from 0 to 1,
                from which on it is another scene.

        Raises:
            InputError: One of them is out of its range.
        """
        if not isinstance(window, int | float | np.number) or not 0 <= window <= _LONGEST:
            raise InputError(f"the window is 0 to {_LONGEST:,} seconds; got {window!r}")
        if not isinstance(cut, int | float | np.number) or not 0 < cut <= 1:
            raise InputError(f"cut is above 0 and at most 1; got {cut!r}")
        self._window, self._step, self._cut = float(window), window / _KEYS, cut
        ahead = self._window + self._step
        self._most = max(_MOST_WAITING, round(_USUAL_RATE * ahead))
        self._most_bytes = round(_MOST_BYTES * max(1.0, ahead))
        self._sum = np.zeros_like(ColorTransform.identity().coefficients)
        self._weights = 0.0

    def mean(self) -> ColorTransform:
        """Return the mean change of all key frames so far: one for the whole clip."""
        if not self._weights:
            return ColorTransform.identity()
        return ColorTransform(self._sum / self._weights)

    def follow(
        self, moments: Iterable[Moment[Content]]
    ) -> Iterator[tuple[Content, ColorTransform | None]]:
        """Yield each content with its change, None where there is nothing to change.

        A window of moments is held back, to look ahead, and a little more (of very large frames a
        part of a window): the network runs in a thread meanwhile. What drawing one raises is raised
        after all that came before it.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="harmonizer-network") as network:
            yield from self._follow(moments, network)

    def _follow(
        self, moments: Iterable[Moment[Content]], network: ThreadPoolExecutor
    ) -> Iterator[tuple[Content, ColorTransform | None]]:
        waiting: deque[Moment[Content]] = deque()
        keys: deque[_Key] = deque()
        before: Histogram | None = None
        failure: Exception | None = None
        held = 0
        try:
            for moment in moments:
                if before is None or difference(before, moment.histogram) >= self._cut:
                    yield from (self._changed(one, keys) for one in waiting)
                    waiting.clear()
                    keys.clear()
                    held = 0
                before = moment.histogram
                if moment.look and (not keys or self._is_due(moment, *keys[-1][:2])):
                    found = network.submit(self._ask, moment.look, moment.weight)
                    keys.append((moment.time, moment.weight, found))
                waiting.append(moment)
                held += moment.size
                ahead = self._window + self._step
                while waiting and (
                    moment.time >= waiting[0].time + ahead
                    or len(waiting) > self._most
                    or held > self._most_bytes
                ):
                    held -= waiting[0].size
                    yield self._changed(waiting.popleft(), keys)
                # The last key stays, to tell when the next one is due.
                oldest = waiting[0].time if waiting else moment.time
                while len(keys) > 1 and keys[0][0] < oldest - self._window:
                    keys.popleft()
        except Exception as error:
            failure = error
        yield from (self._changed(one, keys) for one in waiting)
        if failure is not None:
            raise failure

    def _is_due(self, moment: Moment[Any], time: float, weight: float) -> bool:
        """Whether a frame is to be looked at, after one at that time and of that weight."""
        return moment.time - time >= self._step or moment.weight > _MORE * weight

    def _ask(self, look: Callable[[], ColorTransform], weight: float) -> NDArray[np.float64]:
        found = look().coefficients
        self._sum += weight * found
        self._weights += weight
        return found

    def _changed(
        self, moment: Moment[Content], keys: Iterable[_Key]
    ) -> tuple[Content, ColorTransform | None]:
        if moment.look is None:
            return moment.content, None
        total, weights = np.zeros_like(self._sum), 0.0
        for time, own, found in keys:
            distance = abs(time - moment.time)
            if distance < self._window or distance == 0:
                near = np.cos(np.pi / 2 * distance / self._window) ** 2 if distance else 1.0
                weight = own * near
                total += weight * found.result()
                weights += weight
        return moment.content, ColorTransform(total / weights)
