"""Puts other methods into matplotlib's classes for a while, and the old ones back.

Several threads may do so at once: the first one in puts the method there, the
last one out takes it away. What is put there looks for itself whether the
thread that calls it is one that asked.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

_lock = threading.Lock()
_in_place: dict[tuple[type, str], tuple[int, Any]] = {}
"""By class and name how many asked, and the method that was there before."""


@contextlib.contextmanager
def replaced(owner: type, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Have ``make(method)`` in the place of a class's own method.

    Parameters
    ----------
    owner, name
        The class, which must define the method itself, and the method's name.
    make
        Always the same for one method: who comes second gets the first one's.
    """
    _enter(owner, name, make)
    try:
        yield
    finally:
        _leave(owner, name)


def _enter(owner: type, name: str, make: Callable[[Any], Any]) -> None:
    with _lock:
        asked, before = _in_place.get((owner, name), (0, None))
        if not asked:
            before = vars(owner)[name]
            setattr(owner, name, make(before))
        _in_place[owner, name] = (asked + 1, before)


def _leave(owner: type, name: str) -> None:
    with _lock:
        asked, before = _in_place.pop((owner, name))
        if asked > 1:
            _in_place[owner, name] = (asked - 1, before)
        else:
            setattr(owner, name, before)
