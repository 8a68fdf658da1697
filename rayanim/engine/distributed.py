"""Runs a job on Ray: one loop that hands out, waits, orders and forwards references."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from rayanim import events
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
from rayanim.engine.draw import HistoryBudget, RawPayload, RenderSetup, Timings
from rayanim.engine.encoder import EncoderLink
from rayanim.engine.placement import Need, memory_to_ask
from rayanim.engine.plan import Segment
from rayanim.engine.pool import (
    DIFFERENCE,
    Arrived,
    Died,
    Event,
    Fetched,
    Joined,
    OnItsWay,
    PayloadLost,
    Refused,
    RenderPool,
    travelling,
)
from rayanim.engine.ray_session import node_label
from rayanim.engine.scheduler import (
    MAX_FAILURES,
    NOTHING_LATE,
    Dispatcher,
    Drawn,
    Lateness,
    NodeBook,
    Pace,
    look_for_late,
)
from rayanim.engine.stats import JobName, Tally, drawn_event
from rayanim.engine.writing import Writing
from rayanim.errors import (
    EncoderLostError,
    FarmSilentError,
    FarmStartError,
    HistoryError,
    RayanimError,
    RedrawError,
)
from rayanim.events import ActorDied
from rayanim.report import size_text

if TYPE_CHECKING:
    from rayanim.engine.cluster import ClusterLink
    from rayanim.engine.draw import Shipment
    from rayanim.engine.job import Job
    from rayanim.settings import ClusterSettings, PerformanceSettings


class MemoryCluster(Protocol):
    """The part of a `ClusterLink` that is needed."""

    @property
    def settings(self) -> ClusterSettings: ...

    def need(self, memory_bytes: int | None = None) -> Need: ...

    def most_with(self, need: Need) -> int: ...


class Asking(Protocol):
    """Who asks for actors: a pool."""

    need: Need | None


class Bounded(Protocol):
    """Who decides how many: a controller."""

    @property
    def most(self) -> int: ...

    def bound(self, most: int) -> None: ...


class ActorMemory:
    """The memory of a job's render actors on a cluster.

    Ray places actors by what they ask for, and nobody can say beforehand how
    much a script's drawing takes. So the first actors ask for none; those that
    come later ask for what was seen, and where that leaves room for fewer of
    them than the cluster has processors for, there are fewer.
    """

    def __init__(
        self, cluster: MemoryCluster | None, pool: Asking, controller: Bounded, tally: Tally
    ) -> None:
        self._cluster = cluster
        self._pool = pool
        self._controller = controller
        self._tally = tally
        self._asked_bytes = 0

    def seen(self, rss_bytes: int) -> None:
        """An actor has drawn a segment, and has this resident size now."""
        cluster = self._cluster
        if cluster is None or cluster.settings.actor_memory_bytes is not None:
            return
        if rss_bytes <= self._asked_bytes:
            return
        self._asked_bytes = memory_to_ask(rss_bytes)
        need = cluster.need(self._asked_bytes)
        self._pool.need = need
        most, allowed = cluster.most_with(need), self._controller.most
        if 0 < most < allowed:
            self._controller.bound(most)
            self._tally.event_once(
                f"A render actor takes {size_text(rss_bytes)}: the cluster's memory suffices for "
                f"{most}, {allowed} were allowed.",
                "memory of actors",
            )


TICK_S = 0.1
"""Seconds between two looks."""


class Workforce(Protocol):
    """The part of a pool that the controller needs."""

    @property
    def requested(self) -> int: ...

    @property
    def alive(self) -> int: ...

    @property
    def nodes(self) -> int: ...

    def apply(self, target: int) -> None: ...


class Controller:
    """Keeps the number of render actors right."""

    def __init__(
        self,
        limits: ScalingLimits,
        pool: Workforce,
        dispatcher: Dispatcher[object],
        tally: Tally,
        *,
        segment_frames: int,
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
        self._tally = tally
        self._segment_frames = segment_frames
        self._limit_bytes = limit_bytes
        self._drawing = SlidingSums(window_s)
        self._encoding = SlidingSums(window_s)
        self._state = PolicyState()
        self._next_tick_s = 0.0
        self.target = 0

    def begin(self, target: int, reason: str) -> None:
        """Ask for the first actors."""
        self.target = target
        self._pool.apply(target)
        self._tally.change(target, reason)

    @property
    def most(self) -> int:
        """The most actors that there may be."""
        return self._limits.max_actors

    def bound(self, most: int) -> None:
        """There may be no more than `most` actors from now on."""
        fewest = min(self._limits.min_actors, most)
        self._limits = replace(self._limits, min_actors=fewest, max_actors=most)

    def drawn(self, timings: Timings) -> None:
        """An actor has drawn a segment."""
        self._drawing.add(self._clock(), timings.frames, timings.draw_s + timings.convert_s)

    def encoded(self, frames: int, encode_s: float, wait_s: float) -> None:
        """The encoder has taken a segment."""
        self._encoding.add(self._clock(), frames, encode_s, wait_s)

    def tick(self) -> None:
        """Look, decide and apply, unless the last time was just now."""
        now_s = self._clock()
        if now_s < self._next_tick_s:
            return
        self._next_tick_s = now_s + TICK_S
        self._tally.there_are(self._pool.alive, self._pool.nodes)
        snapshot = self._snapshot(now_s)
        decision, self._state = decide(snapshot, self._limits, self._state)
        if decision.delta:
            self.target = decision.target
            self._pool.apply(decision.target)
            self._tally.change(decision.target, decision.reason)

    def _snapshot(self, now_s: float) -> Snapshot:
        frames_left, segments_left = self._left()
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
            segments_left=segments_left,
            actor_start_s=self._actor_start_s,
        )

    def _left(self) -> tuple[int | None, int | None]:
        """Frames not drawn yet and places to draw them, None where the end is unknown."""
        dispatcher, total = self._dispatcher, self._tally.total
        if dispatcher.all_handed_out:
            return dispatcher.drawing_frames, dispatcher.last_places
        if total is None:
            return None, None
        frames_left = total - dispatcher.first_frame - dispatcher.drawn_frames
        waiting = max(0, frames_left - dispatcher.drawing_frames)
        return frames_left, dispatcher.drawing_segments + -(-waiting // self._segment_frames)


@dataclass(frozen=True, slots=True)
class Course:
    """What is to be drawn on Ray, and how it goes into the video."""

    plan: Iterator[Segment]
    writing: Writing
    segment_frames: int
    done_frames: int
    frame_bytes: int
    frame_s: float = 0.0
    first_index: int = 0
    head: Iterable[Drawn[RawPayload]] = ()
    begun: RawPayload | None = None
    settle: Callable[[], bool] = lambda: True
    found: Callable[[], Iterable[int]] = lambda: ()


SHORT_SEGMENT_S = 0.2
"""Ray's 2 to 3 ms between two calls are more than a hundredth of a segment below this."""

LOOK_S = 0.25
"""Seconds between two looks at what is overdue: each looks at all actors."""


class HandOut:
    """Who draws what next."""

    def __init__(
        self,
        pool: RenderPool,
        dispatcher: Dispatcher[Any],
        tally: Tally,
        book: NodeBook,
        *,
        depth: int | None,
        begun_ref: Any = None,
    ) -> None:
        self._pool = pool
        self._dispatcher = dispatcher
        self._tally = tally
        self._book = book
        self._adapts_depth = depth is None
        self._depth = depth or 1
        self._begun_ref = begun_ref
        self._begun_index: int | None = None
        self._history = HistoryBudget()
        self._next_look_s = 0.0
        self._is_back = False
        self.late: Lateness = NOTHING_LATE
        self.pace = Pace()

    def hand_out(self) -> None:
        """Give all free actors something to draw, as far as there is any."""
        for number in self._pool.free_places(self._depth):
            node = self._pool.node_of(number)
            if node is not None and node in self.late.silent_nodes:
                continue
            segment = self._next_for(number, node)
            if segment is not None:
                self._submit(number, segment)
            elif not self.late.overdue and not self._book.has_failures:
                # The next one would get nothing, either.
                break

    def drawn(self, segment: Segment, timings: Timings | None) -> None:
        """A segment has come; how long that took, where it is the first to come."""
        if segment.index == self._begun_index:
            # The frames that travelled with it are not needed any more.
            self._begun_ref = None
        if timings is None or not timings.frames:
            return
        all_timings = self._tally.timings
        self.pace = replace(
            self.pace,
            frame_s=all_timings.busy_s / max(1, all_timings.frames),
            slowest_s=max(self.pace.slowest_s, timings.busy_s / timings.frames),
        )
        if self._adapts_depth:
            # Short segments are queued at the actors, long ones wait until somebody is idle.
            self._depth = 2 if timings.busy_s < SHORT_SEGMENT_S else 1

    def look(self) -> tuple[int, ...]:
        """See what is overdue, unless that was just done; actors that nobody waits for."""
        now_s = time.perf_counter()
        if now_s < self._next_look_s or self.pace.frame_s is None:
            return ()
        late_s, self._next_look_s = now_s - self._next_look_s, now_s + LOOK_S
        if self._was_away(late_s):
            return ()
        self.late = look_for_late(
            self._pool.holdings(self.pace, self._dispatcher.is_wanted),
            self._pool.heard_ago_s(),
            self._pool.alive,
        )
        if self.late.patience_s > self.pace.patience_s:
            self.pace = replace(self.pace, patience_s=self.late.patience_s)
        return self.late.given_up

    def _was_away(self, late_s: float) -> bool:
        """Whether the driver was held up, and has not heard what was said meanwhile.

        It waits for a new encoder actor, say, or the user's progress function
        does something. Never twice in a row: on a busy machine each turn is slow.
        """
        self._is_back = late_s > LOOK_S and not self._is_back
        return self._is_back

    def _next_for(self, number: int, node: str | None) -> Segment | None:
        late = self.late
        if late.copies_left and late.far_overdue:
            segment = self._copy(late.far_overdue, number, node)
            if segment is not None:
                self.late = replace(late, copies_left=late.copies_left - 1)
                return segment
        segment = self._dispatcher.take(self._to_avoid(node))
        if segment is None and self._dispatcher.all_handed_out and number in self._pool.idle:
            segment = self._copy(late.overdue, number, node)
        return segment

    def _to_avoid(self, node: str | None) -> frozenset[int]:
        if not self._book.has_failures:
            return frozenset()
        return self._book.to_avoid(node, self._pool.working_nodes() - self.late.silent_nodes)

    def _copy(
        self, overdue: Mapping[int, frozenset[str | None]], number: int, node: str | None
    ) -> Segment | None:
        """A copy of what another node draws, or another actor where there is but one node."""
        if not overdue:
            return None
        alone = len(self._pool.working_nodes()) < 2
        among = {index for index, nodes in overdue.items() if alone or node not in nodes}
        among -= {segment.index for segment in self._pool.held_by(number)}
        segment = self._dispatcher.take_copy(among)
        if segment is not None:
            self._tally.event_once(
                f"{segment.label.capitalize()} took an actor longer than usual: another one "
                "draws them, too.",
                "overdue",
            )
        return segment

    def _submit(self, number: int, segment: Segment) -> None:
        if self._begun_index is None:
            # The first that is handed out is the one that was begun here.
            self._begun_index = segment.index
        done_ref = self._begun_ref if segment.index == self._begun_index else None
        is_checked = self._history.is_due(self._tally.timings.frames)
        self._pool.submit(number, segment, done_ref, is_checked=is_checked)


class Losses:
    """Takes lost segments back, and leaves out nodes on which too much is lost."""

    def __init__(
        self, pool: RenderPool, dispatcher: Dispatcher[Any], tally: Tally, book: NodeBook
    ) -> None:
        self._pool = pool
        self._dispatcher = dispatcher
        self._tally = tally
        self._book = book
        self.refusal: RayanimError | None = None

    def died(self, event: Died) -> None:
        """An actor is gone: what it held is drawn again."""
        for segment in event.waiting:
            self._dispatcher.give_back(segment)
        wanted = None
        if event.drawing is not None and self._dispatcher.is_wanted(event.drawing):
            wanted = event.drawing
        self._tell_of(event, wanted)
        if event.drawing is not None:
            self._dispatcher.lost(event.drawing, event.why)
        self._count(event.node, event.why, index=None if wanted is None else wanted.index)

    def given_up(self, number: int) -> None:
        """An actor that nobody waits for is ended; it is to blame, not its segment."""
        event = self._pool.give_up(number, "took far longer than others")
        if event is None:
            return
        text = f"Render actor {number} is not waited for any more: it says nothing."
        drawing = event.drawing
        if drawing is not None and self._dispatcher.is_wanted(drawing):
            self._tally.log.tell(_in_log(event))
            self._tally.retried(drawing, event.why, f"{text} Drawn again: {drawing.label}.")
        else:
            self._tally.event(text, _in_log(event))
        for segment in (drawing, *event.waiting):
            if segment is not None:
                self._dispatcher.give_back(segment)
        self._count(event.node, event.why)

    def never_opened(self, number: int) -> None:
        """An actor that opens its source for ever, where others were quick, is ended."""
        event = self._pool.give_up(number, "never opened the source")
        if event is not None:
            self._tally.event(
                f"Render actor {number} does not open its source: it is ended.", _in_log(event)
            )
            self._count(event.node, event.why, weight=MAX_FAILURES)

    def payload_lost(self, event: PayloadLost) -> None:
        """What was drawn is gone before it was here."""
        if self._dispatcher.is_wanted(event.segment):
            self._tally.retried(
                event.segment,
                event.why,
                f"What was drawn of {event.segment.label} was lost with its machine "
                f"({event.why}). They are drawn again.",
            )
        self._dispatcher.give_back(event.segment)

    def refused(self, event: Refused) -> None:
        """Code failed in an actor: tried once on another node, where there is one."""
        if event.segment is None:
            self._cannot_open(event)
            return
        if isinstance(event.failure, HistoryError):
            raise event.failure
        if not self._dispatcher.is_wanted(event.segment):
            # Another actor has drawn it: what failed here was its copy.
            self._dispatcher.give_back(event.segment)
            self._count(event.node, event.failure.message)
            return
        others = self._pool.working_nodes() - {event.node}
        seen_elsewhere = event.node is None or self._book.has_failed_before(event.segment.index)
        if seen_elsewhere or not others:
            raise event.failure
        self._tally.retried(
            event.segment,
            event.failure.message,
            f"{event.failure.message} That was on node {_named(event.node)}; another one tries.",
        )
        self._dispatcher.give_back(event.segment)
        self._count(event.node, event.failure.message, index=event.segment.index)

    def _tell_of(self, event: Died, wanted: Segment | None) -> None:
        if wanted is None:
            doing = "idle" if event.drawing is None else "drawing what others had drawn"
            self._tally.event(
                f"Render actor {event.number} died while {doing} ({event.why}).", _in_log(event)
            )
            return
        self._tally.log.tell(_in_log(event))
        self._tally.retried(
            wanted,
            event.why,
            f"Render actor {event.number} died while drawing {wanted.label} ({event.why}). "
            "They are drawn again.",
        )

    def _cannot_open(self, event: Refused) -> None:
        failure, node = event.failure, event.node
        others = usable_nodes(self._pool.need) - {node, *self._book.left_out}
        if node is None or not others or (self.refusal is not None and not self._pool.alive):
            raise failure
        self.refusal = failure
        self._tally.event(
            f"{failure.message} That was on node {_named(node)}, which is left out; others try."
        )
        self._book.leave_out(node)
        self._leave_out(node)

    def _count(
        self, node: str | None, why: str, *, index: int | None = None, weight: int = 1
    ) -> None:
        exclusion = self._book.failed(node, why, index=index, weight=weight)
        if exclusion is not None:
            self._tally.event(
                f"Node {_named(exclusion.node)} is left out: render actors failed there "
                f"{exclusion.failures} times (at last: {exclusion.why}), and others do well."
            )
            self._leave_out(exclusion.node)

    def _leave_out(self, node: str) -> None:
        for segment in self._pool.leave_out(node):
            self._dispatcher.give_back(segment)


def _in_log(event: Died) -> ActorDied:
    drawing = event.drawing
    return ActorDied(
        actor=event.number,
        reason=event.why,
        start=None if drawing is None else drawing.start,
        stop=None if drawing is None else drawing.stop,
    )


def _named(node: str | None) -> str:
    return "unknown" if node is None else node_label(node)


SILENCE_S = 60.0
"""After this long without a finished segment, say what is being drawn."""


class Vigil:
    """Looks, in every turn of the run's loop, whether anybody still does something."""

    def __init__(
        self,
        pool: RenderPool,
        tally: Tally,
        link: ClusterLink | None,
        *,
        limit_s: Callable[[], float],
        refusal: Callable[[], RayanimError | None],
    ) -> None:
        self._pool = pool
        self._tally = tally
        self._link = link
        self._limit_s = limit_s
        self._refusal = refusal
        self._told_s = self._heard_s = self._alive_s = time.perf_counter()
        self._actor_limit_s: float | None = None

    def heard(self) -> None:
        """Something came from an actor or the encoder."""
        self._heard_s = time.perf_counter()

    def look(self, encoder_silence_s: float) -> None:
        """End the job where nothing more is to be expected."""
        now_s = time.perf_counter()
        self._look_for_actors(now_s)
        silence_s = now_s - self._heard_s
        if silence_s > self._limit_s():
            raise FarmSilentError(
                f"Nothing was heard for {silence_s:.0f} s. {self._what_lasts(encoder_silence_s)} "
                "Does drawing wait for something that never comes?"
            )
        if now_s - max(self._told_s, self._heard_s) > SILENCE_S:
            self._told_s = now_s
            self._tally.progress.message(
                f"No segment was finished for {silence_s:.0f} s. "
                f"{self._what_lasts(encoder_silence_s)}"
            )

    def _look_for_actors(self, now_s: float) -> None:
        if self._pool.answered or not self._pool.requested:
            self._alive_s, self._actor_limit_s = now_s, None
            return
        if self._actor_limit_s is None:
            # Asked anew each time that all are gone: nodes may have gone with them.
            has_room = self._link is None or self._link.room() > 0
            self._actor_limit_s = pool_module.limit_s(has_room)
        if now_s - self._alive_s > self._actor_limit_s:
            raise self._refusal() or self._none_came(self._actor_limit_s)

    def _what_lasts(self, encoder_silence_s: float) -> str:
        if encoder_silence_s > SILENCE_S:
            return f"The encoder actor has not answered for {encoder_silence_s:.0f} s."
        pool = self._pool
        return pool_module.what_lasts(pool.drawing(), pool.answered, pool.requested)

    def _none_came(self, waited_s: float) -> FarmStartError:
        import ray

        there, free = ray.cluster_resources(), ray.available_resources()
        return FarmStartError(
            pool_module.none_came(
                self._pool.requested, waited_s, there.get("CPU", 0), free.get("CPU", 0)
            )
        )


SETTLE_S = 5.0
"""What may still be written of a job that has failed: a part takes milliseconds."""

HOLD_S = 1.0
"""Seconds for which the encoder must starve, or its queue be full, to count."""


class FarmRun:
    """One pass over the frames of a job on Ray."""

    def __init__(
        self,
        job: Job,
        tally: Tally,
        *,
        shipment: Shipment,
        setup: RenderSetup,
        course: Course,
        choice: Choice,
        max_actors: int,
        limit_bytes: int,
        link: ClusterLink | None = None,
    ) -> None:
        import ray

        self._tally = tally
        self._may_redraw = job.may_redraw
        self._course = course
        self._in_order = not course.writing.survives
        tally.passes += 1
        tally.chosen("ray", choice.reason, choice.actors)
        name = job.name.in_pass(tally.passes)
        self._encoder = EncoderLink(course.writing, name)
        self._pool = self._make_pool(name, shipment, setup, link)
        self._dispatcher: Dispatcher[Any] = Dispatcher(
            course.plan,
            frame_bytes=course.frame_bytes,
            limit_bytes=limit_bytes,
            first=course.first_index,
            first_frame=course.done_frames,
            in_order=self._in_order,
        )
        self._controller = self._make_controller(
            job.settings.performance, max_actors, limit_bytes, setup.open_s
        )
        self._memory = ActorMemory(link, self._pool, self._controller, tally)
        self._choice = choice
        self._open_s = setup.open_s
        self._book = NodeBook()
        self._losses = Losses(self._pool, self._dispatcher, tally, self._book)
        self._hand_out = HandOut(
            self._pool,
            self._dispatcher,
            tally,
            self._book,
            depth=job.settings.performance.worker_queue_size if self._in_order else None,
            begun_ref=None if course.begun is None else ray.put(course.begun),
        )
        self._vigil = Vigil(
            self._pool,
            tally,
            link,
            limit_s=self._silence_limit_s,
            refusal=lambda: self._losses.refusal,
        )

    def _make_pool(
        self, name: JobName, shipment: Shipment, setup: RenderSetup, link: ClusterLink | None
    ) -> RenderPool:
        import ray

        shipment_ref = ray.put(shipment)
        with travelling(Segment(0, 0, 1, setup.first)):
            setup_ref = ray.put(setup)
        return RenderPool(
            lambda: (shipment_ref, setup_ref),
            name,
            self._tally.log,
            None if link is None else link.need(),
            here=ray.get_runtime_context().get_node_id(),
            pins_payloads=self._in_order,
        )

    def _make_controller(
        self, settings: PerformanceSettings, max_actors: int, limit_bytes: int, open_s: float
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
            self._tally,
            segment_frames=self._course.segment_frames,
            limit_bytes=limit_bytes,
            window_s=settings.window_size,
            actor_start_s=ACTOR_START_S + open_s,
        )

    def run(self) -> int:
        """Draw and encode everything."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._tally.exporter.end, self._tally)
            stack.callback(self._encoder.kill)
            stack.callback(self._pool.kill)
            # What ends the job early is no reason to lose what is drawn.
            stack.callback(self._encoder.settle, SETTLE_S)
            self._tally.exporter.begin()
            self._encoder.start()
            self._draw_all()
            # Nodes may go while the video is joined.
            self._pool.apply(0)
            self._tally.there_are(self._pool.alive, self._pool.nodes)
            file_bytes = self._finished()
            self._pool.close(self._hand_out.late.silent_nodes)
            return file_bytes

    def _draw_all(self) -> None:
        self._controller.begin(self._choice.actors, self._choice.reason)
        self._put_head()
        while not self._is_done():
            self._hand_out.hand_out()
            self._listen()
            self._give_up_the_hung()
            self._controller.tick()
            self._vigil.look(self._encoder_silence_s())
            self._tally.tell(
                alive=self._pool.alive,
                asked_for=self._pool.requested,
                target=self._controller.target,
                queued_frames=self._dispatcher.queued_frames,
            )

    def _is_done(self) -> bool:
        settled = self._course.settle()
        self._encoder.found(self._course.found())
        return settled and self._dispatcher.finished and not self._encoder.refs()

    def _finished(self) -> int:
        began_s = self._tally.elapsed_s
        while True:
            try:
                file_bytes = self._encoder.finish(self._tally.frames)
                self._tally.ended(self._tally.elapsed_s - began_s, is_encoding=self._in_order)
                return file_bytes
            except EncoderLostError as error:
                self._revive_encoder(error)

    def _revive_encoder(self, error: EncoderLostError) -> None:
        if not self._encoder.revive():
            raise error
        self._tally.event(
            f"{error.message} Another one goes on from what it had written.",
            events.EncoderLost(reason=error.message),
        )
        self._tally.log.tell(events.EncoderRevived())

    def _put_head(self) -> None:
        import ray

        for drawn in self._course.head:
            # The only pixels the driver ever puts: those it drew itself.
            self._encoder.put(drawn.segment, Fetched(ray.put(drawn.payload)), _nothing_to_free)

    def _listen(self) -> None:
        import ray

        refs = self._pool.refs() + self._encoder.refs()
        patience_s = self._pool.look_again_s(TICK_S)
        if not refs:
            time.sleep(patience_s)
        else:
            ready, _ = ray.wait(refs, num_returns=1, timeout=patience_s, fetch_local=False)
            if ready and len(refs) > 1:
                ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
            for ref in ready:
                self._hear(ref)
        # Drawn segments may be on their way while nothing else is.
        for event in self._pool.arrived():
            self._heed(event)

    def _give_up_the_hung(self) -> None:
        for number in self._hand_out.look():
            self._losses.given_up(number)
        for number in self._pool.slow_to_open():
            self._losses.never_opened(number)

    def _hear(self, ref: Any) -> None:
        try:
            acknowledged = self._encoder.take(ref)
        except EncoderLostError as error:
            self._revive_encoder(error)
            return
        if acknowledged is not None:
            self._encoded(*acknowledged)
            return
        self._heed(self._pool.take(ref))

    def _heed(self, event: Event | None) -> None:
        match event:
            case OnItsWay():
                self._dispatcher.on_its_way(event.segment, event.payload_bytes)
            case Arrived():
                self._drawn(event)
            case PayloadLost():
                self._losses.payload_lost(event)
            case Died():
                self._losses.died(event)
            case Refused():
                self._losses.refused(event)
            case Joined():
                self._joined(event)

    def _encoded(self, segment: Segment, answer: Acknowledgement | None) -> None:
        if answer is None:
            self._tally.retried(
                segment,
                "what was drawn was lost with its machine",
                f"What was drawn of {segment.label} was lost with its machine. "
                "They are drawn again.",
            )
            self._dispatcher.payload_lost(segment)
            return
        self._vigil.heard()
        # What was encoded by who drew it is only written here.
        encode_s, write_s = (answer.encode_s, 0.0) if self._in_order else (0.0, answer.encode_s)
        self._tally.encoded(len(segment), encode_s, answer.wait_s)
        self._tally.written(len(segment), answer.written_bytes, write_s)
        self._tally.log.tell(
            events.SegmentEncoded.of(segment, encode_s=answer.encode_s, wait_s=answer.wait_s)
            if self._in_order
            else events.PartKept.of(segment, written_bytes=answer.written_bytes)
        )
        self._tally.memory("EncoderActor", answer.rss_bytes)
        self._controller.encoded(len(segment), answer.encode_s, answer.wait_s)

    def _joined(self, event: Joined) -> None:
        self._vigil.heard()
        node = self._pool.node_of(event.number)
        if node is not None:
            self._book.seen(node)
        if not self._tally.start_s:
            self._tally.start_s = self._tally.elapsed_s
        if event.differs:
            self._tally.event_once(DIFFERENCE)

    def _drawn(self, event: Arrived) -> None:
        if event.meta.difference is not None and self._may_redraw:
            raise RedrawError(event.meta.difference)
        self._vigil.heard()
        self._tally.memory("RenderActor", event.meta.rss_bytes)
        self._memory.seen(event.meta.rss_bytes)
        self._book.drawn(event.node, event.segment.index)
        timings = event.meta.timings
        if timings is not None and self._dispatcher.is_wanted(event.segment):
            self._tally.drawn(timings)
            self._tally.log.tell(drawn_event(event.segment, timings, event.number))
            self._controller.drawn(timings)
        self._hand_out.drawn(event.segment, timings)
        payload_bytes = None if self._in_order else event.meta.payload_bytes
        for drawn in self._dispatcher.drawn(event.segment, event.payload, payload_bytes):
            self._encoder.put(
                drawn.segment, drawn.payload, self._dispatcher.encoded, event.meta.batch_digest
            )

    def _silence_limit_s(self) -> float:
        frame_s = max(self._course.frame_s, self._hand_out.pace.known_s)
        return scheduler.limit_s(self._course.segment_frames, frame_s, self._open_s)

    def _encoder_silence_s(self) -> float:
        try:
            return self._encoder.silence_s()
        except EncoderLostError as error:
            self._revive_encoder(error)
            return 0.0


def _nothing_to_free(segment: Segment) -> None:
    """Segments drawn in this process never were in the dispatcher's window."""
