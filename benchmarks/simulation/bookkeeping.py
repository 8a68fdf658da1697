"""Measures the driver's own bookkeeping for one segment, with many open and many actors busy.

``PYTHONPATH=benchmarks python -m simulation.bookkeeping``
"""

from __future__ import annotations

import time
from itertools import count

from rayanim.engine.plan import Segment, cut
from rayanim.engine.pool import Member, Roster
from rayanim.engine.scheduler import Dispatcher
from rayanim.parameters import NumberFeed

SEGMENTS = 1000


def dispatching_us(actors: int) -> float:
    """Microseconds to hand out, take back and write a segment while `actors` draw."""
    dispatcher: Dispatcher[None] = Dispatcher(
        cut(NumberFeed(250 * (actors + SEGMENTS)), 250),
        frame_bytes=0,
        limit_bytes=2**40,
        in_order=False,
    )
    drawing = [dispatcher.take() for _ in range(actors)]
    began_s = time.thread_time()
    for _ in range(SEGMENTS):
        segment = drawing.pop()
        assert segment is not None
        dispatcher.drawn(segment, None, 1)
        drawing.append(dispatcher.take())
        # Looked at in every turn of the loop.
        _ = dispatcher.queued_frames
        dispatcher.encoded(segment)
    return 1e6 * (time.thread_time() - began_s) / SEGMENTS


def choosing_us(actors: int) -> float:
    """Microseconds to find an actor with a place, and to note what it is given and has drawn."""
    roster, numbers = Roster(), count()
    segment = Segment(0, 0, 250, NumberFeed(250).take(250))
    for _ in range(actors):
        member = Member(next(numbers), None)
        roster.add(member)
        roster.open(member)
        roster.begin(member, segment)
    began_s = time.thread_time()
    for turn in range(SEGMENTS):
        member = roster[turn % actors]
        roster.end(member, segment)
        number = next(roster.free_places(1))
        roster.begin(roster[number], segment)
        _ = roster.alive, roster.requested, roster.answered
    return 1e6 * (time.thread_time() - began_s) / SEGMENTS


def main() -> None:
    """Print a line for each number of actors."""
    for actors in (10, 100, 1_000, 10_000):
        print(
            f"{actors:>6} actors: dispatcher {dispatching_us(actors):7.1f} us, "
            f"roster {choosing_us(actors):5.1f} us a segment",
            flush=True,
        )


if __name__ == "__main__":
    main()
