"""Runs a job where it is quickest: in this process or on Ray, from the first frames' cost."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from rayanim.errors import EncoderLostError, FarmStartError, NotPicklableError
from rayanim.farm.choice import (
    ACTOR_START_S,
    RAY_START_S,
    RAY_STOP_S,
    Choice,
    Costs,
    actors_by_memory,
    choose_engine,
    segment_frames,
    transport_seconds,
)
from rayanim.farm.dispatch import Drawn
from rayanim.farm.job import Job, Outcome, Tally
from rayanim.farm.local import EncoderThread, InProcess
from rayanim.farm.machine import Machine, process_rss_bytes
from rayanim.farm.randomness import kept_randomness
from rayanim.farm.render import Payload
from rayanim.farm.session import RaySession, free_ray_cpus, ray_is_running
from rayanim.feed import Feed
from rayanim.progress.protocol import Progress

if TYPE_CHECKING:
    from rayanim.farm.shipment import Shipment

LOOK_S = 0.2
"""Seconds of in-process drawing between two looks at the clock."""

LOOK_BYTES = 16 * 2**20
"""Bytes of one in-process segment: five frames at 1920x1080 yuv420p."""

RESERVE_BYTES = 512 * 2**20
"""Memory left to the rest of the machine, and to Ray's own processes."""

ENCODER_RESTARTS = 1
"""How often a film is begun anew after its encoder actor died."""


class JobRunner:
    """Runs one job.

    Parameters
    ----------
    job
        The job.
    progress
        Who is told how it goes.
    """

    def __init__(self, job: Job, progress: Progress) -> None:
        self._job = job
        self._tally = Tally(progress, job.feed.n_frames, job.log_every)
        self._machine = Machine.here()
        self._limit_bytes = min(
            job.settings.in_flight_bytes, max(2**24, self._machine.free_memory_bytes // 4)
        )
        self._allowed = min(job.max_actors, job.settings.max_workers or job.max_actors)
        self._most: int | None = None
        self._shipment: Shipment | None = None
        self._not_picklable: NotPicklableError | None = None

    def run(self) -> Outcome:
        """Make the part file.

        Raises
        ------
        RayanimError
            Whatever went wrong; the part file is the caller's to remove.
        """
        job = self._job
        may_travel = job.engine == "ray" or (job.engine == "auto" and self._allowed > 1)
        self._tally.progress.start(self._tally.total, job.part_path.stem)
        try:
            if may_travel:
                # Before the source is opened: what setup() makes may not be picklable.
                self._pack()
            # Without a seed the generators are the script's own affair.
            with kept_randomness() if job.seed is not None else contextlib.nullcontext():
                outcome = self._run()
            self._tally.progress.finish(self._tally.state())
            return outcome
        except BaseException:
            self._tally.progress.fail()
            raise

    def _run(self) -> Outcome:
        inside = InProcess(self._job, self._tally)
        try:
            head = deque(self._sample(inside))
            choice = self._choose(inside)
            if self._tally.total is None and choice.engine == "local":
                choice = self._wait_and_see(inside, head, choice)
            run = self._run_locally if choice.engine == "local" else self._run_on_ray
            outcome = run(inside, head, choice)
        except BaseException:
            inside.abandon()
            raise
        inside.close()
        return outcome

    def _wait_and_see(
        self, inside: InProcess, head: deque[Drawn[Payload]], choice: Choice
    ) -> Choice:
        """Draw on while the length is unknown: Ray is started once it would have paid."""
        if self._choose(inside, elapsed_s=math.inf).engine == "local":
            return choice
        count = self._frames_per_look(inside)
        while choice.engine == "local" and self._has_room(inside):
            drawn = inside.draw(count)
            if drawn is None:
                return choice
            head.append(drawn)
            self._tally.tell(queued_frames=inside.next_frame)
            choice = self._choose(inside)
        return self._choose(inside, elapsed_s=math.inf)

    def _has_room(self, inside: InProcess) -> bool:
        """Whether more frames may be held while it is open who encodes them."""
        return inside.next_frame * inside.spec.frame_bytes < self._limit_bytes // 2

    def _pack(self) -> None:
        from rayanim.farm.shipment import large_attributes, pack

        try:
            self._shipment = pack(self._job.source)
        except NotPicklableError as error:
            # Only told if it turns out that actors are worth it.
            self._not_picklable = error
            return
        warning = large_attributes(self._job.source, self._shipment)
        if warning:
            self._tally.event(warning)

    def _packed(self) -> Shipment:
        """What travels; raises, before Ray starts, where nothing can."""
        if self._shipment is None:
            raise self._not_picklable or FarmStartError("The source was never packed.")
        return self._shipment

    def _sample(self, inside: InProcess) -> Iterator[Drawn[Payload]]:
        """The first frames: one where the cost is known or Ray is asked for, else a few."""
        known = self._job.settings.draw_ms is not None
        if known or self._job.engine == "ray":
            first = inside.draw(1)
            if first is not None:
                yield first
            return
        for drawn in inside.sample():
            yield drawn
            self._tally.tell()

    def _draw_s(self, inside: InProcess) -> float:
        """Seconds to draw and convert a frame: told, or measured on the first ones."""
        if self._job.settings.draw_ms is not None:
            return self._job.settings.draw_ms / 1000
        sampled = inside.sampled if inside.sampled.frames else self._tally.timings
        return (sampled.draw_s + sampled.convert_s) / max(1, sampled.frames)

    def _costs(self, inside: InProcess) -> Costs:
        from rayanim.video.cost import expected_encode_s

        settings = self._job.settings
        encode_s = (
            expected_encode_s(inside.spec)
            if settings.encode_ms is None
            else settings.encode_ms / 1000
        )
        running = ray_is_running()
        return Costs(
            draw_s=self._draw_s(inside),
            encode_s=encode_s,
            # The encoder has a thread of its own in process: a call keeps nobody.
            encode_call_s=0.0,
            transport_s=transport_seconds(inside.spec.frame_bytes),
            actor_start_s=ACTOR_START_S + inside.open_s,
            ray_start_s=0.0 if running else RAY_START_S,
            ray_stop_s=0.0 if running else RAY_STOP_S,
        )

    def _most_actors(self) -> int:
        """What the user set, less where memory does not suffice; found once."""
        if self._most is None:
            self._most = self._find_most_actors()
        return self._most

    def _find_most_actors(self) -> int:
        by_memory = actors_by_memory(
            self._machine.free_memory_bytes - self._limit_bytes,
            process_rss_bytes(),
            RESERVE_BYTES,
        )
        if by_memory < self._allowed:
            self._tally.event(
                f"Memory suffices for {by_memory} render actors, {self._allowed} were allowed."
            )
        most = max(1, min(by_memory, self._allowed))
        # The caller's own Ray may be busy or small; asked for by name, it is waited for.
        return most if self._job.engine == "ray" else min(most, free_ray_cpus(most))

    def _choose(self, inside: InProcess, *, elapsed_s: float | None = None) -> Choice:
        job, costs = self._job, self._costs(inside)
        total = job.feed.n_frames
        frames_left = None if total is None else total - inside.next_frame
        if job.engine == "local":
            return _in_process("engine='local' was asked for")
        if job.engine == "auto" and (self._allowed == 1 or frames_left == 0):
            reason = (
                "one actor at most is allowed"
                if self._allowed == 1
                else "the first frames were all"
            )
            return _in_process(reason)
        actors = self._most_actors()
        choice = choose_engine(
            costs,
            frames_left,
            max_actors=actors,
            cores=self._machine.cores,
            elapsed_s=self._tally.elapsed_s if elapsed_s is None else elapsed_s,
        )
        if choice.engine == "ray" and job.engine == "auto" and self._not_picklable is not None:
            self._tally.event(f"{self._not_picklable.message} This process draws all frames.")
            return _in_process("the drawing code cannot be sent to actors")
        if job.engine == "ray":
            choice = replace(
                choice,
                engine="ray",
                actors=min(job.settings.num_workers or actors, actors),
                reason="engine='ray' was asked for",
            )
        elif choice.engine == "ray" and job.settings.num_workers is not None:
            choice = replace(choice, actors=min(job.settings.num_workers, actors))
        return replace(choice, actors=max(choice.actors, min(job.settings.min_workers, actors)))

    def _run_locally(
        self, inside: InProcess, head: deque[Drawn[Payload]], choice: Choice
    ) -> Outcome:
        encoder = EncoderThread(inside.spec, self._job.part_path, self._tally)
        try:
            while head:
                encoder.put(head.popleft().payload)
            count = self._frames_per_look(inside)
            while (drawn := inside.draw(count)) is not None:
                encoder.put(drawn.payload)
                self._tally.tell(queued_frames=encoder.queued_frames)
            file_bytes = encoder.finish()
        except BaseException:
            encoder.abort()
            raise
        return self._outcome(inside, choice, file_bytes)

    def _frames_per_look(self, inside: InProcess) -> int:
        """Frames of an in-process segment."""
        by_time = int(LOOK_S / max(1e-6, self._draw_s(inside)))
        by_size = LOOK_BYTES // inside.spec.frame_bytes
        return max(1, min(64, by_time, by_size))

    def _run_on_ray(
        self, inside: InProcess, head: deque[Drawn[Payload]], choice: Choice
    ) -> Outcome:
        self._packed()
        most = self._most_actors()
        # Half as much again for what is being written and not yet counted.
        session = RaySession(most, max(128 * 2**20, self._limit_bytes * 3 // 2))
        session.start()
        try:
            # What is drawn while Ray starts counts: it is the film's beginning.
            head.extend(self._draw_until_ready(inside, session))
            session.wait()
            inside.close()
            file_bytes = self._on_ray(inside, head, choice)
        finally:
            session.stop()
        return self._outcome(inside, choice, file_bytes)

    def _draw_until_ready(self, inside: InProcess, session: RaySession) -> Iterator[Drawn[Payload]]:
        if self._job.engine == "ray":
            return
        count = self._frames_per_look(inside)
        while not session.ready and self._has_room(inside):
            drawn = inside.draw(count)
            if drawn is None:
                return
            yield drawn
            self._tally.tell(queued_frames=inside.next_frame)

    def _on_ray(self, inside: InProcess, head: deque[Drawn[Payload]], choice: Choice) -> int:
        """Run on Ray; begin anew once if the encoder actor dies."""
        feed, first = self._job.feed, (inside.next_index, inside.next_frame)
        restarts = 0
        while True:
            try:
                return self._pass(inside, head, choice, feed, first)
            except EncoderLostError as error:
                again = feed.again()
                if again is None or restarts == ENCODER_RESTARTS:
                    raise
                restarts += 1
                self._tally.event(f"{error.message} The film is begun anew.")
                self._tally.frames = 0
                feed, first, head = again, (0, 0), deque()

    def _pass(
        self,
        inside: InProcess,
        head: deque[Drawn[Payload]],
        choice: Choice,
        feed: Feed,
        first: tuple[int, int],
    ) -> int:
        from rayanim.farm.run import FarmRun

        most = self._most_actors()
        total = feed.n_frames
        left = None if total is None else total - first[1]
        frames = self._job.settings.frame_batch_amount or segment_frames(
            inside.spec.frame_bytes,
            self._draw_s(inside),
            left,
            max_actors=most,
            in_flight_bytes=self._limit_bytes,
            queue_size=self._job.settings.worker_queue_size,
        )
        run = FarmRun(
            replace(self._job, max_actors=most),
            self._tally,
            shipment=self._packed(),
            blueprint=inside.blueprint(),
            feed=feed,
            choice=choice,
            segment_frames=frames,
            first=first,
            limit_bytes=self._limit_bytes,
        )
        return run.run(_drained(head))

    def _outcome(self, inside: InProcess, choice: Choice, file_bytes: int) -> Outcome:
        tally = self._tally
        timings = tally.timings
        found = self._job.settings.replace(
            draw_ms=1000 * (timings.draw_s + timings.convert_s) / max(1, timings.frames),
            encode_ms=1000 * tally.encode_s / max(1, tally.frames),
            num_workers=self._job.settings.num_workers,
        )
        if choice.engine == "ray":
            found = found.replace(num_workers=tally.usual_actors())
        return Outcome(inside.spec, file_bytes, choice.engine, choice.reason, found, tally)


def _drained(head: deque[Drawn[Payload]]) -> Iterator[Drawn[Payload]]:
    while head:
        yield head.popleft()


def _in_process(reason: str) -> Choice:
    return Choice("local", 0, None, None, reason)
