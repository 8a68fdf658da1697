"""What happens when: a clock that events push forward."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Agenda:
    """Events in the order of their time; of equal times in the order of their noting."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Note an event."""
        heapq.heappush(self._events, (self.now_s + seconds, next(self._order), event))

    def step(self) -> None:
        """Let the next event happen."""
        self.now_s, _, event = heapq.heappop(self._events)
        event()

    def pass_time(self, seconds: float) -> None:
        """Let everything happen that is due within so many seconds."""
        until_s = self.now_s + seconds
        while self._events and self._events[0][0] <= until_s:
            self.step()
        self.now_s = until_s


class Server:
    """Does one thing after the other.

    Attributes
    ----------
    busy_s, waiting, most
        Seconds of work, things not done yet, and the most there were of them.
    """

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._free_s = 0.0
        self.busy_s = 0.0
        self.waiting = self.most = 0

    def serve(self, seconds: float, then: Callable[[], None]) -> None:
        """Work for so long when all before is done, then call `then`."""
        self._free_s = max(self._free_s, self._agenda.now_s) + seconds
        self.busy_s += seconds
        self.waiting += 1
        self.most = max(self.most, self.waiting)

        def done() -> None:
            self.waiting -= 1
            then()

        self._agenda.after(self._free_s - self._agenda.now_s, done)
