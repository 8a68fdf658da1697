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

import math
from dataclasses import dataclass, fields, replace
from typing import Literal

from rayanim.errors import SettingsError

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
    """What was measured, or is known, about one job on this machine; all in seconds.

    Parameters
    ----------
    draw_s
        Drawing and converting one frame in one process.
    encode_s
        The encoder's time per frame when it never waits for one.
    ray_start_s, ray_stop_s
        Ray's start and stop; 0 where it is running already and stays.
    actor_start_s
        From asking for a render actor to its first frame, drawing excluded.
    segment_overhead_s
        What Ray takes for each segment.
    transport_s
        Moving one frame through the object store; see `transport_seconds`.
    encode_call_s
        How long the codec keeps the thread that draws, per frame, in process.
        None means `encode_s`: nothing overlaps. 0 where the encoder has a
        thread of its own.
    encode_cpu_s
        Processor time of encoding a frame over all threads. None means
        `encode_s`: one core's worth.
    is_encoded_by_actors
        Whether each actor encodes what it draws, rather than one encoder all.
    taken_cores
        Of the cores, what others than actors take; see `TAKEN_CORES`.

    Raises
    ------
    SettingsError
        If one of them is negative or not finite.
    """

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
    """Where the rest of a job is drawn sooner.

    Parameters
    ----------
    costs
        What a frame and Ray's start cost.
    frames_left
        Frames not yet drawn; None where the length is unknown.
    max_actors
        Render actors that the settings and the memory allow. With less than 2
        the job stays in process.
    cores
        Cores of this machine, which actors and encoder share where Ray runs here.
    ray_cores
        Cores of the cluster where there is one.
    elapsed_s
        Seconds already spent in process. Only where the length is unknown.
    """
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
    """Frames per segment where actors hand over raw frames, 1 to `MAX_SEGMENT_FRAMES`.

    Parameters
    ----------
    frame_bytes
        Size of one converted frame.
    draw_s
        Seconds to draw and convert it.
    frames_left
        Frames to cut into segments; None where the length is unknown.
    max_actors
        Most render actors that there may be.
    in_flight_bytes
        Bytes that may exist between the actors and the encoder.
    queue_size
        Segments that one actor holds.
    """
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
    """Render actors that fit into memory; 0 where not even one does.

    Parameters
    ----------
    free_bytes
        Memory that may still be taken.
    actor_bytes
        Resident size of one actor, at least 1.
    reserve_bytes
        What must stay free: the frames in flight, the encoder, Ray itself.
    """
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
