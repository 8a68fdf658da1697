"""Decides whether a job is drawn in this process or on Ray.

The model, per frame, on c cores:

- In process one thread draws while others encode, so the slowest of three sets
  the pace: ``max(draw, encode, (draw + encode) / c)``.
- On Ray k actors draw. Where they also encode, they and the cores set the pace:
  ``max((draw + encode) / k, (draw + encode) / c)``. Where raw frames go to one
  encoder, that one can be the slowest, too, and each frame passes through Ray's
  object store: ``max((draw + transport) / k, encode, (draw + encode + transport) / c)``.

While Ray starts, this process goes on drawing. Ray's start takes half as long on
one machine as on another, so the figures below are those of a slow one: a job
that stays a few seconds too long loses less than one that moves in vain.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from rayanim.engine.cluster import ClusterLink
from rayanim.engine.machine import free_memory_bytes, process_rss_bytes, usable_cores
from rayanim.engine.ray_session import LocalRay, RaySession, free_ray_cpus, ray_is_running
from rayanim.engine.stats import JobEvents
from rayanim.engine.warm import ReadyRay, drop_early, ready_ray
from rayanim.errors import NotPicklableError

if TYPE_CHECKING:
    from rayanim.engine.job import Job
    from rayanim.engine.packing import PackedSource
    from rayanim.video.spec import StreamSpec

RAY_START_S, RAY_STOP_S = 5.0, 2.0
"""``ray.init()`` and ``ray.shutdown()`` on 2 busy cores; 2.1 to 3.3 s and 1.4 s on quiet ones."""

ACTOR_START_S = 0.8
"""A new worker process that imports matplotlib, without the user's setup, on 2 cores."""

ATTACH_S, READY_ACTOR_START_S = 0.5, 0.4
"""Loading Ray and attaching to one that was started before (0.06 s), and an actor there."""

CLUSTER_ACTOR_START_S = 2.5
"""The same on a node that first unpacks the script's folder; measured: 1.8 to 2.3 s."""

NODE_START_S = 60.0
"""Until a node that a cloud adds has its first actor: one to several minutes."""

TAKEN_CORES = 0.4
"""Cores of one machine that Ray's processes, the driver and the encoder actor use.

``benchmarks/choosing.py`` with 2 actors on 2 cores: a frame took 1.2 (heavy) to
1.4 times (light) what two cores without them would need.
"""

GAIN_NEEDED = 1.1
"""Ray must be predicted to be faster by more than a tenth, the error such predictions have.

So staying never costs more than a tenth of what was predicted, either.
"""

STORE_BYTES_PER_S = 700e6
"""Raw frames through Ray's object store: 3 MB took 4 to 6 ms, 8 MB 7 to 11 ms."""

RESERVE_BYTES = 512 * 2**20
"""Memory left to Ray's own processes and the rest of the machine."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Where to draw, with how many actors, and why.

    The predictions are seconds from now to the end of the job; None where its
    length is unknown. `actors` is 0 in process.
    """

    engine: Literal["local", "ray"]
    actors: int
    predicted_local_s: float | None
    predicted_ray_s: float | None
    reason: str


class Chooser:
    """Decides where a job is drawn, as often as it is asked."""

    def __init__(self, job: Job, events: JobEvents) -> None:
        self._job = job
        self._settings = settings = job.settings
        self._events = events
        self.cores = usable_cores()
        """Those that this process may use."""
        self._free_bytes = free_memory_bytes()
        self.limit_bytes = min(
            settings.performance.in_flight_bytes, max(2**24, self._free_bytes // 4)
        )
        address = settings.cluster_address
        self.link = None if address is None else ClusterLink(address, settings)
        # How many a share of a cluster comes to is known when it has answered: more than one.
        self._allowed = settings.most_actors(self.cores if self.link is None else 1_000_000)
        self._most: int | None = None
        self._packed: PackedSource | NotPicklableError | None = None
        self._sent: PackedSource | None = None
        self._ready: ReadyRay | None = None
        self._is_ready_known = False
        if not self.may_use_ray or self.link is not None:
            drop_early()
        self._too_large: str | None = None

    @property
    def may_use_ray(self) -> bool:
        """Whether Ray comes into question at all."""
        engine = self._settings.engine
        return engine == "ray" or (engine == "auto" and self._allowed > 1)

    def choose(self, costs: Costs, frames_left: int | None) -> Choice:
        """Where the rest of the job is drawn."""
        engine, performance = self._settings.engine, self._settings.performance
        if engine == "local":
            return in_process("engine='local' was asked for")
        if engine == "auto" and self._allowed == 1:
            return in_process("one worker is allowed")
        if engine == "auto" and frames_left == 0:
            return in_process("short video")
        if not self._cluster_has_answered():
            return in_process("the cluster had not answered yet")
        actors = self.most_actors()
        choice = choose_engine(
            costs,
            frames_left,
            max_actors=actors,
            cores=self.cores,
            cluster_cores=None if self.link is None else actors,
            elapsed_s=self._events.stats.elapsed_s,
        )
        if engine == "ray":
            choice = replace(
                choice, engine="ray", actors=actors, reason="engine='ray' was asked for"
            )
        elif choice.engine == "local":
            here_s = choice.predicted_local_s
            if here_s is not None and here_s < costs.start_s:
                drop_early()  # the video is finished before it can help
            return choice
        elif self._too_large is not None:
            self._events.notice_once(
                f"{self._too_large} This process draws all frames; engine='ray' sends them."
            )
            return in_process("the list of frames is large, and each actor would hold all of it")
        elif isinstance(self._packed, NotPicklableError):
            self._events.notice_once(f"{self._packed.message} This process draws all frames.")
            return in_process("the drawing code cannot be sent to actors")
        asked = min(performance.num_workers or choice.actors, actors)
        return replace(choice, actors=max(asked, min(performance.min_workers, actors)))

    def stay(self, reason: str) -> Choice:
        """The choice to draw all frames in this process, reported where Ray was asked for."""
        drop_early()
        if self._settings.engine == "ray":
            self._events.notice_once(f"This process draws all frames: {reason}.", "stays")
        return in_process(reason)

    def costs(self, spec: StreamSpec, draw_s: float, encode_s: float, warm_up_s: float) -> Costs:
        """What is known of a frame and of Ray's start; all in seconds."""
        by_actors = self._events.stats.transport == "segments"
        ray_s, actor_s, stop_s = RAY_START_S, ACTOR_START_S, RAY_STOP_S
        if self.link is not None:
            has_room = not self.link.is_there or self.link.free() > 0
            ray_s, actor_s, stop_s = 0.0, CLUSTER_ACTOR_START_S if has_room else NODE_START_S, 0.0
        elif ray_is_running():
            ray_s, stop_s = 0.0, 0.0
        elif (ready := self._ready_ray()) is not None:
            started_s = ready.began_s + RAY_START_S
            ray_s = ATTACH_S + max(0.0, started_s - time.monotonic())
            actor_s, stop_s = READY_ACTOR_START_S, 0.0
        return Costs(
            draw_s=draw_s,
            encode_s=encode_s,
            transport_s=0.0 if by_actors else spec.frame_bytes / STORE_BYTES_PER_S,
            is_encoded_by_actors=by_actors,
            start_s=ray_s + actor_s + warm_up_s,
            stop_s=stop_s,
        )

    def encode_s(self, spec: StreamSpec) -> float:
        """Seconds to encode a frame: as the settings say, or expected."""
        from rayanim.video.spec import expected_encode_s

        known_ms = self._settings.performance.encode_ms
        return expected_encode_s(spec) if known_ms is None else known_ms / 1000

    def pack(self) -> None:
        """Pickle the source, before it is opened: what setup() makes may not be picklable."""
        from rayanim.engine.packing import LARGE_BYTES, large_attributes, large_list, pack
        from rayanim.sources import listed_bytes

        source, asked = self._job.source, self._settings.engine == "ray"
        list_bytes = None if asked else listed_bytes(source)
        # A large list is not pickled where it may be drawn here: it would be in memory twice.
        if list_bytes is None or list_bytes < LARGE_BYTES:
            try:
                packed = self._packed = pack(source)
            except NotPicklableError as error:
                # Reported only if it turns out that actors are worth it.
                self._packed = error
                return
            if list_bytes is None:
                warning = large_attributes(source, packed)
                if warning and self.may_use_ray:
                    self._events.notice(warning)
                return
            list_bytes = len(packed.pickled)
        if list_bytes >= LARGE_BYTES:
            self._too_large = large_list(source, list_bytes)

    @property
    def packed_source(self) -> PackedSource:
        """What is sent to actors; raises, before Ray starts, where it cannot be pickled."""
        if isinstance(self._packed, NotPicklableError):
            raise self._packed
        return self._sent or self._packed  # type: ignore[return-value]

    @property
    def pristine(self) -> PackedSource | None:
        """The source as it was before it was opened; None where it was not packed."""
        return None if isinstance(self._packed, NotPicklableError) else self._packed

    def session(self, store_bytes: int) -> RaySession:
        """Ray for this job: the cluster's, or one of our own."""
        if self.link is not None:
            return self.link
        own = LocalRay(self.most_actors(), store_bytes)
        ready = self._ready_ray()
        if ready is None:
            return own
        self._sent = ready.sent(self.packed_source)
        return ready.session(own, self._notice_ready)

    def _ready_ray(self) -> ReadyRay | None:
        """A Ray that was started before there was a job; looked for once."""
        if not self._is_ready_known and self.may_use_ray and not ray_is_running():
            self._is_ready_known = True
            self._ready = ready_ray(self._notice_ready)
        return self._ready

    def _notice_ready(self, text: str) -> None:
        self._events.notice_once(text, "ready Ray")

    def most_actors(self) -> int:
        """What the user set, less where memory does not suffice; found once."""
        if self._most is None:
            self._most = self._find_most_actors()
        return self._most

    def _find_most_actors(self) -> int:
        if self.link is not None:
            return min(self.link.most_actors(), self._allowed)
        free_bytes = self._free_bytes - self.limit_bytes - RESERVE_BYTES
        by_memory = max(0, free_bytes) // process_rss_bytes()
        if by_memory < self._allowed:
            self._events.notice(
                f"There is memory for {by_memory} render actors; {self._allowed} were allowed."
            )
        most = max(1, min(by_memory, self._allowed))
        # The caller's own Ray may be busy or small; asked for by name, it is waited for.
        return most if self._settings.engine == "ray" else min(most, free_ray_cpus(most))

    def _cluster_has_answered(self) -> bool:
        """Whether it is known how many actors there may be; waits where Ray was asked for."""
        if self.link is None:
            return True
        if self._settings.engine == "ray":
            self.link.wait()
        return self.link.is_there


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a frame takes, and what Ray's start and stop take; all in seconds."""

    draw_s: float
    encode_s: float
    transport_s: float = 0.0
    is_encoded_by_actors: bool = False
    start_s: float = RAY_START_S + ACTOR_START_S
    stop_s: float = RAY_STOP_S


def choose_engine(
    costs: Costs,
    frames_left: int | None,
    *,
    max_actors: int,
    cores: int,
    cluster_cores: int | None = None,
    elapsed_s: float = 0.0,
) -> Choice:
    """Where the rest of a job is drawn sooner."""
    if max_actors < 2:
        return in_process(
            f"Ray pays off with 2 or more render actors; here there can be {max_actors}"
        )
    local_s = local_frame_seconds(costs, cores)
    free_cores = max(1.0, cores - TAKEN_CORES) if cluster_cores is None else cluster_cores
    most = max_actors if frames_left is None else min(max_actors, frames_left)
    actors = useful_actors(costs, most, free_cores)
    ray_s = ray_frame_seconds(costs, max(1, actors), free_cores)
    if frames_left is None:
        return _choose_for_unknown_length(costs, local_s, ray_s, actors, elapsed_s)
    here_s = frames_left * local_s
    there_s = here_s + costs.stop_s
    if here_s > costs.start_s:
        drawn_meanwhile = costs.start_s / local_s
        there_s = costs.start_s + (frames_left - drawn_meanwhile) * ray_s + costs.stop_s
    here, there = f"{here_s:.1f} s in this process", f"{there_s:.1f} s on Ray"
    if GAIN_NEEDED * there_s < here_s:
        reason = f"the rest was expected to take {here}, {there}"
        return Choice("ray", actors, here_s, there_s, reason)
    reason = f"the rest was expected to take {there}, {here}"
    return Choice("local", 0, here_s, there_s, reason)


def in_process(reason: str) -> Choice:
    """The choice to stay, without a prediction."""
    return Choice("local", 0, None, None, reason)


def local_frame_seconds(costs: Costs, cores: int) -> float:
    """Seconds per frame in process."""
    return max(costs.draw_s, costs.encode_s, (costs.draw_s + costs.encode_s) / cores)


def ray_frame_seconds(costs: Costs, actors: int, cores: float) -> float:
    """Seconds per frame with `actors` render actors once they run."""
    return max(_actor_frame_s(costs) / actors, _ray_floor_s(costs, cores))


def useful_actors(costs: Costs, max_actors: int, cores: float) -> int:
    """The fewest actors that reach the best rate which the encoder and the cores allow."""
    floor_s = _ray_floor_s(costs, cores)
    if floor_s <= 0:
        return max_actors
    # Of two that are equal but for rounding, the quotient is 1.
    return min(max_actors, math.ceil(_actor_frame_s(costs) / floor_s - 1e-6))


def _actor_frame_s(costs: Costs) -> float:
    """Seconds per frame of one actor."""
    return costs.draw_s + costs.transport_s + costs.encode_s * costs.is_encoded_by_actors


def _ray_floor_s(costs: Costs, cores: float) -> float:
    """Seconds per frame that no number of actors gets below."""
    encoder_s = 0.0 if costs.is_encoded_by_actors else costs.encode_s
    return max(encoder_s, (costs.draw_s + costs.encode_s + costs.transport_s) / cores)


def _choose_for_unknown_length(
    costs: Costs, local_s: float, ray_s: float, actors: int, elapsed_s: float
) -> Choice:
    """Stay until what Ray would have saved so far equals its price (the ski rental rule).

    Where the job ends just then, it has taken at most twice as long as in
    process; where it goes on, Ray's price has been paid twice.
    """
    if GAIN_NEEDED * ray_s >= local_s:
        return in_process("Ray would draw no faster")
    switch_s = (costs.start_s + costs.stop_s) / (1 - ray_s / local_s)
    reason = f"the video's length is not known: Ray pays off after {switch_s:.1f} s"
    if elapsed_s < switch_s:
        return in_process(reason)
    return Choice("ray", actors, None, None, reason)
