"""Render actors, the ordered window and the encoder as a deterministic event simulation.

Nothing here waits: time is a number that the events push forward. Bytes count
as in flight from the moment a segment is handed to an actor until its last
frame is encoded, as the dispatcher has to reserve them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from rayanim.engine.autoscaler import Decision, PolicyState, ScalingLimits, Snapshot, decide

FRAME_BYTES = 1_000_000
TICK_S = 0.5
MEASURED_TICKS = 8
"""Ticks over which the encoder's share of idle time is measured."""


@dataclass(frozen=True, slots=True)
class Load:
    """A job and the machine it runs on; costs in seconds for frame `index` at time `now_s`."""

    frames: int
    draw_s: Callable[[int], float]
    encode_s: Callable[[int], float]
    segment_frames: int = 10
    window_segments: int = 24
    start_s: float = 1.0
    cores: int | None = None
    deaths_s: Sequence[float] = ()
    length_known: bool = True


@dataclass(frozen=True, slots=True)
class Tick:
    """What the controller saw, and what it decided."""

    snapshot: Snapshot
    decision: Decision


@dataclass(frozen=True, slots=True)
class Trace:
    """The whole run: its ticks, the frames in the order in which they were encoded."""

    ticks: list[Tick]
    encoded: list[int]
    took_s: float
    busy_s: float

    def changes(self, start_s: float = 0.0, stop_s: float = float("inf")) -> list[Tick]:
        """Ticks in ``[start_s, stop_s)`` at which the number of actors changed."""
        return [
            tick
            for tick in self.ticks
            if tick.decision.delta and start_s <= tick.snapshot.now_s < stop_s
        ]

    def idle_fraction(self, start_s: float, stop_s: float) -> float:
        """Mean share of ``[start_s, stop_s)`` in which the encoder had nothing to do."""
        shares = [
            tick.snapshot.encoder_idle_fraction
            for tick in self.ticks
            if start_s <= tick.snapshot.now_s < stop_s
        ]
        return sum(shares) / len(shares)

    def target_at(self, now_s: float) -> int:
        """The number of actors wanted at a time."""
        return [tick.decision.target for tick in self.ticks if tick.snapshot.now_s <= now_s][-1]


@dataclass(slots=True)
class _Actor:
    ready: bool = False
    leaving: bool = False
    segment: int | None = None


@dataclass(slots=True)
class Pipeline:
    """One run; `run` gives its trace."""

    load: Load
    limits: ScalingLimits
    now_s: float = 0.0
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _actors: dict[int, _Actor] = field(default_factory=dict)
    _names: count[int] = field(default_factory=count)
    _again: list[int] = field(default_factory=list)
    _next_segment: int = 0
    _drawn: set[int] = field(default_factory=set)
    _undrawn: int = 0
    _encoded: list[int] = field(default_factory=list)
    _encoding: bool = False
    _encode_begun_s: float = 0.0
    _busy_s: float = 0.0
    _busy_at_tick: list[float] = field(default_factory=lambda: [0.0])
    _draw_s: float | None = None
    _encode_s: float | None = None
    _ticks: list[Tick] = field(default_factory=list)

    def run(self, actors: int) -> Trace:
        """Start with `actors` and go on until the last frame is encoded."""
        self._undrawn = self._segments
        self._add(actors)
        self._after(TICK_S, lambda: self._tick(PolicyState()))
        for death_s in self.load.deaths_s:
            self._after(death_s, self._kill_one)
        while self._events and len(self._encoded) < self.load.frames:
            self.now_s, _, event = heapq.heappop(self._events)
            event()
        return Trace(self._ticks, self._encoded, self.now_s, self._busy_s)

    @property
    def _segments(self) -> int:
        return -(-self.load.frames // self.load.segment_frames)

    def _frames_of(self, segment: int) -> range:
        start = segment * self.load.segment_frames
        return range(start, min(self.load.frames, start + self.load.segment_frames))

    def _after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_s + seconds, next(self._order), event))

    def _add(self, number: int) -> None:
        for _ in range(number):
            name = next(self._names)
            self._actors[name] = _Actor()
            self._after(self.load.start_s, lambda name=name: self._arrive(name))  # type: ignore[misc]

    def _arrive(self, name: int) -> None:
        if name in self._actors:
            self._actors[name].ready = True
            self._dispatch()

    def _kill_one(self) -> None:
        victims = [name for name, actor in self._actors.items() if actor.segment is not None]
        if victims:
            lost = self._actors.pop(victims[0]).segment
            if lost is not None:
                heapq.heappush(self._again, lost)
            self._dispatch()

    def _release(self, number: int) -> None:
        free_first = sorted(self._staying(), key=lambda name: self._actors[name].segment or -1)
        for name in free_first[:number]:
            if self._actors[name].segment is None:
                del self._actors[name]
            else:
                self._actors[name].leaving = True

    def _staying(self) -> list[int]:
        return [name for name, actor in self._actors.items() if not actor.leaving]

    def _in_flight(self) -> int:
        """Segments from being handed out until their last frame is encoded."""
        return self._next_segment - len(self._encoded) // self.load.segment_frames

    def _dispatch(self) -> None:
        for name in self._staying():
            actor = self._actors[name]
            if not actor.ready or actor.segment is not None:
                continue
            if self._again:
                actor.segment = heapq.heappop(self._again)
            elif (
                self._next_segment < self._segments
                and self._in_flight() < self.load.window_segments
            ):
                actor.segment = self._next_segment
                self._next_segment += 1
            else:
                continue
            self._begin(name, actor.segment)

    def _begin(self, name: int, segment: int) -> None:
        busy = sum(actor.segment is not None for actor in self._actors.values()) + self._encoding
        slower = max(1.0, busy / self.load.cores) if self.load.cores else 1.0
        seconds = slower * sum(self.load.draw_s(index) for index in self._frames_of(segment))
        self._after(seconds, lambda: self._finish(name, segment, seconds))

    def _finish(self, name: int, segment: int, seconds: float) -> None:
        actor = self._actors.get(name)
        if actor is None:
            return
        self._draw_s = _average(self._draw_s, seconds / len(self._frames_of(segment)), 0.3)
        self._drawn.add(segment)
        self._undrawn -= 1
        actor.segment = None
        if actor.leaving:
            del self._actors[name]
        self._encode_next()
        self._dispatch()

    def _encode_next(self) -> None:
        index = len(self._encoded)
        if index == self.load.frames:
            return
        if self._encoding or index // self.load.segment_frames not in self._drawn:
            return
        self._encoding, self._encode_begun_s = True, self.now_s
        seconds = self.load.encode_s(index)
        self._after(seconds, lambda: self._encode_done(index, seconds))

    def _encode_done(self, index: int, seconds: float) -> None:
        self._encoding = False
        self._busy_s += seconds
        self._encoded.append(index)
        self._encode_s = _average(self._encode_s, seconds, 0.05)
        self._encode_next()
        self._dispatch()

    def _tick(self, state: PolicyState) -> None:
        running_s = self.now_s - self._encode_begun_s if self._encoding else 0.0
        self._busy_at_tick.append(self._busy_s + running_s)
        snapshot = self._snapshot()
        decision, state = decide(snapshot, self.limits, state)
        self._ticks.append(Tick(snapshot, decision))
        self._add(max(0, decision.delta))
        self._release(max(0, -decision.delta))
        self._after(TICK_S, lambda: self._tick(state))

    def _snapshot(self) -> Snapshot:
        window = self._busy_at_tick[-1 - MEASURED_TICKS :]
        measured_s = TICK_S * (len(window) - 1)
        size = self.load.segment_frames
        snapshot = Snapshot(
            now_s=self.now_s,
            alive=sum(self._actors[name].ready for name in self._staying()),
            requested=len(self._staying()),
            queued_frames=max(0, (self._segments - self._undrawn) * size - len(self._encoded)),
            in_flight_bytes=self._in_flight() * size * FRAME_BYTES,
            in_flight_limit_bytes=self.load.window_segments * size * FRAME_BYTES,
            encoder_idle_fraction=max(0.0, 1 - (window[-1] - window[0]) / measured_s),
            draw_fps_per_actor=None if self._draw_s is None else 1 / self._draw_s,
            encode_fps=None if self._encode_s is None else 1 / self._encode_s,
            frames_left=self._undrawn * size,
            chunks_left=self._undrawn,
            actor_start_s=self.load.start_s,
        )
        if self.load.length_known:
            return snapshot
        return replace(snapshot, frames_left=None, chunks_left=None)


def simulate(load: Load, limits: ScalingLimits, *, actors: int) -> Trace:
    """Run `load` under the policy, starting with `actors` render actors."""
    return Pipeline(load, limits).run(actors)


def _average(so_far: float | None, value: float, weight: float) -> float:
    return value if so_far is None else (1 - weight) * so_far + weight * value
