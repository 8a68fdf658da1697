"""A node that has to be added is waited for longer than an actor for which there is room."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rayanim.engine.plan import Segment
from rayanim.engine.pool import (
    NODE_LIMIT_S,
    ROOM_LIMIT_S,
    first_actor_limit_s,
    no_actor_text,
    wait_text,
)
from rayanim.parameters import Batch

DRAWN = Segment(0, 0, 8, Batch(range(8), None))


def test_a_cluster_without_room_is_given_the_time_to_grow() -> None:
    """From nothing to the first node takes a cloud minutes."""
    assert (first_actor_limit_s(True), first_actor_limit_s(False)) == (ROOM_LIMIT_S, NODE_LIMIT_S)
    assert NODE_LIMIT_S >= 600 > ROOM_LIMIT_S


@pytest.mark.parametrize(
    ("drawing", "answered", "expected"),
    [
        ([DRAWN], 1, "Still drawing frames 0 to 7."),
        ([], 1, "Still opening the source"),
        ([], 0, "Still waiting for Ray to find room for 4 render actors"),
    ],
)
def test_a_job_without_news_says_what_it_waits_for(
    drawing: list[Segment], answered: int, expected: str
) -> None:
    """Drawing, the user's setup, and room are three different things."""
    assert wait_text(drawing, answered, 4).startswith(expected)


def test_of_many_segments_the_first_are_named() -> None:
    """A thousand actors' work would fill the terminal each minute."""
    many = [replace(DRAWN, index=index) for index in range(1000)]
    text = wait_text(many, 1000, 1000)
    assert text.endswith(", and 997 other segments.") and len(text) < 100


@pytest.mark.parametrize(("cpus", "advice"), [(2, "workers=1"), (0, "autoscaler")])
def test_what_to_do_depends_on_what_there_is(cpus: int, advice: str) -> None:
    """Processors that others hold can be freed; where there are none, none were added."""
    text = no_actor_text(4, 120.0, cpus, 0)
    assert "4 were asked for" in text and advice in text
