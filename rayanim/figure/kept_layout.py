"""Spares matplotlib the placing of titles and axes where nothing that it depends on has changed.

Both measure all labels, and take longer than all else in a frame of which
little is drawn.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.layout_engine import ConstrainedLayoutEngine, TightLayoutEngine
from matplotlib.offsetbox import AnnotationBbox, OffsetBox

from rayanim.figure.changes import SharedInputs, Watch, restore_flags
from rayanim.figure.layout import every_axes, layout_boxes, subfigures_of

if TYPE_CHECKING:
    from rayanim.figure.artists import FigureDrawing


class Titles:
    """The titles of one axes, and what they were last placed by."""

    def __init__(self, axes: Any, drawing: FigureDrawing) -> None:
        self.axes = axes
        self._drawing = drawing
        self._boxes: dict[int, tuple[Any, Watch, int, Any]] = {}
        self._undrawn: dict[int, tuple[Any, Watch, SharedInputs, int]] = {}
        self._placed_by: tuple[list[Any], list[Watch]] | None = None

    def any_text(self) -> bool:
        """Whether there is anything to be placed."""
        return any(title.get_text() for title in self._all())

    def are_in_place(self) -> bool:
        """Whether placing them now would leave them where they are."""
        if self._placed_by is None:
            return False
        (versions, watches), now = self._placed_by, self._inputs()
        return now is not None and versions == now[0] and all(map(_alike, watches, now[1]))

    def remember(self) -> None:
        """They have been placed."""
        self._watch_undrawn()
        self._placed_by = self._inputs()
        here = {id(axis) for axis in self._axis_objects()}
        self._undrawn = {key: kept for key, kept in self._undrawn.items() if key in here}
        self._boxes = {key: kept for key, kept in self._boxes.items() if key in here}

    def place(self, place: Callable[[], None]) -> list[Any]:
        """Have matplotlib place them; the titles that moved."""
        flags = [flag for watch in self._watches() if watch for flag in watch.flags()]
        before = [title.get_position() for title in self._all()]
        place()
        # It sets the flags of all that it looks at: what changed shows in the values.
        restore_flags(flags)
        return [
            title
            for title, position in zip(self._all(), before, strict=True)
            if title.get_position() != position
        ]

    def measure(self, axis: Any, measure: Callable[[], Any]) -> Any:
        """The box of `axis`, from memory where it has not changed since it was measured."""
        watch = self._watch_of(axis)
        # Where the axes stands is no part of the watch over its axis.
        version = self._drawing.shared_inputs_of(axis.axes).version
        kept = self._boxes.get(id(axis))
        if watch and kept and kept[0] is axis and kept[2] == version and _alike(kept[1], watch):
            return kept[3]
        flags = watch.flags() if watch else []
        box = measure()
        # It sets stale flags of ticks that have not changed.
        restore_flags(flags)
        if watch:
            self._boxes[id(axis)] = (axis, watch, version, box)
        return box

    def _inputs(self) -> tuple[list[Any], list[Watch]] | None:
        """All that the places of the titles depend on; None where that is not known."""
        versions: list[Any] = []
        for axes in self._relatives():
            shared = self._drawing.shared_inputs_of(axes)
            waits = any(axes._stale_viewlims.values())
            if not shared.is_watched or axes.child_axes or waits:
                return None
            versions += (axes, shared.version)
        watches = self._watches()
        known = [watch for watch in watches if watch is not None]
        return (versions, known) if len(known) == len(watches) else None

    def _watches(self) -> list[Watch | None]:
        """The watches over all axis objects and titles."""
        return [
            *(self._watch_of(axis) for axis in self._axis_objects()),
            *(self._drawing.watch_of(title) for title in self._all()),
        ]

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
        if self._drawing.has_node(axis):
            return self._drawing.watch_of(axis)
        kept = self._undrawn.get(id(axis))
        if kept is None or kept[0] is not axis:
            return None
        _, watch, shared, version = kept
        self._drawing.shared_inputs_of(shared.owner)
        return None if shared.version != version or watch.changed() else watch

    def _watch_undrawn(self) -> None:
        """Watch axis objects that are measured and never drawn."""
        known = {id(axis): axis for axis in self._axis_objects()}
        for axis in known.values():
            if not self._drawing.has_node(axis) and self._watch_of(axis) is None:
                shared = self._drawing.shared_inputs_of(axis.axes)
                watch = Watch((axis,), shared)
                if shared.is_watched and watch.reason is None:
                    self._undrawn[id(axis)] = (axis, watch, shared, shared.version)


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
        spared = known and self._holds()
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

    def _holds(self) -> bool:
        drawing = self._drawing
        if self._watch is None or self._watch.changed():
            return False
        roots = self._roots()
        if len(roots) != len(self._watched) or any(map(operator.is_not, roots, self._watched)):
            return False
        if drawing.order_changed or not all(map(self._is_calm, every_axes(self._figure.axes))):
            return False
        children = [
            child for child in self._figure.get_children() if child is not self._figure.patch
        ]
        if not all(isinstance(child, Axes) or drawing.has_node(child) for child in children):
            return False
        return all(
            id(node.artist) in self._unmeasured and _is_unmeasured(node.artist)
            for node in drawing.nodes
            if node.stands_for_artists and drawing.is_due(node)
        )

    def _is_calm(self, axes: Any) -> bool:
        """Whether all in `axes` has a node, and its limits are those of the last frame."""
        drawing = self._drawing
        shared = drawing.shared_inputs_of(axes)
        if not shared.is_watched or any(axes._stale_viewlims.values()):
            return False
        return drawing.has_same_children(axes) and all(
            isinstance(child, Axes) or drawing.has_node(child) for child in axes.get_children()
        )

    def _roots(self) -> tuple[Any, ...]:
        figure = self._figure
        specs = [axes.get_subplotspec() for axes in figure.axes]
        return (figure.get_layout_engine(), *specs, figure.subplotpars)

    def _all_places(self) -> list[bytes]:
        """Where everything is that an engine moves, to the bit."""
        figures = [self._figure, *subfigures_of(self._figure)]
        return [
            *(box.get_points().tobytes() for box in layout_boxes(self._figure)),
            *(repr(text.get_position()).encode() for each in figures for text in each.texts),
        ]


def _is_unmeasured(artist: Any) -> bool:
    """Whether layout engines take no notice of `artist`: matplotlib's own rule."""
    if isinstance(artist, Axes | Axis | OffsetBox | AnnotationBbox):
        return False
    clipped = getattr(artist, "_fully_clipped_to_axes", None)
    return artist.axes is not None and clipped is not None and bool(clipped())
