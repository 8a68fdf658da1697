"""What the loop on Ray does about segments that are late, and about what fails in actors."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from rayanim.engine import distributed
from rayanim.engine.distributed import LOOK_S, FailureHandler, RayRun, SegmentAssigner
from rayanim.engine.draw import DrawnMeta, Timings
from rayanim.engine.plan import cut
from rayanim.engine.pool import Arrived, Died, LocalRef
from rayanim.engine.scheduler import Assignment, Dispatcher, NodeFailures, Pace
from rayanim.engine.stats import JobEvents, JobStats
from rayanim.parameters import NumberFeed


@dataclass
class Clock:
    """Seconds as a test sets them."""

    now_s: float = 1000.0

    def perf_counter(self) -> float:
        return self.now_s


@dataclass
class Pool:
    """Two actors on two nodes, silent for `age_s` as the driver knows it; a third node speaks."""

    alive: int = 2
    age_s: float = 0.0
    searches: list[float] = field(default_factory=list)

    def assignments(self, pace, is_wanted):
        self.searches.append(self.age_s)
        return [Assignment(1, "a", 0, self.age_s, 1.0), Assignment(2, "b", 1, self.age_s, 1.0)]

    def answered_ago_s(self):
        return {"a": self.age_s, "b": self.age_s, "c": 0.0}


@pytest.fixture
def search(monkeypatch):
    """Search after so many seconds, of which actors have drawn for so many; who is given up."""
    clock, pool = Clock(), Pool()
    monkeypatch.setattr(distributed, "time", clock)
    dispatcher = Dispatcher(iter(()), frame_bytes=0, limit_bytes=1)
    assigner = SegmentAssigner(pool, dispatcher, JobEvents(JobStats(None)), NodeFailures(), depth=1)
    assigner.pace = Pace(frame_s=0.1)

    def searched(after_s: float, age_s: float = 0.0):
        clock.now_s += after_s
        pool.age_s = age_s
        return assigner.find_late()

    searched(0.0)
    searched.searches = pool.searches
    pool.searches.clear()
    return searched


def test_late_segments_are_not_searched_for_in_every_turn(search):
    """A search goes through all actors, of which there may be thousands."""
    for _ in range(8):
        search(LOOK_S / 4)
    assert len(search.searches) == 2


def test_a_driver_that_was_held_up_reads_answers_first(search):
    """Their answers are not read yet: no actor is silent, and none is given up."""
    search(LOOK_S)
    assert search(30.0, age_s=30.0) == ()
    assert search(LOOK_S, age_s=0.1) == ()


def test_an_actor_that_has_not_answered_after_that_is_given_up(search):
    """One turn of the loop is enough for that."""
    search(LOOK_S)
    search(30.0, age_s=30.0)
    assert search(LOOK_S, age_s=30.0 + LOOK_S) == (1, 2)


def test_a_driver_whose_turns_are_all_slow_searches_in_every_other_one(search):
    """Being late is no reason to never search."""
    for _ in range(4):
        search(3 * LOOK_S)
    assert len(search.searches) == 2


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
    FailureHandler(pool, dispatcher, JobEvents(stats), NodeFailures()).given_up(3)
    assert stats.segments_retried == (not is_drawn_elsewhere)
    assert stats.events[0].startswith("Render actor 3 does not answer")
    assert ("Drawn again: frames 0 to 3." in stats.events[0]) == (not is_drawn_elsewhere)
    assert dispatcher.take() == (second if is_drawn_elsewhere else first)


def test_a_copy_that_comes_second_counts_as_an_answer_and_not_as_frames() -> None:
    """Its actor is alive, and takes memory; the frames are there already."""
    dispatcher: Dispatcher[Any] = Dispatcher(
        cut(NumberFeed(8), 4), frame_bytes=0, limit_bytes=100, in_order=False
    )
    segment = dispatcher.take()
    assert segment is not None and dispatcher.take_copy({segment.index}) == segment
    stats = JobStats(8)
    events, book = JobEvents(stats), NodeFailures()
    pool: Any = Pool()
    run: Any = SimpleNamespace(
        _may_redraw=False,
        _in_order=False,
        _dispatcher=dispatcher,
        _events=events,
        _book=book,
        _assigner=SegmentAssigner(pool, dispatcher, events, book, depth=1),
        _encoder=SimpleNamespace(put=lambda *drawn: None),
    )
    for number, rss_bytes in ((1, 1000), (2, 3000)):
        meta = DrawnMeta(Timings(0.1, 0.1, 4), rss_bytes)
        RayRun._drawn(run, Arrived(number, "a", segment, meta, LocalRef(b"packets")))
    assert stats.timings.frames == 4
    assert stats.peak_rss_bytes == {"RenderActor": 3000}
