"""The simulated encoder actor: one core that writes parts, and joins them when it has time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rayanim.engine.plan import Segment
from rayanim.engine.scheduler import Prefix
from rayanim.engine.writing import HELD_BYTES, PACKET_BYTES
from simulation.agenda import Agenda, Server
from simulation.scenario import Scenario


class Encoder:
    """Takes segments as they come.

    It has two threads, but is taken for one core: writing goes first, joining
    takes the time that is left.

    Parameters
    ----------
    scenario, agenda
        What is simulated, and its clock.

    Attributes
    ----------
    frames
        Frames in the video.
    most_early
        The most parts that were written and not joined.
    read_parts
        Parts that were not in memory any more when they were joined.
    """

    def __init__(self, scenario: Scenario, agenda: Agenda) -> None:
        self._scenario, self._costs, self._agenda = scenario, scenario.costs, agenda
        self.core = Server(agenda)
        self._prefix = Prefix()
        self._parts: dict[int, tuple[int, int]] = {}
        self._held: set[int] = set()
        self._left_bytes = HELD_BYTES
        self._next: deque[int] = deque()
        self._is_joining = False
        self._free_s = 0.0
        self.frames = self.most_early = self.read_parts = 0

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to join."""
        return not self._parts

    def take(self, segment: Segment, size: int, done: Callable[[float, float], None]) -> None:
        """Write a part, then call `done` with the seconds that it took and that passed before."""
        costs = self._costs
        seconds = costs.part_s + len(segment) * costs.part_frame_s + size * costs.part_byte_s
        wait_s = max(0.0, self._agenda.now_s - self._free_s)

        def written() -> None:
            self._free_s = self._agenda.now_s
            self._keep(segment, size)
            done(seconds, wait_s)
            self._join()

        self.core.serve(seconds, written)

    def _keep(self, segment: Segment, size: int) -> None:
        self._prefix.add(segment.index)
        self._next.extend(self._prefix.take())
        self._parts[segment.index] = len(segment), size
        self.most_early = max(self.most_early, len(self._parts))
        held_bytes = size + PACKET_BYTES * len(segment)
        if held_bytes <= self._left_bytes:
            self._left_bytes -= held_bytes
            self._held.add(segment.index)

    def _join(self) -> None:
        if self._is_joining or not self._next or self.core.waiting:
            return
        self._is_joining = True
        index = self._next.popleft()
        self.core.serve(self._join_s(index), lambda: self._joined(index))

    def _join_s(self, index: int) -> float:
        costs = self._costs
        frames, size = self._parts[index]
        seconds = costs.join_part_s + frames * costs.join_frame_s + size * costs.join_byte_s
        if index in self._held:
            self._held.remove(index)
            self._left_bytes += size + PACKET_BYTES * frames
            return seconds
        self.read_parts += 1
        return seconds + costs.read_part_s + frames * costs.read_frame_s + size * costs.read_byte_s

    def _joined(self, index: int) -> None:
        self.frames += self._parts.pop(index)[0]
        self._is_joining = False
        self._join()
