"""Who decides where a job is drawn: what was asked for, what the machine has, what can travel."""

from __future__ import annotations

import itertools
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from numbered import SIZE, NumberedAnimator

from rayanim.engine import choose
from rayanim.engine.choose import LEAST, MOST, REFERENCE_S, Chooser, Costs
from rayanim.engine.job import Job
from rayanim.engine.machine import Machine
from rayanim.engine.stats import Tally
from rayanim.errors import NotPicklableError
from rayanim.parameters import NumberFeed
from rayanim.progress.reporters import NoProgress
from rayanim.settings import PerformanceSettings, RenderSettings, VideoSettings
from rayanim.sources import AnimatorSource
from rayanim.video.codecs import make_spec

SPEC = make_spec(".mp4", VideoSettings(), SIZE, Fraction(30))
SLOW = Costs(draw_s=2.0, encode_s=0.01, is_encoded_by_actors=True)
QUICK = Costs(draw_s=1e-4, encode_s=1e-4, is_encoded_by_actors=True)
MIB = 2**20


class Locked(NumberedAnimator):
    def __init__(self) -> None:
        self.lock = threading.Lock()


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores, plenty of memory, and no Ray."""
    here = Machine(cores=8, free_memory_bytes=16_000 * MIB)
    monkeypatch.setattr(choose.Machine, "here", lambda: here)
    monkeypatch.setattr(choose, "ray_is_running", lambda: False)
    monkeypatch.setattr(choose, "free_ray_cpus", lambda otherwise: otherwise)
    monkeypatch.setattr(choose, "process_rss_bytes", lambda: 200 * MIB)


def chooser_of(
    animator: Any = None, performance: dict[str, Any] | None = None, **settings: Any
) -> tuple[Chooser, Tally]:
    found = RenderSettings(performance=PerformanceSettings(**(performance or {})), **settings)
    job = Job(
        settings=found,
        source=AnimatorSource(animator or NumberedAnimator(), found),
        feed=NumberFeed(1000),
        suffix=".mp4",
        part_path=Path("video.part"),
        keeper=None,  # type: ignore[arg-type] # nothing is drawn
    )
    tally = Tally(NoProgress(), 1000)
    tally.transport = "segments"
    chooser = Chooser(job, tally)
    if chooser.may_travel:
        chooser.pack()
    return chooser, tally


def test_slow_drawing_goes_to_ray_and_quick_stays() -> None:
    """Automatic mode asks the model."""
    chooser, _ = chooser_of()
    assert chooser.choose(SLOW, 1000).engine == "ray"
    assert chooser.choose(QUICK, 1000).engine == "local"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"engine": "local"}, "engine='local' was asked for"),
        ({"workers": 1}, "one actor at most is allowed"),
        ({"performance": {"max_workers": 1}}, "one actor at most is allowed"),
    ],
)
def test_what_rules_ray_out_is_told(changes: dict[str, Any], reason: str) -> None:
    """However slow the drawing is; nothing is pickled for it."""
    chooser, _ = chooser_of(**changes)
    assert not chooser.may_travel
    choice = chooser.choose(SLOW, 1000)
    assert (choice.engine, choice.reason) == ("local", reason)


def test_nothing_left_is_drawn_nowhere() -> None:
    """The first frames were all there were."""
    assert chooser_of()[0].choose(SLOW, 0).reason == "the first frames were all"


def test_who_asks_for_ray_gets_it_however_quick_the_drawing() -> None:
    """With as many actors as the settings say, and the machine allows."""
    chooser, _ = chooser_of(engine="ray", performance={"num_workers": 3})
    choice = chooser.choose(QUICK, 1000)
    assert (choice.engine, choice.actors) == ("ray", 3)
    chooser, _ = chooser_of(engine="ray", performance={"num_workers": 30})
    assert chooser.choose(QUICK, 1000).actors == 8


def test_a_source_that_cannot_travel_is_told_only_where_actors_were_worth_it() -> None:
    """It is drawn here; who asked for Ray gets an error before Ray starts."""
    chooser, tally = chooser_of(Locked())
    assert chooser.choose(QUICK, 1000).engine == "local"
    assert tally.events == []
    choice = chooser.choose(SLOW, 1000)
    assert (choice.engine, choice.reason) == (
        "local",
        "the drawing code cannot be sent to actors",
    )
    chooser.choose(SLOW, 1000)
    (told,) = tally.events
    assert "self.lock" in told
    assert "This process draws all frames" in told
    chooser, _ = chooser_of(Locked(), engine="ray")
    with pytest.raises(NotPicklableError, match=r"self\.lock"):
        _ = chooser.shipment


def test_memory_bounds_the_actors_and_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each actor is expected to take what this process takes."""
    here = Machine(cores=8, free_memory_bytes=2000 * MIB)
    monkeypatch.setattr(choose.Machine, "here", lambda: here)
    chooser, tally = chooser_of()
    most = chooser.most_actors()
    assert 1 <= most < 8
    assert chooser.most_actors() == most
    assert chooser.choose(SLOW, 1000).actors <= most
    assert len(tally.events) == 1
    assert f"Memory suffices for {most} render actors, 8 were allowed" in tally.events[0]


def test_the_window_takes_a_quarter_of_the_memory_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is never so small that nothing goes through."""
    for free_bytes, limit_bytes in ((16_000 * MIB, 256 * MIB), (400 * MIB, 100 * MIB), (0, 2**24)):
        here = Machine(cores=8, free_memory_bytes=free_bytes)
        monkeypatch.setattr(choose.Machine, "here", lambda here=here: here)
        assert chooser_of()[0].limit_bytes == limit_bytes


def test_a_ray_that_runs_costs_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what actors encode travels for next to nothing."""
    chooser, tally = chooser_of()
    fresh = chooser.costs(SPEC, 0.1, 0.01, 0.5)
    monkeypatch.setattr(choose, "ray_is_running", lambda: True)
    running = chooser.costs(SPEC, 0.1, 0.01, 0.5)
    assert fresh.ray_start_s > 0 == running.ray_start_s
    assert fresh.transport_s == 0
    assert fresh.is_encoded_by_actors
    tally.transport = "frames"
    by_frames = chooser.costs(SPEC, 0.1, 0.01, 0.5)
    assert by_frames.transport_s > 0
    assert not by_frames.is_encoded_by_actors


def test_on_a_slow_machine_ray_s_start_is_dearer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script there takes longer in all it does, and so does Ray."""
    chooser, _ = chooser_of()
    found = []
    for slow in (1.0, 2.0):
        monkeypatch.setattr(choose, "slowness", lambda slow=slow: slow)
        costs = chooser.costs(SPEC, 0.1, 0.01, 0.5)
        found.append((costs.ray_start_s, costs.ray_stop_s, costs.actor_start_s - 0.5))
    assert found[1] == pytest.approx([2 * each for each in found[0]])


@pytest.mark.parametrize(
    ("times", "taken"), [((2.0, 3.0, 9.0), 2.0), ((0.1,), LEAST), ((99.0,), MOST)]
)
def test_the_speed_of_python_is_told_within_bounds(
    monkeypatch: pytest.MonkeyPatch, times: tuple[float, ...], taken: float
) -> None:
    """By the quickest of some tries: the others were disturbed."""
    tries = itertools.chain(times, itertools.repeat(times[-1]))
    monkeypatch.setattr(choose, "_taken_s", lambda: REFERENCE_S * next(tries))
    assert choose.slowness.__wrapped__() == pytest.approx(taken)


def test_told_encoding_times_are_taken_as_they_are() -> None:
    """Others are expected from the stream."""
    told, _ = chooser_of(performance={"encode_ms": 12.0})
    assert told.encode_s(SPEC) == 0.012
    assert chooser_of()[0].encode_s(SPEC) > 0
