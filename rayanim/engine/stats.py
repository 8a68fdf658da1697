"""One job: what is counted while it runs, the events that it emits, and what comes of it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rayanim.engine.draw import NO_TIME, Timings
from rayanim.engine.machine import process_rss_bytes
from rayanim.events import (
    ActorJoined,
    CacheUnused,
    ChunkDrawn,
    CopyDrawn,
    EngineChosen,
    Event,
    FleetChanged,
    FrameAudited,
    FramesRejected,
    InternalEvent,
    JobResumed,
    Listener,
    Notice,
    Progressed,
    RayPassStarted,
    ScalingDecided,
    SegmentEncoded,
    SegmentRetried,
    SegmentStored,
    TransportChosen,
    VideoClosed,
)
from rayanim.figure.hints import advice_of
from rayanim.progress.base import Progress, ProgressState
from rayanim.report import ActorChange, FleetSize, OutputFile, Report, StageRates, binding_stage
from rayanim.settings import PerformanceSettings
from rayanim.video.timing import how_shown, length_s

if TYPE_CHECKING:
    from rayanim.storage.address import Address
    from rayanim.video.spec import StreamSpec

_logger = logging.getLogger("rayanim")

LONGEST_NAME = 64
"""Characters of a video's name that are shown."""

NAMED_ACTORS = 200
"""Render actors of a job that Ray knows by name, and not by their `repr` alone.

A name makes creating an actor wait for an answer, and adds some eight series
to the metrics that Ray itself keeps.
"""


@dataclass(frozen=True, slots=True)
class JobName:
    """The names of one job."""

    video: str = "video"
    run: str = "0"

    @classmethod
    def of(cls, video: str, run: str) -> JobName:
        """The names for a video, which may be called anything."""
        shown = "".join(each if each.isprintable() else "_" for each in video)
        return cls(shown[:LONGEST_NAME] or "video", run)

    def in_pass(self, number: int) -> JobName:
        """Names for a retry: Ray does not reuse the names of earlier actors."""
        return self if number == 1 else replace(self, run=f"{self.run}-{number}")

    def render_actor(self, number: int) -> str | None:
        """A render actor's name in Ray; None where it gets none."""
        return f"{self.video}-{self.run}/render-{number}" if number <= NAMED_ACTORS else None

    def encoder_actor(self, number: int) -> str:
        """The name in Ray of the job's encoder actor; the first is number 1."""
        return f"{self.video}-{self.run}/encoder-{number}"


MOST_SIZES = 500
"""Sizes that are kept, 20 KB of a report: a job of days must not grow by what comes and goes."""

SHORTEST_STEP_S = 1.0
"""How far apart sizes are, at least, once there were too many."""


@dataclass(slots=True)
class FleetUse:
    """The render actors and their nodes over time.

    Where there are too many changes, those that follow within `step_s` of
    another one count as one; the peak and the time count all.
    """

    sizes: list[FleetSize] = field(default_factory=list)
    now: FleetSize = field(default_factory=lambda: FleetSize(0.0, 0, 0))
    nodes_peak: int = 0
    node_s: float = 0.0
    step_s: float = 0.0

    @property
    def node_hours(self) -> float:
        return self.node_s / 3600

    def note(self, at_s: float, actors: int, nodes: int) -> None:
        """There are so many now."""
        before, self.now = self.now, FleetSize(at_s, actors, nodes)
        self.node_s += before.nodes * (at_s - before.at_s)
        self.nodes_peak = max(self.nodes_peak, nodes)
        if (actors, nodes) != (before.actors, before.nodes):
            self._keep(self.now)

    def _keep(self, size: FleetSize) -> None:
        if self.sizes and size.at_s - self.sizes[-1].at_s < self.step_s:
            size = replace(size, at_s=self.sizes.pop().at_s)
        self.sizes.append(size)
        if len(self.sizes) > MOST_SIZES:
            self.step_s = max(SHORTEST_STEP_S, 2 * self.step_s)
            sizes, self.sizes = self.sizes, []
            for each in sizes:
                self._keep(each)


SAMPLES_PER_WINDOW = 100
"""Samples that a window holds at most, so that a meter's memory has a bound."""


class RateMeter:
    """Counts per second over the last seconds.

    What was done before `start` (by a run that this one resumes) is no part of
    the rate. Things that arrive in bursts have a steady rate between them; it
    falls once nothing has come for longer than usual.
    """

    def __init__(
        self, window_s: float = 5.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._window_s = window_s
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()
        self.start()

    def start(self, done: int = 0) -> None:
        """Forget all and count from `done`, now."""
        self._samples.clear()
        self._samples.append((self._clock(), done))

    def update(self, done: int) -> None:
        """Note that `done` are done by now, those before `start` included."""
        if done == self._samples[-1][1]:
            return
        now_s = self._clock()
        # Samples closer together than the grid share one: the newest counts.
        grid_s = self._window_s / SAMPLES_PER_WINDOW
        if len(self._samples) > 1 and now_s - self._samples[-2][0] < grid_s:
            self._samples.pop()
        self._samples.append((now_s, done))
        # The left edge is the newest sample before the window, so that a
        # window that holds a single arrival still knows what it took.
        while len(self._samples) > 2 and self._samples[1][0] <= now_s - self._window_s:
            self._samples.popleft()

    def rate_per_s(self) -> float | None:
        """The rate over the window; None until something has arrived."""
        first_s, first_done = self._samples[0]
        last_s, last_done = self._samples[-1]
        if last_done <= first_done or last_s <= first_s:
            return None
        usual_gap_s = (last_s - first_s) / (len(self._samples) - 1)
        late_s = max(0.0, self._clock() - last_s - usual_gap_s)
        return (last_done - first_done) / (last_s - first_s + late_s)

    def eta_s(self, total: int | None) -> float | None:
        """Seconds until `total` are done; None while that cannot be said."""
        rate_per_s = self.rate_per_s()
        if total is None or rate_per_s is None:
            return None
        return max(0, total - self._samples[-1][1]) / rate_per_s


MAX_EVENTS = 100
"""Messages that the report keeps; a job of days must not grow by what went wrong."""

MAX_CHANGES = 1000
"""Changes of the number of actors that are kept, for the same reason."""

NOTHING_WAITS = Progressed()


@dataclass(slots=True)
class JobStats:
    """What is counted of a running job: the first listener to its events."""

    total: int | None
    began_s: float = field(default_factory=time.perf_counter)
    frames: int = 0
    timings: Timings = NO_TIME
    resumed_frames: int = 0
    cached_frames: int = 0
    cache_reason: str = ""
    written_frames: int = 0
    written_bytes: int = 0
    transport: str = "frames"
    transport_reason: str = ""
    engine: str = ""
    encode_s: float = 0.0
    wait_s: float = 0.0
    write_s: float = 0.0
    start_s: float = 0.0
    actors_peak: int = 0
    segments_retried: int = 0
    audited_frames: int = 0
    ray_passes: int = 0
    changes: list[ActorChange] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    peak_rss_bytes: dict[str, int] = field(default_factory=dict)
    fleet: FleetUse = field(default_factory=FleetUse)
    meter: RateMeter = field(default_factory=RateMeter)
    latest: Progressed = NOTHING_WAITS

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self.began_s

    def apply(self, event: Event) -> None:
        match event:
            case ChunkDrawn():
                timings = event.timings or NO_TIME
                self.timings += timings
                self.encode_s += timings.encode_s
                self._memory("RenderActor", event.rss_bytes)
            case FrameAudited():
                self.audited_frames += 1
            case CopyDrawn():
                self._memory("RenderActor", event.rss_bytes)
            case SegmentRetried():
                self.segments_retried += 1
            case SegmentEncoded():
                self._encoded(event.stop - event.start, event.encode_s, event.wait_s)
            case SegmentStored():
                self._written(event)
            case VideoClosed():
                self.write_s += event.write_s
            case JobResumed():
                self._resumed(event.frames, event.written_bytes)
                self.cached_frames += event.cached_frames
            case CacheUnused():
                self.cache_reason = event.reason
            case FramesRejected():
                self._resumed(-event.frames, -event.written_bytes)
            case TransportChosen():
                self.transport, self.transport_reason = event.transport, event.reason
            case EngineChosen():
                self.engine = event.engine
            case RayPassStarted():
                self.ray_passes += 1
            case ActorJoined():
                self.start_s = self.start_s or self.elapsed_s
            case ScalingDecided():
                if len(self.changes) < MAX_CHANGES:
                    self.changes.append(ActorChange(self.elapsed_s, event.target, event.reason))
            case FleetChanged():
                self.fleet.note(self.elapsed_s, event.actors, event.nodes)
            case Progressed():
                self.latest = event
                self.actors_peak = max(self.actors_peak, event.alive)
                self.fleet.note(self.elapsed_s, event.alive, self.fleet.now.nodes)
                self._memory("driver", process_rss_bytes())
        is_kept = event.message and not isinstance(event, InternalEvent)
        if is_kept and len(self.events) < MAX_EVENTS:
            self.events.append(event.message)

    def _encoded(self, frames: int, encode_s: float, wait_s: float = 0.0) -> None:
        self.frames += frames
        self.encode_s += encode_s
        self.wait_s += wait_s
        self.meter.update(self.frames)

    def _written(self, event: SegmentStored) -> None:
        frames = event.stop - event.start
        self._encoded(frames if event.by_actor else 0, event.encode_s, event.wait_s)
        self.written_frames += frames
        self.written_bytes += event.written_bytes
        self.write_s += event.write_s
        self._memory("EncoderActor", event.rss_bytes)

    def _resumed(self, frames: int, written_bytes: int) -> None:
        """Count frames of an earlier job; the rate is that of this job alone."""
        self.resumed_frames += frames
        self.frames += frames
        self.written_frames += frames
        self.written_bytes += written_bytes
        self.meter.start(self.frames)

    def _memory(self, process: str, rss_bytes: int) -> None:
        if rss_bytes:
            self.peak_rss_bytes[process] = max(rss_bytes, self.peak_rss_bytes.get(process, 0))

    def state(self, now: Progressed = NOTHING_WAITS) -> ProgressState:
        """How far the job is, with so many actors and waiting frames."""
        return ProgressState(
            done=self.frames,
            total=self.total,
            fps=self.meter.rate_per_s(),
            eta_s=self.meter.eta_s(self.total),
            actors_alive=now.alive,
            actors_target=now.target,
            queued_frames=now.queued_frames,
        )

    def usual_actors(self) -> int:
        """The number of actors that was wanted for longest; 1 in process."""
        held_s: dict[int, float] = {}
        end_s = self.elapsed_s
        for change in reversed(self.changes):
            held_s[change.actors] = held_s.get(change.actors, 0.0) + end_s - change.at_s
            end_s = change.at_s
        return max(held_s, key=lambda actors: held_s[actors], default=1)


class ProgressListener:
    """Shows progress and messages."""

    def __init__(self, stats: JobStats, progress: Progress) -> None:
        self._stats = stats
        self._progress = progress

    def apply(self, event: Event) -> None:
        """Show how far the job is, and what people should read now."""
        if isinstance(event, Progressed):
            self._progress.update(self._stats.state(event))
        elif event.message:
            self._progress.message(event.message)


class FrameCountLog:
    """Logs a line each time that so many frames were drawn, or encoded."""

    def __init__(self, stats: JobStats, every: tuple[int | None, int | None]) -> None:
        self._stats = stats
        self._every_drawn, self._every_encoded = every
        self._drawn = self._encoded = 0

    def apply(self, event: Event) -> None:
        """Log where a multiple was passed by drawing or encoding, not by resuming."""
        before_drawn, self._drawn = self._drawn, self._stats.timings.frames
        before_encoded, self._encoded = self._encoded, self._stats.frames
        if isinstance(event, ChunkDrawn):
            self._log("drawn", self._every_drawn, before_drawn, self._drawn)
        elif isinstance(event, SegmentEncoded | SegmentStored):
            self._log("encoded", self._every_encoded, before_encoded, self._encoded)

    def _log(self, done: str, every: int | None, before: int, now: int) -> None:
        if every is not None and now // every > before // every:
            of_total = "" if self._stats.total is None else f" of {self._stats.total}"
            _logger.info("%d%s frames %s", now, of_total, done)


class JobEvents:
    """Passes each event of a job to its listeners, in their order; `stats` is the first."""

    def __init__(self, stats: JobStats, *listeners: Listener) -> None:
        self.stats = stats
        self._listeners: list[Listener] = [stats, *listeners]
        self._noticed: set[str] = set()

    def emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener.apply(event)
        if isinstance(event, ChunkDrawn) and event.timings is not None:
            notes = event.timings.draws.notes
            for note in (*notes, *advice_of(self.stats.timings.draws)):
                self.notice_once(note.text, note.key)

    def notice(self, text: str) -> None:
        """Something that a person should know of."""
        self.emit(Notice(text=text))

    def notice_once(self, text: str, key: str | None = None) -> None:
        """A notice that several actors may cause, each with figures of its own."""
        key = key or text
        if key not in self._noticed:
            self._noticed.add(key)
            self.notice(text)

    def engine_chosen(self, engine: str, reason: str, actors: int) -> None:
        """Where frames are drawn from now on; emitted if it is another place than before."""
        if engine != self.stats.engine:
            transport = self.stats.transport
            self.emit(
                EngineChosen(engine=engine, reason=reason, actors=actors, transport=transport)
            )

    def counted(self, actors: int, nodes: int) -> None:
        """So many actors can draw, on so many nodes; emitted if the nodes are more or fewer."""
        if nodes != self.stats.fleet.now.nodes:
            self.emit(FleetChanged(actors=actors, nodes=nodes))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: the finished part file, and how it went."""

    spec: StreamSpec
    file_bytes: int
    engine: str
    engine_reason: str
    settings: PerformanceSettings
    stats: JobStats


def report_of(
    target: Address, outcome: Outcome, others: Sequence[tuple[Address, int]] = ()
) -> Report:
    """The report of a job whose video is at `target` now; `others` with their bytes."""
    stats, spec = outcome.stats, outcome.spec
    drawn = stats.timings.draws
    elapsed_s = stats.elapsed_s
    by_actors = stats.transport == "segments" and outcome.engine == "ray"
    stages = StageRates.measured(
        stats.frames - stats.resumed_frames,
        draw_s=stats.timings.draw_s,
        convert_s=stats.timings.convert_s,
        encode_s=stats.encode_s,
        wait_s=stats.wait_s,
        write_s=stats.write_s,
    )
    binding = binding_stage(stages, elapsed_s, stats.actors_peak, encoded_by_actors=by_actors)
    if binding == "drawing" and any(note.key == "code" for note in advice_of(drawn)):
        binding = "script"
    return Report(
        output=target,
        frames=stats.frames,
        elapsed_s=elapsed_s,
        size=spec.size,
        rate=spec.rate,
        length_s=length_s(stats.frames, spec.rate, spec.timing),
        shown=how_shown(spec.timing),
        tracks=spec.track_texts(stats.frames),
        codec=spec.codec,
        pixel_format=spec.pixel_format,
        file_bytes=outcome.file_bytes,
        engine="ray" if outcome.engine == "ray" else "local",
        engine_reason=outcome.engine_reason,
        transport=stats.transport,
        transport_reason=stats.transport_reason,
        resumed_frames=stats.resumed_frames,
        cached_frames=stats.cached_frames,
        cache_reason=stats.cache_reason,
        actors_peak=stats.actors_peak,
        start_s=stats.start_s,
        stages=stages,
        binding=binding,
        incremental_frames=drawn.incremental,
        full_frames=tuple(sorted(drawn.in_full.items(), key=lambda item: -item[1])),
        audited_frames=stats.audited_frames + drawn.compared,
        actor_changes=tuple(stats.changes),
        fleet_sizes=tuple(stats.fleet.sizes),
        nodes_peak=stats.fleet.nodes_peak,
        node_hours=stats.fleet.node_hours,
        events=tuple(stats.events),
        settings=outcome.settings,
        peak_rss_bytes=tuple(sorted(stats.peak_rss_bytes.items())),
        others=tuple(
            OutputFile(
                address,
                each.size,
                each.codec,
                each.pixel_format,
                file_bytes,
                each.track_texts(stats.frames),
            )
            for each, (address, file_bytes) in zip(spec.others, others, strict=True)
        ),
    )
