"""What is done about actors that die, and about code that fails on one node."""

from __future__ import annotations

from typing import Any

from rayanim.errors import HistoryError, RayanimError
from rayanim.events import ActorDied
from rayanim.farm.connection.blame import node_label
from rayanim.farm.connection.cluster_link import usable_nodes
from rayanim.farm.faults.nodes import MAX_FAILURES, NodeBook
from rayanim.farm.job import Tally
from rayanim.farm.planning.dispatch import Dispatcher
from rayanim.farm.planning.plan import Segment
from rayanim.farm.pool.arrivals import PayloadLost
from rayanim.farm.pool.events import Died, Refused
from rayanim.farm.pool.render_pool import RenderPool


class Losses:
    """Takes lost segments back, and leaves out nodes on which too much is lost.

    Parameters
    ----------
    pool, dispatcher, tally
        The actors, the segments, and where losses are told.
    book
        The account of the nodes.

    Attributes
    ----------
    refusal
        How opening the source failed on a node that was then left out.
    """

    def __init__(
        self, pool: RenderPool, dispatcher: Dispatcher[Any], tally: Tally, book: NodeBook
    ) -> None:
        self._pool = pool
        self._dispatcher = dispatcher
        self._tally = tally
        self._book = book
        self.refusal: RayanimError | None = None

    def died(self, event: Died) -> None:
        """An actor is gone: what it held is drawn again.

        Raises
        ------
        SegmentLostError
            If the segment that it drew has ended too many.
        """
        for segment in event.waiting:
            self._dispatcher.give_back(segment)
        wanted = None
        if event.drawing is not None and self._dispatcher.is_wanted(event.drawing):
            wanted = event.drawing
        self._tell_of(event, wanted)
        if event.drawing is not None:
            self._dispatcher.lost(event.drawing, event.why)
        self._count(event.node, event.why, index=None if wanted is None else wanted.index)

    def given_up(self, number: int) -> None:
        """An actor that nobody waits for is ended; it is to blame, not its segment."""
        event = self._pool.give_up(number, "took far longer than others")
        if event is None:
            return
        text = f"Render actor {number} is not waited for any more: it says nothing."
        drawing = event.drawing
        if drawing is not None and self._dispatcher.is_wanted(drawing):
            self._tally.log.tell(_in_log(event))
            self._tally.retried(drawing, event.why, f"{text} Drawn again: {drawing.label}.")
        else:
            self._tally.event(text, _in_log(event))
        for segment in (drawing, *event.waiting):
            if segment is not None:
                self._dispatcher.give_back(segment)
        self._count(event.node, event.why)

    def never_opened(self, number: int) -> None:
        """An actor that opens its source for ever, where others were quick, is ended."""
        event = self._pool.give_up(number, "never opened the source")
        if event is not None:
            self._tally.event(
                f"Render actor {number} does not open its source: it is ended.", _in_log(event)
            )
            self._count(event.node, event.why, weight=MAX_FAILURES)

    def payload_lost(self, event: PayloadLost) -> None:
        """What was drawn is gone before it was here."""
        if self._dispatcher.is_wanted(event.segment):
            self._tally.retried(
                event.segment,
                event.why,
                f"What was drawn of {event.segment.label} was lost with its machine "
                f"({event.why}). They are drawn again.",
            )
        self._dispatcher.give_back(event.segment)

    def refused(self, event: Refused) -> None:
        """Code failed in an actor: tried once on another node, where there is one.

        Raises
        ------
        RayanimError
            The failure, where it happened on another node, too, or there is none.
        """
        if event.segment is None:
            self._cannot_open(event)
            return
        if isinstance(event.failure, HistoryError):
            raise event.failure
        if not self._dispatcher.is_wanted(event.segment):
            # Another actor has drawn it: what failed here was its copy.
            self._dispatcher.give_back(event.segment)
            self._count(event.node, event.failure.message)
            return
        others = self._pool.working_nodes() - {event.node}
        seen_elsewhere = event.node is None or self._book.has_failed_before(event.segment.index)
        if seen_elsewhere or not others:
            raise event.failure
        self._tally.retried(
            event.segment,
            event.failure.message,
            f"{event.failure.message} That was on node {_named(event.node)}; another one tries.",
        )
        self._dispatcher.give_back(event.segment)
        self._count(event.node, event.failure.message, index=event.segment.index)

    def _tell_of(self, event: Died, wanted: Segment | None) -> None:
        if wanted is None:
            doing = "idle" if event.drawing is None else "drawing what others had drawn"
            self._tally.event(
                f"Render actor {event.number} died while {doing} ({event.why}).", _in_log(event)
            )
            return
        self._tally.log.tell(_in_log(event))
        self._tally.retried(
            wanted,
            event.why,
            f"Render actor {event.number} died while drawing {wanted.label} ({event.why}). "
            "They are drawn again.",
        )

    def _cannot_open(self, event: Refused) -> None:
        failure, node = event.failure, event.node
        others = usable_nodes(self._pool.need) - {node, *self._book.left_out}
        if node is None or not others or (self.refusal is not None and not self._pool.alive):
            raise failure
        self.refusal = failure
        self._tally.event(
            f"{failure.message} That was on node {_named(node)}, which is left out; others try."
        )
        self._book.leave_out(node)
        self._leave_out(node)

    def _count(
        self, node: str | None, why: str, *, index: int | None = None, weight: int = 1
    ) -> None:
        exclusion = self._book.failed(node, why, index=index, weight=weight)
        if exclusion is not None:
            self._tally.event(
                f"Node {_named(exclusion.node)} is left out: render actors failed there "
                f"{exclusion.failures} times (at last: {exclusion.why}), and others do well."
            )
            self._leave_out(exclusion.node)

    def _leave_out(self, node: str) -> None:
        for segment in self._pool.leave_out(node):
            self._dispatcher.give_back(segment)


def _in_log(event: Died) -> ActorDied:
    drawing = event.drawing
    return ActorDied(
        actor=event.number,
        reason=event.why,
        start=None if drawing is None else drawing.start,
        stop=None if drawing is None else drawing.stop,
    )


def _named(node: str | None) -> str:
    return "unknown" if node is None else node_label(node)
