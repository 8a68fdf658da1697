"""Tells how much slower Python runs here and now than where Ray's start was measured."""

from __future__ import annotations

import functools
import time

REFERENCE_S = 0.0035
"""What `TEXT` should take to be compiled where Ray starts in `RAY_START_S`, 3.3 s: it took
6.4 ms on a machine where Ray took 6.0 s, and both are Python's work in many small steps.
That one pair was measured; that they go together is assumed."""

TEXT = "def f(x):\n    return [y * y for y in x if y > 3]\n\n" * 100

TRIES = 3

LEAST, MOST = 0.7, 4.0
"""Outside of these it says more of the moment than of the machine."""


@functools.cache
def slowness() -> float:
    """How many times longer than usual Ray takes to start here; 20 ms the first time."""
    return min(MOST, max(LEAST, min(_taken_s() for _ in range(TRIES)) / REFERENCE_S))


def _taken_s() -> float:
    began_s = time.perf_counter()
    compile(TEXT, "speed", "exec")
    return time.perf_counter() - began_s
