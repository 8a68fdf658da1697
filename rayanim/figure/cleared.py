"""Gives axes that were cleared, and set up as before, the axis objects of their last draw.

``axes.clear()`` throws all ticks away, and making, measuring and drawing them takes most of a
full draw. From the same values the same is drawn: where all that the axis objects are drawn from
is as it was before their last draw, their recordings are kept, and what that draw left in them,
the ticks for example, is put back. What they are then must be, value by value, what they were
after that draw. Ticks that the script holds are not put back: in matplotlib, those that it got
before it cleared the axes are in no picture any more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import FunctionType, SimpleNamespace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import TransformNode

from rayanim.figure.changes import Backoff, SharedInputs, Watch
from rayanim.figure.private import UNSEEN
from rayanim.figure.recorder import Recording

Effect = tuple[int, str, Any]
"""The place of a thing in a walk, the name of one of its attributes, and its value."""

GONE = object()
"""Stands for what is not there."""


def stands_alone(axes: Any) -> bool:
    """Whether the axis objects of `axes` are drawn and measured for it alone."""
    groups = axes.get_figure(root=False)._align_label_groups
    grouped = (axes._twinned_axes, *groups.values())
    return (
        type(axes).draw is Axes.draw
        and not axes.child_axes
        and all(len(each.get_siblings(axes)) == 1 for each in grouped)
    )


@dataclass(frozen=True, slots=True)
class Before:
    """All that the axis objects are drawn from: they, their axes, and what `others` stands for."""

    watch: Watch
    shared: Watch
    others: Any

    def same_as(self, other: Before) -> bool:
        """Whether the same is drawn from both."""
        return (
            self.others == other.others
            and self.shared.same_values(other.shared)
            and self.watch.same_values(other.watch)
        )


@dataclass(frozen=True, slots=True)
class LastDraw:
    """What axis objects were before a draw, what they drew, and what they were afterwards."""

    before: Before
    recordings: Sequence[Recording]
    boxes: dict[int, Any]
    effects: Sequence[Effect]
    after: Watch


class AxisMemory:
    """The last draw of the axis objects of axes that had been cleared."""

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        self.boxes: dict[int, Any] = {}
        """How large they are in this frame, so far as that was measured or is known."""
        self._last: LastDraw | None = None
        self._ticks: list[Any] = []
        self._references: list[int] | None = None
        self._backoff = Backoff()
        # While a frame is drawn:
        self._before: Before | None = None
        self._version = 0
        self._attributes: list[tuple[int, Any, dict[str, Any]]] = []
        self._expected: Sequence[Recording] | None = None

    @property
    def axis_objects(self) -> tuple[Any, ...]:
        """The axis objects of these axes."""
        return tuple(self.axes._axis_map.values())

    def begin(
        self,
        shared: SharedInputs,
        others: Any,
        recordings: Sequence[Recording | None],
        *,
        compare: bool,
    ) -> Watch | None:
        """Before they are measured or drawn; where their `recordings` hold, a watch over them."""
        last, self._last = self._last, None
        self.boxes, self._before, self._expected = {}, None, None
        ticks = self._ticks_now()
        if len(ticks) == len(self._ticks) and any(map(_is, ticks, self._ticks)):
            # They were not cleared, and have a memory until one of them is drawn.
            self._last = last
            return None
        # The axis object, which was cleared, referred to each list as well.
        if self._references != list(_references(self._ticks, besides=1)):
            last = None
        if _are_held(ticks) or shared.watch is None or self._backoff.is_skipping():
            return None
        before = Before(Watch(self.axis_objects, shared), shared.watch, others)
        if before.watch.reason is not None:
            self._backoff.skip_longest()
            return None
        if last is not None:
            if _same_each(recordings, last.recordings) and last.before.same_as(before):
                if compare:
                    self._expected = last.recordings
                elif (after := self._restored(last, before.watch, shared)) is not None:
                    self._backoff.reset()
                    self._last, self.boxes, self._ticks = last, dict(last.boxes), self._ticks_now()
                    return after
                elif self._backoff.skips():
                    return None
            elif self._backoff.skips():
                return None
        self._before, self._version = before, shared.version
        self._attributes = [
            (place, thing, dict(vars(thing)))
            for place, thing in enumerate(before.watch.things)
            if _has_effects(thing)
        ]
        return None

    def end(self, shared: SharedInputs, recordings: Sequence[Recording | None]) -> bool:
        """After some were drawn, in these recordings; False where they should be others."""
        before, self._before, self._last = self._before, None, None
        attributes, self._attributes = self._attributes, []
        self._ticks = self._ticks_now()
        drawn = [recording for recording in recordings if recording is not None]
        if before is None or len(drawn) < len(recordings):
            return True
        after = Watch(self.axis_objects, shared)
        if after.reason is None and shared.version == self._version:
            effects = [
                (place, name, value)
                for place, thing, known in attributes
                for name, value in vars(thing).items()
                if name not in UNSEEN and known.get(name, GONE) is not value
            ]
            self._last = LastDraw(before, drawn, self.boxes, effects, after)
        return self._expected is None or all(
            recording.same_as(other) for recording, other in zip(drawn, self._expected, strict=True)
        )

    def end_frame(self) -> None:
        """After all in the axes was drawn: from now on, the script may get hold of ticks."""
        self._references = None if self._last is None else list(_references(self._ticks))

    def _restored(self, last: LastDraw, now: Watch, shared: SharedInputs) -> Watch | None:
        """Put back what the last draw left; None where that does not make them what they were."""
        undo = []
        for place, name, value in last.effects:
            attributes = vars(now.things[place])
            undo.append((attributes, name, attributes.get(name, GONE)))
            attributes[name] = value
        after = Watch(self.axis_objects, shared)
        if after.same_values(last.after):
            return after
        for attributes, name, value in reversed(undo):
            if value is GONE:
                del attributes[name]
            else:
                attributes[name] = value
        return None

    def _ticks_now(self) -> list[Any]:
        names = ("majorTicks", "minorTicks")
        return [vars(axis).get(name, GONE) for axis in self.axis_objects for name in names]


def _has_effects(thing: Any) -> bool:
    """Whether drawing may set attributes of `thing`; where it does more, a walk shows that."""
    return hasattr(thing, "__dict__") and not isinstance(thing, type | FunctionType | TransformNode)


TICK_PARTS = ("tick1line", "tick2line", "gridline", "label1", "label2")


def _references(tick_lists: Iterable[Any], besides: int = 0) -> Iterator[int]:
    """How many references there are to each list of ticks, to the ticks, and to their parts.

    With `besides` so many more to each list.
    """
    for ticks in tick_lists:
        if isinstance(ticks, list):
            yield sys.getrefcount(ticks) + besides
            for tick in ticks:
                yield sys.getrefcount(tick)
                for name in TICK_PARTS:
                    yield sys.getrefcount(getattr(tick, name))


def _are_held(tick_lists: list[Any]) -> bool:
    """Whether something besides the axis objects refers to their ticks, or to parts of these."""
    alone = {"ticks": [SimpleNamespace(**{name: SimpleNamespace() for name in TICK_PARTS})]}
    expected = list(_references([alone["ticks"]]))
    for ticks in tick_lists:
        if isinstance(ticks, list):
            found = list(_references([ticks]))
            # Two more here: `tick_lists` and `ticks`.
            found[0] -= 2
            if found[0] != expected[0] or found[1:] != expected[1:] * len(ticks):
                return True
    return False


def _is(one: Any, other: Any) -> bool:
    return one is other and one is not GONE


def _same_each(these: Sequence[Any], those: Sequence[Any]) -> bool:
    return len(these) == len(those) and all(map(_is, these, those))
