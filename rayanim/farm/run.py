"""Runs a job on Ray: one loop that hands out, waits, orders and forwards references."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rayanim.errors import FarmStartError
from rayanim.farm.choice import ACTOR_START_S, Choice
from rayanim.farm.controller import TICK_S, Controller
from rayanim.farm.dispatch import Dispatcher, Drawn
from rayanim.farm.encoding import EncoderLink
from rayanim.farm.job import Job, Tally
from rayanim.farm.plan import Segment, cut
from rayanim.farm.pool import Died, Joined, RenderPool, SegmentDrawn, travelling
from rayanim.farm.render import Blueprint, Payload
from rayanim.farm.scaling import ScalingLimits
from rayanim.feed import Feed

if TYPE_CHECKING:
    from rayanim.farm.shipment import Shipment

FIRST_ACTOR_LIMIT_S = 120.0
"""Without any living actor for this long, the job ends."""

SILENCE_S = 60.0
"""After this long without a finished segment, say what is being drawn."""

HOLD_S = 1.0
"""Seconds for which the encoder must starve, or its queue be full, to count."""


DIFFERENCE = (
    "The film's first frame has other pixels in a render actor than in this process, so frames "
    "may differ by who draws them. Usual causes: the order of a set, a module's variable that the "
    "script changed, random numbers from a generator without a seed, the time of day. "
    "With workers=1 one process draws all."
)
"""Told once. Actors draw that frame when they open the source."""


class FarmRun:
    """One pass over the frames of a job on Ray.

    Parameters
    ----------
    job, tally
        The job and its counts.
    shipment, blueprint
        What render actors need.
    feed
        The frames that were not drawn yet.
    choice
        How many actors to start with, and how many frames make a segment.
    first
        Index of the first segment to plan, and the position of its first frame.
    limit_bytes
        Bytes of frames that may be in flight.
    """

    def __init__(
        self,
        job: Job,
        tally: Tally,
        *,
        shipment: Shipment,
        blueprint: Blueprint,
        feed: Feed,
        choice: Choice,
        segment_frames: int,
        first: tuple[int, int],
        limit_bytes: int,
    ) -> None:
        import ray

        self._tally = tally
        shipment_ref = ray.put(shipment)
        with travelling(Segment(0, 0, 1, blueprint.first)):
            blueprint_ref = ray.put(blueprint)
        self._encoder = EncoderLink(blueprint.spec, job.part_path)
        self._pool = RenderPool(
            lambda: (shipment_ref, blueprint_ref),
            queue_size=job.settings.worker_queue_size,
        )
        plan = cut(feed, segment_frames, 2 * job.max_actors, index=first[0], start=first[1])
        self._dispatcher: Dispatcher[Any] = Dispatcher(
            plan,
            frame_bytes=blueprint.spec.frame_bytes,
            limit_bytes=limit_bytes,
            first=first[0],
            first_frame=first[1],
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
            segment_frames=segment_frames,
            limit_bytes=limit_bytes,
            window_s=job.settings.window_size,
            actor_start_s=ACTOR_START_S + blueprint.open_s,
        )
        self._choice = choice
        self._heard_s = self._alive_s = time.perf_counter()

    def run(self, head: Iterable[Drawn[Payload]]) -> int:
        """Draw and encode everything.

        Parameters
        ----------
        head
            Segments that were drawn in this process, before the plan's first.

        Returns
        -------
        int
            Size of the finished file in bytes.
        """
        try:
            self._controller.begin(self._choice.actors, self._choice.reason)
            self._put_head(head)
            while not self._dispatcher.finished or self._encoder.refs():
                self._hand_out()
                self._listen()
                self._controller.tick()
                self._check_signs_of_life()
                self._tally.tell(
                    alive=self._pool.alive,
                    target=self._controller.target,
                    queued_frames=self._dispatcher.queued_frames,
                )
            file_bytes = self._encoder.finish()
            self._pool.close()
            return file_bytes
        finally:
            self._pool.kill()
            self._encoder.kill()

    def _put_head(self, head: Iterable[Drawn[Payload]]) -> None:
        import ray

        for drawn in head:
            # The only pixels the driver ever puts: those it drew itself.
            self._encoder.put(drawn.segment, ray.put(drawn.payload), _nothing_to_free)

    def _hand_out(self) -> None:
        for number in self._pool.free_slots():
            segment = self._dispatcher.take()
            if segment is None:
                return
            self._pool.submit(number, segment)

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
        acknowledged = self._encoder.take(ref)
        if acknowledged is not None:
            segment, answer = acknowledged
            self._tally.encoded(len(segment), answer.encode_s, answer.wait_s)
            self._tally.memory("EncoderActor", answer.rss_bytes)
            self._controller.encoded(len(segment), answer.encode_s, answer.wait_s)
            return
        event = self._pool.take(ref)
        if isinstance(event, SegmentDrawn):
            self._drawn(event)
        elif isinstance(event, Died):
            self._mourn(event)
        elif isinstance(event, Joined):
            self._joined(event)

    def _joined(self, event: Joined) -> None:
        self._heard_s = time.perf_counter()
        if not self._tally.start_s:
            self._tally.start_s = self._tally.elapsed_s
        if event.differs:
            self._tally.event_once(DIFFERENCE)

    def _drawn(self, event: SegmentDrawn) -> None:
        self._heard_s = time.perf_counter()
        timings = event.meta.timings
        if timings is not None:
            self._tally.drawn(timings)
            self._controller.drawn(timings)
        self._tally.memory("RenderActor", event.meta.rss_bytes)
        for drawn in self._dispatcher.drawn(event.segment, event.payload_ref):
            self._encoder.put(drawn.segment, drawn.payload, self._dispatcher.encoded)

    def _mourn(self, event: Died) -> None:
        for segment in event.waiting:
            self._dispatcher.give_back(segment)
        if event.drawing is None:
            self._tally.event(f"Render actor {event.number} died while idle ({event.why}).")
            return
        self._tally.event(
            f"Render actor {event.number} died while drawing {event.drawing.label} "
            f"({event.why}). They are drawn again."
        )
        self._dispatcher.lost(event.drawing, event.why)

    def _check_signs_of_life(self) -> None:
        now_s = time.perf_counter()
        if self._pool.answered or not self._pool.requested:
            self._alive_s = now_s
        elif now_s - self._alive_s > FIRST_ACTOR_LIMIT_S:
            raise FarmStartError(_no_actor(self._pool.requested))
        encoder_silence_s = self._encoder.silence_s()
        if now_s - self._heard_s > SILENCE_S:
            self._heard_s = now_s
            self._tally.progress.message(self._what_lasts(encoder_silence_s))

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
