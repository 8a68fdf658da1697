"""Measures what the scheduler itself takes for one segment, while many actors are busy.

``PYTHONPATH=benchmarks python -m simulation.bookkeeping``
"""

from __future__ import annotations

import time

from rayanim.engine.autoscaler import ScalingLimits
from rayanim.engine.chunks import ChunkQueue, Drawn
from rayanim.engine.draw import DrawnMeta, Timings
from rayanim.engine.messages import (
    Answered,
    Arrived,
    Begin,
    Joined,
    Submit,
    Taken,
    Tick,
    TransferBegan,
)
from rayanim.engine.plan import Chunk, SegmentPlan
from rayanim.engine.scheduler import Scheduler, SchedulerSettings
from rayanim.parameters import NumberFeed

SEGMENTS = 1000


def segment_us(actors: int) -> float:
    """Microseconds to give out, take back and write a segment while `actors` draw."""
    frames = 250 * (actors + SEGMENTS)
    plan = SegmentPlan(NumberFeed(frames))
    scheduler: Scheduler[None] = Scheduler(
        ChunkQueue(iter(lambda: plan.take(None), None), frame_bytes=1, limit_bytes=2**40),
        SchedulerSettings(
            limits=ScalingLimits(actors, actors),
            limit_bytes=2**40,
            likely_frames=lambda: 250,
            total=frames,
        ),
        now_s=0.0,
    )
    scheduler.on(Begin(actors, "all"), 0.0)
    for number in range(1, actors + 1):
        scheduler.on(Answered(number, f"node {number // 10}"), 0.0)
        scheduler.on(Joined(number), 0.0)
    given = {each.number: each.chunk for each in scheduler.on(Tick(), 0.0) if type(each) is Submit}
    began_s = time.thread_time()
    for turn in range(SEGMENTS):
        number = turn % actors + 1
        given[number] = _one_turn(scheduler, number, given[number], 1.0 + turn / actors)
    return 1e6 * (time.thread_time() - began_s) / SEGMENTS


def _one_turn(scheduler: Scheduler[None], number: int, chunk: Chunk, now_s: float) -> Chunk:
    """An actor has drawn a chunk; what it gets next."""
    meta = DrawnMeta(Timings(1.0, 0.0, len(chunk)), 0, payload_bytes=1)
    scheduler.on(TransferBegan(number, chunk, meta), now_s)
    actions = scheduler.on(Arrived(number, chunk, meta, None), now_s)
    scheduler.on(
        Taken(next(each for each in actions if type(each) is Drawn).chunk, 0.0, 0.0), now_s
    )
    return next(each.chunk for each in scheduler.on(Tick(), now_s) if type(each) is Submit)


def main() -> None:
    """Print a line for each number of actors."""
    for actors in (10, 100, 1_000, 10_000):
        print(f"{actors:>6} actors: {segment_us(actors):7.1f} us a segment", flush=True)


if __name__ == "__main__":
    main()
