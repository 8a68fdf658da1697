"""Runs a job on Ray: one loop that hands out, waits, orders and forwards references."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayanim import events
from rayanim.errors import EncoderLostError, FarmStartError
from rayanim.farm.actors import Acknowledgement
from rayanim.farm.choice import ACTOR_START_S, Choice
from rayanim.farm.collectors import RawPayload
from rayanim.farm.controller import TICK_S, Controller
from rayanim.farm.dispatch import Dispatcher, Drawn
from rayanim.farm.encoding import EncoderLink
from rayanim.farm.history import HistoryBudget
from rayanim.farm.job import Job, Tally, drawn_event
from rayanim.farm.plan import Segment
from rayanim.farm.pool import Died, Joined, RenderPool, SegmentDrawn, travelling
from rayanim.farm.render import Blueprint, Timings
from rayanim.farm.scaling import ScalingLimits
from rayanim.farm.writing import Writing

if TYPE_CHECKING:
    from rayanim.farm.cluster_link import ClusterLink
    from rayanim.farm.shipment import Shipment

FIRST_ACTOR_LIMIT_S = 120.0
"""Without any living actor for this long, the job ends."""

SILENCE_S = 60.0
"""After this long without a finished segment, say what is being drawn."""

SHORT_SEGMENT_S = 0.2
"""Ray's 2 to 3 ms between two calls are more than a hundredth of a segment below this."""

HOLD_S = 1.0
"""Seconds for which the encoder must starve, or its queue be full, to count."""

DIFFERENCE = (
    "The film's first frame has other pixels in a render actor than in this process, so frames "
    "may differ by who draws them. Usual causes: the order of a set, a module's variable that the "
    "script changed, random numbers from a generator without a seed, the time of day. "
    "With workers=1 one process draws all."
)
"""Told once. Actors draw that frame when they open the source."""


@dataclass(frozen=True, slots=True)
class Course:
    """What is to be drawn on Ray, and how it goes into the film.

    Attributes
    ----------
    plan
        The segments, in order.
    writing
        How the film is written.
    segment_frames
        Frames of the longest segment.
    done_frames
        Frames of the film that are drawn already, and not in `plan`.
    frame_bytes
        Bytes of a frame as it travels; 0 where segments travel encoded.
    first_index
        Index of the first segment, where they are written in order.
    head
        Raw segments drawn before, in front of the plan's first.
    begun
        Raw first frames of the plan's first segment.
    settle
        Sees to what this process still encodes; whether that is all done.
    """

    plan: Iterator[Segment]
    writing: Writing
    segment_frames: int
    done_frames: int
    frame_bytes: int
    first_index: int = 0
    head: Iterable[Drawn[RawPayload]] = ()
    begun: RawPayload | None = None
    settle: Callable[[], bool] = lambda: True


class FarmRun:
    """One pass over the frames of a job on Ray.

    Parameters
    ----------
    job, tally
        The job and its counts.
    shipment, blueprint
        What render actors need.
    course
        What is to be drawn.
    choice
        How many actors to start with.
    limit_bytes
        Bytes of segments that may be in flight.
    link
        The cluster; None for a Ray on this machine.
    """

    def __init__(
        self,
        job: Job,
        tally: Tally,
        *,
        shipment: Shipment,
        blueprint: Blueprint,
        course: Course,
        choice: Choice,
        limit_bytes: int,
        link: ClusterLink | None = None,
    ) -> None:
        import ray

        self._tally = tally
        self._course = course
        self._in_order = not course.writing.survives
        self._depth = job.settings.worker_queue_size if self._in_order else 1
        self._begun_ref = None if course.begun is None else ray.put(course.begun)
        self._begun_index: int | None = None
        shipment_ref = ray.put(shipment)
        with travelling(Segment(0, 0, 1, blueprint.first)):
            blueprint_ref = ray.put(blueprint)
        tally.passes += 1
        tally.chosen("ray", choice.reason, choice.actors)
        name = job.name.in_pass(tally.passes)
        self._encoder = EncoderLink(course.writing, name)
        self._pool = RenderPool(
            lambda: (shipment_ref, blueprint_ref),
            name,
            tally.log,
            None if link is None else link.need(),
        )
        self._dispatcher: Dispatcher[Any] = Dispatcher(
            course.plan,
            frame_bytes=course.frame_bytes,
            limit_bytes=limit_bytes,
            first=course.first_index,
            first_frame=course.done_frames,
            in_order=self._in_order,
        )
        self._controller = Controller(
            ScalingLimits(
                min_actors=min(job.settings.min_workers, job.max_actors),
                max_actors=job.max_actors,
                hold_s=HOLD_S,
                settle_s=job.settings.perf_delay,
            ),
            self._pool,
            self._dispatcher,
            tally,
            segment_frames=course.segment_frames,
            limit_bytes=limit_bytes,
            window_s=job.settings.window_size,
            actor_start_s=ACTOR_START_S + blueprint.open_s,
        )
        self._choice = choice
        self._history = HistoryBudget()
        self._heard_s = self._alive_s = time.perf_counter()

    def run(self) -> int:
        """Draw and encode everything.

        Returns
        -------
        int
            Size of the finished file in bytes.
        """
        self._tally.exporter.begin()
        try:
            self._controller.begin(self._choice.actors, self._choice.reason)
            self._put_head()
            while not self._is_done():
                self._hand_out()
                self._listen()
                self._controller.tick()
                self._check_signs_of_life()
                self._tally.tell(
                    alive=self._pool.alive,
                    asked_for=self._pool.requested,
                    target=self._controller.target,
                    queued_frames=self._dispatcher.queued_frames,
                )
            file_bytes = self._finished()
            self._pool.close()
            return file_bytes
        finally:
            self._pool.kill()
            self._encoder.kill()
            self._tally.exporter.end(self._tally)

    def _is_done(self) -> bool:
        settled = self._course.settle()
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
            self._encoder.put(drawn.segment, ray.put(drawn.payload), _nothing_to_free)

    def _hand_out(self) -> None:
        for number in self._pool.free_places(self._depth):
            segment = self._dispatcher.take()
            if segment is None:
                break
            self._submit(number, segment)
        if not self._in_order:
            self._hand_out_copies()

    def _submit(self, number: int, segment: Segment) -> None:
        if self._begun_index is None:
            # The first that is handed out is the one that was begun here.
            self._begun_index = segment.index
        done_ref = self._begun_ref if segment.index == self._begun_index else None
        is_checked = self._history.is_due(self._tally.timings.frames)
        self._pool.submit(number, segment, done_ref, is_checked=is_checked)

    def _hand_out_copies(self) -> None:
        """Have idle actors draw what slow ones still draw: whichever comes first counts."""
        timings = self._tally.timings
        if not self._dispatcher.all_handed_out or not timings.frames:
            return
        idle = self._pool.idle
        overdue = self._pool.overdue(timings.busy_s / timings.frames) if idle else ()
        for number in idle:
            segment = self._dispatcher.take_copy(overdue)
            if segment is None:
                return
            self._tally.event_once(
                f"{segment.label.capitalize()} took an actor longer than usual: another one "
                "draws them, too.",
                "overdue",
            )
            self._submit(number, segment)

    def _listen(self) -> None:
        import ray

        refs = self._pool.refs() + self._encoder.refs()
        if not refs:
            time.sleep(TICK_S)
            return
        ready, _ = ray.wait(refs, num_returns=1, timeout=TICK_S, fetch_local=False)
        if ready and len(refs) > 1:
            ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
        for ref in ready:
            self._hear(ref)

    def _hear(self, ref: Any) -> None:
        try:
            acknowledged = self._encoder.take(ref)
        except EncoderLostError as error:
            self._revive_encoder(error)
            return
        if acknowledged is not None:
            self._encoded(*acknowledged)
            return
        event = self._pool.take(ref)
        if isinstance(event, SegmentDrawn):
            self._drawn(event)
        elif isinstance(event, Died):
            self._mourn(event)
        elif isinstance(event, Joined):
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
        self._heard_s = time.perf_counter()
        if not self._tally.start_s:
            self._tally.start_s = self._tally.elapsed_s
        if event.differs:
            self._tally.event_once(DIFFERENCE)

    def _drawn(self, event: SegmentDrawn) -> None:
        self._heard_s = time.perf_counter()
        if event.segment.index == self._begun_index:
            # Drawn: the frames that travelled with it are not needed any more.
            self._begun_ref = None
        self._tally.memory("RenderActor", event.meta.rss_bytes)
        timings = event.meta.timings
        if timings is not None and self._dispatcher.is_wanted(event.segment):
            self._tally.drawn(timings)
            self._tally.log.tell(drawn_event(event.segment, timings, event.number))
            self._controller.drawn(timings)
            self._set_depth(timings)
        payload_bytes = None if self._in_order else event.meta.payload_bytes
        for drawn in self._dispatcher.drawn(event.segment, event.payload_ref, payload_bytes):
            self._encoder.put(
                drawn.segment, drawn.payload, self._dispatcher.encoded, event.meta.batch_digest
            )

    def _set_depth(self, timings: Timings) -> None:
        """Short segments are queued at the actors, long ones wait until somebody is idle."""
        if not self._in_order:
            self._depth = 2 if timings.busy_s < SHORT_SEGMENT_S else 1

    def _mourn(self, event: Died) -> None:
        for segment in event.waiting:
            self._dispatcher.give_back(segment)
        if event.drawing is None:
            self._tally.event(
                f"Render actor {event.number} died while idle ({event.why}).",
                events.ActorDied(actor=event.number, reason=event.why),
            )
            return
        start, stop = event.drawing.start, event.drawing.stop
        died = events.ActorDied(actor=event.number, reason=event.why, start=start, stop=stop)
        self._tally.log.tell(died)
        self._tally.retried(
            event.drawing,
            event.why,
            f"Render actor {event.number} died while drawing {event.drawing.label} "
            f"({event.why}). They are drawn again.",
        )
        self._dispatcher.lost(event.drawing, event.why)

    def _check_signs_of_life(self) -> None:
        now_s = time.perf_counter()
        if self._pool.answered or not self._pool.requested:
            self._alive_s = now_s
        elif now_s - self._alive_s > FIRST_ACTOR_LIMIT_S:
            raise FarmStartError(_no_actor(self._pool.requested))
        encoder_silence_s = self._encoder_silence_s()
        if now_s - self._heard_s > SILENCE_S:
            self._heard_s = now_s
            self._tally.progress.message(self._what_lasts(encoder_silence_s))

    def _encoder_silence_s(self) -> float:
        try:
            return self._encoder.silence_s()
        except EncoderLostError as error:
            self._revive_encoder(error)
            return 0.0

    def _what_lasts(self, encoder_silence_s: float) -> str:
        if encoder_silence_s > SILENCE_S:
            return f"The encoder actor has not answered for {encoder_silence_s:.0f} s."
        drawing = ", ".join(segment.label for segment in self._pool.drawing())
        doing = f"drawing {drawing}" if drawing else "opening the source in render actors"
        return f"No segment was finished for {SILENCE_S:.0f} s. Still {doing}."


def _nothing_to_free(segment: Segment) -> None:
    """Segments drawn in this process never were in the dispatcher's window."""


def _no_actor(requested: int) -> str:
    import ray

    offered = ray.cluster_resources().get("CPU", 0)
    return (
        f"No render actor started within {FIRST_ACTOR_LIMIT_S:.0f} s: {requested} were asked for, "
        f"and this Ray has {offered:g} CPUs in all, {ray.available_resources().get('CPU', 0):g} of "
        "them free. Free some, or draw in this process with workers=1."
    )
