"""What is lost with an actor is taken back, counted and told."""

from __future__ import annotations

from typing import Any

import pytest

from rayanim.engine.distributed import Losses
from rayanim.engine.plan import cut
from rayanim.engine.pool import Died
from rayanim.engine.scheduler import Dispatcher, NodeFailures
from rayanim.engine.stats import Tally
from rayanim.parameters import NumberFeed
from rayanim.progress.reporters import NoProgress


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
    tally = Tally(NoProgress(), 8)
    pool: Any = OneActor(Died(3, None, "took far longer than others", first, (second,)))
    Losses(pool, dispatcher, tally, NodeFailures()).given_up(3)
    assert tally.segments_retried == (not is_drawn_elsewhere)
    assert tally.events[0].startswith("Render actor 3 is not waited for any more")
    assert ("Drawn again: frames 0 to 3." in tally.events[0]) == (not is_drawn_elsewhere)
    assert dispatcher.take() == (second if is_drawn_elsewhere else first)
