"""Runs a job on Ray: one loop that hands out, waits, orders and forwards references."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from rayanim import events
from rayanim.errors import EncoderLostError, RedrawError
from rayanim.farm.actors import Acknowledgement
from rayanim.farm.choosing.model import ACTOR_START_S, Choice
from rayanim.farm.faults import silence
from rayanim.farm.faults.nodes import NodeBook
from rayanim.farm.job import Job, Tally, drawn_event
from rayanim.farm.naming import JobName
from rayanim.farm.planning.dispatch import Dispatcher
from rayanim.farm.planning.plan import Segment
from rayanim.farm.pool.arrivals import Arrived, Fetched, PayloadLost
from rayanim.farm.pool.events import DIFFERENCE, Died, Event, Joined, OnItsWay, Refused
from rayanim.farm.pool.render_pool import RenderPool
from rayanim.farm.pool.sending import travelling
from rayanim.farm.rendering.render import Blueprint
from rayanim.farm.running.actor_memory import ActorMemory
from rayanim.farm.running.controller import TICK_S, Controller
from rayanim.farm.running.course import Course
from rayanim.farm.running.encoder_link import EncoderLink
from rayanim.farm.running.handout import HandOut
from rayanim.farm.running.losses import Losses
from rayanim.farm.running.vigil import Vigil
from rayanim.farm.scaling.policy import ScalingLimits

if TYPE_CHECKING:
    from rayanim.farm.connection.cluster_link import ClusterLink
    from rayanim.farm.rendering.shipment import Shipment

SETTLE_S = 5.0
"""What may still be written of a job that has failed: a part takes milliseconds."""

HOLD_S = 1.0
"""Seconds for which the encoder must starve, or its queue be full, to count."""


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
        self._may_redraw = job.may_redraw
        self._course = course
        self._in_order = not course.writing.survives
        tally.passes += 1
        tally.chosen("ray", choice.reason, choice.actors)
        name = job.name.in_pass(tally.passes)
        self._encoder = EncoderLink(course.writing, name)
        self._pool = self._make_pool(name, shipment, blueprint, link)
        self._dispatcher: Dispatcher[Any] = Dispatcher(
            course.plan,
            frame_bytes=course.frame_bytes,
            limit_bytes=limit_bytes,
            first=course.first_index,
            first_frame=course.done_frames,
            in_order=self._in_order,
        )
        self._controller = self._make_controller(job, limit_bytes, blueprint.open_s)
        self._memory = ActorMemory(link, self._pool, self._controller, tally)
        self._choice = choice
        self._open_s = blueprint.open_s
        self._book = NodeBook()
        self._losses = Losses(self._pool, self._dispatcher, tally, self._book)
        self._hand_out = HandOut(
            self._pool,
            self._dispatcher,
            tally,
            self._book,
            depth=job.settings.worker_queue_size if self._in_order else None,
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
        self, name: JobName, shipment: Shipment, blueprint: Blueprint, link: ClusterLink | None
    ) -> RenderPool:
        import ray

        shipment_ref = ray.put(shipment)
        with travelling(Segment(0, 0, 1, blueprint.first)):
            blueprint_ref = ray.put(blueprint)
        return RenderPool(
            lambda: (shipment_ref, blueprint_ref),
            name,
            self._tally.log,
            None if link is None else link.need(),
            here=ray.get_runtime_context().get_node_id(),
            pins_payloads=self._in_order,
        )

    def _make_controller(self, job: Job, limit_bytes: int, open_s: float) -> Controller:
        return Controller(
            ScalingLimits(
                min_actors=min(job.settings.min_workers, job.max_actors),
                max_actors=job.max_actors,
                hold_s=HOLD_S,
                settle_s=job.settings.perf_delay,
                max_node_s=None if job.cluster is None else job.cluster.settings.max_node_s,
            ),
            self._pool,
            self._dispatcher,
            self._tally,
            segment_frames=self._course.segment_frames,
            limit_bytes=limit_bytes,
            window_s=job.settings.window_size,
            actor_start_s=ACTOR_START_S + open_s,
        )

    def run(self) -> int:
        """Draw and encode everything.

        Returns
        -------
        int
            Size of the finished file in bytes.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(self._tally.exporter.end, self._tally)
            stack.callback(self._encoder.kill)
            stack.callback(self._pool.kill)
            # What ends the job early is no reason to lose what is drawn.
            stack.callback(self._encoder.settle, SETTLE_S)
            self._tally.exporter.begin()
            self._encoder.start()
            self._draw_all()
            # Nodes may go while the film is joined.
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
        return silence.limit_s(self._course.segment_frames, frame_s, self._open_s)

    def _encoder_silence_s(self) -> float:
        try:
            return self._encoder.silence_s()
        except EncoderLostError as error:
            self._revive_encoder(error)
            return 0.0


def _nothing_to_free(segment: Segment) -> None:
    """Segments drawn in this process never were in the dispatcher's window."""
