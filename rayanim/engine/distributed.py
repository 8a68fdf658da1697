"""Runs a job on Ray: one loop that assigns chunks, waits, and hands what was drawn on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rayanim.engine import pool as pool_module
from rayanim.engine import scheduler
from rayanim.engine.actors import Acknowledgement
from rayanim.engine.autoscaler import (
    PolicyState,
    ScalingLimits,
    SlidingSums,
    Snapshot,
    decide,
)
from rayanim.engine.choose import ACTOR_START_S, Choice
from rayanim.engine.cluster import usable_nodes
from rayanim.engine.draw import HistoryBudget, RenderSetup, Timings
from rayanim.engine.encoder import EncoderLink
from rayanim.engine.plan import Chunk, Plan, Segment
from rayanim.engine.pool import (
    DIFFERENCE,
    Arrived,
    CallFailed,
    Died,
    Joined,
    PayloadLost,
    RenderPool,
    TransferBegan,
    unpicklable_parameters_named,
)
from rayanim.engine.pool import Event as PoolEvent
from rayanim.engine.ray_session import node_label
from rayanim.engine.scheduler import (
    MAX_FAILURES,
    NOTHING_OVERDUE,
    ChunkSizes,
    Dispatcher,
    FrameTimes,
    NodeFailures,
    OverdueWork,
    Pace,
    find_overdue,
)
from rayanim.engine.stats import JobEvents, JobName
from rayanim.errors import (
    EncoderLostError,
    FarmSilentError,
    FarmStartError,
    HistoryError,
    RayanimError,
    RedrawError,
)
from rayanim.events import (
    ActorDied,
    ActorJoined,
    CopyDrawn,
    EncoderLost,
    EncoderRevived,
    Event,
    PartKept,
    Progressed,
    RayPassEnded,
    RayPassStarted,
    ScalingDecided,
    SegmentDrawn,
    SegmentEncoded,
    SegmentRetried,
    StatusShown,
)

if TYPE_CHECKING:
    from rayanim.engine.cluster import ClusterLink
    from rayanim.engine.draw import PackedSource
    from rayanim.engine.job import Job
    from rayanim.engine.local import Encoders
    from rayanim.engine.writing import SegmentWriter
    from rayanim.settings import PerformanceSettings

TICK_S = 0.1
"""Seconds between two decisions of the controller, and the longest wait of the loop."""


class Controller:
    """Keeps the number of render actors right."""

    def __init__(
        self,
        limits: ScalingLimits,
        pool: RenderPool,
        dispatcher: Dispatcher[Any],
        events: JobEvents,
        *,
        chunk_frames: int,
        limit_bytes: int,
        window_s: float,
        actor_start_s: float,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock or time.perf_counter
        self._actor_start_s = actor_start_s
        self._limits = limits
        self._pool = pool
        self._dispatcher = dispatcher
        self._events = events
        self._chunk_frames = chunk_frames
        self._limit_bytes = limit_bytes
        self._drawing = SlidingSums(window_s)
        self._encoding = SlidingSums(window_s)
        self._state = PolicyState()
        self._next_tick_s = 0.0
        self.target = 0

    def begin(self, target: int, reason: str) -> None:
        """Ask for the first actors."""
        self._change(target, reason)

    def apply(self, event: Event) -> None:
        """Measure how quickly actors draw and the encoder takes what they drew."""
        match event:
            case SegmentDrawn(timings=Timings() as timings):
                busy_s = timings.draw_s + timings.convert_s
                self._drawing.add(self._clock(), timings.frames, busy_s)
            case SegmentEncoded():
                frames = event.stop - event.start
                self._encoding.add(self._clock(), frames, event.encode_s, event.wait_s)
            case PartKept(by_actor=True):
                frames = event.stop - event.start
                self._encoding.add(self._clock(), frames, event.write_s, event.wait_s)

    def tick(self) -> None:
        """Decide and apply, unless the last time was just now."""
        now_s = self._clock()
        if now_s < self._next_tick_s:
            return
        self._next_tick_s = now_s + TICK_S
        snapshot = self._snapshot(now_s)
        decision, self._state = decide(snapshot, self._limits, self._state)
        if decision.delta:
            self._change(decision.target, decision.reason)

    def _change(self, target: int, reason: str) -> None:
        self.target = target
        self._pool.apply(target)
        delta = target - self._events.stats.actors_wanted
        self._events.emit(ScalingDecided(target=target, delta=delta, reason=reason))

    def _snapshot(self, now_s: float) -> Snapshot:
        frames_left, chunks_left = self._left()
        return Snapshot(
            now_s=now_s,
            alive=self._pool.alive,
            requested=self._pool.requested,
            queued_frames=self._dispatcher.queued_frames,
            in_flight_bytes=self._dispatcher.in_flight_bytes,
            in_flight_limit_bytes=self._limit_bytes,
            encoder_idle_fraction=self._encoding.idle_fraction(now_s),
            draw_fps_per_actor=self._drawing.fps,
            encode_fps=self._encoding.fps,
            frames_left=frames_left,
            chunks_left=chunks_left,
            actor_start_s=self._actor_start_s,
        )

    def _left(self) -> tuple[int | None, int | None]:
        """Frames not drawn yet and places to draw them, None where the end is unknown."""
        dispatcher, total = self._dispatcher, self._events.stats.total
        if dispatcher.all_handed_out:
            return dispatcher.drawing_frames, dispatcher.last_places
        if total is None:
            return None, None
        frames_left = total - dispatcher.first_frame - dispatcher.drawn_frames
        waiting = max(0, frames_left - dispatcher.drawing_frames)
        return frames_left, dispatcher.drawing_chunks + -(-waiting // self._chunk_frames)


@dataclass(frozen=True, slots=True)
class RemainingWork:
    """What of the video is to be drawn on Ray, and what it is encoded and written with.

    `encoders` are in this process and take raw frames. `writer` goes to an
    encoder actor, which takes segments that render actors have encoded; it is
    None where the video is one segment.
    """

    plan: Plan
    encoders: Encoders
    # The segment that ends with a chunk, with the digest of its frames.
    segment_of: Callable[[Chunk], Segment]
    # The last chunk that was drawn in this process, where its segment goes on.
    begun: Chunk | None
    frame_bytes: int
    times: FrameTimes
    writer: SegmentWriter | None
    # Counts what is encoded in this process; whether that is all.
    look_around: Callable[[], bool]
    # Indices of the segments that this process has written since the last call.
    found: Callable[[], Iterable[int]]
    # Writes the video's end, by a function of the number of frames where one is given.
    finish: Callable[[Callable[[int], int] | None], int]


SHORT_CHUNK_S = 0.2
"""Ray's 2 to 3 ms between two calls are more than a hundredth of a chunk below this."""

LOOK_S = 0.25
"""Seconds between two searches for overdue chunks: each goes through all actors."""


class ChunkAssigner:
    """Gives actors the next chunk to draw, or a copy of one that is overdue."""

    def __init__(
        self,
        pool: RenderPool,
        dispatcher: Dispatcher[Any],
        events: JobEvents,
        book: NodeFailures,
        *,
        depth: int | None,
    ) -> None:
        self._pool = pool
        self._dispatcher = dispatcher
        self._events = events
        self._book = book
        self._adapts_depth = depth is None
        self._depth = depth or 1
        self._history = HistoryBudget()
        self._next_look_s = 0.0
        self._was_busy = False
        self.late: OverdueWork = NOTHING_OVERDUE
        self.pace = Pace()

    def assign(self) -> None:
        """Give all free actors something to draw, as far as there is any."""
        for number in self._pool.free_places(self._depth):
            node = self._pool.node_of(number)
            if node is not None and node in self.late.unresponsive_nodes:
                continue
            chunk = self._next_for(number, node)
            if chunk is not None:
                self._submit(number, chunk)
            elif not self.late.overdue and not self._book.has_failures:
                # The next one would get nothing, either.
                break

    def drawn(self, chunk: Chunk, timings: Timings | None) -> None:
        """A chunk has arrived: learn how long chunks take."""
        if timings is None or not timings.frames:
            return
        all_timings = self._events.stats.timings
        self.pace = replace(
            self.pace,
            frame_s=all_timings.busy_s / max(1, all_timings.frames),
            slowest_s=max(self.pace.slowest_s, timings.busy_s / timings.frames),
        )
        if self._adapts_depth:
            # Short chunks are queued at the actors, long ones wait until somebody is idle.
            self._depth = 2 if timings.busy_s < SHORT_CHUNK_S else 1

    def find_late(self) -> tuple[int, ...]:
        """Find overdue chunks, unless that was just done; the actors to give up."""
        now_s = time.perf_counter()
        if now_s < self._next_look_s or self.pace.frame_s is None:
            return ()
        late_s, self._next_look_s = now_s - self._next_look_s, now_s + LOOK_S
        if self._driver_was_busy(late_s):
            return ()
        self.late = find_overdue(
            self._pool.assignments(self.pace, self._dispatcher.is_wanted),
            self._pool.answered_ago_s(),
            self._pool.alive,
        )
        if self.late.patience_s > self.pace.patience_s:
            self.pace = replace(self.pace, patience_s=self.late.patience_s)
        return self.late.given_up

    def _driver_was_busy(self, late_s: float) -> bool:
        """Whether the driver was held up, and has answers of actors still to read.

        For example by a new encoder actor, or by the user's progress function.
        Never twice in a row: on a busy machine each turn is slow.
        """
        self._was_busy = late_s > LOOK_S and not self._was_busy
        return self._was_busy

    def _next_for(self, number: int, node: str | None) -> Chunk | None:
        late = self.late
        if late.copies_left and late.far_overdue:
            chunk = self._copy(late.far_overdue, number, node)
            if chunk is not None:
                self.late = replace(late, copies_left=late.copies_left - 1)
                return chunk
        chunk = self._dispatcher.take(self._to_avoid(node))
        if chunk is None and self._dispatcher.all_handed_out and number in self._pool.idle:
            chunk = self._copy(late.overdue, number, node)
        return chunk

    def _to_avoid(self, node: str | None) -> frozenset[int]:
        if not self._book.has_failures:
            return frozenset()
        return self._book.to_avoid(node, self._pool.working_nodes() - self.late.unresponsive_nodes)

    def _copy(
        self, overdue: Mapping[int, frozenset[str | None]], number: int, node: str | None
    ) -> Chunk | None:
        """A copy of what another node draws, or another actor where there is but one node."""
        if not overdue:
            return None
        alone = len(self._pool.working_nodes()) < 2
        among = {index for index, nodes in overdue.items() if alone or node not in nodes}
        among -= {chunk.index for chunk in self._pool.held_by(number)}
        chunk = self._dispatcher.take_copy(among)
        if chunk is not None:
            self._events.notice_once(
                f"{chunk.label.capitalize()} took an actor longer than usual: another one "
                "draws them, too.",
                "overdue",
            )
        return chunk

    def _submit(self, number: int, chunk: Chunk) -> None:
        is_checked = self._history.is_due(self._events.stats.timings.frames)
        self._pool.submit(number, chunk, is_checked=is_checked)


class FailureHandler:
    """Takes back what failed to be drawn, and excludes nodes on which too much fails."""

    def __init__(
        self, pool: RenderPool, dispatcher: Dispatcher[Any], events: JobEvents, book: NodeFailures
    ) -> None:
        self._pool = pool
        self._dispatcher = dispatcher
        self._events = events
        self._book = book
        # Why the source could not be opened on a node that is excluded.
        self.refusal: RayanimError | None = None

    def died(self, event: Died) -> None:
        """An actor is gone: what it held is drawn again."""
        for chunk in event.waiting:
            self._dispatcher.give_back(chunk)
        wanted = self._wanted(event.drawing)
        if wanted is None:
            doing = "idle" if event.drawing is None else "drawing what others had drawn"
            text = f"Render actor {event.number} died while {doing} ({event.why})."
            self._events.emit(_actor_died(event, text))
        else:
            self._events.emit(_actor_died(event))
            self._retry(
                wanted,
                event.why,
                f"Render actor {event.number} died while drawing {wanted.label} ({event.why}). "
                "They are drawn again.",
            )
        if event.drawing is not None:
            self._dispatcher.lost(event.drawing, event.why)
        self._count(event.node, event.why, index=None if wanted is None else wanted.index)

    def given_up(self, number: int) -> None:
        """An actor that does not answer is ended; its chunk is not counted as failed."""
        event = self._pool.give_up(number, "took far longer than others")
        if event is None:
            return
        text = f"Render actor {number} does not answer: it is ended."
        wanted = self._wanted(event.drawing)
        if wanted is None:
            self._events.emit(_actor_died(event, text))
        else:
            self._events.emit(_actor_died(event))
            self._retry(wanted, event.why, f"{text} Drawn again: {wanted.label}.")
        for chunk in (event.drawing, *event.waiting):
            if chunk is not None:
                self._dispatcher.give_back(chunk)
        self._count(event.node, event.why)

    def never_opened(self, number: int) -> None:
        """An actor that takes far longer than others to open its source is ended."""
        event = self._pool.give_up(number, "never opened the source")
        if event is not None:
            text = f"Render actor {number} does not open its source: it is ended."
            self._events.emit(_actor_died(event, text))
            self._count(event.node, event.why, weight=MAX_FAILURES)

    def payload_lost(self, event: PayloadLost) -> None:
        """What an actor drew was lost with its node on the way here."""
        if self._dispatcher.is_wanted(event.chunk):
            self._retry(
                event.chunk,
                event.why,
                f"What was drawn of {event.chunk.label} was lost with its machine "
                f"({event.why}). They are drawn again.",
            )
        self._dispatcher.give_back(event.chunk)

    def lost_before_encoded(self, chunk: Chunk) -> None:
        """What an actor drew was lost with its node on the way to the encoder."""
        self._retry(
            chunk,
            "what was drawn was lost with its machine",
            f"What was drawn of {chunk.label} was lost with its machine. They are drawn again.",
        )
        self._dispatcher.payload_lost(chunk)

    def refused(self, event: CallFailed) -> None:
        """Code failed in an actor: another node tries once, where there is one."""
        if event.chunk is None:
            self._cannot_open(event)
            return
        if isinstance(event.failure, HistoryError):
            raise event.failure
        if not self._dispatcher.is_wanted(event.chunk):
            # Another actor has drawn it: what failed here was its copy.
            self._dispatcher.give_back(event.chunk)
            self._count(event.node, event.failure.message)
            return
        others = self._pool.working_nodes() - {event.node}
        seen_elsewhere = event.node is None or self._book.has_failed_before(event.chunk.index)
        if seen_elsewhere or not others:
            raise event.failure
        self._retry(
            event.chunk,
            event.failure.message,
            f"{event.failure.message} That was on node {_named(event.node)}; another one tries.",
        )
        self._dispatcher.give_back(event.chunk)
        self._count(event.node, event.failure.message, index=event.chunk.index)

    def _wanted(self, chunk: Chunk | None) -> Chunk | None:
        """`chunk`, unless another actor has drawn it."""
        return chunk if chunk is not None and self._dispatcher.is_wanted(chunk) else None

    def _retry(self, chunk: Chunk, reason: str, message: str) -> None:
        self._events.emit(SegmentRetried.of(chunk, reason=reason, message=message))

    def _cannot_open(self, event: CallFailed) -> None:
        failure, node = event.failure, event.node
        others = usable_nodes(self._pool.need) - {node, *self._book.excluded}
        if node is None or not others or (self.refusal is not None and not self._pool.alive):
            raise failure
        self.refusal = failure
        self._events.notice(
            f"{failure.message} That was on node {_named(node)}, which is left out; others try."
        )
        self._book.exclude(node)
        self._exclude(node)

    def _count(
        self, node: str | None, why: str, *, index: int | None = None, weight: int = 1
    ) -> None:
        exclusion = self._book.failed(node, why, index=index, weight=weight)
        if exclusion is not None:
            self._events.notice(
                f"Node {_named(exclusion.node)} is left out: render actors failed there "
                f"{exclusion.failures} times (at last: {exclusion.why}), and others do well."
            )
            self._exclude(exclusion.node)

    def _exclude(self, node: str) -> None:
        for chunk in self._pool.exclude(node):
            self._dispatcher.give_back(chunk)


def _actor_died(event: Died, message: str = "") -> ActorDied:
    drawing = event.drawing
    return ActorDied(
        actor=event.number,
        reason=event.why,
        start=None if drawing is None else drawing.start,
        stop=None if drawing is None else drawing.stop,
        message=message,
    )


def _named(node: str | None) -> str:
    return "unknown" if node is None else node_label(node)


SILENCE_S = 60.0
"""After this long without a finished chunk, people read what the job waits for."""


class Watchdog:
    """Ends a run on Ray in which nothing happens any more."""

    def __init__(
        self,
        pool: RenderPool,
        events: JobEvents,
        link: ClusterLink | None,
        *,
        limit_s: Callable[[], float],
        refusal: Callable[[], RayanimError | None],
    ) -> None:
        self._pool = pool
        self._events = events
        self._link = link
        self._limit_s = limit_s
        self._refusal = refusal
        now_s = time.perf_counter()
        self._reported_s = now_s  # when people last read that nothing happens
        self._news_s = now_s  # when something last came from an actor or the encoder
        self._alive_s = now_s  # when there last was an actor
        self._actor_limit_s: float | None = None

    def apply(self, event: Event) -> None:
        """Something came from an actor or the encoder."""
        match event:
            case (
                ActorJoined()
                | SegmentDrawn()
                | CopyDrawn()
                | SegmentEncoded()
                | PartKept(by_actor=True)
            ):
                self._news_s = time.perf_counter()

    def check(self, encoder_silence_s: float) -> None:
        """End the job where nothing more is to be expected."""
        now_s = time.perf_counter()
        self._check_actors(now_s)
        silence_s = now_s - self._news_s
        if silence_s > self._limit_s():
            text = f"No actor has answered for {silence_s:.0f} s."
            raise FarmSilentError(
                f"{text} {self._waits_for(encoder_silence_s)} "
                "Does drawing wait for something that never comes?"
            )
        if now_s - max(self._reported_s, self._news_s) > SILENCE_S:
            self._reported_s = now_s
            text = f"No chunk was finished for {silence_s:.0f} s."
            self._events.emit(StatusShown(text=f"{text} {self._waits_for(encoder_silence_s)}"))

    def _check_actors(self, now_s: float) -> None:
        if self._pool.answered or not self._pool.requested:
            self._alive_s, self._actor_limit_s = now_s, None
            return
        if self._actor_limit_s is None:
            # Asked again each time that all are gone: nodes may have gone with them.
            has_room = self._link is None or self._link.room() > 0
            self._actor_limit_s = pool_module.first_actor_limit_s(has_room)
        if now_s - self._alive_s > self._actor_limit_s:
            raise self._refusal() or self._none_came(self._actor_limit_s)

    def _waits_for(self, encoder_silence_s: float) -> str:
        if encoder_silence_s > SILENCE_S:
            return f"The encoder actor has not answered for {encoder_silence_s:.0f} s."
        pool = self._pool
        return pool_module.wait_text(pool.drawing(), pool.answered, pool.requested)

    def _none_came(self, waited_s: float) -> FarmStartError:
        import ray

        there, free = ray.cluster_resources(), ray.available_resources()
        return FarmStartError(
            pool_module.no_actor_text(
                self._pool.requested, waited_s, there.get("CPU", 0), free.get("CPU", 0)
            )
        )


SETTLE_S = 5.0
"""For what is still being written when a job fails: a chunk takes milliseconds."""

HOLD_S = 1.0
"""Seconds for which the encoder must starve, or its queue be full, to count."""


class RayRun:
    """The frames of a job that are drawn on Ray."""

    def __init__(
        self,
        job: Job,
        events: JobEvents,
        *,
        packed_source: PackedSource,
        setup: RenderSetup,
        work: RemainingWork,
        choice: Choice,
        max_actors: int,
        limit_bytes: int,
        link: ClusterLink | None = None,
    ) -> None:
        self._events = events
        self._may_redraw = job.may_redraw
        self._work = work
        self._choice = choice
        self._open_s = setup.open_s
        self._sizes = ChunkSizes(
            work.times,
            frame_bytes=work.frame_bytes,
            frames_left=work.plan.frames_left,
            limit_bytes=limit_bytes,
            max_actors=max_actors,
            queue_size=job.settings.performance.worker_queue_size,
            encoders=work.encoders.width,
            asked=job.settings.performance.frame_batch_amount,
            may_encode=work.writer is not None,
        )
        events.engine_chosen("ray", choice.reason, choice.actors)
        self._name = job.name.in_pass(events.stats.ray_passes + 1)
        self._encoder: EncoderLink | None = None
        self._pool = self._make_pool(self._name, packed_source, setup, link)
        self._dispatcher: Dispatcher[Any] = Dispatcher(
            self._chunks(),
            frame_bytes=work.frame_bytes,
            limit_bytes=limit_bytes,
            first_frame=work.plan.next_frame,
            begun=work.begun,
        )
        self._controller = self._make_controller(job.settings.performance, max_actors, limit_bytes)
        self._book = NodeFailures()
        self._failures = FailureHandler(self._pool, self._dispatcher, events, self._book)
        self._assigner = ChunkAssigner(
            self._pool,
            self._dispatcher,
            events,
            self._book,
            depth=job.settings.performance.worker_queue_size if work.writer is None else None,
        )
        self._watchdog = Watchdog(
            self._pool,
            events,
            link,
            limit_s=self._silence_limit_s,
            refusal=lambda: self._failures.refusal,
        )

    def _chunks(self) -> Iterator[Chunk]:
        """What is left of the video, cut as it is asked for."""
        plan = self._work.plan
        while (chunk := plan.take(self._sizes.next_length(plan))) is not None:
            yield chunk

    def _make_pool(
        self,
        name: JobName,
        packed_source: PackedSource,
        setup: RenderSetup,
        link: ClusterLink | None,
    ) -> RenderPool:
        import ray

        source_ref = ray.put(packed_source)
        with unpicklable_parameters_named(Chunk(0, 0, 1, setup.first)):
            setup_ref = ray.put(setup)
        return RenderPool(
            lambda: (source_ref, setup_ref),
            name,
            self._events.emit,
            None if link is None else link.need(),
            here=ray.get_runtime_context().get_node_id(),
        )

    def _make_controller(
        self, settings: PerformanceSettings, max_actors: int, limit_bytes: int
    ) -> Controller:
        return Controller(
            ScalingLimits(
                min_actors=min(settings.min_workers, max_actors),
                max_actors=max_actors,
                hold_s=HOLD_S,
                settle_s=settings.perf_delay,
            ),
            self._pool,
            self._dispatcher,
            self._events,
            chunk_frames=self._sizes.usual,
            limit_bytes=limit_bytes,
            window_s=settings.window_size,
            actor_start_s=ACTOR_START_S + self._open_s,
        )

    def run(self) -> int:
        """Draw and encode everything; the video's bytes."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._events.passed_to(self._controller, self._watchdog))
            stack.callback(self._events.emit, RayPassEnded())
            stack.callback(self._stop_encoder)
            stack.callback(self._pool.kill)
            self._events.emit(RayPassStarted())
            self._draw_all()
            # Nodes may go while the video is joined.
            self._pool.apply(0)
            self._events.counted(self._pool.alive, self._pool.nodes)
            file_bytes = self._work.finish(None if self._encoder is None else self._join)
            self._pool.close(self._assigner.late.unresponsive_nodes)
            return file_bytes

    def _stop_encoder(self) -> None:
        if self._encoder is not None:
            # What ends the job early is no reason to lose what is drawn.
            self._encoder.settle(SETTLE_S)
            self._encoder.kill()

    def _draw_all(self) -> None:
        self._controller.begin(self._choice.actors, self._choice.reason)
        while not self._is_done():
            self._assigner.assign()
            self._wait()
            self._end_hung_actors()
            self._events.counted(self._pool.alive, self._pool.nodes)
            self._controller.tick()
            self._watchdog.check(self._encoder_silence_s())
            self._events.emit(
                Progressed(
                    alive=self._pool.alive,
                    requested=self._pool.requested,
                    target=self._controller.target,
                    queued_frames=self._dispatcher.queued_frames,
                )
            )

    def _is_done(self) -> bool:
        is_encoded = self._work.look_around()
        for last in self._dispatcher.ended():
            self._work.encoders.end(self._work.segment_of(last))
            is_encoded = False
        if self._encoder is not None:
            self._encoder.found(self._work.found())
        return is_encoded and self._dispatcher.finished and not self._encoder_refs()

    def _encoder_refs(self) -> list[Any]:
        return [] if self._encoder is None else self._encoder.refs()

    def _encoder_actor(self) -> EncoderLink:
        """The encoder actor, which is started for the first segment that it gets."""
        if self._encoder is None:
            if self._work.writer is None:
                raise RuntimeError("the video has one encoder, which is in this process")
            self._encoder = EncoderLink(self._work.writer, self._name)
            self._encoder.start()
        return self._encoder

    def _join(self, n_frames: int) -> int:
        while True:
            try:
                return self._encoder_actor().finish(n_frames)
            except EncoderLostError as error:
                self._revive_encoder(error)

    def _revive_encoder(self, error: EncoderLostError) -> None:
        if not self._encoder_actor().restart():
            raise error
        message = f"{error.message} Another one goes on from what it had written."
        self._events.emit(EncoderLost(reason=error.message, message=message))
        self._events.emit(EncoderRevived())

    def _wait(self) -> None:
        """Wait for answers, a moment at most, and handle them."""
        import ray

        refs = self._pool.refs() + self._encoder_refs()
        patience_s = self._pool.poll_s(TICK_S)
        if not refs:
            time.sleep(patience_s)
        else:
            ready, _ = ray.wait(refs, num_returns=1, timeout=patience_s, fetch_local=False)
            if ready and len(refs) > 1:
                ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
            for ref in ready:
                self._answered(ref)
        # Drawn chunks may be on their way while nothing else is.
        for event in self._pool.arrived():
            self._handle(event)

    def _end_hung_actors(self) -> None:
        for number in self._assigner.find_late():
            self._failures.given_up(number)
        for number in self._pool.slow_to_open():
            self._failures.never_opened(number)

    def _answered(self, ref: Any) -> None:
        try:
            acknowledged = None if self._encoder is None else self._encoder.take(ref)
        except EncoderLostError as error:
            self._revive_encoder(error)
            return
        if acknowledged is not None:
            self._written(*acknowledged)
            return
        self._handle(self._pool.take(ref))

    def _handle(self, event: PoolEvent | None) -> None:
        match event:
            case TransferBegan():
                self._dispatcher.on_its_way(event.chunk, event.payload_bytes)
            case Arrived():
                self._drawn(event)
            case PayloadLost():
                self._failures.payload_lost(event)
            case Died():
                self._failures.died(event)
            case CallFailed():
                self._failures.refused(event)
            case Joined():
                self._joined(event)

    def _joined(self, event: Joined) -> None:
        node = self._pool.node_of(event.number)
        if node is not None:
            self._book.seen(node)
        if event.differs:
            self._events.notice_once(DIFFERENCE)

    def _drawn(self, event: Arrived) -> None:
        chunk, meta = event.chunk, event.meta
        if meta.difference is not None and self._may_redraw:
            raise RedrawError(meta.difference)
        timings = meta.timings
        if timings is not None and self._dispatcher.is_wanted(chunk):
            self._events.emit(
                SegmentDrawn.timed(chunk, timings, actor=event.number, rss_bytes=meta.rss_bytes)
            )
        else:
            self._events.emit(CopyDrawn(rss_bytes=meta.rss_bytes))
        self._book.drawn(event.node, chunk.index)
        self._assigner.drawn(chunk, timings)
        for drawn in self._dispatcher.drawn(chunk, event.payload, meta.payload_bytes):
            if drawn.chunk.encodes:
                self._encoder_actor().put(
                    drawn.chunk, drawn.payload, self._dispatcher.encoded, meta.batch_digest
                )
            else:
                self._work.encoders.add(drawn.chunk, drawn.payload.frames, self._dispatcher.encoded)

    def _written(self, chunk: Chunk, answer: Acknowledgement | None) -> None:
        if answer is None:
            self._failures.lost_before_encoded(chunk)
            return
        # What was encoded by who drew it is only written here.
        self._events.emit(
            PartKept.of(
                chunk,
                write_s=answer.encode_s,
                wait_s=answer.wait_s,
                written_bytes=answer.written_bytes,
                rss_bytes=answer.rss_bytes,
                by_actor=True,
            )
        )

    def _silence_limit_s(self) -> float:
        frame_s = max(self._work.times.draw_s, self._assigner.pace.known_s)
        return scheduler.timeout_s(self._sizes.usual, frame_s, self._open_s)

    def _encoder_silence_s(self) -> float:
        if self._encoder is None:
            return 0.0
        try:
            return self._encoder.waiting_s()
        except EncoderLostError as error:
            self._revive_encoder(error)
            return 0.0
