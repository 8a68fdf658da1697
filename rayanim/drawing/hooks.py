"""Puts other functions into matplotlib's classes and modules for a while, and the old ones back.

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
_in_place: dict[tuple[Any, str], tuple[int, Any]] = {}
"""By owner and name how many asked, and the function that was there before."""

_made: dict[tuple[Any, str, Any], tuple[Any, Any]] = {}
"""By owner, name and `make`: the function that was there, and what was made of it once."""


@contextlib.contextmanager
def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Have ``make(function)`` in the place of a class's or module's own function.

    Parameters
    ----------
    owner, name
        The class or module, which must define the function itself, and the function's name.
    make
        Always the same for one function: who comes second gets the first one's.
    """
    _enter(owner, name, make)
    try:
        yield
    finally:
        _leave(owner, name)


def _enter(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    with _lock:
        asked, before = _in_place.get((owner, name), (0, None))
        if not asked:
            before = vars(owner)[name]
            known, made = _made.get((owner, name, make), (None, None))
            if known is not before:
                made = make(before)
                _made[owner, name, make] = (before, made)
            setattr(owner, name, made)
        _in_place[owner, name] = (asked + 1, before)


def _leave(owner: Any, name: str) -> None:
    with _lock:
        asked, before = _in_place.pop((owner, name))
        if asked > 1:
            _in_place[owner, name] = (asked - 1, before)
        else:
            setattr(owner, name, before)
