"""A world without Ray for `Scheduler`: actors that draw, die, freeze and answer late, at random."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from rayanim.engine.autoscaler import ScalingLimits
from rayanim.engine.chunks import MAX_ATTEMPTS, ChunkQueue, Drawn
from rayanim.engine.draw import DrawnMeta, Timings
from rayanim.engine.messages import (
    Action,
    Answered,
    Arrived,
    Ask,
    Begin,
    Died,
    End,
    EndSegment,
    Event,
    Exclude,
    Finish,
    Joined,
    NoticeOnce,
    PayloadLost,
    Release,
    Submit,
    Taken,
    Tick,
    TransferBegan,
    WriteLost,
)
from rayanim.engine.plan import Chunk, SegmentPlan
from rayanim.engine.scheduler import Scheduler, SchedulerSettings
from rayanim.events import Event as JobEvent
from rayanim.parameters import NumberFeed

FRAME_BYTES = 10
PACKET_BYTES = 7

LATEST_S = 3000.0
"""Every job of these tests has ended by then, whatever happens in it."""


@dataclass(slots=True)
class FakeActor:
    """An actor of the world: what it holds, and what has become of it."""

    node: str
    queue: list[Chunk] = field(default_factory=list)
    is_open: bool = False
    is_frozen: bool = False
    is_busy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How likely it is, each time, that something goes wrong."""

    dies: float = 0.0
    freezes: float = 0.0
    is_slow: float = 0.0
    loses_payload: float = 0.0
    loses_write: float = 0.0


class World:
    """Runs a scheduler to the end of its job."""

    def __init__(
        self,
        seed: int,
        weather: Weather,
        *,
        n_frames: int = 100,
        segment_frames: int | None = 10,
        limit_frames: int = 1000,
        actors: int = 3,
        nodes: int = 2,
    ) -> None:
        self.random = Random(seed)
        self.weather = weather
        self.n_frames = n_frames
        self.limit_bytes = limit_frames * FRAME_BYTES
        self.max_actors = actors
        self.nodes = [f"node-{index}" for index in range(nodes)]
        self.plan = SegmentPlan(NumberFeed(n_frames), segment_frames)
        self.may_encode = segment_frames is not None
        self.now_s = 0.0
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.actors: dict[int, FakeActor] = {}
        self.deaths: Counter[int] = Counter()
        # What encoders got: the frames of each segment, in order; and what was written whole.
        self.encoded: dict[int, list[int]] = {}
        self.ended: dict[int, int] = {}
        self.written: Counter[int] = Counter()
        self.excluded: set[str] = set()
        self.job_events: list[JobEvent] = []
        self.most_in_flight_bytes = 0
        self.scheduler: Scheduler[str] = Scheduler(
            ChunkQueue(self._chunks(), frame_bytes=FRAME_BYTES, limit_bytes=self.limit_bytes),
            SchedulerSettings(
                limits=ScalingLimits(min_actors=1, max_actors=actors),
                limit_bytes=self.limit_bytes,
                likely_frames=lambda: 4,
                total=n_frames,
            ),
            now_s=0.0,
        )

    def run(self) -> None:
        """From the first actor to the last frame."""
        self.on(Begin(self.max_actors, "all of them"))
        while not self.scheduler.queue.finished:
            assert self.now_s < LATEST_S, "the job does not end"
            self.on(Tick())
            self.now_s += 0.1
            while self.agenda and self.agenda[0][0] <= self.now_s:
                heapq.heappop(self.agenda)[2]()
        self.on(Finish())

    def on(self, event: Event) -> None:
        """Tell the scheduler, and do what it says."""
        for action in self.scheduler.on(event, self.now_s):
            self._carry_out(action)
        queue = self.scheduler.queue
        if queue.drawing_chunks + (queue.queued_frames > 0) > 1:
            self.most_in_flight_bytes = max(self.most_in_flight_bytes, queue.in_flight_bytes)

    def _chunks(self):
        while True:
            whole = self.may_encode and self.plan.is_between and self.random.random() < 0.4
            chunk = self.plan.take(None if whole else self.random.randint(1, 6))
            if chunk is None:
                return
            yield chunk

    def _after(self, delay_s: float, call: Callable[[], None]) -> None:
        heapq.heappush(self.agenda, (self.now_s + delay_s, next(self.order), call))

    def _happens(self, share: float) -> bool:
        return self.random.random() < share

    def _carry_out(self, action: Action) -> None:
        match action:
            case Ask(number):
                usable = [node for node in self.nodes if node not in self.excluded]
                self.actors[number] = FakeActor(self.random.choice(usable))
                self._after(self.random.uniform(0.1, 1.0), lambda: self._starts(number))
            case Submit(number, chunk):
                self.actors[number].queue.append(chunk)
                self._begin_next(number)
            case Release(number):
                assert not self.actors[number].queue
                del self.actors[number]
            case End(number):
                self.actors.pop(number, None)
            case Exclude(node):
                self.excluded.add(node)
            case Drawn() as drawn:
                self._hand_on(drawn.chunk)
            case EndSegment(last):
                assert last.segment.index not in self.ended
                self.ended[last.segment.index] = last.stop
            case JobEvent():
                self.job_events.append(action)
            case NoticeOnce():
                pass

    def _starts(self, number: int) -> None:
        if number not in self.actors:
            return
        self.on(Answered(number, self.actors[number].node))
        self._after(self.random.uniform(0.1, 0.5), lambda: self._opens(number))

    def _opens(self, number: int) -> None:
        if number in self.actors:
            self.actors[number].is_open = True
            self.on(Joined(number))

    def _begin_next(self, number: int) -> None:
        actor = self.actors.get(number)
        if actor is None or actor.is_busy or actor.is_frozen or not actor.queue:
            return
        actor.is_busy = True
        chunk = actor.queue[0]
        is_alone = sum(not each.is_frozen for each in self.actors.values()) < 2
        if self._happens(self.weather.freezes) and not is_alone:
            actor.is_frozen = True
            return
        if self._happens(self.weather.dies) and self.deaths[chunk.index] < MAX_ATTEMPTS - 1:
            self.deaths[chunk.index] += 1
            self._after(self.random.uniform(0.0, 0.3), lambda: self._dies(number))
            return
        slow = 200.0 if self._happens(self.weather.is_slow) else 1.0
        took_s = slow * len(chunk) * self.random.uniform(0.01, 0.05)
        self._after(took_s, lambda: self._drew(number, chunk, took_s))

    def _dies(self, number: int) -> None:
        actor = self.actors.pop(number, None)
        if actor is not None:
            usable = () if actor.is_open else tuple(self.nodes)
            self.on(Died(number, actor.node, "killed", usable))

    def _drew(self, number: int, chunk: Chunk, took_s: float) -> None:
        actor = self.actors.get(number)
        if actor is None:
            return
        actor.queue.remove(chunk)
        actor.is_busy = False
        size = PACKET_BYTES if chunk.encodes else len(chunk) * FRAME_BYTES
        meta = DrawnMeta(Timings(took_s, 0.0, len(chunk)), 1, payload_bytes=size)
        if self._happens(0.5):
            self.on(TransferBegan(number, chunk, meta))
            self._after(self.random.uniform(0, 1), lambda: self._came(number, chunk, meta))
        else:
            self._came(number, chunk, meta)
        self._begin_next(number)

    def _came(self, number: int, chunk: Chunk, meta: DrawnMeta) -> None:
        if self._happens(self.weather.loses_payload):
            self.on(PayloadLost(number, chunk, "its node is gone"))
        else:
            self.on(Arrived(number, chunk, meta, "payload"))

    def _hand_on(self, chunk: Chunk) -> None:
        took_s = len(chunk) * self.random.uniform(0.001, 0.03)
        if not chunk.encodes:
            frames = self.encoded.setdefault(chunk.segment.index, [])
            assert not frames or frames[-1] == chunk.start - 1
            frames += range(chunk.start, chunk.stop)
        elif self._happens(self.weather.loses_write):
            self._after(took_s, lambda: self.on(WriteLost(chunk)))
            return
        else:
            self.written[chunk.segment.index] += 1
            self.encoded[chunk.segment.index] = list(range(chunk.start, chunk.stop))
        self._after(took_s, lambda: self.on(Taken(chunk, took_s, 0.0)))
