"""Decides what a job on Ray does next: `Scheduler.on(event, now_s)` gives actions; PURE.

It holds everything that is known of the job's chunks, actors and nodes, and no
handle, no clock and no thread: the loop around it turns Ray's answers into
events, and carries out the actions. What goes wrong for good is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Generic

from rayanim import events
from rayanim.engine import messages
from rayanim.engine.autoscaler import PolicyState, ScalingLimits, SlidingSums, Snapshot, decide
from rayanim.engine.chunks import ChunkQueue, Payload
from rayanim.engine.plan import Chunk
from rayanim.engine.roster import (
    MAX_FAILURES,
    MAX_NODES_TRIED,
    NOTHING_LATE,
    ActorStarts,
    Assignment,
    LateWork,
    Member,
    NodeFailures,
    Pace,
    Roster,
    find_late,
)
from rayanim.errors import FarmSilentError, FarmStartError, RayanimError

TICK_S = 0.1
"""Seconds between two decisions on the number of actors."""

LOOK_S = 0.25
"""Seconds between two searches for late chunks: each goes through all actors."""

SHORT_CHUNK_S = 0.2
"""Ray's 2 to 3 ms between two calls are more than a hundredth of a chunk below this."""

SILENCE_S = 60.0
"""After this long without a finished chunk, people read what the job waits for."""

MIN_TIMEOUT_S = 900.0
"""However quick the drawing is: a machine may be that busy with other things."""

SLOW_FRAME_S = 14.0
"""What any frame may take. Only whole chunks are reported, and a video that was light
so far may come to a heavy scene."""

TIMEOUT_FACTOR = 20.0
"""How many times longer than it took so far a frame, or opening the source, may take."""

USUAL_TRANSFER_S = 0.5
"""What a transfer may well take before any is known."""


def timeout_s(chunk_frames: int, frame_s: float, open_s: float) -> float:
    """Seconds without any answer after which the job ends."""
    chunk_s = chunk_frames * max(SLOW_FRAME_S, TIMEOUT_FACTOR * frame_s)
    return max(MIN_TIMEOUT_S, chunk_s, TIMEOUT_FACTOR * open_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    """What does not change while a job runs on Ray.

    `likely_frames` gives how many frames the chunks to come have. `depth` is how many
    chunks an actor may hold, None where that follows how long they take. `frame_s`
    and `open_s` are what was measured before. `replays`: actors run the updates of the
    frames that they skip.
    """

    limits: ScalingLimits
    limit_bytes: int
    likely_frames: Callable[[], int]
    window_s: float = 3.0
    actor_start_s: float = 1.0
    depth: int | None = None
    frame_s: float = 0.0
    open_s: float = 0.0
    replays: bool = False
    total: int | None = None
    label: Callable[[str], str] = str


class Scheduler(Generic[Payload]):
    """The state machine of one job on Ray."""

    def __init__(
        self, queue: ChunkQueue[Payload], settings: SchedulerSettings, *, now_s: float
    ) -> None:
        self.queue = queue
        self._settings = settings
        self.roster = Roster()
        self._failures = NodeFailures()
        self._starts = ActorStarts()
        self.refusal: RayanimError | None = None
        """Why the source could not be opened on a node that is excluded."""
        self._answered_s: dict[str, float] = {}
        self._transfers: dict[tuple[int, int], tuple[str | None, Chunk, float]] = {}
        self._slowest_transfer_s = USUAL_TRANSFER_S
        self._numbers = 0
        self._drawn_frames = 0
        self._busy_s = 0.0
        self._pace = Pace()
        self._depth = settings.depth or 1
        self._late: LateWork = NOTHING_LATE
        self._working_nodes: set[str] = set()
        self._next_look_s = now_s
        self._was_busy = False
        self._drawing = SlidingSums(settings.window_s)
        self._encoding = SlidingSums(settings.window_s)
        self._policy = PolicyState()
        self._next_decision_s = now_s
        self._news_s = now_s
        self._reported_s = now_s
        self._alive_s = now_s
        self._now_s = now_s
        self._actions: list[messages.Action] = []
        self.target = 0

    def on(self, event: messages.Event, now_s: float) -> list[messages.Action]:
        """What is to be done because of `event`; raises what ends the job."""
        self._now_s = now_s
        self._actions = []
        match event:
            case messages.Begin():
                self._change(event.actors, event.reason)
            case messages.Tick():
                self._tick(event.encoder_silence_s)
            case messages.Answered():
                self._process_started(event)
            case messages.Joined():
                self._joined(event)
            case messages.TransferBegan():
                self._transfer_began(event)
            case messages.Arrived():
                self._arrived(event)
            case messages.PayloadLost():
                self._payload_lost(event)
            case messages.Died():
                self._died(event)
            case messages.CallFailed():
                self._call_failed(event)
            case messages.Taken():
                self._taken(event)
            case messages.WriteLost():
                self._retry(
                    event.chunk,
                    "what was drawn was lost with its machine",
                    f"What was drawn of {event.chunk.label} was lost with its machine. "
                    "They are drawn again.",
                )
                self.queue.payload_lost(event.chunk)
            case messages.Finish():
                self._apply(0)
        self._actions += [messages.EndSegment(last) for last in self.queue.ended()]
        return self._actions

    # ---- what the loop and the progress bar ask

    @property
    def unresponsive_nodes(self) -> Collection[str]:
        return self._late.unresponsive_nodes

    @property
    def without_actors_s(self) -> float:
        """Seconds for which no actor that was asked for has had a process."""
        return self._now_s - self._alive_s

    # ---- actors come and go

    def _process_started(self, event: messages.Answered) -> None:
        if event.number not in self.roster:
            return
        member = self.roster[event.number]
        member.node = event.node
        member.answered_s = self._answered_s[event.node] = self._now_s
        self.roster.answer(member)
        if event.node in self._failures.excluded:
            # It was asked for before its node was excluded, and has nothing to draw yet.
            self._actions.append(events.ActorReleased(actor=member.number))
            self._end(member)

    def _joined(self, event: messages.Joined) -> None:
        if event.number not in self.roster:
            return
        member = self.roster[event.number]
        self._heard_from(member)
        self._starts.opened(self._now_s - member.answered_s)
        self.roster.open(member)
        self._actions.append(
            events.ActorJoined(actor=member.number, waited_s=self._now_s - member.asked_s)
        )
        self._news_s = self._now_s
        if member.node is not None:
            self._failures.seen(member.node)

    def _heard_from(self, member: Member) -> None:
        if member.node is not None:
            self._answered_s[member.node] = self._now_s

    def _change(self, target: int, reason: str) -> None:
        delta, self.target = target - self.target, target
        self._apply(target)
        self._actions.append(events.ScalingDecided(target=target, delta=delta, reason=reason))

    def _apply(self, target: int) -> None:
        """Ask for actors, or release some, until `target` are requested."""
        for _ in range(target - self.roster.requested):
            self._numbers += 1
            self.roster.add(Member(self._numbers, asked_s=self._now_s))
            self._actions.append(events.ActorAsked(actor=self._numbers))
            self._actions.append(messages.Ask(self._numbers))
        for member in self.roster.to_release(self.roster.requested - target):
            self.roster.leave(member)
            self._release_if_idle(member)

    def _release_if_idle(self, member: Member) -> None:
        if member.held:
            return
        self._actions.append(events.ActorReleased(actor=member.number))
        if member.is_open:
            self.roster.remove(member)
            self._actions.append(messages.Release(member.number))
        else:
            # Calls that wait would keep it: Ray would go on to find it a node, and start it.
            self._end(member)

    def _end(self, member: Member) -> None:
        self.roster.remove(member)
        self._actions.append(messages.End(member.number))

    # ---- chunks are given out

    def _assign(self) -> None:
        """Give all free actors something to draw, as far as there is any."""
        self._look_for_late()
        for number in self.roster.free_places(self._depth):
            node = self.roster[number].node
            if node is not None and node in self._late.unresponsive_nodes:
                continue
            chunk = self._next_for(number, node)
            if chunk is not None:
                self._submit(number, chunk)
            elif not self._late.chunks and not self._failures.has_failures:
                # The next one would get nothing, either.
                break

    def _look_for_late(self) -> None:
        """Once a turn, as it may be asked by hundreds of idle actors.

        What cannot be copied now is found again when it can.
        """
        late, queue = self._late, self.queue
        if late.chunks:
            self._late = replace(
                late,
                chunks={i: on for i, on in late.chunks.items() if queue.may_be_copied(i)},
                very_late={i: on for i, on in late.very_late.items() if queue.may_be_copied(i)},
            )
        if late.chunks or self._failures.has_failures:
            self._working_nodes = self.roster.working_nodes()

    def _submit(self, number: int, chunk: Chunk) -> None:
        member = self.roster[number]
        if not member.held:
            member.began_s = self._now_s
        self.roster.begin(member, chunk)
        self._actions.append(messages.Submit(number, chunk))

    def _next_for(self, number: int, node: str | None) -> Chunk | None:
        late = self._late
        if late.copies_left and late.very_late:
            chunk = self._copy(late.very_late, number, node)
            if chunk is not None:
                self._late = replace(late, copies_left=late.copies_left - 1)
                return chunk
        chunk = self.queue.take(self._to_avoid(node))
        if chunk is None and self.queue.all_handed_out and not self.roster[number].held:
            chunk = self._copy(late.chunks, number, node)
        return chunk

    def _to_avoid(self, node: str | None) -> frozenset[int]:
        if not self._failures.has_failures:
            return frozenset()
        others = self._working_nodes - self._late.unresponsive_nodes
        return self._failures.to_avoid(node, others)

    def _copy(
        self, late: Mapping[int, frozenset[str | None]], number: int, node: str | None
    ) -> Chunk | None:
        """A copy of what another node draws, or another actor where there is but one node."""
        if not late:
            return None
        alone = len(self._working_nodes) < 2
        among = {index for index, nodes in late.items() if alone or node not in nodes}
        among -= {chunk.index for chunk in self.roster[number].held}
        chunk = self.queue.take_copy(among)
        if chunk is not None and chunk.index in self._late.very_late:
            # That idle actors share the last chunks, which take no time, is worth no words.
            text = (
                f"{chunk.label.capitalize()} took an actor longer than usual: another one "
                "draws them, too."
            )
            self._actions.append(messages.NoticeOnce(text, "late"))
        return chunk

    # ---- chunks come back

    def _stopped_drawing(self, number: int, chunk: Chunk) -> None:
        """The actor has given back `chunk`, and begins the next one."""
        if number not in self.roster:
            return
        member = self.roster[number]
        self._heard_from(member)
        if chunk not in member.held:
            return
        self.roster.end(member, chunk)
        member.began_s, member.has_drawn = self._now_s, True
        if member.leaving:
            self._release_if_idle(member)

    def _node_of(self, number: int) -> str | None:
        return self.roster[number].node if number in self.roster else None

    def _transfer_began(self, event: messages.TransferBegan) -> None:
        node = self._node_of(event.number)
        self._stopped_drawing(event.number, event.chunk)
        self._transfers[event.number, event.chunk.index] = node, event.chunk, self._now_s
        self.queue.on_its_way(event.chunk, event.meta.payload_bytes)

    def _end_transfer(self, number: int, chunk: Chunk) -> tuple[bool, str | None]:
        """Whether it was being transferred, and the node from which it came."""
        transfer = self._transfers.pop((number, chunk.index), None)
        if transfer is None:
            return False, self._node_of(number)
        node, _, since_s = transfer
        self._slowest_transfer_s = max(self._slowest_transfer_s, self._now_s - since_s)
        return True, node

    def _arrived(self, event: messages.Arrived[Payload]) -> None:
        actor, chunk, meta, timings = event.number, event.chunk, event.meta, event.meta.timings
        was_moved, node = self._end_transfer(actor, chunk)
        if not was_moved:
            self._stopped_drawing(actor, chunk)
        of_actor = {"actor": actor, "rss_bytes": meta.rss_bytes}
        if self.queue.is_wanted(chunk):
            self._actions.append(events.ChunkDrawn.timed(chunk, timings, **of_actor))
        else:
            self._actions.append(events.CopyDrawn.of(chunk, **of_actor))
        self._news_s = self._now_s
        self._failures.drawn(node, chunk.index)
        self._learn(timings.busy_s, timings.draw_s + timings.convert_s, timings.frames)
        self._actions += self.queue.drawn(
            chunk, event.payload, meta.payload_bytes, meta.batch_digest
        )

    def _learn(self, busy_s: float, draw_s: float, frames: int) -> None:
        """How long chunks take: so many frames took an actor `busy_s`."""
        self._drawing.add(self._now_s, frames, draw_s)
        self._drawn_frames += frames
        self._busy_s += busy_s
        self._pace = replace(
            self._pace,
            frame_s=self._busy_s / self._drawn_frames,
            slowest_s=max(self._pace.slowest_s, busy_s / frames),
        )
        if self._settings.depth is None:
            # Short chunks are queued at the actors, long ones wait until somebody is idle.
            self._depth = 2 if busy_s < SHORT_CHUNK_S else 1

    def _taken(self, event: messages.Taken) -> None:
        self.queue.encoded(event.chunk)
        self._encoding.add(self._now_s, len(event.chunk), event.busy_s, event.wait_s)
        self._news_s = self._now_s

    # ---- what fails

    def _payload_lost(self, event: messages.PayloadLost) -> None:
        was_moved, _ = self._end_transfer(event.number, event.chunk)
        if not was_moved:
            self._stopped_drawing(event.number, event.chunk)
        if self.queue.is_wanted(event.chunk):
            self._retry(
                event.chunk,
                event.why,
                f"What was drawn of {event.chunk.label} was lost with its machine "
                f"({event.why}). They are drawn again.",
            )
        self.queue.give_back(event.chunk)

    def _died(self, event: messages.Died) -> None:
        """An actor is gone: what it held is drawn again."""
        if event.number not in self.roster:
            return
        member = self.roster[event.number]
        drawing = member.held[0] if member.held else None
        waiting = tuple(member.held)[1:]
        self.roster.remove(member)
        # It may have died before it answered: Ray knows where.
        node = member.node or event.node
        if not member.is_open:
            self._died_while_starting(node, event)
        for chunk in waiting:
            self.queue.give_back(chunk)
        wanted = self._wanted(drawing)
        if wanted is None:
            doing = "idle" if drawing is None else "drawing what others had drawn"
            self._emit_death(
                event.number,
                event.why,
                drawing,
                f"Render actor {event.number} died while {doing} ({event.why}).",
            )
        else:
            self._emit_death(event.number, event.why, drawing)
            self._retry(
                wanted,
                event.why,
                f"Render actor {event.number} died while drawing {wanted.label} ({event.why}). "
                "They are drawn again.",
            )
        if drawing is not None:
            self.queue.lost(drawing, event.why)
        self._count(node, event.why, index=None if wanted is None else wanted.index)

    def _died_while_starting(self, node: str | None, event: messages.Died) -> None:
        if node is not None and node not in event.usable:
            # Its machine has gone, and all on it: that is not the source's fault.
            return
        starts = self._starts
        starts.deaths += 1
        nodes = MAX_NODES_TRIED if self.roster.alive else len(event.usable)
        if starts.too_many_deaths(nodes):
            raise FarmStartError(
                f"{starts.deaths} render actors in a row died while they opened the source "
                f"({event.why}). Does setup() or start() need more memory than there is? "
                "Try workers=1."
            )

    def _call_failed(self, event: messages.CallFailed) -> None:
        """Code failed in an actor: another node tries once, where there is one."""
        node = self._node_of(event.number)
        if event.chunk is None:
            self._cannot_open(event, node)
            return
        chunk, message = event.chunk, event.failure.message
        self._stopped_drawing(event.number, chunk)
        if not self.queue.is_wanted(chunk):
            # Another actor has drawn it: what failed here was its copy.
            self.queue.give_back(chunk)
            self._count(node, message)
            return
        others = self.roster.working_nodes() - {node}
        seen_elsewhere = node is None or self._failures.has_failed_before(chunk.index)
        if seen_elsewhere or not others:
            raise event.failure
        self._retry(
            chunk, message, f"{message} That was on node {self._named(node)}; another one tries."
        )
        self.queue.give_back(chunk)
        self._count(node, message, index=chunk.index)

    def _cannot_open(self, event: messages.CallFailed, node: str | None) -> None:
        failure = event.failure
        if event.number in self.roster:
            self._end(self.roster[event.number])
        others = set(event.usable) - {node, *self._failures.excluded}
        if node is None or not others or (self.refusal is not None and not self.roster.alive):
            raise failure
        self.refusal = failure
        self._notice(
            f"{failure.message} That was on node {self._named(node)}, which is left out; "
            "others try."
        )
        self._failures.exclude(node)
        self._exclude(node)

    def _wanted(self, chunk: Chunk | None) -> Chunk | None:
        """`chunk`, unless another actor has drawn it."""
        return chunk if chunk is not None and self.queue.is_wanted(chunk) else None

    def _count(
        self, node: str | None, why: str, *, index: int | None = None, weight: int = 1
    ) -> None:
        if self._failures.failed(node, index=index, weight=weight) and node is not None:
            self._notice(
                f"Node {self._named(node)} is left out: render actors failed there "
                f"{self._failures.counts[node]} times (at last: {why}), and others do well."
            )
            self._exclude(node)

    def _exclude(self, node: str) -> None:
        """End all actors on `node`, and ask for no more there."""
        self._actions.append(messages.Exclude(node))
        for member in [each for each in self.roster if each.node == node]:
            self._end(member)
            for chunk in member.held:
                self.queue.give_back(chunk)

    # ---- time passes

    def _tick(self, encoder_silence_s: float) -> None:
        self._end_hung_actors()
        if self._now_s >= self._next_decision_s:
            self._next_decision_s = self._now_s + TICK_S
            self._decide()
        self._assign()
        if self.roster.answered or not self.roster.requested:
            self._alive_s = self._now_s
        self._check_silence(encoder_silence_s)

    def _decide(self) -> None:
        snapshot = self._snapshot()
        decision, self._policy = decide(snapshot, self._settings.limits, self._policy)
        if decision.delta:
            self._change(decision.target, decision.reason)

    def _snapshot(self) -> Snapshot:
        frames_left, chunks_left = self._left()
        return Snapshot(
            now_s=self._now_s,
            alive=self.roster.alive,
            requested=self.roster.requested,
            queued_frames=self.queue.queued_frames,
            in_flight_bytes=self.queue.in_flight_bytes,
            in_flight_limit_bytes=self._settings.limit_bytes,
            encoder_idle_fraction=self._encoding.idle_fraction(self._now_s),
            draw_fps_per_actor=self._drawing.fps,
            encode_fps=self._encoding.fps,
            frames_left=frames_left,
            chunks_left=chunks_left,
            actor_start_s=self._settings.actor_start_s,
        )

    def _left(self) -> tuple[int | None, int | None]:
        """Frames not drawn yet and places to draw them, None where the end is unknown."""
        queue, total = self.queue, self._settings.total
        if queue.all_handed_out:
            return queue.drawing_frames, queue.last_places
        if total is None:
            return None, None
        frames_left = total - queue.first_frame - queue.drawn_frames
        waiting = max(0, frames_left - queue.drawing_frames)
        return frames_left, queue.drawing_chunks + -(-waiting // self._settings.likely_frames())

    def _end_hung_actors(self) -> None:
        for number in self._find_late():
            self._give_up(number)
        limit_s = self._starts.limit_s
        for member in self.roster.opening:
            if self._now_s - member.answered_s > limit_s:
                text = f"Render actor {member.number} does not open its source: it is ended."
                self._end(member)
                self._emit_death(member.number, "never opened the source", None, text)
                self._count(member.node, "never opened the source", weight=MAX_FAILURES)

    def _find_late(self) -> tuple[int, ...]:
        """Find late chunks, unless that was just done; the actors to give up."""
        if self._now_s < self._next_look_s or self._pace.frame_s is None:
            return ()
        late_s, self._next_look_s = self._now_s - self._next_look_s, self._now_s + LOOK_S
        # The loop may have been held up, for example by a new encoder actor, and have
        # answers still to read. Never twice in a row: on a busy machine each turn is slow.
        self._was_busy = late_s > LOOK_S and not self._was_busy
        if self._was_busy:
            return ()
        ago_s = {
            node: self._now_s - self._answered_s.get(node, self._now_s)
            for node in self.roster.working_nodes()
        }
        self._late = find_late(self._assignments(), ago_s, self.roster.alive)
        if self._late.patience_s > self._pace.patience_s:
            self._pace = replace(self._pace, patience_s=self._late.patience_s)
        return self._late.given_up

    def _assignments(self) -> Iterator[Assignment]:
        """What all actors draw and have yet to draw, and what is being transferred from them."""
        for member in self.roster:
            # Its first chunk may take long: the updates of all frames before run then.
            is_timed = member.has_drawn or not self._settings.replays
            for position, chunk in enumerate(member.held):
                yield Assignment(
                    member.number,
                    member.node,
                    chunk.index,
                    self._now_s - member.began_s if position == 0 and is_timed else None,
                    self._pace.expected_s(len(chunk)),
                    self.queue.is_wanted(chunk),
                    len(chunk),
                )
        for (number, index), (node, chunk, since_s) in self._transfers.items():
            yield Assignment(
                number,
                node,
                index,
                self._now_s - since_s,
                self._slowest_transfer_s,
                self.queue.is_wanted(chunk),
                len(chunk),
                in_transfer=True,
            )

    def _give_up(self, number: int) -> None:
        """End an actor that does not answer; its chunk is not counted as failed."""
        if number not in self.roster:
            return
        member, why = self.roster[number], "took far longer than others"
        self._end(member)
        drawing = member.held[0] if member.held else None
        text = f"Render actor {number} does not answer: it is ended."
        wanted = self._wanted(drawing)
        self._emit_death(number, why, drawing, text if wanted is None else "")
        if wanted is not None:
            self._retry(wanted, why, f"{text} Drawn again: {wanted.label}.")
        for chunk in member.held:
            self.queue.give_back(chunk)
        self._count(member.node, why)

    def _check_silence(self, encoder_silence_s: float) -> None:
        """End the job where nothing more is to be expected."""
        settings = self._settings
        frame_s = max(settings.frame_s, self._pace.known_s)
        silence_s = self._now_s - self._news_s
        longest_frames = max(map(len, self.roster.drawing()), default=1)
        if silence_s > timeout_s(longest_frames, frame_s, settings.open_s):
            raise FarmSilentError(
                f"No actor has answered for {silence_s:.0f} s. "
                f"{self._waits_for(encoder_silence_s)} "
                "Does drawing wait for something that never comes?"
            )
        if self._now_s - max(self._reported_s, self._news_s) > SILENCE_S:
            self._reported_s = self._now_s
            waits_for = self._waits_for(encoder_silence_s)
            text = f"No frame was finished for {silence_s:.0f} s. {waits_for}"
            self._actions.append(events.StatusShown(text=text))

    def _waits_for(self, encoder_silence_s: float) -> str:
        if encoder_silence_s > SILENCE_S:
            return f"The encoder actor has not answered for {encoder_silence_s:.0f} s."
        drawing = self.roster.drawing()
        if drawing:
            named = [chunk.label for chunk in drawing[:3]]
            more = len(drawing) - len(named)
            others = f", and {more} other chunks" if more else ""
            return f"Still drawing {', '.join(named)}{others}."
        if self.roster.answered:
            return "Still opening the source in render actors."
        requested = self.roster.requested
        actors = "a render actor" if requested == 1 else f"{requested} render actors"
        return (
            f"Still waiting for Ray to find room for {actors}; `ray status` shows what it "
            "waits for."
        )

    # ---- events of the job

    def _notice(self, text: str) -> None:
        self._actions.append(events.Notice(text=text))

    def _retry(self, chunk: Chunk, reason: str, message: str) -> None:
        self._actions.append(events.SegmentRetried.of(chunk, reason=reason, message=message))

    def _emit_death(self, number: int, why: str, drawing: Chunk | None, message: str = "") -> None:
        self._actions.append(
            events.ActorDied(
                actor=number,
                reason=why,
                start=None if drawing is None else drawing.start,
                stop=None if drawing is None else drawing.stop,
                message=message,
            )
        )

    def _named(self, node: str | None) -> str:
        return "unknown" if node is None else self._settings.label(node)
