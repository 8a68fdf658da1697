"""Whether a job is drawn in this process or on Ray, and in segments of what size.

The model, per frame, with the processor's work spread over c cores:

- In process one thread draws and then hands the frame to FFmpeg, which keeps
  it for ``encode_call_s``. What the encoder does meanwhile in threads costs no
  time until it is the slower of the two or the cores are full:
  ``max(draw + encode_call, encode, (draw + encode_cpu) / c)``.
  How much overlaps depends on the codec's threading: with libx264 in slice
  threads nothing did on 2 cores (15 ms of drawing and 12 ms of encoding took
  27 ms), in frame threads nearly all (the call took 2 ms of the 12).
- On Ray, where raw frames go to one encoder, the slowest of three sets the
  pace: k actors, the encoder, the cores:
  ``max((draw + overhead) / k, encode, (draw + encode_cpu + overhead) / c)``
  where the overhead is the way through the object store. Where actors encode
  what they draw, there is no second: ``(draw + encode + overhead) / k`` and the
  cores.

While Ray starts, the calling process goes on drawing at `START_SPEED`, so what
Ray costs is the speed lost then, and its stop.
"""

from __future__ import annotations

import functools
import math
import time
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal

from rayanim.engine.cluster import ClusterLink
from rayanim.engine.machine import Machine, process_rss_bytes
from rayanim.engine.ray_session import LocalRay, RaySession, free_ray_cpus, ray_is_running
from rayanim.engine.stats import Tally
from rayanim.errors import FarmStartError, NotPicklableError, SettingsError

if TYPE_CHECKING:
    from rayanim.engine.draw import Shipment
    from rayanim.engine.job import Job
    from rayanim.video.spec import StreamSpec

ACTOR_START_S = 0.8
"""A new worker process and matplotlib's import, the user's setup aside, on 2 cores."""

CLUSTER_ACTOR_START_S = 2.5
"""The same on a node that first unpacks the script's folder; 1.8 to 2.3 s were measured."""

NODE_START_S = 60.0
"""Until a node that a cluster adds takes its first actor; clouds take one to several minutes."""

CLUSTER_STOP_S = 0.5
"""Leaving a cluster."""

RAY_START_S = 3.3
"""Starting Ray on one machine, 2 cores."""

RAY_STOP_S = 1.4
"""Shutting it down again."""

START_SPEED = 0.7
"""Share of its speed that the process keeps while Ray starts, on 2 cores."""

GAIN_NEEDED = 0.95
"""Ray must be predicted below this share of the time in process.

So staying in process never costs more than a twentieth of what was predicted,
which leaves as much again for errors of the prediction.
"""

TAKEN_CORES = 0.4
"""Cores that Ray's own processes, the driver and the encoder actor take from the actors
of one machine. With 2 actors on 2 cores a frame of `benchmarks/choosing.py` took 1.2
(heavy) and 1.4 times (light) what two undisturbed cores would need."""

PRICE_DOUBT = 2.0
"""Where it gains less than a tenth, Ray must win although its start and stop take this
many times what they usually do.

On a machine that does other work they did, and a job that moves then is slower for it.
A job that stays although Ray would have started as quickly as usual loses no more than
that price.
"""

WORST_LOSS = 1 / 1.1
"""No doubt may cost more than a tenth."""

RATE_SLACK = 0.97
"""The fewest actors that reach this share of the best rate are enough."""

SEGMENT_DRAW_S = 0.25
"""Seconds of drawing per segment: Ray's 2 to 3 ms for each are then 1 %."""

MAX_SEGMENT_FRAMES = 64
"""Frames per segment at most: beyond it there is nothing left to save."""

SEGMENTS_PER_ACTOR = 4
"""Segments that each actor should get, so that none waits long for the last."""

STORE_BYTES_PER_S = 700e6
"""Pace of frames through Ray's object store: 3 MB in 4 to 6 ms, 8 MB in 7 to 11 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What was measured, or is known, about one job on this machine; all in seconds."""

    draw_s: float
    encode_s: float
    ray_start_s: float = RAY_START_S
    actor_start_s: float = ACTOR_START_S
    segment_overhead_s: float = 0.0025
    ray_stop_s: float = RAY_STOP_S
    transport_s: float = 0.0
    encode_call_s: float | None = None
    encode_cpu_s: float | None = None
    is_encoded_by_actors: bool = False
    taken_cores: float = 0.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self) if field.name.endswith("_s")):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"{name} must be 0 or more seconds, got {value!r}.")

    @property
    def local_frame_s(self) -> float:
        """Seconds per frame of one drawing thread in process, cores aside."""
        return self.draw_s + (self.encode_s if self.encode_call_s is None else self.encode_call_s)

    @property
    def processor_s(self) -> float:
        """Processor seconds of one frame, drawn and encoded."""
        return self.draw_s + (self.encode_s if self.encode_cpu_s is None else self.encode_cpu_s)

    @property
    def actor_frame_s(self) -> float:
        """Seconds per frame of one actor."""
        encode_s = self.encode_s if self.is_encoded_by_actors else 0.0
        return self.draw_s + encode_s + self.overhead_s

    @property
    def overhead_s(self) -> float:
        """What a frame costs more on Ray than in process."""
        return self.transport_s + self.segment_overhead_s / _frames_in(SEGMENT_DRAW_S, self.draw_s)


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


def choose_engine(
    costs: Costs,
    frames_left: int | None,
    max_actors: int,
    cores: int,
    *,
    ray_cores: int | None = None,
    elapsed_s: float = 0.0,
) -> Choice:
    """Where the rest of a job is drawn sooner."""
    local_s = local_frame_seconds(costs, cores)
    there_cores = cores if ray_cores is None else ray_cores
    actors = _best_actors(costs, max_actors, there_cores, frames_left)
    ray_s = ray_frame_seconds(costs, max(1, actors), there_cores)
    if frames_left is None:
        if max_actors < 2:
            return Choice("local", 0, None, None, _too_few(max_actors))
        return _choose_unknown(costs, local_s, ray_s, actors, cores, elapsed_s)
    in_process_s = frames_left * local_s
    on_ray_s = _predict_ray(costs, frames_left, local_s, ray_s, cores)
    if max_actors < 2:
        return Choice("local", 0, in_process_s, on_ray_s, _too_few(max_actors))
    here, there = _seconds(in_process_s), _seconds(on_ray_s)
    on_slow_ray_s = _predict_ray(_doubted(costs), frames_left, local_s, ray_s, cores)
    is_sure = on_slow_ray_s < in_process_s or on_ray_s < WORST_LOSS * in_process_s
    if on_ray_s < GAIN_NEEDED * in_process_s and is_sure:
        reason = f"for the rest {there} expected with Ray's start, {here} in process"
        return Choice("ray", actors, in_process_s, on_ray_s, reason)
    reason = f"for the rest {here} expected here, {there} on Ray with its start"
    return Choice("local", 0, in_process_s, on_ray_s, reason)


def local_frame_seconds(costs: Costs, cores: int) -> float:
    """Seconds per frame in process."""
    return max(costs.local_frame_s, costs.encode_s, costs.processor_s / max(1, cores))


def ray_frame_seconds(costs: Costs, actors: int, cores: int) -> float:
    """Seconds per frame with `actors` render actors once they run."""
    return max(costs.actor_frame_s / actors, _ray_floor_s(costs, cores))


def transport_seconds(frame_bytes: int) -> float:
    """Seconds that one frame takes through Ray's object store on one machine."""
    return frame_bytes / STORE_BYTES_PER_S


def segment_frames(
    frame_bytes: int,
    draw_s: float,
    frames_left: int | None,
    max_actors: int,
    in_flight_bytes: int,
    queue_size: int,
) -> int:
    """Frames per segment where actors hand over raw frames, 1 to `MAX_SEGMENT_FRAMES`."""
    actors = max(1, max_actors)
    # Each actor holds queue_size segments, the encoder one, and one waits for
    # its turn. At 1080p (3.1 MB in yuv420p), 256 MiB and 8 actors with 2 each
    # that is 18 segments of 4 frames. A single frame per segment may pass the
    # limit where even that is too large; the dispatcher then hands out less.
    by_bytes = in_flight_bytes // ((2 + queue_size * actors) * max(1, frame_bytes))
    wanted = min(_frames_in(SEGMENT_DRAW_S, draw_s), by_bytes)
    if frames_left is not None:
        wanted = min(wanted, frames_left // (SEGMENTS_PER_ACTOR * actors))
    return max(1, int(wanted))


def actors_by_memory(free_bytes: int, actor_bytes: int, reserve_bytes: int) -> int:
    """Render actors that fit into memory; 0 where not even one does."""
    return max(0, free_bytes - reserve_bytes) // max(1, actor_bytes)


def _choose_unknown(
    costs: Costs, local_s: float, ray_s: float, actors: int, cores: int, elapsed_s: float
) -> Choice:
    """Ski rental: stay until what Ray would have saved so far would have paid for it.

    Where the job ends just then, it has taken at most twice as long as in
    process; where it goes on, Ray's cost has been paid twice.
    """
    if ray_s >= GAIN_NEEDED * local_s:
        return Choice("local", 0, None, None, "Ray would draw no faster")
    price_s = _start_s(costs) * (1 - _start_speed(cores)) + costs.ray_stop_s
    switch_s = price_s / (1 - ray_s / local_s)
    after = f"of a job of unknown length; Ray repays its start after {_seconds(switch_s)}"
    if elapsed_s < switch_s:
        return Choice("local", 0, None, None, f"{_seconds(elapsed_s)} {after}")
    return Choice("ray", actors, None, None, f"{_seconds(elapsed_s)} {after}")


def _predict_ray(costs: Costs, frames_left: int, local_s: float, ray_s: float, cores: int) -> float:
    """Seconds to the end on Ray, the frames drawn in process meanwhile included."""
    start_s = _start_s(costs)
    slowed_s = local_s / _start_speed(cores)
    if frames_left * slowed_s <= start_s:
        return frames_left * slowed_s + costs.ray_stop_s
    drawn_meanwhile = start_s / slowed_s if slowed_s > 0 else 0.0
    return start_s + (frames_left - drawn_meanwhile) * ray_s + costs.ray_stop_s


def _best_actors(costs: Costs, max_actors: int, cores: int, frames_left: int | None) -> int:
    """The fewest actors that come near the best rate which encoder and cores allow."""
    frame_s = costs.actor_frame_s
    floor_s = _ray_floor_s(costs, cores)
    needed = math.ceil(RATE_SLACK * frame_s / floor_s) if floor_s > 0 else max_actors
    most = max_actors if frames_left is None else min(max_actors, frames_left)
    return max(0, min(needed, most))


def _ray_floor_s(costs: Costs, cores: int) -> float:
    """Seconds per frame that no number of actors gets below."""
    one_encoder_s = 0.0 if costs.is_encoded_by_actors else costs.encode_s
    free_cores = max(1.0, cores - costs.taken_cores)
    return max(one_encoder_s, (costs.processor_s + costs.overhead_s) / free_cores)


def _doubted(costs: Costs) -> Costs:
    """The costs where Ray starts and stops slowly."""
    return replace(
        costs,
        ray_start_s=PRICE_DOUBT * costs.ray_start_s,
        ray_stop_s=PRICE_DOUBT * costs.ray_stop_s,
        actor_start_s=PRICE_DOUBT * costs.actor_start_s,
    )


def _start_s(costs: Costs) -> float:
    return costs.ray_start_s + costs.actor_start_s


def _start_speed(cores: int) -> float:
    """Ray's start takes more than one core at times: with many, drawing is hardly slowed."""
    return float(START_SPEED ** (2 / max(1, cores)))


def _frames_in(seconds: float, draw_s: float) -> int:
    """Frames drawn in `seconds`, 1 to `MAX_SEGMENT_FRAMES`."""
    if draw_s * MAX_SEGMENT_FRAMES <= seconds:
        return MAX_SEGMENT_FRAMES
    return max(1, int(seconds / draw_s))


def _too_few(max_actors: int) -> str:
    return f"render actors allowed: {max_actors}; Ray takes 2 to gain anything"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s"


REFERENCE_S = 0.0035
"""What `TEXT` should take to be compiled where Ray starts in `RAY_START_S`, 3.3 s: it took
6.4 ms on a machine where Ray took 6.0 s, and both are Python's work in many small steps.
That one pair was measured; that they go together is assumed."""

TEXT = "def f(x):\n    return [y * y for y in x if y > 3]\n\n" * 100

TRIES = 3

LEAST, MOST = 0.7, 4.0
"""Outside of these it says more of the moment than of the machine."""


@functools.cache
def slowness() -> float:
    """How many times longer than usual Ray takes to start here; 20 ms the first time."""
    return min(MOST, max(LEAST, min(_taken_s() for _ in range(TRIES)) / REFERENCE_S))


def _taken_s() -> float:
    began_s = time.perf_counter()
    compile(TEXT, "speed", "exec")
    return time.perf_counter() - began_s


UNTOLD = 1_000_000
"""Stands for the number of a cluster's CPUs while nobody knows it."""

RESERVE_BYTES = 512 * 2**20
"""Memory left to the rest of the machine, and to Ray's own processes."""


class Chooser:
    """Decides where a job is drawn, as often as it is asked."""

    def __init__(self, job: Job, tally: Tally) -> None:
        self._job = job
        self._settings = settings = job.settings
        self._tally = tally
        self._machine = Machine.here()
        self.limit_bytes = min(
            settings.performance.in_flight_bytes, max(2**24, self._machine.free_memory_bytes // 4)
        )
        address = settings.cluster_address
        self.link = None if address is None else ClusterLink(address, settings)
        # How many a share of a cluster comes to is known when it has answered.
        most = settings.workers.most(self._machine.cores if self.link is None else UNTOLD)
        self._allowed = min(most, settings.performance.max_workers or most)
        self._most: int | None = None
        self._shipment: Shipment | None = None
        self._not_picklable: NotPicklableError | None = None

    @property
    def may_travel(self) -> bool:
        """Whether Ray comes into question at all."""
        engine = self._settings.engine
        return engine == "ray" or (engine == "auto" and self._allowed > 1)

    def stay(self, reason: str) -> Choice:
        """The choice to draw all frames in this process, reported where Ray was asked for."""
        if self._settings.engine == "ray":
            self._tally.event_once(f"This process draws all frames: {reason}.", "stays")
        return in_process(reason)

    @property
    def cores(self) -> int:
        """Cores that this process may use."""
        return self._machine.cores

    def pack(self) -> None:
        """Pickle the source, before it is opened: what setup() makes may not be picklable."""
        from rayanim.engine.draw import large_attributes, pack

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
        from rayanim.video.spec import expected_encode_s

        told_ms = self._settings.performance.encode_ms
        return expected_encode_s(spec) if told_ms is None else told_ms / 1000

    def costs(self, spec: StreamSpec, draw_s: float, encode_s: float, warm_up_s: float) -> Costs:
        """What is known of a frame and of Ray's start; all in seconds."""
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
        """Ray for this job: the cluster's, or one of our own."""
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
        return most if self._settings.engine == "ray" else min(most, free_ray_cpus(most))

    def choose(
        self, costs: Costs, frames_left: int | None, *, elapsed_s: float | None = None
    ) -> Choice:
        """Where the rest of the job is drawn."""
        engine = self._settings.engine
        if engine == "local":
            return in_process("engine='local' was asked for")
        if engine == "auto" and (self._allowed == 1 or frames_left == 0):
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
        if choice.engine == "ray" and engine == "auto" and self._not_picklable is not None:
            self._tally.event_once(f"{self._not_picklable.message} This process draws all frames.")
            return in_process("the drawing code cannot be sent to actors")
        return self._as_asked(choice, actors)

    def _can_tell(self) -> bool:
        """Whether it is known how many actors there may be; waits where Ray was asked for."""
        if self.link is None:
            return True
        if self._settings.engine == "ray":
            self.link.session.wait()
        return self.link.is_there

    def _as_asked(self, choice: Choice, actors: int) -> Choice:
        performance = self._settings.performance
        asked = performance.num_workers
        if self._settings.engine == "ray":
            reason = "engine='ray' was asked for"
            choice = replace(
                choice, engine="ray", actors=min(asked or actors, actors), reason=reason
            )
        elif choice.engine == "ray" and asked is not None:
            choice = replace(choice, actors=min(asked, actors))
        return replace(choice, actors=max(choice.actors, min(performance.min_workers, actors)))


def in_process(reason: str) -> Choice:
    """The choice to stay."""
    return Choice("local", 0, None, None, reason)
