"""The controller: what it reads from pool and dispatcher, and that it applies what it decides."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from rayanim.engine import distributed as module
from rayanim.engine.autoscaler import ScalingLimits
from rayanim.engine.distributed import Controller, Watchdog
from rayanim.engine.draw import Timings
from rayanim.engine.plan import Segment, cut
from rayanim.engine.scheduler import Dispatcher
from rayanim.engine.stats import JobEvents, JobStats
from rayanim.errors import FarmSilentError
from rayanim.events import CopyDrawn, Event, PartKept, SegmentDrawn, SegmentEncoded
from rayanim.parameters import NumberFeed

FRAME_BYTES = 100
SEGMENT = 10


class Pool:
    """Actors that answer when the test says so."""

    def __init__(self) -> None:
        self.requested = 0
        self.alive = 0
        self.answered = 0
        self.nodes = 0
        self.applied: list[int] = []

    def apply(self, target: int) -> None:
        self.applied.append(target)
        self.requested = target
        self.alive = min(self.alive, target)

    def drawing(self) -> list[Segment]:
        return []


class Clock:
    """A clock that stands still until a test sets it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def perf_counter(self) -> float:
        return self.now_s


class FakeRun:
    """A controller with a pool, a dispatcher and an encoder that draw on command.

    Parameters
    ----------
    clock
        Everybody's clock.
    n_frames
        Frames in all; None where that is unknown.
    max_actors
        The most actors.
    """

    def __init__(self, clock: Clock, n_frames: int | None = 10_000, max_actors: int = 8) -> None:
        self.clock = clock
        self.pool = Pool()
        self.dispatcher: Dispatcher[object] = Dispatcher(
            cut(NumberFeed(n_frames or 10_000), SEGMENT),
            frame_bytes=FRAME_BYTES,
            limit_bytes=400 * SEGMENT * FRAME_BYTES,
        )
        self.stats = JobStats(n_frames)
        self.events = JobEvents(self.stats)
        self.waiting: list[Segment] = []
        self.idle_since_s = clock.now_s
        self.controller = Controller(
            ScalingLimits(min_actors=1, max_actors=max_actors, hold_s=1.0, settle_s=1.0),
            self.pool,  # type: ignore[arg-type]
            self.dispatcher,
            self.events,
            segment_frames=SEGMENT,
            limit_bytes=400 * SEGMENT * FRAME_BYTES,
            window_s=3.0,
            actor_start_s=1.0,
        )

    def second(self, draw_fps: float, encode_fps: float) -> None:
        """One second in which the living actors draw and the encoder takes what it can."""
        for _ in range(10):
            self.pool.alive = self.pool.requested
            self.clock.now_s += 0.1
            for _ in range(max(1, round(self.pool.alive * draw_fps / SEGMENT / 10))):
                self._draw(draw_fps)
            for _ in range(max(1, round(encode_fps / SEGMENT / 10))):
                self._encode(encode_fps)
            self.controller.tick()

    def _draw(self, draw_fps: float) -> None:
        segment = self.dispatcher.take()
        if segment is not None:
            timings = Timings(SEGMENT / draw_fps, 0.0, SEGMENT)
            self.controller.apply(SegmentDrawn.timed(segment, timings, actor=1))
            self.waiting += [each.segment for each in self.dispatcher.drawn(segment, "")]

    def _encode(self, encode_fps: float) -> None:
        busy_s = SEGMENT / encode_fps
        if self.waiting:
            segment = self.waiting.pop(0)
            self.dispatcher.encoded(segment)
            wait_s = max(0.0, self.clock.now_s - self.idle_since_s - busy_s)
            self.controller.apply(SegmentEncoded.of(segment, encode_s=busy_s, wait_s=wait_s))
            self.idle_since_s = self.clock.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The controller's clock."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_the_first_actors_are_asked_for_with_a_reason(clock: Clock) -> None:
    """What the run begins with stands first among the changes."""
    run = FakeRun(clock)
    run.controller.begin(3, "as the last run found")
    assert run.pool.applied == [3]
    assert [(each.actors, each.reason) for each in run.stats.changes] == [
        (3, "as the last run found")
    ]
    assert run.controller.target == 3


def test_a_starving_encoder_gets_more_actors(clock: Clock) -> None:
    """One actor at 100 fps for an encoder of 400: more are asked for, with a reason each."""
    run = FakeRun(clock)
    run.controller.begin(1, "start")
    for _ in range(20):
        run.second(draw_fps=100, encode_fps=400)
    assert run.controller.target == run.pool.requested > 2
    assert run.pool.applied == [each.actors for each in run.stats.changes]
    assert all(each.reason for each in run.stats.changes)


def test_a_full_queue_releases_actors(clock: Clock) -> None:
    """Six actors at 100 fps for an encoder of 100: the queue fills and some go."""
    run = FakeRun(clock)
    run.controller.begin(6, "start")
    for _ in range(30):
        run.second(draw_fps=100, encode_fps=100)
    assert run.controller.target == run.pool.requested < 6


def test_no_more_than_the_most(clock: Clock) -> None:
    """Whatever the encoder's appetite, the bound holds."""
    run = FakeRun(clock, max_actors=3)
    run.controller.begin(1, "start")
    for _ in range(30):
        run.second(draw_fps=100, encode_fps=2000)
    assert max(run.pool.applied) <= 3


def test_the_controller_decides_no_oftener_than_its_tick(clock: Clock) -> None:
    """Between two ticks nothing is measured: the loop may call it as often as it likes."""
    run = FakeRun(clock)
    run.controller.begin(1, "start")
    snapshots: list[float] = []
    snapshot = run.controller._snapshot

    def counted(now_s: float) -> object:
        snapshots.append(now_s)
        return snapshot(now_s)

    run.controller._snapshot = counted  # type: ignore[assignment,method-assign]
    for _ in range(100):
        run.controller.tick()
        clock.now_s += module.TICK_S / 10
    assert len(snapshots) in (10, 11)


def test_what_is_left_is_known_to_the_last_segment(clock: Clock) -> None:
    """Frames and segments left count down to none, those in the actors' hands included.

    Once all is handed out there is work for a second actor on each: a copy.
    """
    run = FakeRun(clock, n_frames=35)
    assert run.controller._left() == (35, 4)
    segments = [run.dispatcher.take() for _ in range(4)]
    assert run.controller._left() == (35, 8)
    for segment in segments:
        assert segment is not None
        run.dispatcher.drawn(segment, "")
    assert run.controller._left() == (0, 0)


def test_what_this_process_writes_is_no_work_of_the_encoder(clock: Clock) -> None:
    """Segments that it encoded before the actors came are settled while they draw."""
    run = FakeRun(clock)
    kept = PartKept(segment=0, start=0, stop=10, written_bytes=9, encode_s=1.0, write_s=0.001)
    run.controller.apply(kept)
    clock.now_s += 0.1
    snapshot = run.controller._snapshot(clock.now_s)
    assert (snapshot.encode_fps, snapshot.encoder_idle_fraction) == (None, 1.0)
    run.controller.apply(replace(kept, by_actor=True))
    assert run.controller._snapshot(clock.now_s).encode_fps is not None


@pytest.mark.parametrize(
    ("event", "is_news"),
    [
        (PartKept(segment=0, start=0, stop=10, written_bytes=9, by_actor=True), True),
        (PartKept(segment=0, start=0, stop=10, written_bytes=9), False),
        (CopyDrawn(rss_bytes=9), True),
    ],
)
def test_only_what_comes_from_actors_is_news(clock: Clock, event: Event, is_news: bool) -> None:
    """A job whose actors are silent ends, whatever this process still writes."""
    run = FakeRun(clock)
    run.pool.answered = 1
    watchdog = Watchdog(
        run.pool,  # type: ignore[arg-type]
        run.events,
        None,
        limit_s=lambda: 60.0,
        refusal=lambda: None,
    )
    clock.now_s += 61.0
    watchdog.apply(event)
    with contextlib.nullcontext() if is_news else pytest.raises(FarmSilentError):
        watchdog.check(0.0)


def test_nothing_is_said_of_an_unknown_end(clock: Clock) -> None:
    """A generator of parameters has no length until it has ended."""
    run = FakeRun(clock, n_frames=None)
    assert run.controller._left() == (None, None)
    while run.dispatcher.take() is not None:
        pass
    left = run.controller._left()
    assert left == (None, None)
