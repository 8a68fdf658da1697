"""Seeds the global random generators for each frame.

Otherwise a script that uses `random` or `numpy.random` would make a different
video with each number of actors.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

SETUP = -1
"""Used as the frame number for `setup()`."""


def seed_for(seed: int | None, frame: int) -> None:
    """Seed the global generators for `frame`, or for `SETUP`; nothing if `seed` is None."""
    if seed is None:
        return
    text = f"rayanim {seed} {frame}"
    # `random.seed` hashes text with SHA-512: the same in every process.
    random.seed(text)
    digest = hashlib.sha512(text.encode()).digest()
    np.random.seed(np.frombuffer(digest, "<u4", count=4))


def noted_randomness() -> Callable[[], None]:
    """What puts the generators back to their state of now."""
    python_state, numpy_state = random.getstate(), np.random.get_state()

    def put_back() -> None:
        random.setstate(python_state)
        np.random.set_state(numpy_state)

    return put_back


@contextmanager
def kept_randomness() -> Iterator[None]:
    """Restore the caller's generators afterwards."""
    put_back = noted_randomness()
    try:
        yield
    finally:
        put_back()
