"""One simulated job: the engine's scheduler, and a driver's loop that tells it what happened."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rayanim.engine.autoscaler import ScalingLimits
from rayanim.engine.choose import ACTOR_START_S, STORE_BYTES_PER_S, Costs, choose_engine
from rayanim.engine.chunks import ChunkQueue, ChunkSizes, Drawn, FrameTimes
from rayanim.engine.distributed import HOLD_S, TURN_S
from rayanim.engine.job import LINK_BYTES_PER_S
from rayanim.engine.local import STEP_FRAMES, STEP_S
from rayanim.engine.messages import (
    Action,
    Arrived,
    Ask,
    Begin,
    Died,
    End,
    EndSegment,
    Event,
    Finish,
    PayloadLost,
    Release,
    Submit,
    Taken,
    Tick,
    TransferBegan,
)
from rayanim.engine.plan import Chunk, SegmentPlan
from rayanim.engine.scheduler import LOOK_S, Scheduler, SchedulerSettings
from rayanim.errors import SegmentLostError
from rayanim.parameters import NumberFeed
from rayanim.settings import PerformanceSettings
from rayanim.video.spec import KEYFRAME_DISTANCE
from simulation.agenda import Agenda, Server
from simulation.encoder import Encoder, EncoderThreads
from simulation.nodes import Nodes
from simulation.scenario import Result, Scenario

SAMPLE_S = 5.0
"""Seconds between two looks at how far the video is."""

LIMIT_BYTES = PerformanceSettings().in_flight_bytes


class SimulatedJob:
    """Draws a video on simulated actors.

    What the driver gets waits in an inbox. A turn of its loop takes all that is
    there, which keeps it busy for what that costs; each call goes out
    when those before it have.

    Parameters
    ----------
    scenario
        What is simulated.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario, self._costs = scenario, scenario.costs
        self._agenda = Agenda()
        self._nodes = Nodes(scenario, self._agenda, self._hear, self._slower)
        self._link, self._encoder = Server(self._agenda), Encoder(scenario, self._agenda)
        self._threads = EncoderThreads(scenario, self._agenda, self._found, self._slower)
        self._plan = SegmentPlan(NumberFeed(scenario.frames), scenario.longest or KEYFRAME_DISTANCE)
        self._drawn_here = 0
        self._inbox: list[Event] = []
        self._most_inbox = 0
        self._is_busy = False
        self._busy_s = self._turn_s = 0.0
        self._most_in_flight_bytes = self._moved_bytes = self._whole = 0
        self._next_look_s = 0.0
        self._samples: list[tuple[float, int, int, int]] = []
        self._sampled = 0
        self._ended: set[int] = set()
        self._written: list[tuple[int, int]] = []
        self._scheduler = self._make_scheduler(self._draw_here())

    def run(self) -> Result:
        """Simulate until the video is finished."""
        self._act(Begin(1 if self._scenario.autoscaled else self._scenario.actors, "simulated"))
        self._tick()
        self._sample()
        while not (self._scheduler.queue.finished and self._threads.is_done):
            self._agenda.step()
        drawn_s, node_s, busy_s = self._agenda.now_s, self._nodes.paid_s(), self._busy_s
        self._act(Finish())
        while not self._encoder.is_done:
            self._agenda.step()
        return self._result(drawn_s, node_s, busy_s)

    def _result(self, drawn_s: float, node_s: float, busy_s: float) -> Result:
        scenario, joined_s = self._scenario, self._agenda.now_s
        move_s = scenario.frames * scenario.frame_bytes * self._costs.move_byte_s
        return Result(
            scenario=scenario,
            written=tuple(self._written),
            drawn_s=drawn_s,
            joined_s=joined_s,
            took_s=joined_s + move_s,
            driver_busy_s=busy_s,
            encoder_busy_s=self._encoder.core.busy_s,
            link_busy_s=self._link.busy_s,
            node_s=node_s,
            ends_job=len(self._ended),
            drawn_here=self._drawn_here,
            whole_segments=self._whole,
            most_inbox=self._most_inbox,
            most_encoder=self._encoder.core.most,
            most_early=self._encoder.most_early,
            most_in_flight_bytes=self._most_in_flight_bytes,
            read_parts=self._encoder.read_parts,
            moved_bytes=self._moved_bytes,
            segments=self._plan.n_begun,
            samples=tuple(self._samples),
        )

    # ---- the driver's process draws

    def _draw_here(self) -> Chunk | None:
        """Draw in the driver's process until actors are quicker; the last chunk drawn there."""
        scenario, last = self._scenario, None
        step = max(1, min(STEP_FRAMES, int(STEP_S / max(1e-6, scenario.draw_s))))
        while not self._hands_over():
            chunk = self._plan.take(step)
            if chunk is None:
                break
            self._agenda.pass_time(len(chunk) * scenario.draw_s)
            self._drawn_here += len(chunk)
            self._written.append((chunk.start, chunk.stop))
            self._threads.add(chunk, lambda busy_s, wait_s: None)
            last = chunk
            if chunk.stop == chunk.segment.stop:
                self._threads.end(chunk.segment.index)
                last = None
        return last

    def _hands_over(self) -> bool:
        scenario = self._scenario
        if scenario.ray_ready_s is None:
            return True
        if self._agenda.now_s < scenario.ray_ready_s:
            return False
        costs = Costs(
            draw_s=scenario.draw_s,
            encode_s=scenario.encode_s,
            is_encoded_by_actors=True,
            start_s=ACTOR_START_S,
            stop_s=0.0,
        )
        choice = choose_engine(
            costs,
            self._plan.frames_left,
            max_actors=scenario.actors,
            cores=scenario.cores or scenario.actors,
        )
        return choice.engine == "ray"

    def _slower(self) -> float:
        """How many times longer things take on one machine whose cores are all busy."""
        if self._scenario.cores is None:
            return 1.0
        return max(1.0, (1 + self._nodes.drawing + self._threads.busy) / self._scenario.cores)

    # ---- the loop around the scheduler

    def _make_scheduler(self, begun: Chunk | None) -> Scheduler[None]:
        scenario, settings = self._scenario, PerformanceSettings()
        is_far = scenario.cores is None
        times = FrameTimes(
            draw_s=scenario.draw_s,
            encode_s=scenario.encode_s,
            transport_s=scenario.raw_bytes / STORE_BYTES_PER_S,
            link_s=scenario.raw_bytes / LINK_BYTES_PER_S if is_far else 0.0,
        )
        sizes = ChunkSizes(
            times,
            frame_bytes=scenario.raw_bytes,
            frames_left=self._plan.frames_left,
            limit_bytes=LIMIT_BYTES,
            max_actors=scenario.actors,
            queue_size=settings.worker_queue_size,
            encoders=scenario.encoders,
            asked=scenario.longest,
        )
        queue: ChunkQueue[None] = ChunkQueue(
            self._chunks(sizes),
            frame_bytes=scenario.raw_bytes,
            limit_bytes=LIMIT_BYTES,
            first_frame=self._plan.next_frame,
            begun=begun,
        )
        most = scenario.actors
        least = min(settings.min_workers, most)
        return Scheduler(
            queue,
            SchedulerSettings(
                limits=ScalingLimits(least, most, hold_s=HOLD_S, settle_s=settings.perf_delay),
                limit_bytes=LIMIT_BYTES,
                likely_frames=lambda: sizes.likely(self._plan),
                window_s=settings.window_size,
                actor_start_s=self._costs.actor_start_s,
                frame_s=scenario.draw_s,
                total=scenario.frames,
            ),
            now_s=self._agenda.now_s,
        )

    def _chunks(self, sizes: ChunkSizes) -> Iterator[Chunk]:
        while (chunk := self._plan.take(sizes.next_length(self._plan))) is not None:
            yield chunk

    def _tick(self) -> None:
        self._turn()
        self._agenda.after(TURN_S, self._tick)

    def _hear(self, event: Event) -> None:
        """An answer, which the loop waits for."""
        self._inbox.append(event)
        self._most_inbox = max(self._most_inbox, len(self._inbox))
        self._turn()

    def _turn(self) -> None:
        if self._is_busy:
            return
        queue, costs = self._scheduler.queue, self._costs
        self._is_busy = True
        events, self._inbox = self._inbox, []
        self._turn_s = 0.0
        for event in events:
            self._turn_s += costs.hear_s
            self._tell(event)
        self._act(Tick())
        outstanding = queue.drawing_chunks + self._encoder.core.waiting
        self._turn_s += outstanding * costs.wait_ref_s
        if self._agenda.now_s >= self._next_look_s:
            self._next_look_s = self._agenda.now_s + LOOK_S
            self._turn_s += outstanding * costs.look_ref_s
        self._busy_s += self._turn_s
        self._agenda.after(self._turn_s, self._turned)

    def _turned(self) -> None:
        self._is_busy = False
        # What this process has encoded is counted in a turn, and does not cause one.
        if any(not isinstance(event, Taken) or event.chunk.encodes for event in self._inbox):
            self._turn()

    def _tell(self, event: Event) -> None:
        held: tuple[Chunk, ...] = ()
        if isinstance(event, Died) and event.number in self._scheduler.roster:
            held = tuple(self._scheduler.roster[event.number].held)
        try:
            self._act(event)
        except SegmentLostError:
            # A real job ends here.
            self._ended.add(held[0].index)
            self._scheduler.queue.give_back(held[0])
        if isinstance(event, TransferBegan):
            self._moved_bytes += event.meta.payload_bytes
            seconds = event.meta.payload_bytes / self._costs.link_bytes_per_s
            self._link.serve(seconds, partial(self._transferred, event))
        elif isinstance(event, Taken):
            self._written.append((event.chunk.start, event.chunk.stop))

    def _transferred(self, began: TransferBegan) -> None:
        number, chunk = began.number, began.chunk
        if self._nodes.is_lost(number):
            lost = PayloadLost(number, chunk, "its node was lost")
            self._agenda.after(self._costs.detect_s, partial(self._hear, lost))
        else:
            self._hear(Arrived(number, chunk, began.meta, None))

    def _act(self, event: Event) -> None:
        for action in self._scheduler.on(event, self._agenda.now_s):
            self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        match action:
            case Ask(number):
                self._nodes.ask(number)
            case Submit(number, chunk):
                self._turn_s += self._costs.submit_s
                self._nodes.submit(number, chunk, self._agenda.now_s + self._turn_s)
            case Release(number) | End(number):
                self._nodes.end(number)
            case Drawn() as drawn:
                self._hand_on(drawn)
            case EndSegment(last):
                self._threads.end(last.segment.index)

    def _hand_on(self, drawn: Drawn[None]) -> None:
        chunk, in_flight_bytes = drawn.chunk, self._scheduler.queue.in_flight_bytes
        self._most_in_flight_bytes = max(self._most_in_flight_bytes, in_flight_bytes)
        if not chunk.encodes:
            self._threads.add(
                chunk, lambda busy_s, wait_s: self._inbox.append(Taken(chunk, busy_s, wait_s))
            )
            return
        if not self._whole:
            # The loop waits for the encoder actor.
            self._turn_s += self._costs.actor_start_s
        self._whole += 1
        self._turn_s += self._costs.submit_s
        size = len(chunk) * self._scenario.frame_bytes

        def written(busy_s: float, wait_s: float) -> None:
            self._hear(Taken(chunk, busy_s, wait_s))

        take = partial(self._encoder.take, chunk.segment.index, len(chunk), size, written)
        self._agenda.after(self._turn_s, take)

    def _found(self, index: int, frames: int) -> None:
        self._encoder.found(index, frames, frames * self._scenario.frame_bytes)

    def _sample(self) -> None:
        frames = sum(stop - start for start, stop in self._written[self._sampled :])
        self._sampled = len(self._written)
        before = self._samples[-1][1] if self._samples else 0
        drawing = self._scheduler.queue.drawing_chunks
        self._samples.append((self._agenda.now_s, before + frames, self._encoder.frames, drawing))
        self._agenda.after(SAMPLE_S, self._sample)


def simulate(scenario: Scenario) -> Result:
    """Run a scenario."""
    return SimulatedJob(scenario).run()
