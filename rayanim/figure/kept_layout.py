"""Spares matplotlib the placing of titles and axes where nothing that it depends on has changed.

Both measure all labels, and take longer than all else in a frame of which
little is drawn.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.layout_engine import ConstrainedLayoutEngine, TightLayoutEngine
from matplotlib.offsetbox import AnnotationBbox, OffsetBox

from rayanim.figure.changes import Ground, Watch
from rayanim.figure.layout import layout_boxes

if TYPE_CHECKING:
    from rayanim.figure.artists import FigureDrawing


class Titles:
    """The titles of one axes, and what they were last placed by."""

    def __init__(self, axes: Any, drawing: FigureDrawing) -> None:
        self.axes = axes
        self._drawing = drawing
        self._boxes: dict[int, tuple[Any, Watch, int, Any]] = {}
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
        here = {id(axis) for axis in self._axis_objects()}
        self._undrawn = {key: kept for key, kept in self._undrawn.items() if key in here}
        self._boxes = {key: kept for key, kept in self._boxes.items() if key in here}

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
        # Where the axes stands is no part of the watch over its axis.
        version = self._drawing.ground_of(axis.axes).version
        kept = self._boxes.get(id(axis))
        if watch and kept and kept[0] is axis and kept[2] == version and _alike(kept[1], watch):
            return kept[3]
        flags = watch.flags() if watch else []
        box = measure()
        for attributes, mark in flags:
            # It sets stale flags of ticks that have not changed.
            attributes["_stale"] = mark
        if watch:
            self._boxes[id(axis)] = (axis, watch, version, box)
        return box

    def _inputs(self) -> tuple[Any, ...] | None:
        """All that the places of the titles depend on; None where that is not known."""
        found: list[Any] = []
        for axes in self._relatives():
            ground = self._drawing.ground_of(axes)
            waits = any(axes._stale_viewlims.values())
            if not ground.watched or axes.child_axes or waits:
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


class AxesLayout:
    """Whether the layout engine of a figure would leave all axes where they are.

    It would where its last run moved nothing, and since then nothing changed
    but artists that no engine measures, for they are clipped to their axes.
    """

    def __init__(self, figure: Any, drawing: FigureDrawing) -> None:
        self._figure = figure
        self._drawing = drawing
        self._watch: Watch | None = None
        self._watched: tuple[Any, ...] = ()
        self._unmeasured: set[int] = set()
        self._places: list[bytes] = []
        self._ran = False

    def begin(self) -> bool:
        """Before a frame is drawn: whether the engine need not run."""
        engine = self._figure.get_layout_engine()
        self._ran = engine is not None and bool(self._figure.axes)
        if not self._ran:
            return False
        self._places = self._all_places()
        known = type(engine) in (ConstrainedLayoutEngine, TightLayoutEngine)
        spared = known and self._holds(engine)
        if not spared:
            self._watch = None
        return spared

    def end(self, *, spared: bool) -> bool:
        """After it was drawn; whether the axes are where they were."""
        if not self._ran:
            return True
        stayed = self._places == self._all_places()
        if not stayed:
            self._watch = None
        elif not spared:
            self._watched = self._roots()
            self._watch = Watch(self._watched, None)
        if self._watch is not None:
            self._unmeasured = {
                id(node.artist) for node in self._drawing.nodes if _is_unmeasured(node.artist)
            }
        return stayed

    def _holds(self, engine: Any) -> bool:
        drawing = self._drawing
        if self._watch is None or self._watch.changed():
            return False
        roots = self._roots()
        if len(roots) != len(self._watched) or any(map(operator.is_not, roots, self._watched)):
            return False
        if drawing.order_changed or not all(map(self._is_calm, _every_axes(self._figure.axes))):
            return False
        children = [
            child for child in self._figure.get_children() if child is not self._figure.patch
        ]
        if not all(isinstance(child, Axes) or drawing.has_turns(child) for child in children):
            return False
        return all(
            id(node.artist) in self._unmeasured and _is_unmeasured(node.artist)
            for node in drawing.nodes
            if node.is_turn and drawing.is_due(node)
        )

    def _is_calm(self, axes: Any) -> bool:
        """Whether all in `axes` has its turns, and its limits are those of the last frame."""
        drawing = self._drawing
        ground = drawing.ground_of(axes)
        if not ground.watched or any(axes._stale_viewlims.values()):
            return False
        return drawing.is_as_drawn(axes) and all(
            isinstance(child, Axes) or drawing.has_turns(child) for child in axes.get_children()
        )

    def _roots(self) -> tuple[Any, ...]:
        figure = self._figure
        specs = [axes.get_subplotspec() for axes in figure.axes]
        return (figure.get_layout_engine(), *specs, figure.subplotpars)

    def _all_places(self) -> list[bytes]:
        """Where everything is that an engine moves, to the bit."""
        figures = [self._figure, *_parts_of(self._figure)]
        return [
            *(box.get_points().tobytes() for box in layout_boxes(self._figure)),
            *(repr(text.get_position()).encode() for each in figures for text in each.texts),
        ]


def _parts_of(figure: Any) -> Iterator[Any]:
    for part in figure.subfigs:
        yield part
        yield from _parts_of(part)


def _every_axes(found: Any) -> Iterator[Any]:
    for axes in found:
        yield axes
        yield from _every_axes(axes.child_axes)


def _is_unmeasured(artist: Any) -> bool:
    """Whether layout engines take no notice of `artist`: matplotlib's own rule."""
    if isinstance(artist, Axes | Axis | OffsetBox | AnnotationBbox):
        return False
    clipped = getattr(artist, "_fully_clipped_to_axes", None)
    return artist.axes is not None and clipped is not None and bool(clipped())
