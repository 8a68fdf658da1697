"""One simulated job: the driver's loop around the engine's plan, dispatch and controller."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rayanim.engine.autoscaler import ScalingLimits
from rayanim.engine.distributed import LOOK_S, TICK_S, Controller
from rayanim.engine.draw import Timings
from rayanim.engine.plan import GOP_FRAMES, Segment, closed_lengths, follow
from rayanim.engine.pool import Member
from rayanim.engine.scheduler import Dispatcher
from rayanim.engine.stats import JobEvents, JobStats
from rayanim.errors import SegmentLostError
from rayanim.events import SegmentDrawn, SegmentEncoded
from rayanim.parameters import NumberFeed
from rayanim.settings import PerformanceSettings
from simulation.agenda import Agenda, Server
from simulation.encoder import Encoder
from simulation.nodes import Nodes
from simulation.scenario import Result, Scenario

SAMPLE_S = 5.0
"""Seconds between two looks at how far the video is."""

SHORT_SEGMENT_S = 0.2
"""Segments shorter than this are queued at the actors, as on Ray."""


class SimulatedJob:
    """Draws a video of closed segments on simulated actors.

    What the driver hears waits in an inbox. A turn of its loop takes all that is
    there, which keeps it busy for what that costs; what it sends goes out
    when the turn has ended.

    Parameters
    ----------
    scenario
        What is simulated.
    """

    def __init__(self, scenario: Scenario) -> None:
        settings = PerformanceSettings()
        self._scenario, self._costs = scenario, scenario.costs
        self._agenda = Agenda()
        self._nodes = Nodes(scenario, self._agenda, self._tell)
        self._link, self._encoder = Server(self._agenda), Encoder(scenario, self._agenda)
        self._dispatcher: Dispatcher[None] = Dispatcher(
            follow(NumberFeed(scenario.frames), closed_lengths(scenario.frames, scenario.longest)),
            frame_bytes=0,
            limit_bytes=settings.in_flight_bytes,
            in_order=False,
        )
        self._controller = Controller(
            ScalingLimits(min_actors=1, max_actors=scenario.actors, settle_s=settings.perf_delay),
            self._nodes,  # type: ignore[arg-type]
            self._dispatcher,
            JobEvents(JobStats(scenario.frames)),
            segment_frames=scenario.longest or GOP_FRAMES,
            limit_bytes=settings.in_flight_bytes,
            window_s=settings.window_size,
            actor_start_s=self._costs.actor_start_s,
            clock=self._agenda.clock,
        )
        self._inbox: list[Callable[[], int]] = []
        self._most_inbox = 0
        self._is_busy = False
        self._busy_s = 0.0
        self._depth = 1
        self._most_in_flight_bytes = 0
        self._sampled = 0
        self._next_look_s = 0.0
        self._samples: list[tuple[float, int, int, int]] = []
        self._ended: set[int] = set()
        self._written: list[tuple[int, int]] = []

    def run(self) -> Result:
        """Simulate until the video is finished."""
        first = 1 if self._scenario.autoscaled else self._scenario.actors
        self._controller.begin(first, "simulated")
        self._agenda.after(TICK_S, self._tick)
        self._agenda.after(0.0, self._sample)
        while not self._dispatcher.finished:
            self._agenda.step()
        drawn_s, node_s, busy_s = self._agenda.now_s, self._nodes.paid_s(), self._busy_s
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
            most_inbox=self._most_inbox,
            most_encoder=self._encoder.core.most,
            most_early=self._encoder.most_early,
            most_in_flight_bytes=self._most_in_flight_bytes,
            read_parts=self._encoder.read_parts,
            samples=tuple(self._samples),
        )

    def _sample(self) -> None:
        frames = sum(stop - start for start, stop in self._written[self._sampled :])
        self._sampled = len(self._written)
        before = self._samples[-1][1] if self._samples else 0
        now_s, drawing = self._agenda.now_s, self._dispatcher.drawing_segments
        self._samples.append((now_s, before + frames, self._encoder.frames, drawing))
        self._agenda.after(SAMPLE_S, self._sample)

    def _tick(self) -> None:
        self._turn()
        self._agenda.after(TICK_S, self._tick)

    def _tell(self, what: str, member: Member) -> None:
        self._hear(partial(self._joined if what == "joined" else self._died, member))

    def _hear(self, message: Callable[[], int]) -> None:
        """A message comes; it gives the calls that the driver makes because of it."""
        self._inbox.append(message)
        self._most_inbox = max(self._most_inbox, len(self._inbox))
        self._turn()

    def _turn(self) -> None:
        if self._is_busy:
            return
        heard, self._inbox = self._inbox, []
        calls = sum(message() for message in heard)
        calls += self._hand_out()
        self._controller.tick()
        outstanding = self._dispatcher.drawing_segments + self._encoder.core.waiting
        seconds = (
            calls * self._costs.submit_s
            + len(heard) * self._costs.hear_s
            + outstanding * self._costs.wait_ref_s
        )
        if self._agenda.now_s >= self._next_look_s:
            self._next_look_s = self._agenda.now_s + LOOK_S
            seconds += outstanding * self._costs.look_ref_s
        self._busy_s += seconds
        self._is_busy = True
        self._agenda.after(seconds, self._turned)

    def _turned(self) -> None:
        self._is_busy = False
        if self._inbox:
            self._turn()

    def _hand_out(self) -> int:
        calls = 0
        for number in self._nodes.roster.free_places(self._depth):
            segment = self._dispatcher.take()
            if segment is None:
                break
            calls += 1
            self._submit(self._nodes.roster[number], segment, calls)
        return calls

    def _submit(self, member: Member, segment: Segment, place: int) -> None:
        self._nodes.roster.begin(member, segment)
        sent_s = self._agenda.now_s + place * self._costs.submit_s
        # Its own segments follow each other.
        begin_s = max(sent_s + self._costs.call_s / 2, member.began_s)
        draw_s = self._nodes.draw_s(segment)
        member.began_s = begin_s + draw_s
        answer_s = member.began_s + self._costs.call_s / 2 - self._agenda.now_s
        self._agenda.after(answer_s, lambda: self._answered(member, segment, draw_s))

    def _answered(self, member: Member, segment: Segment, draw_s: float) -> None:
        if member.number not in self._nodes.dead:
            self._hear(partial(self._drawn, member, segment, draw_s))

    def _joined(self, member: Member) -> int:
        if member.number not in self._nodes.dead:
            self._nodes.roster.answer(member)
            self._nodes.roster.open(member)
        return 0

    def _died(self, member: Member) -> int:
        held = tuple(member.held)
        self._nodes.roster.remove(member)
        for segment in held[1:]:
            self._dispatcher.give_back(segment)
        if held:
            try:
                self._dispatcher.lost(held[0], "its node was lost")
            except SegmentLostError:
                self._ended.add(held[0].index)
                self._dispatcher.give_back(held[0])
        return 0

    def _drawn(self, member: Member, segment: Segment, draw_s: float) -> int:
        if segment not in member.held:
            return 0
        self._nodes.roster.end(member, segment)
        self._nodes.let_go(member)
        timings = Timings(draw_s, 0.0, len(segment))
        self._controller.apply(SegmentDrawn.timed(segment, timings, actor=member.number))
        self._depth = 2 if draw_s < SHORT_SEGMENT_S else 1
        size = len(segment) * self._scenario.frame_bytes
        for drawn in self._dispatcher.drawn(segment, None, size):
            seconds = size / self._costs.link_bytes_per_s
            self._link.serve(seconds, partial(self._arrived, drawn.segment, size))
        return 1

    def _arrived(self, segment: Segment, size: int) -> None:
        in_flight_bytes = self._dispatcher.in_flight_bytes
        self._most_in_flight_bytes = max(self._most_in_flight_bytes, in_flight_bytes)

        def done(seconds: float, wait_s: float) -> None:
            self._hear(partial(self._encoded, segment, seconds, wait_s))

        self._encoder.take(segment, size, done)

    def _encoded(self, segment: Segment, seconds: float, wait_s: float) -> int:
        self._dispatcher.encoded(segment)
        self._written.append((segment.start, segment.stop))
        self._controller.apply(SegmentEncoded.of(segment, encode_s=seconds, wait_s=wait_s))
        return 0


def simulate(scenario: Scenario) -> Result:
    """Run a scenario."""
    return SimulatedJob(scenario).run()
