"""Gives each free actor its next segment: an overdue one, a lost one, or a new one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rayanim.farm.faults.nodes import NodeBook
from rayanim.farm.faults.overdue import NOTHING_LATE, Lateness, Pace, look_for_late
from rayanim.farm.job import Tally
from rayanim.farm.planning.dispatch import Dispatcher
from rayanim.farm.planning.plan import Segment
from rayanim.farm.pool.render_pool import RenderPool
from rayanim.farm.rendering.history import HistoryBudget
from rayanim.farm.rendering.render import Timings

SHORT_SEGMENT_S = 0.2
"""Ray's 2 to 3 ms between two calls are more than a hundredth of a segment below this."""

LOOK_S = 0.25
"""Seconds between two looks at what is overdue: each looks at all actors."""


class HandOut:
    """Who draws what next.

    Parameters
    ----------
    pool, dispatcher, tally
        The actors, the segments, and where unusual things are told.
    book
        Where segments have failed.
    depth
        Segments that an actor holds at once; None adapts it to how long they take.
    begun_ref
        Frames of the first segment that were drawn before, if any.

    Attributes
    ----------
    late
        What was overdue when it was last looked at.
    pace
        How long segments take.
    """

    def __init__(
        self,
        pool: RenderPool,
        dispatcher: Dispatcher[Any],
        tally: Tally,
        book: NodeBook,
        *,
        depth: int | None,
        begun_ref: Any = None,
    ) -> None:
        self._pool = pool
        self._dispatcher = dispatcher
        self._tally = tally
        self._book = book
        self._adapts_depth = depth is None
        self._depth = depth or 1
        self._begun_ref = begun_ref
        self._begun_index: int | None = None
        self._history = HistoryBudget()
        self._next_look_s = 0.0
        self._is_back = False
        self.late: Lateness = NOTHING_LATE
        self.pace = Pace()

    def hand_out(self) -> None:
        """Give all free actors something to draw, as far as there is any."""
        for number in self._pool.free_places(self._depth):
            node = self._pool.node_of(number)
            if node is not None and node in self.late.silent_nodes:
                continue
            segment = self._next_for(number, node)
            if segment is not None:
                self._submit(number, segment)
            elif not self.late.overdue and not self._book.has_failures:
                # The next one would get nothing, either.
                break

    def drawn(self, segment: Segment, timings: Timings | None) -> None:
        """A segment has come; how long that took, where it is the first to come."""
        if segment.index == self._begun_index:
            # The frames that travelled with it are not needed any more.
            self._begun_ref = None
        if timings is None or not timings.frames:
            return
        all_timings = self._tally.timings
        self.pace = replace(
            self.pace,
            frame_s=all_timings.busy_s / max(1, all_timings.frames),
            slowest_s=max(self.pace.slowest_s, timings.busy_s / timings.frames),
        )
        if self._adapts_depth:
            # Short segments are queued at the actors, long ones wait until somebody is idle.
            self._depth = 2 if timings.busy_s < SHORT_SEGMENT_S else 1

    def look(self) -> tuple[int, ...]:
        """See what is overdue, unless that was just done; actors that nobody waits for."""
        now_s = time.perf_counter()
        if now_s < self._next_look_s or self.pace.frame_s is None:
            return ()
        late_s, self._next_look_s = now_s - self._next_look_s, now_s + LOOK_S
        if self._was_away(late_s):
            return ()
        self.late = look_for_late(
            self._pool.holdings(self.pace, self._dispatcher.is_wanted),
            self._pool.heard_ago_s(),
            self._pool.alive,
        )
        if self.late.patience_s > self.pace.patience_s:
            self.pace = replace(self.pace, patience_s=self.late.patience_s)
        return self.late.given_up

    def _was_away(self, late_s: float) -> bool:
        """Whether the driver was held up, and has not heard what was said meanwhile.

        It waits for a new encoder actor, say, or the user's progress function
        does something. Never twice in a row: on a busy machine each turn is slow.
        """
        self._is_back = late_s > LOOK_S and not self._is_back
        return self._is_back

    def _next_for(self, number: int, node: str | None) -> Segment | None:
        late = self.late
        if late.copies_left and late.far_overdue:
            segment = self._copy(late.far_overdue, number, node)
            if segment is not None:
                self.late = replace(late, copies_left=late.copies_left - 1)
                return segment
        segment = self._dispatcher.take(self._to_avoid(node))
        if segment is None and self._dispatcher.all_handed_out and number in self._pool.idle:
            segment = self._copy(late.overdue, number, node)
        return segment

    def _to_avoid(self, node: str | None) -> frozenset[int]:
        if not self._book.has_failures:
            return frozenset()
        return self._book.to_avoid(node, self._pool.working_nodes() - self.late.silent_nodes)

    def _copy(
        self, overdue: Mapping[int, frozenset[str | None]], number: int, node: str | None
    ) -> Segment | None:
        """A copy of what another node draws, or another actor where there is but one node."""
        if not overdue:
            return None
        alone = len(self._pool.working_nodes()) < 2
        among = {index for index, nodes in overdue.items() if alone or node not in nodes}
        among -= {segment.index for segment in self._pool.held_by(number)}
        segment = self._dispatcher.take_copy(among)
        if segment is not None:
            self._tally.event_once(
                f"{segment.label.capitalize()} took an actor longer than usual: another one "
                "draws them, too.",
                "overdue",
            )
        return segment

    def _submit(self, number: int, segment: Segment) -> None:
        if self._begun_index is None:
            # The first that is handed out is the one that was begun here.
            self._begun_index = segment.index
        done_ref = self._begun_ref if segment.index == self._begun_index else None
        is_checked = self._history.is_due(self._tally.timings.frames)
        self._pool.submit(number, segment, done_ref, is_checked=is_checked)
