"""What fails in an actor is taken back, counted and reported."""

from __future__ import annotations

from typing import Any

import pytest

from rayanim.engine.distributed import FailureHandler
from rayanim.engine.plan import cut
from rayanim.engine.pool import Died
from rayanim.engine.scheduler import Dispatcher, NodeBook
from rayanim.engine.stats import JobEvents, JobStats
from rayanim.parameters import NumberFeed


class OneActor:
    """A pool with one actor, which is given up."""

    def __init__(self, event: Died | None) -> None:
        self.event = event

    def give_up(self, number: int, why: str) -> Died | None:
        return self.event


@pytest.mark.parametrize("is_drawn_elsewhere", [False, True])
def test_what_an_actor_held_that_is_given_up_is_drawn_again(is_drawn_elsewhere: bool) -> None:
    """It counts as drawn again where nobody else has drawn it meanwhile."""
    dispatcher: Dispatcher[str] = Dispatcher(
        cut(NumberFeed(8), 4), frame_bytes=0, limit_bytes=100, in_order=False
    )
    first, second = dispatcher.take(), dispatcher.take()
    assert first is not None and second is not None
    if is_drawn_elsewhere:
        assert dispatcher.take_copy({first.index}) == first
        dispatcher.drawn(first, "packets", 1)
    stats = JobStats(8)
    pool: Any = OneActor(Died(3, None, "took far longer than others", first, (second,)))
    FailureHandler(pool, dispatcher, JobEvents(stats), NodeBook()).given_up(3)
    assert stats.segments_retried == (not is_drawn_elsewhere)
    assert stats.events[0].startswith("Render actor 3 does not answer")
    assert ("Drawn again: frames 0 to 3." in stats.events[0]) == (not is_drawn_elsewhere)
    assert dispatcher.take() == (second if is_drawn_elsewhere else first)
