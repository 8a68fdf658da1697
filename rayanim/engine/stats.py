"""One job: what it needs, what is counted while it runs, and what comes of it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from rayanim.engine.draw import NO_TIME, Timings
from rayanim.engine.machine import process_rss_bytes
from rayanim.engine.plan import Segment
from rayanim.events import (
    EngineChosen,
    Event,
    FleetChanged,
    JobResumed,
    Listener,
    Nobody,
    Notice,
    ScalingDecided,
    SegmentDrawn,
    SegmentRetried,
)
from rayanim.figure.draw_stats import advice_of
from rayanim.progress.base import Progress, ProgressState
from rayanim.report import ActorChange, FleetSize
from rayanim.settings import PerformanceSettings

if TYPE_CHECKING:
    from rayanim.video.spec import StreamSpec

_logger = logging.getLogger("rayanim")

JOB_LABELS = ("video", "run")
"""Labels of every metric: the video's name, and what tells jobs for videos of one name apart."""

STAGE_SECONDS = "rayanim_stage_seconds_total"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, or one of its series where `stage` is set."""

    name: str
    kind: Literal["counter", "gauge"]
    description: str
    read: Callable[[Tally], float | None]
    stage: str | None = None

    @property
    def label_names(self) -> tuple[str, ...]:
        """Its labels."""
        return JOB_LABELS if self.stage is None else (*JOB_LABELS, "stage")


def _seconds(stage: str, read: Callable[[Tally], float]) -> Metric:
    return Metric(
        STAGE_SECONDS,
        "counter",
        "Seconds spent in each stage: draw, convert, encode, write, and wait, the encoder's "
        "for frames; of all actors together",
        read,
        stage,
    )


def _frames_left(tally: Tally) -> float | None:
    return None if tally.total is None else tally.total - tally.frames


METRICS = (
    Metric(
        "rayanim_frames_drawn_total",
        "counter",
        "Frames drawn, by actors and by the driver",
        lambda tally: tally.timings.frames,
    ),
    Metric(
        "rayanim_frames_encoded_total",
        "counter",
        "Frames encoded and taken into the video; not those of an earlier job's parts",
        lambda tally: tally.frames - tally.resumed_frames,
    ),
    Metric(
        "rayanim_segments_retried_total",
        "counter",
        "Segments drawn again because what was drawn of them was lost",
        lambda tally: tally.segments_retried,
    ),
    _seconds("draw", lambda tally: tally.timings.draw_s),
    _seconds("convert", lambda tally: tally.timings.convert_s),
    _seconds("encode", lambda tally: tally.encode_s),
    _seconds("wait", lambda tally: tally.wait_s),
    _seconds("write", lambda tally: tally.write_s),
    Metric(
        "rayanim_frames_left",
        "gauge",
        "Frames of the video that are not in it yet",
        _frames_left,
    ),
    Metric(
        "rayanim_queued_frames",
        "gauge",
        "Frames drawn that the encoder has not taken yet",
        lambda tally: tally.standing.queued_frames,
    ),
    Metric(
        "rayanim_actors_wanted",
        "gauge",
        "Render actors that the controller wants",
        lambda tally: tally.standing.wanted,
    ),
    Metric(
        "rayanim_actors_asked_for",
        "gauge",
        "Render actors that Ray was asked for, those included that are there",
        lambda tally: tally.standing.asked_for,
    ),
    Metric(
        "rayanim_actors_alive",
        "gauge",
        "Render actors that can draw",
        lambda tally: tally.standing.alive,
    ),
)
"""All metrics of a job."""


def increment(before: float, now: float) -> float:
    """What is added to a counter; what began anew, with the video, counts once more."""
    return now - before if now >= before else now


LOOK_S = 1.0
"""Seconds between two looks; Ray passes metrics on every ten seconds."""


class Exporter:
    """The metrics of one job."""

    def __init__(self, name: JobName) -> None:
        self._labels = dict(zip(JOB_LABELS, (name.video, name.run), strict=True))
        self._instruments: dict[str, Any] = {}
        self._counted: dict[Metric, float] = {}
        self._next_look_s = 0.0

    def begin(self) -> None:
        """Ray is there, and actors are about to draw."""
        if not self._instruments:
            with self._harmless():
                if _collects_metrics():
                    self._instruments = _instruments()

    def look(self, tally: Tally) -> None:
        """Tell what is counted now, unless the last time was just now."""
        if not self._instruments or (now_s := time.perf_counter()) < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_S
        self._tell(tally)

    def end(self, tally: Tally) -> None:
        """Tell what was counted in all; of what is at this moment nothing is left."""
        if self._instruments:
            self._tell(tally, is_over=True)
        self._next_look_s = 0.0

    def _tell(self, tally: Tally, *, is_over: bool = False) -> None:
        with self._harmless():
            for metric in METRICS:
                value = 0.0 if is_over and metric.kind == "gauge" else metric.read(tally)
                if value is not None:
                    self._set(metric, value)

    def _set(self, metric: Metric, value: float) -> None:
        instrument = self._instruments[metric.name]
        labels = self._labels if metric.stage is None else {**self._labels, "stage": metric.stage}
        if metric.kind == "gauge":
            instrument.set(value, labels)
            return
        added = increment(self._counted.get(metric, 0.0), value)
        self._counted[metric] = value
        # A counter of Ray's takes no 0: the series begins with the first that is counted.
        if added > 0:
            instrument.inc(added, labels)

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # whatever Ray's metrics raise: the video is what counts
            self._instruments = {}
            _logger.debug("The job's metrics end here.", exc_info=True)


def _instruments() -> dict[str, Any]:
    from ray.util.metrics import Counter, Gauge

    classes = {"counter": Counter, "gauge": Gauge}
    return {
        metric.name: classes[metric.kind](metric.name, metric.description, metric.label_names)
        for metric in METRICS
    }


def _collects_metrics() -> bool:
    """Whether this node serves metrics: Ray puts -1 in the place of a port where it does not."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    return any(
        node["NodeID"] == here and node.get("MetricsExportPort", -1) > 0 for node in ray.nodes()
    )


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

HOUR_S = 3600.0


@dataclass(slots=True)
class FleetUse:
    """The render actors and their nodes over time.

    Where there are too many changes, those that follow within `step_s` of
    another one are told as one; the peaks and the time count all.
    """

    sizes: list[FleetSize] = field(default_factory=list)
    nodes_peak: int = 0
    node_s: float = 0.0
    step_s: float = 0.0
    _now: FleetSize = field(default_factory=lambda: FleetSize(0.0, 0, 0))

    @property
    def node_hours(self) -> float:
        """`node_s` in hours."""
        return self.node_s / HOUR_S

    def note(self, at_s: float, actors: int, nodes: int) -> bool:
        """There are so many now; whether the number of nodes is another one."""
        before, self._now = self._now, FleetSize(at_s, actors, nodes)
        self.node_s += before.nodes * (at_s - before.at_s)
        self.nodes_peak = max(self.nodes_peak, nodes)
        if (actors, nodes) != (before.actors, before.nodes):
            self._keep(self._now)
        return nodes != before.nodes

    def _keep(self, size: FleetSize) -> None:
        if self.sizes and size.at_s - self.sizes[-1].at_s < self.step_s:
            size = FleetSize(self.sizes.pop().at_s, size.actors, size.nodes)
        self.sizes.append(size)
        if len(self.sizes) > MOST_SIZES:
            self._thin()

    def _thin(self) -> None:
        self.step_s = max(SHORTEST_STEP_S, 2 * self.step_s)
        sizes, self.sizes = self.sizes, []
        for size in sizes:
            self._keep(size)


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
        overdue_s = max(0.0, self._clock() - last_s - usual_gap_s)
        return (last_done - first_done) / (last_s - first_s + overdue_s)

    def eta_s(self, total: int | None) -> float | None:
        """Seconds until `total` are done; None while that cannot be said."""
        rate_per_s = self.rate_per_s()
        if total is None or rate_per_s is None:
            return None
        return max(0, total - self._samples[-1][1]) / rate_per_s


MAX_EVENTS = 100
"""Events that are kept; a job of days must not grow by what went wrong."""

MAX_CHANGES = 1000
"""Changes of the number of actors that are kept, for the same reason."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many actors and waiting frames there are at one moment."""

    alive: int = 0
    asked_for: int = 0
    wanted: int = 0
    queued_frames: int = 0


@dataclass(slots=True)
class Tally:
    """What a running job counts, and whom it tells."""

    progress: Progress
    total: int | None
    log_every: tuple[int | None, int | None] = (None, None)
    began_s: float = field(default_factory=time.perf_counter)
    frames: int = 0
    timings: Timings = NO_TIME
    resumed_frames: int = 0
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
    actors_wanted: int = 0
    segments_retried: int = 0
    changes: list[ActorChange] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    peak_rss_bytes: dict[str, int] = field(default_factory=dict)
    fleet: FleetUse = field(default_factory=FleetUse)
    passes: int = 0
    log: Listener = field(default_factory=Nobody)
    meter: RateMeter = field(default_factory=RateMeter)
    standing: Standing = Standing()
    exporter: Exporter = field(default_factory=lambda: Exporter(JobName()))

    @property
    def elapsed_s(self) -> float:
        """Seconds since the job began."""
        return time.perf_counter() - self.began_s

    def drawn(self, timings: Timings) -> None:
        """Frames were drawn."""
        before = self.timings.frames
        self.timings += timings
        self.encode_s += timings.encode_s
        for note in (*timings.account.notes, *advice_of(self.timings.account)):
            self.event_once(note.text, note.key)
        self._log("drawn", self.log_every[0], before, self.timings.frames)

    def drawn_in_vain_since(self, before: Timings) -> None:
        """Frames that were drawn since `before` was counted are drawn again."""
        self.timings = replace(self.timings, frames=before.frames, account=before.account)

    def encoded(self, frames: int, encode_s: float, wait_s: float) -> None:
        """Frames are in the video."""
        self._log("encoded", self.log_every[1], self.frames, self.frames + frames)
        self.frames += frames
        self.encode_s += encode_s
        self.wait_s += wait_s
        self.meter.update(self.frames)

    def begin_anew(self) -> None:
        """What was drawn and encoded is lost, and counts for nothing."""
        self.frames = self.written_frames = self.written_bytes = 0
        self.timings = NO_TIME
        self.encode_s = self.wait_s = 0.0
        self.meter = RateMeter()

    def resumed(self, frames: int, written_bytes: int) -> None:
        """Frames are in parts of an earlier job, of so many bytes; negative where they do not fit.

        The rate is that of this job alone.
        """
        if not frames:
            return
        if frames > 0:
            self.log.tell(JobResumed(frames=frames, written_bytes=written_bytes))
        self.resumed_frames += frames
        self.frames += frames
        self.written(frames, written_bytes)
        self.meter.start(self.frames)

    def written(self, frames: int, written_bytes: int, write_s: float = 0.0) -> None:
        """Frames are on the disk, as parts of so many bytes, after so many seconds of writing."""
        self.written_frames += frames
        self.written_bytes += written_bytes
        self.write_s += write_s

    def ended(self, took_s: float, *, is_encoding: bool) -> None:
        """The file's end is written: what was left in the encoder, or all parts joined."""
        if is_encoding:
            self.encode_s += took_s
        else:
            self.write_s += took_s

    def _log(self, done: str, every: int | None, before: int, now: int) -> None:
        if every is not None and now // every > before // every:
            of_total = "" if self.total is None else f" of {self.total}"
            _logger.info("%d%s frames %s", now, of_total, done)

    def event(self, text: str, happened: Event | None = None) -> None:
        """Something that a person should know of."""
        if len(self.events) < MAX_EVENTS:
            self.events.append(text)
        self.log.tell(happened or Notice(text=text))
        self.progress.message(text)

    def event_once(self, text: str, key: str | None = None) -> None:
        """An event that several actors may report, each with figures of its own."""
        key = key or text
        if key not in self.told:
            self.told.add(key)
            self.event(text)

    def retried(self, segment: Segment, reason: str, text: str) -> None:
        """A segment is drawn again, for this reason; `text` tells people."""
        self.segments_retried += 1
        self.event(text, SegmentRetried.of(segment, reason=reason))

    def drawn_here(self, segment: Segment, before: Timings) -> None:
        """A segment was drawn in this process, since the time that was counted `before`."""
        now = self.timings
        self.log.tell(
            SegmentDrawn.of(
                segment,
                actor=None,
                draw_s=now.draw_s - before.draw_s,
                convert_s=now.convert_s - before.convert_s,
                encode_s=now.encode_s - before.encode_s,
            )
        )

    def chosen(self, engine: str, reason: str, actors: int) -> None:
        """Where frames are drawn from now on; told once until it is another place."""
        if engine != self.engine:
            self.engine = engine
            self.log.tell(
                EngineChosen(engine=engine, reason=reason, actors=actors, transport=self.transport)
            )

    def change(self, actors: int, reason: str) -> None:
        """The number of actors is now to be `actors`."""
        delta = actors - self.actors_wanted
        self.actors_wanted = actors
        self.log.tell(ScalingDecided(target=actors, delta=delta, reason=reason))
        if len(self.changes) < MAX_CHANGES:
            self.changes.append(ActorChange(self.elapsed_s, actors, reason))

    def usual_actors(self) -> int:
        """The number of actors that stood for longest; 1 in process."""
        held_s: dict[int, float] = {}
        end_s = self.elapsed_s
        for change in reversed(self.changes):
            held_s[change.actors] = held_s.get(change.actors, 0.0) + end_s - change.at_s
            end_s = change.at_s
        return max(held_s, key=lambda actors: held_s[actors], default=1)

    def memory(self, process: str, rss_bytes: int) -> None:
        """A process of this kind was seen with this resident size."""
        self.peak_rss_bytes[process] = max(rss_bytes, self.peak_rss_bytes.get(process, 0))

    def state(self, *, alive: int = 0, target: int = 0, queued_frames: int = 0) -> ProgressState:
        """How far the job is."""
        return ProgressState(
            done=self.frames,
            total=self.total,
            fps=self.meter.rate_per_s(),
            eta_s=self.meter.eta_s(self.total),
            actors_alive=alive,
            actors_target=target,
            queued_frames=queued_frames,
        )

    def there_are(self, actors: int, nodes: int) -> None:
        """So many render actors can draw, and there are some on so many nodes."""
        if self.fleet.note(self.elapsed_s, actors, nodes):
            self.log.tell(FleetChanged(actors=actors, nodes=nodes))

    def tell(
        self, *, alive: int = 0, asked_for: int = 0, target: int = 0, queued_frames: int = 0
    ) -> None:
        """Tell whoever watches."""
        self.actors_peak = max(self.actors_peak, alive)
        self.memory("driver", process_rss_bytes())
        self.progress.update(self.state(alive=alive, target=target, queued_frames=queued_frames))
        self.standing = Standing(alive, asked_for, target, queued_frames)
        self.exporter.look(self)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: the finished part file, and how it went."""

    spec: StreamSpec
    file_bytes: int
    engine: str
    engine_reason: str
    settings: PerformanceSettings
    tally: Tally


def drawn_event(segment: Segment, timings: Timings, actor: int | None) -> SegmentDrawn:
    """What the log is told of a drawn segment; `actor` is None in this process."""
    return SegmentDrawn.of(
        segment,
        actor=actor,
        draw_s=timings.draw_s,
        convert_s=timings.convert_s,
        encode_s=timings.encode_s,
    )
