"""Tells in one look that nothing of an axes changed, but for the few artists that do."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter, is_
from typing import Any

from rayanim.drawing.record import Record
from rayanim.drawing.unit import Unit
from rayanim.drawing.watch import Watch

PAUSE = 8
"""Frames after one in which something did change until all is looked at in one again."""


LOOKS = attrgetter("zorder", "_animated", "_visible")


class Still:
    """All that is calm in one axes, as one record."""

    def __init__(self) -> None:
        self._record: Record | None = None
        self._unit_ids: frozenset[int] = frozenset()
        self._not_before = 0

    def holds(self, frame_idx: int) -> bool:
        """Whether it is known that nothing calm changed."""
        if self._record is None:
            return False
        if self._record.same():
            return True
        self._record = None
        self._not_before = frame_idx + PAUSE
        return False

    def covers(self, unit: Unit) -> bool:
        """Whether `unit` is among what `holds` speaks of."""
        return id(unit) in self._unit_ids

    def forget(self) -> None:
        """What was calm is drawn anew."""
        self._record = None

    def gather(self, ground: Watch | None, units: Iterable[Unit], frame_idx: int) -> None:
        """After a frame: find out what is calm, if that is not known."""
        if self._record is not None or ground is None or frame_idx < self._not_before:
            return
        found = {id(unit): unit.record_if_calm(frame_idx) for unit in units}
        records = {key: record for key, record in found.items() if record is not None}
        if records:
            self._record = Record.joined([ground.record, *records.values()])
            self._unit_ids = frozenset(records)


class Lineup:
    """What decides which artists an axes draws, and in which order, as it was at one time."""

    def __init__(self, axes: Any) -> None:
        self._axes = axes
        self._children = axes.get_children()
        self._looks = self._looks_of(self._children)

    def same(self) -> bool:
        """Whether it is so still."""
        children = self._axes.get_children()
        return (
            len(children) == len(self._children)
            and all(map(is_, children, self._children))
            and self._looks_of(children) == self._looks
        )

    def _looks_of(self, children: list[Any]) -> list[Any]:
        return [framed(self._axes), self._axes.axison, *map(LOOKS, children)]


def framed(axes: Any) -> bool:
    """Whether `axes` has a background and spines."""
    # Axes in 3D have no frame to ask for.
    return bool(axes.axison and axes.get_frame_on())
