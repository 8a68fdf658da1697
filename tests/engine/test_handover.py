"""A video moves to Ray when that is clear, or was found again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from rayanim.engine.choose import Choice
from rayanim.engine.job import FIRM_S, Handover

HERE = Choice("local", 0, 10.0, 12.0, "here")
CLEAR = Choice("ray", 2, 10.0, 6.0, "clear")
DOUBTFUL = Choice("ray", 2, 10.0, 9.0, "doubtful")
LOOK_S = FIRM_S / 4
"""Four of them lie between the first look and the one that is firm."""

UNKNOWN = Choice("ray", 2, None, None, "as long in process as Ray takes to start")


@dataclass
class Recorded:
    """Events of which only where frames are drawn is kept; each look comes `LOOK_S` later."""

    elapsed_s: float = 0.0
    engines: list[str] = field(default_factory=list)

    @property
    def stats(self) -> Recorded:
        return self

    def engine_chosen(self, engine: str, reason: str, actors: int) -> None:
        self.engines.append(engine)


@dataclass
class Fake:
    """As much of a job, a chooser and a source in this process as is asked for."""

    engine: str = "auto"
    may_use_ray: bool = True
    is_known: bool = True
    stays: str | None = None
    events: Recorded = field(default_factory=Recorded)

    @property
    def job(self) -> Fake:
        return self

    @property
    def cost(self) -> Fake:
        return self

    @property
    def settings(self) -> Fake:
        return self


class Scripted(Handover):
    """Finds one choice after the other, and notes when it starts Ray."""

    def __init__(self, choices: Sequence[Choice], engine: str = "auto") -> None:
        fake: Any = Fake(engine)
        self.events = fake.events
        super().__init__(fake, fake, fake)
        self._found = iter(choices)
        self.starts = 0

    def _choose(self, drawn_frames: int) -> Choice:
        self.events.elapsed_s += LOOK_S
        return next(self._found)

    def _start_ray(self) -> None:
        self.starts += 1


@pytest.mark.parametrize(
    ("choices", "starts"),
    [
        ([HERE, CLEAR], True),
        ([DOUBTFUL] * 4, False),
        ([DOUBTFUL] * 5, True),
        ([*[DOUBTFUL] * 4, HERE, *[DOUBTFUL] * 4], False),
        ([UNKNOWN], True),
    ],
)
def test_a_small_gain_must_be_found_again_and_again(choices: list[Choice], starts: bool) -> None:
    """One look of many is wrong on a busy machine; a large gain is none of that kind."""
    handover = Scripted(choices)
    for _ in choices:
        assert not handover.is_due(0)
    assert handover.starts == starts
    assert ("ray" in handover.events.engines) == starts


def test_who_asks_for_ray_gets_it_at_once() -> None:
    """Whatever is predicted."""
    handover = Scripted([DOUBTFUL], "ray")
    handover.is_due(0)
    assert handover.starts == 1


def test_a_video_that_stays_says_so() -> None:
    """Also where Ray would have been a little quicker for a moment."""
    handover = Scripted([DOUBTFUL])
    handover.is_due(0)
    assert handover.chosen_here(40).engine == "local"
