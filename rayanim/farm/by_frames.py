"""Runs a job whose raw frames go, in order, through one encoder."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from rayanim.errors import EncoderLostError, FarmStartError
from rayanim.farm.choosing.look import Chooser, in_process
from rayanim.farm.choosing.model import Choice, Costs, segment_frames
from rayanim.farm.connection.session import RaySession
from rayanim.farm.in_process.film_thread import EncoderThread
from rayanim.farm.in_process.local import InProcess
from rayanim.farm.job import Job, Tally
from rayanim.farm.planning.dispatch import Drawn
from rayanim.farm.planning.plan import cut
from rayanim.farm.rendering.collectors import RawPayload
from rayanim.farm.writing.writers import OneEncoder
from rayanim.feed import Feed

ENCODER_RESTARTS = 1
"""How often a film is begun anew after its encoder actor died."""

Head = deque[Drawn[RawPayload]]
"""What was drawn in this process, and is not encoded yet."""


class FramesJob:
    """Draws a film and hands raw frames to one encoder.

    Parameters
    ----------
    job, tally, chooser
        The job, its counts, and who decides where it is drawn.
    inside
        Its open source in this process.
    """

    def __init__(self, job: Job, tally: Tally, chooser: Chooser, inside: InProcess) -> None:
        self._job = job
        self._tally = tally
        self._chooser = chooser
        self._inside = inside
        self._head: Head = deque()

    def run(self) -> tuple[Choice, int]:
        """Make the part file; where it was drawn, and its bytes."""
        self._head.extend(self._sample())
        choice = self._choose()
        if self._tally.total is None and choice.engine == "local":
            choice = self._wait_and_see(choice)
        self._tally.chosen(choice.engine, choice.reason, choice.actors)
        if choice.engine == "local":
            return choice, self._run_locally()
        return self._run_on_ray(choice)

    def _choose(self, *, elapsed_s: float | None = None) -> Choice:
        if self._inside.stays is not None:
            return self._chooser.stay(self._inside.stays)
        total = self._job.feed.n_frames
        left = None if total is None else total - self._inside.next_frame
        return self._chooser.choose(self._costs(), left, elapsed_s=elapsed_s)

    def _costs(self) -> Costs:
        inside = self._inside
        encode_s = self._chooser.encode_s(inside.spec)
        warm_up_s = inside.open_s + inside.cost.warm_up_s
        return self._chooser.costs(inside.spec, self._inside.cost.usual_s, encode_s, warm_up_s)

    def _wait_and_see(self, choice: Choice) -> Choice:
        """Draw on while the length is unknown: Ray is started once it would have paid."""
        if self._choose(elapsed_s=math.inf).engine == "local":
            return choice
        count = self._inside.frames_per_look()
        while choice.engine == "local" and self._has_room():
            drawn = self._inside.draw(count)
            if drawn is None:
                return choice
            self._head.append(drawn)
            self._tally.tell(queued_frames=self._inside.next_frame)
            choice = self._choose()
        return self._choose(elapsed_s=math.inf)

    def _has_room(self) -> bool:
        """Whether more frames may be held while it is open who encodes them."""
        held_bytes = self._inside.next_frame * self._inside.spec.frame_bytes
        return held_bytes < self._chooser.limit_bytes // 2

    def _sample(self) -> Iterator[Drawn[RawPayload]]:
        """The first frames: one where the cost is known or Ray is asked for, else a few."""
        known = self._job.settings.draw_ms is not None
        if known or self._job.engine == "ray":
            first = self._inside.draw(1)
            if first is not None:
                yield first
            return
        for drawn in self._inside.sample():
            yield drawn
            self._tally.tell()

    def _run_locally(self) -> int:
        encoder = EncoderThread(self._inside.spec, self._job.part_path, self._tally)
        try:
            while self._head:
                encoder.put(self._head.popleft().payload)
            count = self._inside.frames_per_look()
            while (drawn := self._inside.draw(count)) is not None:
                encoder.put(drawn.payload)
                self._tally.tell(queued_frames=encoder.queued_frames)
            return encoder.finish()
        except BaseException:
            encoder.abort()
            raise

    def _run_on_ray(self, choice: Choice) -> tuple[Choice, int]:
        # Where nothing can travel, that is said before Ray starts.
        _ = self._chooser.shipment
        limit_bytes = self._chooser.limit_bytes
        # Half as much again for what is being written and not yet counted.
        session = self._chooser.session(max(128 * 2**20, limit_bytes * 3 // 2))
        session.start()
        try:
            # What is drawn while Ray starts counts: it is the film's beginning.
            self._head.extend(self._draw_until_ready(session))
            session.wait()
            self._inside.close()
            return choice, self._on_ray(choice)
        except FarmStartError as error:
            if self._job.engine != "auto" or not self._inside.is_open:
                raise
            self._tally.event_once(f"{error.message} This process draws all frames.", "no Ray")
        finally:
            session.stop()
        return in_process("Ray did not start"), self._run_locally()

    def _draw_until_ready(self, session: RaySession) -> Iterator[Drawn[RawPayload]]:
        if self._job.engine == "ray":
            return
        count = self._inside.frames_per_look()
        while not session.ready and self._has_room():
            drawn = self._inside.draw(count)
            if drawn is None:
                return
            yield drawn
            self._tally.tell(queued_frames=self._inside.next_frame)

    def _on_ray(self, choice: Choice) -> int:
        """Run on Ray; begin anew once if the encoder actor dies."""
        feed, first = self._job.feed, (self._inside.next_index, self._inside.next_frame)
        restarts = 0
        while True:
            try:
                return self._pass(choice, feed, first)
            except EncoderLostError as error:
                again = feed.again()
                if again is None or restarts == ENCODER_RESTARTS:
                    raise
                restarts += 1
                self._tally.event(f"{error.message} The film is begun anew.")
                self._tally.begin_anew()
                feed, first = again, (0, 0)
                self._head.clear()

    def _pass(self, choice: Choice, feed: Feed, first: tuple[int, int]) -> int:
        from rayanim.farm.running.course import Course
        from rayanim.farm.running.run import FarmRun

        spec, most = self._inside.spec, self._chooser.most_actors()
        limit_bytes = self._chooser.limit_bytes
        left = None if feed.n_frames is None else feed.n_frames - first[1]
        frames = self._job.settings.frame_batch_amount or segment_frames(
            spec.frame_bytes,
            self._inside.cost.usual_s,
            left,
            max_actors=most,
            in_flight_bytes=limit_bytes,
            queue_size=self._job.settings.worker_queue_size,
        )
        run = FarmRun(
            replace(self._job, max_actors=most),
            self._tally,
            shipment=self._chooser.shipment,
            blueprint=self._inside.blueprint(),
            course=Course(
                plan=cut(feed, frames, 2 * most, index=first[0], start=first[1]),
                writing=OneEncoder(spec, self._job.part_path),
                segment_frames=frames,
                done_frames=first[1],
                frame_bytes=spec.frame_bytes,
                frame_s=self._inside.cost.usual_s,
                first_index=first[0],
                head=_drained(self._head),
            ),
            choice=choice,
            limit_bytes=limit_bytes,
            link=self._chooser.link,
        )
        return run.run()


def _drained(head: Head) -> Iterator[Drawn[RawPayload]]:
    while head:
        yield head.popleft()
