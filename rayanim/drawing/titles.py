"""Spares matplotlib the placing of titles where nothing that it depends on has changed.

Placing the titles of one axes means measuring its axes objects, with all their
labels, and takes longer than all else in a frame of which little is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rayanim.drawing.changes import Ground, Watch

if TYPE_CHECKING:
    from rayanim.drawing.artists import FigureDrawing


class Titles:
    """The titles of one axes, and what they were last placed by.

    Attributes
    ----------
    axes
        The axes.
    """

    def __init__(self, axes: Any, drawing: FigureDrawing) -> None:
        self.axes = axes
        self._drawing = drawing
        self._boxes: dict[int, tuple[Any, Watch, Any]] = {}
        self._undrawn: dict[int, tuple[Any, Watch, Ground, int]] = {}
        self._placed: tuple[Any, ...] | None = None

    def any_text(self) -> bool:
        """Whether there is anything to be placed."""
        return any(title.get_text() for title in self._all())

    def are_in_place(self) -> bool:
        """Whether placing them now would leave them where they are."""
        return self._placed is not None and self._placed == self._inputs()

    def remember(self) -> None:
        """They have been placed."""
        self._watch_undrawn()
        self._placed = self._inputs()

    def place(self, place: Callable[[], None]) -> list[Any]:
        """Have matplotlib place them; the titles that moved."""
        watches = [self._watch_of(axis) for axis in self._axis_objects()]
        watches += [self._drawing.watch_of(title) for title in self._all()]
        flags = [flag for watch in watches if watch for flag in watch.flags()]
        before = [title.get_position() for title in self._all()]
        place()
        for attributes, mark in flags:
            # It sets the flags of all that it looks at: what changed shows in the values.
            attributes["_stale"] = mark
        return [
            title
            for title, position in zip(self._all(), before, strict=True)
            if title.get_position() != position
        ]

    def measure(self, axis: Any, measure: Callable[[], Any]) -> Any:
        """The box of `axis`, from memory where it has not changed since it was measured."""
        watch = self._watch_of(axis)
        kept = self._boxes.get(id(axis))
        if watch and kept and kept[0] is axis and _alike(kept[1], watch):
            return kept[2]
        flags = watch.flags() if watch else []
        box = measure()
        for attributes, mark in flags:
            # It sets stale flags of ticks that have not changed.
            attributes["_stale"] = mark
        if watch:
            self._boxes[id(axis)] = (axis, watch, box)
        return box

    def _inputs(self) -> tuple[Any, ...] | None:
        """All that the places of the titles depend on; None where that is not known."""
        found: list[Any] = []
        for axes in self._relatives():
            ground = self._drawing.ground_of(axes)
            if not ground.watched or axes.child_axes:
                return None
            found += (axes, ground.version)
        watches = [self._watch_of(axis) for axis in self._axis_objects()]
        watches += [self._drawing.watch_of(title) for title in self._all()]
        if None in watches:
            return None
        return (*found, *(_Values(watch) for watch in watches if watch))

    def _all(self) -> tuple[Any, Any, Any]:
        axes = self.axes
        return axes.title, axes._left_title, axes._right_title

    def _relatives(self) -> list[Any]:
        """The axes that the places of the titles depend on."""
        axes = self.axes
        groups = axes.get_figure(root=False)._align_label_groups["title"]
        found = [axes]
        for other in (*axes._twinned_axes.get_siblings(axes), *groups.get_siblings(axes)):
            if not any(other is each for each in found):
                found.append(other)
        return found

    def _axis_objects(self) -> list[Any]:
        return [axis for axes in self._relatives() for axis in (axes.xaxis, axes.yaxis)]

    def _watch_of(self, axis: Any) -> Watch | None:
        if self._drawing.has_turns(axis):
            return self._drawing.watch_of(axis)
        kept = self._undrawn.get(id(axis))
        if kept is None or kept[0] is not axis:
            return None
        _, watch, ground, version = kept
        self._drawing.ground_of(ground.owner)
        return None if ground.version != version or watch.changed() else watch

    def _watch_undrawn(self) -> None:
        """Watch axis objects that are measured and never drawn."""
        known = {id(axis): axis for axis in self._axis_objects()}
        for axis in known.values():
            if not self._drawing.has_turns(axis) and self._watch_of(axis) is None:
                ground = self._drawing.ground_of(axis.axes)
                watch = Watch((axis,), ground)
                if ground.watched and watch.reason is None:
                    self._undrawn[id(axis)] = (axis, watch, ground, ground.version)


class _Values:
    """What a watch has seen, to be compared by."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Values) and _alike(self.watch, other.watch)

    def __hash__(self) -> int:
        return id(self.watch)


def _alike(watch: Watch, other: Watch) -> bool:
    return watch is other or watch.same_values(other)
