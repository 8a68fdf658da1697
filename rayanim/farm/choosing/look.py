"""Looks at the machine and the first frames, and asks the pure model where to draw."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rayanim.errors import FarmStartError, NotPicklableError
from rayanim.farm.choosing.model import (
    ACTOR_START_S,
    CLUSTER_ACTOR_START_S,
    CLUSTER_STOP_S,
    NODE_START_S,
    RAY_START_S,
    RAY_STOP_S,
    TAKEN_CORES,
    Choice,
    Costs,
    actors_by_memory,
    choose_engine,
    transport_seconds,
)
from rayanim.farm.choosing.python_speed import slowness
from rayanim.farm.connection.cluster_link import ClusterLink
from rayanim.farm.connection.session import LocalRay, RaySession, free_ray_cpus, ray_is_running
from rayanim.farm.job import Job, Tally
from rayanim.farm.machine import Machine, process_rss_bytes
from rayanim.settings import parse_workers

if TYPE_CHECKING:
    from rayanim.farm.rendering.shipment import Shipment
    from rayanim.video.spec import StreamSpec

UNTOLD = 1_000_000
"""Stands for the number of a cluster's CPUs while nobody knows it."""

RESERVE_BYTES = 512 * 2**20
"""Memory left to the rest of the machine, and to Ray's own processes."""


class Chooser:
    """Decides where a job is drawn, as often as it is asked.

    Parameters
    ----------
    job, tally
        The job and its counts.

    Attributes
    ----------
    limit_bytes
        Bytes of segments that may be in flight.
    """

    def __init__(self, job: Job, tally: Tally) -> None:
        self._job = job
        self._tally = tally
        self._machine = Machine.here()
        self.limit_bytes = min(
            job.settings.in_flight_bytes, max(2**24, self._machine.free_memory_bytes // 4)
        )
        self.link = None if job.cluster is None else ClusterLink(job.cluster)
        most = job.max_actors
        if job.cluster is not None:
            # How many a share comes to is known when the cluster has answered.
            most = parse_workers(job.cluster.workers, cores=UNTOLD)
        self._allowed = min(most, job.settings.max_workers or most)
        self._most: int | None = None
        self._shipment: Shipment | None = None
        self._not_picklable: NotPicklableError | None = None

    @property
    def may_travel(self) -> bool:
        """Whether Ray comes into question at all."""
        engine = self._job.engine
        return engine == "ray" or (engine == "auto" and self._allowed > 1)

    def stay(self, reason: str) -> Choice:
        """The choice to draw all frames in this process, reported where Ray was asked for."""
        if self._job.engine == "ray":
            self._tally.event_once(f"This process draws all frames: {reason}.", "stays")
        return in_process(reason)

    @property
    def cores(self) -> int:
        """Cores that this process may use."""
        return self._machine.cores

    def pack(self) -> None:
        """Pickle the source, before it is opened: what setup() makes may not be picklable."""
        from rayanim.farm.rendering.shipment import large_attributes, pack

        try:
            self._shipment = pack(self._job.source)
        except NotPicklableError as error:
            # Only told if it turns out that actors are worth it.
            self._not_picklable = error
            return
        warning = large_attributes(self._job.source, self._shipment)
        if warning:
            self._tally.event(warning)

    @property
    def shipment(self) -> Shipment:
        """What travels; raises, before Ray starts, where nothing can."""
        if self._shipment is None:
            raise self._not_picklable or FarmStartError("The source was never packed.")
        return self._shipment

    def encode_s(self, spec: StreamSpec) -> float:
        """Seconds to encode a frame: told, or expected."""
        from rayanim.video.cost import expected_encode_s

        told_ms = self._job.settings.encode_ms
        return expected_encode_s(spec) if told_ms is None else told_ms / 1000

    def costs(self, spec: StreamSpec, draw_s: float, encode_s: float, warm_up_s: float) -> Costs:
        """What is known of a frame and of Ray's start; all in seconds.

        Parameters
        ----------
        spec
            The stream.
        draw_s
            Drawing and converting a frame.
        encode_s
            Encoding it.
        warm_up_s
            Opening the source, and what the first frames take more than others.
        """
        actor_start_s, start_s, stop_s = self._starts()
        by_actors = self._tally.transport == "segments"
        return Costs(
            draw_s=draw_s,
            encode_s=encode_s,
            # Encoders have threads of their own in process: a call keeps nobody.
            encode_call_s=0.0,
            transport_s=0.0 if by_actors else transport_seconds(spec.frame_bytes),
            actor_start_s=actor_start_s + warm_up_s,
            ray_start_s=start_s,
            ray_stop_s=stop_s,
            is_encoded_by_actors=by_actors,
            taken_cores=TAKEN_CORES if self.link is None else 0.0,
        )

    def _starts(self) -> tuple[float, float, float]:
        """Seconds until an actor is there, until Ray is, and until Ray is gone again."""
        if self.link is not None:
            is_there = self.link.is_there
            has_room = not is_there or self.link.free() > 0
            actor_s = CLUSTER_ACTOR_START_S if has_room else NODE_START_S
            return actor_s, 0.0, CLUSTER_STOP_S
        slow = slowness()
        if ray_is_running():
            return slow * ACTOR_START_S, 0.0, 0.0
        return slow * ACTOR_START_S, slow * RAY_START_S, slow * RAY_STOP_S

    def session(self, store_bytes: int) -> RaySession:
        """Ray for this job: the cluster's, or one of our own.

        Parameters
        ----------
        store_bytes
            Size of the object store of one of our own.
        """
        if self.link is not None:
            return self.link.session
        return RaySession(LocalRay(self.most_actors(), store_bytes))

    def most_actors(self) -> int:
        """What the user set, less where memory does not suffice; found once."""
        if self._most is None:
            self._most = self._find_most_actors()
        return self._most

    def _find_most_actors(self) -> int:
        if self.link is not None:
            return min(self.link.most_actors(), self._allowed)
        by_memory = actors_by_memory(
            self._machine.free_memory_bytes - self.limit_bytes,
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

    def choose(
        self, costs: Costs, frames_left: int | None, *, elapsed_s: float | None = None
    ) -> Choice:
        """Where the rest of the job is drawn.

        Parameters
        ----------
        costs
            See `costs`.
        frames_left
            Frames not yet drawn, None where their number is unknown.
        elapsed_s
            Seconds spent so far; None takes those since the job began.
        """
        job = self._job
        if job.engine == "local":
            return in_process("engine='local' was asked for")
        if job.engine == "auto" and (self._allowed == 1 or frames_left == 0):
            reason = (
                "one actor at most is allowed"
                if self._allowed == 1
                else "the first frames were all"
            )
            return in_process(reason)
        if not self._can_tell():
            return in_process("the cluster had not answered yet")
        actors = self.most_actors()
        choice = choose_engine(
            costs,
            frames_left,
            max_actors=actors,
            cores=self._machine.cores,
            ray_cores=None if self.link is None else actors,
            elapsed_s=self._tally.elapsed_s if elapsed_s is None else elapsed_s,
        )
        if choice.engine == "ray" and job.engine == "auto" and self._not_picklable is not None:
            self._tally.event_once(f"{self._not_picklable.message} This process draws all frames.")
            return in_process("the drawing code cannot be sent to actors")
        return self._as_asked(choice, actors)

    def _can_tell(self) -> bool:
        """Whether it is known how many actors there may be; waits where Ray was asked for."""
        if self.link is None:
            return True
        if self._job.engine == "ray":
            self.link.session.wait()
        return self.link.is_there

    def _as_asked(self, choice: Choice, actors: int) -> Choice:
        job, asked = self._job, self._job.settings.num_workers
        if job.engine == "ray":
            reason = "engine='ray' was asked for"
            choice = replace(
                choice, engine="ray", actors=min(asked or actors, actors), reason=reason
            )
        elif choice.engine == "ray" and asked is not None:
            choice = replace(choice, actors=min(asked, actors))
        return replace(choice, actors=max(choice.actors, min(job.settings.min_workers, actors)))


def in_process(reason: str) -> Choice:
    """The choice to stay."""
    return Choice("local", 0, None, None, reason)
