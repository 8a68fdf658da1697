"""Promises of handing out: when the driver looks for what is overdue."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from rayanim.engine import distributed
from rayanim.engine.distributed import LOOK_S, HandOut
from rayanim.engine.scheduler import Assignment, Dispatcher, NodeFailures, Pace
from rayanim.engine.stats import Tally
from rayanim.progress.reporters import NoProgress


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
    looks: list[float] = field(default_factory=list)

    def assignments(self, pace, is_wanted):
        self.looks.append(self.age_s)
        return [Assignment(1, "a", 0, self.age_s, 1.0), Assignment(2, "b", 1, self.age_s, 1.0)]

    def answered_ago_s(self):
        return {"a": self.age_s, "b": self.age_s, "c": 0.0}


@pytest.fixture
def look(monkeypatch):
    """Look after so many seconds, of which actors have drawn for so many; who is given up."""
    clock, pool = Clock(), Pool()
    monkeypatch.setattr(distributed, "time", clock)
    dispatcher = Dispatcher(iter(()), frame_bytes=0, limit_bytes=1)
    hand_out = HandOut(pool, dispatcher, Tally(NoProgress(), None), NodeFailures(), depth=1)
    hand_out.pace = Pace(frame_s=0.1)

    def looked(after_s: float, age_s: float = 0.0):
        clock.now_s += after_s
        pool.age_s = age_s
        return hand_out.look()

    looked(0.0)
    looked.looks = pool.looks
    pool.looks.clear()
    return looked


def test_it_is_not_looked_in_every_turn(look):
    """A look sees all actors, of which there may be thousands."""
    for _ in range(8):
        look(LOOK_S / 4)
    assert len(look.looks) == 2


def test_a_driver_that_was_held_up_listens_first(look):
    """What actors said meanwhile is not heard yet: none of them is silent, none given up."""
    look(LOOK_S)
    assert look(30.0, age_s=30.0) == ()
    assert look(LOOK_S, age_s=0.1) == ()


def test_an_actor_that_has_said_nothing_after_that_is_given_up(look):
    """The turn in which the driver listens is enough."""
    look(LOOK_S)
    look(30.0, age_s=30.0)
    assert look(LOOK_S, age_s=30.0 + LOOK_S) == (1, 2)


def test_a_driver_whose_turns_are_all_slow_looks_in_every_other_one(look):
    """Being late is no reason to never look."""
    for _ in range(4):
        look(3 * LOOK_S)
    assert len(look.looks) == 2
