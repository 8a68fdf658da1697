"""What is counted of a job: its events, its rate, its actors and nodes over time."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayanim.engine.draw import Timings
from rayanim.engine.plan import Segment
from rayanim.engine.stats import (
    MAX_EVENTS,
    MOST_SIZES,
    SAMPLES_PER_WINDOW,
    FleetUse,
    FrameCountLog,
    JobEvents,
    JobStats,
    Outcome,
    ProgressListener,
    RateMeter,
    report_of,
)
from rayanim.events import (
    ActorDied,
    ChunkDrawn,
    Event,
    JobResumed,
    Notice,
    Progressed,
    SegmentEncoded,
    SegmentRetried,
    SegmentStored,
    StatusShown,
)
from rayanim.figure.draw_stats import DrawStats
from rayanim.progress import NoProgress, ProgressState
from rayanim.report import FleetSize
from rayanim.settings import PerformanceSettings
from rayanim.video.spec import StreamSpec

TIMINGS = Timings(2.0, 0.5, 10, 0.25)


class Kept:
    """A listener that keeps what it is passed."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def apply(self, event: Event) -> None:
        self.events.append(event)


class Shown(NoProgress):
    """Keeps what it is to show."""

    def __init__(self) -> None:
        self.states: list[ProgressState] = []
        self.messages: list[str] = []

    def update(self, state: ProgressState) -> None:
        self.states.append(state)

    def message(self, text: str) -> None:
        self.messages.append(text)


def drawn(segment: int, timings: Timings | None = TIMINGS) -> ChunkDrawn:
    """Ten frames drawn by an actor."""
    return ChunkDrawn(
        segment=segment,
        start=10 * segment,
        stop=10 * segment + 10,
        actor=1,
        draw_s=2.0,
        convert_s=0.5,
        encode_s=0.25,
        timings=timings,
        rss_bytes=1000 * (segment + 1),
    )


def test_an_event_reaches_every_listener_once_stats_first() -> None:
    """What a listener reads in the stats is with the event counted."""
    stats, kept = JobStats(20), Kept()
    events = JobEvents(stats, kept)
    events.emit(drawn(0))
    events.emit(drawn(1))
    assert len(kept.events) == 2
    assert (stats.timings.frames, stats.timings.draw_s, stats.encode_s) == (20, 4.0, 0.5)
    assert stats.peak_rss_bytes == {"RenderActor": 2000}


def test_frames_count_when_an_encoder_has_them_and_bytes_when_they_are_written() -> None:
    """Encoders here take chunks, and write segments; what actors encoded is only written here."""
    stats = JobStats(30)
    for start in (0, 5):
        stats.apply(SegmentEncoded(segment=0, start=start, stop=start + 5, encode_s=0.5, wait_s=1))
    assert (stats.frames, stats.written_frames) == (10, 0)
    stats.apply(
        SegmentStored(segment=0, start=0, stop=10, written_bytes=7, encode_s=0.25, write_s=0.1)
    )
    assert (stats.frames, stats.written_frames, stats.written_bytes) == (10, 10, 7)
    by_actor = SegmentStored(
        segment=1, start=10, stop=20, written_bytes=5, wait_s=1, write_s=0.2, by_actor=True
    )
    stats.apply(by_actor)
    assert (stats.frames, stats.written_frames, stats.written_bytes) == (20, 20, 12)
    assert (stats.encode_s, stats.wait_s) == (1.25, 3.0)
    assert stats.write_s == pytest.approx(0.3)


def test_people_read_messages_and_the_report_keeps_those_that_matter_later() -> None:
    """A status is shown and not kept; of a death with a retry the retry is shown."""
    stats, shown = JobStats(30), Shown()
    events = JobEvents(stats, ProgressListener(stats, shown))
    events.emit(StatusShown(text="10 frames are there already."))
    events.emit(ActorDied(actor=1, reason="gone", start=0, stop=8))
    events.emit(SegmentRetried(segment=0, start=0, stop=8, reason="gone", message="Drawn again."))
    events.emit(Progressed(alive=2, target=3, queued_frames=4))
    assert shown.messages == ["10 frames are there already.", "Drawn again."]
    assert stats.events == ["Drawn again."] and stats.segments_retried == 1
    (state,) = shown.states
    assert (state.actors_alive, state.actors_target, state.queued_frames) == (2, 3, 4)
    for number in range(2 * MAX_EVENTS):
        events.emit(Notice(text=str(number)))
    assert len(stats.events) == MAX_EVENTS


def test_lines_are_logged_at_multiples_and_not_for_frames_of_an_earlier_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`drawing_log_interval` and `encoding_log_interval`."""
    caplog.set_level(logging.INFO, "rayanim")
    stats = JobStats(60)
    events = JobEvents(stats, FrameCountLog(stats, (20, 10)))
    events.emit(JobResumed(frames=25, written_bytes=1))
    for segment in range(2):
        events.emit(drawn(segment))
    events.emit(SegmentEncoded(segment=0, start=0, stop=10, encode_s=0.1, wait_s=0.1))
    assert caplog.messages == ["20 of 60 frames drawn", "35 of 60 frames encoded"]


@pytest.mark.parametrize(
    ("drawing_s", "binding", "is_hinted"), [(0.5, "script", True), (4.5, "drawing", False)]
)
def test_the_bottleneck_agrees_with_the_hint_on_slow_code(
    drawing_s: float, binding: str, is_hinted: bool
) -> None:
    """Where the script's own code takes most of a frame, the drawing is not named."""
    stats = JobStats(50)
    draws = DrawStats(incremental=50, timed_frames=50, timed_s=5.0, drawing_s=drawing_s)
    JobEvents(stats).emit(
        ChunkDrawn.timed(Segment(0, 0, 50), Timings(5.0, 0.1, 50, 0.1, draws), actor=None)
    )
    spec = StreamSpec((64, 48), (64, 48), Fraction(30), "mp4", "libx264", "yuv420p")
    outcome = Outcome(spec, 1, "local", "", PerformanceSettings(), stats)
    report = report_of(Path("a.mp4"), outcome)
    assert report.binding == binding
    assert any("drawing is not what is slow" in event for event in report.events) is is_hinted


def test_each_change_is_kept_once() -> None:
    """Looks between two changes add nothing; a job without actors has no history."""
    use = FleetUse()
    use.note(1.0, 0, 0)
    assert use.sizes == []
    for at_s, actors, nodes in [(2.0, 0, 1), (3.0, 1, 1), (4.0, 1, 1), (5.0, 0, 0)]:
        use.note(at_s, actors, nodes)
    assert use.sizes == [FleetSize(2.0, 0, 1), FleetSize(3.0, 1, 1), FleetSize(5.0, 0, 0)]


def test_nodes_are_paid_for_as_long_as_they_are_held() -> None:
    """Two nodes for an hour and one for another half are two and a half node-hours."""
    use = FleetUse()
    use.note(100.0, 8, 2)
    use.note(1900.0, 7, 2)
    use.note(3700.0, 4, 1)
    use.note(5500.0, 0, 0)
    use.note(9000.0, 0, 0)
    assert use.node_hours == pytest.approx(2.5)
    assert use.nodes_peak == 2


@given(
    st.lists(
        st.tuples(st.floats(0.01, 40), st.integers(0, 99), st.integers(0, 9)),
        min_size=1,
        max_size=3 * MOST_SIZES,
    )
)
def test_the_history_of_a_long_job_is_bounded(steps: list[tuple[float, int, int]]) -> None:
    """What is kept has the right order, peak, time and end, however much came and went."""
    use, at_s, node_s = FleetUse(), 0.0, 0.0
    nodes = 0
    for after_s, actors, now in steps:
        at_s, node_s = at_s + after_s, node_s + after_s * nodes
        nodes = now
        use.note(at_s, actors, nodes)
    assert len(use.sizes) <= MOST_SIZES
    assert [size.at_s for size in use.sizes] == sorted({size.at_s for size in use.sizes})
    assert use.node_s == pytest.approx(node_s)
    assert use.nodes_peak == max(step[2] for step in steps)
    if use.sizes:
        assert (use.sizes[-1].actors, use.sizes[-1].nodes) == steps[-1][1:]


def test_what_is_thinned_keeps_its_shape() -> None:
    """A thousand actors that come one by one are kept in steps that are all near the truth."""
    use = FleetUse()
    for number in range(1, 10 * MOST_SIZES):
        use.note(0.5 * number, number, 1)
    assert len(use.sizes) > MOST_SIZES / 4
    assert all(0 <= size.actors - 2 * size.at_s <= 2 * use.step_s for size in use.sizes)


class Clock:
    """A clock that stands still until a test sets it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def steady(meter: RateMeter, clock: Clock, *, start: int, stop: int, every_s: float) -> None:
    for done in range(start + 1, stop + 1):
        clock.now_s += every_s
        meter.update(done)


def test_nothing_is_said_before_something_arrived() -> None:
    """Before the first arrival there is neither a rate nor a time left."""
    clock = Clock()
    meter = RateMeter(clock=clock)
    clock.now_s += 3
    meter.update(0)
    assert meter.rate_per_s() is None
    assert meter.eta_s(100) is None


def test_steady_rate() -> None:
    """Ten a second are ten a second, and 50 more take five seconds."""
    clock = Clock()
    meter = RateMeter(clock=clock)
    steady(meter, clock, start=0, stop=50, every_s=0.1)
    assert meter.rate_per_s() == pytest.approx(10)
    assert meter.eta_s(100) == pytest.approx(5)


def test_what_an_earlier_run_did_is_no_part_of_the_rate() -> None:
    """A resumed job of 1000 frames, 900 of them there, counts only its own."""
    clock = Clock()
    meter = RateMeter(clock=clock)
    meter.start(900)
    steady(meter, clock, start=900, stop=920, every_s=0.5)
    assert meter.rate_per_s() == pytest.approx(2)
    assert meter.eta_s(1000) == pytest.approx(40)


def test_the_window_forgets() -> None:
    """After one window at a new speed the old one has no say."""
    clock = Clock()
    meter = RateMeter(2.0, clock=clock)
    steady(meter, clock, start=0, stop=100, every_s=1.0)
    steady(meter, clock, start=100, stop=200, every_s=0.1)
    assert meter.rate_per_s() == pytest.approx(10)


def test_bursts_have_a_steady_rate() -> None:
    """30 frames every 8 s are 3.75 a second at any moment, with a window shorter than that."""
    clock = Clock()
    meter = RateMeter(5.0, clock=clock)
    for burst in range(1, 4):
        clock.now_s += 8
        meter.update(30 * burst)
    for _ in range(8):
        assert meter.rate_per_s() == pytest.approx(30 / 8)
        clock.now_s += 1


def test_the_rate_falls_while_nothing_comes() -> None:
    """A job that hangs shows a rate that goes towards 0 and a time left that grows."""
    clock = Clock()
    meter = RateMeter(5.0, clock=clock)
    steady(meter, clock, start=0, stop=100, every_s=0.1)
    before, eta_before_s = meter.rate_per_s(), meter.eta_s(200)
    clock.now_s += 60
    after, eta_after_s = meter.rate_per_s(), meter.eta_s(200)
    assert before is not None and after is not None
    assert eta_before_s is not None and eta_after_s is not None
    assert after < before / 10
    assert eta_after_s > 10 * eta_before_s


def test_memory_is_bounded() -> None:
    """A million updates a second leave no more samples than the window has room for."""
    clock = Clock()
    meter = RateMeter(1.0, clock=clock)
    steady(meter, clock, start=0, stop=20_000, every_s=1e-4)
    assert len(meter._samples) <= SAMPLES_PER_WINDOW + 2
    assert meter.rate_per_s() == pytest.approx(10_000, rel=0.02)


def test_more_than_expected_leaves_no_negative_time() -> None:
    """A total that was too low gives 0 seconds, and an unknown one none at all."""
    clock = Clock()
    meter = RateMeter(clock=clock)
    steady(meter, clock, start=0, stop=20, every_s=0.1)
    assert meter.eta_s(10) == 0
    assert meter.eta_s(None) is None


def test_a_clock_that_stands_still_is_no_division_by_zero() -> None:
    """Frames that arrive in no time have no rate yet."""
    meter = RateMeter(clock=Clock())
    meter.update(5)
    assert meter.rate_per_s() is None
