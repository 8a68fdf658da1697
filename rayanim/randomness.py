"""Gives each frame random numbers of its own, whoever draws it.

A script that draws from the global generators of `random` and `numpy.random`
would otherwise give another video with every number of actors.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

SETUP = -1
"""Stands for `setup()` where a frame number stands for a frame."""


def seed_for(seed: int | None, frame: int) -> None:
    """Set the global generators for one frame.

    Parameters
    ----------
    seed
        The job's seed; None leaves the generators alone.
    frame
        The frame's number, or `SETUP`.
    """
    if seed is None:
        return
    text = f"rayanim {seed} {frame}"
    # `random.seed` hashes text itself, with SHA-512: the same in every process.
    random.seed(text)
    digest = hashlib.sha512(text.encode()).digest()
    np.random.seed(np.frombuffer(digest, "<u4", count=4))


@contextmanager
def kept_randomness() -> Iterator[None]:
    """Give the caller's own generators back as they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
