"""Follows the order in which matplotlib draws a figure, and what each part of it needs first.

`Order.refresh` does for one frame what ``Figure.draw`` and ``Axes.draw`` do
before and between the artists (autoscaling, aspects, titles), only where
something changed, and gives the units, lowest first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase, SubFigure

from rayanim.drawing.axes_node import AxesNode, ground_of, make_unit, sharing_axes
from rayanim.drawing.unit import Unit
from rayanim.drawing.watch import Watch

FIGURE_STATE = (
    "_dpi", "bbox", "figbbox", "bbox_inches", "dpi_scale_trans", "transFigure", "transSubfigure",
    "suppressComposite", "canvas", "_layout_engine", "_agg_filter", "_rasterized", "_alpha",
    "_parent_figure",
)  # fmt: skip
"""Attributes of a figure that what is in it is drawn from."""


class Order:
    """All that a figure draws, lowest first.

    Attributes
    ----------
    units
        The units of the last frame that `refresh` was called for.
    changed
        Whether they are others, or in another order, than in the frame before.
    """

    def __init__(self, figure: Figure) -> None:
        self.units: list[Unit] = []
        self.changed = True
        self._figure = figure
        self._nodes: dict[int, AxesNode] = {}
        self._loose: dict[int, Unit] = {}
        self._glanced = False
        self._aligned: frozenset[frozenset[int]] = frozenset()
        self._contexts: list[Watch] | None = None
        self._rc: dict[str, Any] = {}

    def refresh(self, renderer: Any, frame_idx: int) -> None:
        """Bring the layout up to date and mark the units that must be drawn."""
        all_dirty = self._surroundings_changed()
        self._glanced = False
        seen: list[AxesNode | Unit] = list(self._walk(self._figure))
        nodes = self._nodes_in_place(seen, renderer)
        for node in nodes:
            node.refresh(frame_idx, forced=all_dirty)
        self._spread(nodes, frame_idx)
        for node in nodes:
            node.place_titles(renderer, frame_idx, {id(other.axes): other for other in nodes})
        units: list[Unit] = []
        for thing in seen:
            if isinstance(thing, Unit):
                thing.check(frame_idx, forced=all_dirty)
                units.append(thing)
            else:
                units.extend(thing.flat())
        self.changed = units != self.units
        self.units = units
        if self.changed:
            self._forget({id(node.axes): node for node in nodes}, set(map(id, units)))

    def _spread(self, nodes: list[AxesNode], frame_idx: int) -> None:
        """Have the axis objects drawn that depend on those of other axes."""
        aligned = frozenset(chain.from_iterable(map(_groups, _figures(self._figure))))
        if aligned != self._aligned or (aligned and any(node.decor_dirty for node in nodes)):
            self._aligned = aligned
            for node in nodes:
                node.touch_decor(frame_idx)
        shown = {id(node.axes) for node in nodes}
        moved = {id(node.axes) for node in nodes if node.decor_dirty}
        for node in nodes:
            # A locator that axes share counts the room and the labels of the first of them,
            # also where that one is hidden, and nobody looks at it.
            sharing = set(map(id, sharing_axes(node.axes)))
            if not sharing.isdisjoint(moved) or not sharing <= shown:
                node.touch_decor(frame_idx)

    def _forget(self, nodes: dict[int, AxesNode], unit_ids: set[int]) -> None:
        """Let go of all that is no longer part of the figure."""
        self._nodes = nodes
        self._loose = {key: unit for key, unit in self._loose.items() if id(unit) in unit_ids}
        for node in nodes.values():
            node.forget(unit_ids)

    def glance(self, renderer: Any) -> None:
        """After a full draw: watch what the axes stand on, and nothing else."""
        for node in self._nodes_in_place(list(self._walk(self._figure)), renderer):
            node.watch_ground()
            node.settle()
        self._glanced = True

    def distrust(self) -> None:
        """Have everything drawn in the next frame, for what was marked now was not drawn."""
        self._contexts = None

    def all_moving(self, renderer: Any) -> bool:
        """Whether, since the glance, what is under every axes changed: no part could be kept."""
        nodes = self._nodes_in_place(list(self._walk(self._figure)), renderer)
        return self._glanced and bool(nodes) and all(node.moving for node in nodes)

    def _nodes_in_place(self, seen: list[AxesNode | Unit], renderer: Any) -> list[AxesNode]:
        nodes = [node for thing in seen if isinstance(thing, AxesNode) for node in thing.family()]
        # Shared and twinned axes change each other: all must be in place before any is compared.
        # Twice, and in this order, for that is what matplotlib does.
        for node in nodes:
            node.place(renderer)
        for node in nodes:
            node.autoscale()
            node.place(renderer)
        return nodes

    def watch_grounds(self) -> None:
        """Before units are drawn and watched: what many stand on they need not watch themselves."""
        for node in self._nodes.values():
            node.watch_ground()

    def settle(self) -> None:
        """After a frame was drawn."""
        for node in self._nodes.values():
            node.settle()
        for unit in self.units:
            if unit.dirty:
                unit.settle()
        self.settle_figure()

    def watch_again(self) -> None:
        """After the whole figure was drawn elsewhere, to the same pixels."""
        for node in self._nodes.values():
            node.watch_again()
        for unit in self._loose.values():
            unit.watch_again(anew=False)
        self._contexts = None
        self.settle_figure()

    def settle_figure(self) -> None:
        """Watch what all that is in the figure is drawn from."""
        if self._contexts is None or self.changed:
            self._contexts = [_figure_watch(figure) for figure in _figures(self._figure)]
            self._rc = {str(name): value for name, value in dict.items(mpl.rcParams)}

    def _surroundings_changed(self) -> bool:
        if self._contexts is None:
            return True
        if any(watch.changed() for watch in self._contexts) or not dict.__eq__(
            mpl.rcParams, self._rc
        ):
            self._contexts = None
            return True
        return False

    def _walk(self, figure: Any) -> Iterator[AxesNode | Unit]:
        yield self._unit(figure.patch, figure)
        children = [child for child in figure.get_children() if child is not figure.patch]
        drawn = [child for child in children if not child.get_animated()]
        for child in sorted(drawn, key=lambda artist: artist.get_zorder()):
            if isinstance(child, SubFigure):
                if child.get_visible():
                    yield from self._walk(child)
            elif isinstance(child, Axes):
                if child.get_visible():
                    yield self.node(child)
            else:
                yield self._unit(child, figure)

    def node(self, axes: Axes) -> AxesNode:
        """The node that stands for `axes`, made when it is first met."""
        node = self._nodes.get(id(axes))
        if node is None or node.axes is not axes:
            node = self._nodes[id(axes)] = AxesNode(axes, self.node)
        return node

    def _unit(self, artist: Any, figure: FigureBase) -> Unit:
        unit = self._loose.get(id(artist))
        if unit is None or unit.artist is not artist:
            unit = self._loose[id(artist)] = make_unit(artist, ground_of(figure))
        return unit


def _figures(figure: FigureBase) -> Iterator[FigureBase]:
    yield figure
    for child in figure.subfigs:
        yield from _figures(child)


def _groups(figure: Any) -> Iterator[frozenset[int]]:
    """Groups of axes whose labels or titles are aligned, as sets of their ids."""
    for grouper in figure._align_label_groups.values():
        yield from (frozenset(map(id, group)) for group in grouper)


def _figure_watch(figure: FigureBase) -> Watch:
    watch = Watch((), ground_of(figure))
    watch.pick(figure, FIGURE_STATE)
    return watch
