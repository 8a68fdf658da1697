"""One job: what it needs, what is counted while it runs, and what comes of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rayanim.actor_history import ActorChange
from rayanim.drawing.advice import advice_of
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
from rayanim.farm.exporter import Exporter
from rayanim.farm.machine import process_rss_bytes
from rayanim.farm.naming import JobName
from rayanim.farm.planning.plan import Segment
from rayanim.farm.rendering.render import NO_TIME, Timings
from rayanim.farm.scaling.fleet_use import FleetUse
from rayanim.feed import Feed
from rayanim.progress.protocol import Progress, ProgressState
from rayanim.rates import RateMeter
from rayanim.settings import Engine, OnHistory, PerformanceSettings, Transport
from rayanim.source import Geometry, Source

if TYPE_CHECKING:
    from rayanim.cluster import ClusterRequest
    from rayanim.parts.keeper import Keeper
    from rayanim.video.spec import StreamSpec

_logger = logging.getLogger("rayanim")

MAX_EVENTS = 100
"""Events that are kept; a job of days must not grow by what went wrong."""

MAX_CHANGES = 1000
"""Changes of the number of actors that are kept, for the same reason."""


@dataclass(frozen=True, slots=True)
class Job:
    """A film to be made.

    Attributes
    ----------
    source, feed
        What draws, and which frames with which parameters.
    make_spec
        Gives the stream for frames of the size that the first frame settles.
    part_path
        The file that is written; it is renamed by the caller.
    settings
        Performance settings to start with.
    max_actors
        The most render actors.
    engine
        Whether Ray is used.
    seed
        For the global random generators; None leaves them alone.
    log_every
        Log a line after so many frames drawn, and encoded; None for none.
    transport
        What actors hand over; None chooses.
    on_history
        What is done about a frame that depends on those drawn before it.
    sequential
        Whether frames are drawn in the state that a serial run would have.
    in_full
        Whether figures are drawn in full, for an incremental draw was found to differ.
    may_redraw
        Whether all frames can be drawn again after such a difference: their parameters are there
        a second time.
    keeper
        Keeps finished segments; None where raw frames travel.
    cluster
        The cluster to run on; None for a Ray on this machine.
    name
        What the job is called in Ray's tools, logs and metrics.
    """

    source: Source
    feed: Feed
    make_spec: Callable[[Geometry], StreamSpec]
    part_path: Path
    settings: PerformanceSettings
    max_actors: int
    engine: Engine
    seed: int | None
    log_every: tuple[int | None, int | None] = (None, None)
    transport: Transport | None = None
    on_history: OnHistory = "error"
    sequential: bool = False
    in_full: bool = False
    may_redraw: bool = False
    keeper: Keeper | None = None
    cluster: ClusterRequest | None = None
    name: JobName = field(default_factory=JobName)


@dataclass(frozen=True, slots=True)
class Standing:
    """How many actors and waiting frames there are at one moment.

    Attributes
    ----------
    alive, asked_for, wanted
        Render actors that can draw, that Ray was asked for, and that the
        controller wants.
    queued_frames
        Frames that the encoder has not taken yet.
    """

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
        """Frames are in the film."""
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
        """Something that a person should know of.

        Parameters
        ----------
        text
            What to tell people.
        happened
            What to tell the log; None where that is the text itself.
        """
        if len(self.events) < MAX_EVENTS:
            self.events.append(text)
        self.log.tell(happened or Notice(text=text))
        self.progress.message(text)

    def event_once(self, text: str, key: str | None = None) -> None:
        """An event that several actors may report, each with figures of its own.

        Parameters
        ----------
        text
            What to tell.
        key
            What all their texts have in common; None where they are the same.
        """
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
    """What came of a job: the finished part file, and how it went.

    Attributes
    ----------
    spec
        The stream in the file.
    file_bytes
        Its size.
    engine, engine_reason
        ``local`` or ``ray``, and why.
    settings
        The performance settings that the run found.
    tally
        All that was counted.
    """

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
