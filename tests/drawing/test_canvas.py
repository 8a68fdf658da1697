"""Drawing in parts gives matplotlib's own pixels."""

from __future__ import annotations

from functools import partial

import pytest
from films import FILMS
from sameness import assert_same_as_full

STEPS = 14


@pytest.mark.parametrize("name", list(FILMS))
def test_every_film_is_the_same_to_the_bit(name: str) -> None:
    """Each frame of each film has the pixels of a full draw."""
    build, step = FILMS[name]
    canvas = assert_same_as_full(build, [partial(step, step=n) for n in range(STEPS)])
    assert canvas.drawn_in_parts + sum(canvas.drawn_in_full.values()) == STEPS + 2
