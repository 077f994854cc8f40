"""Keep the pictures that were harmonized last, as many as there is room for."""

from dataclasses import dataclass
from threading import Lock
from weakref import ref

from harmonizer.demo.work import Harmonized


@dataclass(eq=False)  # sessions hash what they keep
class Kept:
    """What a visitor's session keeps: a harmonized picture, until there is no room for it."""

    picture: Harmonized | None


class Shelf:
    """Has room for so many bytes; the last picture is kept in any case.

    A visitor can pass for many, so the number of sessions says nothing about memory. What a session
    has dropped is not held here.
    """

    def __init__(self, most_bytes: int) -> None:
        """Begin empty."""
        self._most_bytes = most_bytes
        self._lock = Lock()
        self._order: list[ref[Kept]] = []

    def keep(self, picture: Harmonized) -> Kept:
        """Keep a picture, and let go the oldest ones for which there is no room then."""
        new = Kept(picture)
        with self._lock:
            there = [kept for kept in (found() for found in self._order) if kept and kept.picture]
            room = self._most_bytes - picture.nbytes
            left = [new]
            for kept in reversed(there):
                room -= kept.picture.nbytes if kept.picture else 0
                if room < 0:
                    kept.picture = None
                else:
                    left.append(kept)
            self._order = [ref(kept) for kept in reversed(left)]
        return new
