"""Gives each frame random numbers of its own, whoever draws it.

A script that draws from the global generators of `random` and `numpy.random`
would otherwise give another film with every number of actors.
"""

from __future__ import annotations

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
    # Text is hashed with SHA-512 by `random.seed`: the same in every process.
    random.seed(f"rayanim {seed} {frame}")
    np.random.seed([random.getrandbits(32) for _ in range(4)])
    random.seed(f"rayanim {seed} {frame}")


@contextmanager
def kept_randomness() -> Iterator[None]:
    """Give the caller's own generators back as they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
