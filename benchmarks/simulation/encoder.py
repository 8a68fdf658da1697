"""The simulated encoders: threads that encode, and one core that writes and joins."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice

from rayanim.engine.plan import Chunk
from rayanim.engine.writing import HELD_BYTES, PACKET_BYTES, Prefix
from simulation.agenda import Agenda, Server
from simulation.scenario import Scenario

Done = Callable[[float, float], None]
"""Called with the seconds that something took, and those that passed before."""


class Encoder:
    """The encoder actor: takes segments as they come.

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

    def take(self, index: int, frames: int, size: int, done: Done) -> None:
        """Write segment `index`."""
        costs = self._costs
        seconds = costs.part_s + frames * costs.part_frame_s + size * costs.part_byte_s
        wait_s = max(0.0, self._agenda.now_s - self._free_s)

        def written() -> None:
            self._free_s = self._agenda.now_s
            held_bytes = size + PACKET_BYTES * frames
            if held_bytes <= self._left_bytes:
                self._left_bytes -= held_bytes
                self._held.add(index)
            self.found(index, frames, size)
            done(seconds, wait_s)

        self.core.serve(seconds, written)

    def found(self, index: int, frames: int, size: int) -> None:
        """There is a file of segment `index`."""
        self._prefix.add(index)
        self._next.extend(self._prefix.take())
        self._parts[index] = frames, size
        self.most_early = max(self.most_early, len(self._parts))
        self._join()

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


class EncoderThreads:
    """The encoders in the driver's process: each segment has a thread from its first frame on.

    Parameters
    ----------
    scenario, agenda
        What is simulated, and its clock.
    ended
        Called with a segment's index and frames when all of it is encoded.
    slower
        How many times longer everything takes, for the cores that are shared.
    """

    def __init__(
        self,
        scenario: Scenario,
        agenda: Agenda,
        ended: Callable[[int, int], None],
        slower: Callable[[], float],
    ) -> None:
        self._scenario, self._agenda, self._ended, self._slower = scenario, agenda, ended, slower
        # What each segment's encoder is to do, None at its end; the first have the threads.
        self._runs: dict[int, deque[tuple[Chunk, Done] | None]] = {}
        self._frames: dict[int, int] = {}
        self._free_s: dict[int, float] = {}
        self._encoding: set[int] = set()

    @property
    def busy(self) -> int:
        """Threads that encode now."""
        return len(self._encoding)

    @property
    def is_done(self) -> bool:
        """Whether all that was begun is encoded."""
        return not self._runs

    def add(self, chunk: Chunk, done: Done) -> None:
        """The next frames of a segment."""
        self._runs.setdefault(chunk.segment.index, deque()).append((chunk, done))
        self._go_on()

    def end(self, index: int) -> None:
        """All frames of a segment were given."""
        self._runs[index].append(None)
        self._go_on()

    def _go_on(self) -> None:
        for index in tuple(islice(self._runs, self._scenario.encoders)):
            run = self._runs[index]
            self._free_s.setdefault(index, self._agenda.now_s)
            if index in self._encoding or not run:
                continue
            item = run.popleft()
            if item is None:
                del self._runs[index], self._free_s[index]
                self._ended(index, self._frames.pop(index))
                return self._go_on()
            self._encode(index, *item)
        return None

    def _encode(self, index: int, chunk: Chunk, done: Done) -> None:
        seconds = len(chunk) * self._scenario.encode_s * self._slower()
        wait_s = self._agenda.now_s - self._free_s[index]
        self._encoding.add(index)

        def encoded() -> None:
            self._encoding.remove(index)
            self._free_s[index] = self._agenda.now_s
            self._frames[index] = self._frames.get(index, 0) + len(chunk)
            done(seconds, wait_s)
            self._go_on()

        self._agenda.after(seconds, encoded)
