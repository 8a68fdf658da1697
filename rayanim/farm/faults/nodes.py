"""Keeps the account of each node's failures, and says which one is left out; PURE.

A segment that ends its actor is counted where segments are (`Dispatcher.lost`).
Here the same is counted for the node: one on which actor after actor dies,
while the others do well, is broken or too small, and gets no more actors. Where
all do badly the film is at fault, and no node is left out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

MAX_FAILURES = 3
"""Failures that leave a node out, unless what it drew outweighs them."""

FORGIVEN_BY = 10
"""Segments drawn that make good for one failure: machines fail now and then."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A node gets no more actors.

    Attributes
    ----------
    node
        Its id.
    failures
        What happened there.
    why
        The last of it, in words.
    """

    node: str
    failures: int
    why: str


@dataclass(slots=True)
class _Record:
    """What happened on one node."""

    failures: int = 0
    weight: float = 0.0

    @property
    def does_well(self) -> bool:
        return self.weight < 1


@dataclass(slots=True)
class NodeBook:
    """The account of all nodes on which an actor was seen.

    Attributes
    ----------
    left_out
        Nodes that get no more actors, in the order of their exclusion.
    """

    left_out: list[str] = field(default_factory=list)
    _records: dict[str, _Record] = field(default_factory=dict)
    # Where each segment has failed: the next attempt is made elsewhere.
    _failed_on: dict[int, set[str]] = field(default_factory=dict)

    def seen(self, node: str) -> None:
        """An actor lives there."""
        self._records.setdefault(node, _Record())

    def drawn(self, node: str | None, index: int) -> None:
        """An actor there has drawn segment `index`."""
        self._failed_on.pop(index, None)
        if node in self._records:
            record = self._records[node]
            record.weight = max(0.0, record.weight - 1 / FORGIVEN_BY)

    def failed(
        self, node: str | None, why: str, *, index: int | None = None, weight: int = 1
    ) -> Exclusion | None:
        """An actor there died or failed; whether the node is left out from now on.

        Parameters
        ----------
        node
            Where; nothing is counted where that is not known.
        why
            What happened.
        index
            The segment that it drew, if any.
        weight
            How much it counts: `MAX_FAILURES` leaves the node out at once.
        """
        if node is None:
            return None
        self.seen(node)
        if index is not None:
            self._failed_on.setdefault(index, set()).add(node)
        record = self._records[node]
        record.failures += 1
        record.weight += weight
        if node in self.left_out or record.weight < MAX_FAILURES or not self._others_do_well(node):
            return None
        self.leave_out(node)
        return Exclusion(node, record.failures, why)

    def leave_out(self, node: str) -> None:
        """No more actors there, whatever the others do."""
        self.seen(node)
        if node not in self.left_out:
            self.left_out.append(node)

    @property
    def has_failures(self) -> bool:
        """Whether some segment has failed somewhere, and is not drawn yet."""
        return bool(self._failed_on)

    def has_failed_before(self, index: int) -> bool:
        """Whether segment `index` has failed, on whichever node."""
        return index in self._failed_on

    def to_avoid(self, node: str | None, working: Collection[str]) -> frozenset[int]:
        """Segments that `node` is not to draw again.

        Parameters
        ----------
        node
            Where a segment is about to be drawn.
        working
            Nodes that have actors.
        """
        if not self._failed_on or node is None:
            return frozenset()
        return frozenset(
            index
            for index, failed_on in self._failed_on.items()
            if node in failed_on and any(other not in failed_on for other in working)
        )

    def _others_do_well(self, node: str) -> bool:
        return any(
            record.does_well
            for other, record in self._records.items()
            if other != node and other not in self.left_out
        )
