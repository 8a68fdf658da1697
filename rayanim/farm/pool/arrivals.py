"""Brings what was drawn to the driver's node, before the encoder is told of it.

A payload of more than 100 KiB stays in the object store of the node where it
was drawn. Were its reference handed to the encoder while that node is frozen or
cut off, all that comes after would wait behind it until Ray gives the node up.
So it is fetched first, and counts as drawn only when it is here; until then it
can be overdue like a segment that is being drawn.

Nothing more is in flight than the dispatcher's window holds: the driver's node
has to take all payloads anyway.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rayanim.farm.actors import DrawnMeta
from rayanim.farm.connection.blame import ANSWER_LIMIT_S, first_line
from rayanim.farm.planning.plan import Segment

EAGER_S = 1.0
"""A payload on its way for less than this is looked for often, an older one at each tick."""

EAGER_LOOK_S = 0.01
"""Seconds between two looks for it; one costs about half a millisecond."""

USUAL_S = 0.5
"""What a payload's way may well take before any is known."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A payload that is on the driver's node.

    Attributes
    ----------
    ref
        The reference to it.
    pin
        Keeps the object store from dropping its copy: raw frames that cannot
        be drawn again once the encoder expects them. It is a view of shared
        memory; not a byte of it is read here.
    """

    ref: Any
    pin: Any = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """An actor has drawn a segment, and it is here."""

    number: int
    node: str | None
    segment: Segment
    meta: DrawnMeta
    payload: Fetched


@dataclass(frozen=True, slots=True)
class PayloadLost:
    """An actor has drawn a segment, and it is gone with its node."""

    number: int
    node: str | None
    segment: Segment
    why: str


@dataclass(frozen=True, slots=True)
class Travelling:
    """A drawn segment on its way, since when and from where."""

    number: int
    node: str | None
    segment: Segment
    meta: DrawnMeta
    since_s: float


class Arrivals:
    """Payloads on their way to the driver's node.

    Parameters
    ----------
    pins
        Whether they are kept in the object store until they are encoded.

    Attributes
    ----------
    slowest_s
        What the slowest took so far.
    """

    def __init__(self, *, pins: bool) -> None:
        self._pins = pins
        self._coming: dict[Any, Travelling] = {}
        self.slowest_s = USUAL_S

    def __iter__(self) -> Iterator[Travelling]:
        return iter(self._coming.values())

    def add(self, ref: Any, travelling: Travelling) -> None:
        """A payload begins its way."""
        self._coming[ref] = travelling

    def look_again_s(self, otherwise_s: float) -> float:
        """Seconds to wait for other things at most before the next look."""
        if not self._coming:
            return otherwise_s
        # The youngest was added last.
        youngest_s = next(reversed(self._coming.values())).since_s
        return EAGER_LOOK_S if time.perf_counter() - youngest_s < EAGER_S else otherwise_s

    def take(self) -> list[Arrived | PayloadLost]:
        """What has come, and what never will."""
        import ray

        if not self._coming:
            return []
        refs = list(self._coming)
        # Begins to fetch what is not here, and does not wait for it.
        ready = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=True)[0]
        return [self._arrived(ref) for ref in ready]

    def clear(self) -> None:
        """Nothing is waited for any more."""
        self._coming.clear()

    def _arrived(self, ref: Any) -> Arrived | PayloadLost:
        import ray

        each = self._coming.pop(ref)
        pin = None
        if self._pins:
            try:
                pin = ray.get(ref, timeout=ANSWER_LIMIT_S)
            except ray.exceptions.RayError as error:
                return PayloadLost(each.number, each.node, each.segment, first_line(error))
        self.slowest_s = max(self.slowest_s, time.perf_counter() - each.since_s)
        return Arrived(each.number, each.node, each.segment, each.meta, Fetched(ref, pin))
