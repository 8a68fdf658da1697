"""Follows the order in which matplotlib draws a figure, and what each part of it needs first.

`Order.refresh` does for one frame what ``Figure.draw`` and ``Axes.draw`` do
before and between the artists (autoscaling, aspects, titles), only where
something changed, and gives the units, lowest first.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, FigureBase, SubFigure
from matplotlib.legend import Legend
from matplotlib.spines import Spine

from rayanim.drawing.private import AXES_UNSEEN
from rayanim.drawing.space import is_plain_space, project, space_frame
from rayanim.drawing.titles import title_relatives, update_titles
from rayanim.drawing.unit import Unit
from rayanim.drawing.watch import Ground, Watch

FIGURE_STATE = (
    "_dpi", "bbox", "figbbox", "bbox_inches", "dpi_scale_trans", "transFigure", "transSubfigure",
    "suppressComposite", "canvas", "_layout_engine", "_agg_filter", "_rasterized", "_alpha",
    "_parent_figure", "_redo_transform_rel_fig",
)  # fmt: skip
"""Attributes of a figure that what is in it is drawn from."""

AXIS_STATE = ("_scale", "_converter", "units")
"""Attributes of an axis that the data in its axes are drawn from."""


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
        moved = {id(node.axes) for node in nodes if node.decor_dirty}
        if moved:
            for node in nodes:
                # A locator that axes share counts the room and the labels of the first of them.
                if not moved.isdisjoint(map(id, sharing_axes(node.axes))):
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

    def settle(self) -> None:
        """After a frame was drawn: watch all that was drawn anew."""
        # What many units stand on comes first: they need not watch it themselves.
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
            self._rc = dict(dict.items(mpl.rcParams))

    def _surroundings_changed(self) -> bool:
        if self._contexts is None:
            return True
        if any(watch.changed() for watch in self._contexts) or not dict.__eq__(
            mpl.rcParams, self._rc
        ):
            self._contexts = None
            return True
        return False

    def _walk(self, figure: FigureBase) -> Iterator[AxesNode | Unit]:
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
            node = self._nodes[id(axes)] = AxesNode(axes, self)
        return node

    def _unit(self, artist: Any, figure: FigureBase) -> Unit:
        unit = self._loose.get(id(artist))
        if unit is None or unit.artist is not artist:
            unit = self._loose[id(artist)] = make_unit(artist, _ground(figure))
        return unit


class AxesNode:
    """One axes in a figure's order.

    Attributes
    ----------
    axes
        The axes.
    decor_dirty
        Whether something that titles and aligned labels depend on changed.
    surroundings_changed
        Whether something that all its artists depend on changed.
    """

    def __init__(self, axes: Axes, order: Order) -> None:
        self.axes = axes
        self.decor_dirty = True
        self.surroundings_changed = True
        self._order = order
        self._ground = _ground(axes.get_figure(), axes)
        self._units: dict[int, Unit] = {}
        self._things: list[Unit | AxesNode] = []
        self._children: list[Any] = []
        self._whole = Unit(axes, axes.draw, partial(_all_in, axes), self._ground)

    def family(self) -> Iterator[AxesNode]:
        """This axes and the insets in it, in the order in which they are drawn."""
        yield self
        if self.flat_kind:
            for child in self.axes.child_axes:
                if isinstance(child, Axes) and child.get_visible() and not child.get_animated():
                    yield from self._order.node(child).family()

    @property
    def flat_kind(self) -> bool:
        """Whether matplotlib draws this axes artist by artist, in a way that is known here."""
        axes = self.axes
        return (
            (type(axes).draw is Axes.draw or is_plain_space(axes))
            and axes.get_agg_filter() is None
            and axes._rasterization_zorder is None  # type: ignore[attr-defined]
            and "draw" not in vars(axes)
        )

    @property
    def moving(self) -> bool:
        """Whether what all its artists stand on changed since it was last watched."""
        return self._ground.watch is None or self._ground.watch.changed()

    def autoscale(self) -> None:
        """Set the limits where that waits for a draw."""
        axes: Any = self.axes
        # In each axes, for the first of several that share limits sets them for all.
        axes._unstale_viewLim()

    def place(self, renderer: Any) -> None:
        """Apply the aspect where that can do anything."""
        axes: Any = self.axes
        if (
            axes.get_axes_locator()
            or axes.get_aspect() != "auto"
            or axes.get_box_aspect() is not None
            or (axes._position.get_points() != axes._originalPosition.get_points()).any()
        ):
            locator = axes.get_axes_locator()
            axes.apply_aspect(locator(axes, renderer) if locator else None)

    @property
    def watchable(self) -> bool:
        """Whether all that the axes is drawn from can be known."""
        axes: Any = self.axes
        alone = len(axes._twinned_axes.get_siblings(axes)) < 2
        return self.flat_kind or (
            type(axes).__module__.startswith(("matplotlib.", "mpl_toolkits.mplot3d"))
            and "draw" not in vars(axes)
            and axes.get_agg_filter() is None
            and alone
        )

    def refresh(self, frame_idx: int, *, forced: bool) -> None:
        """Mark what changed since the last frame."""
        around_changed = forced or self._ground.watch is None or self._ground.watch.changed()
        self.surroundings_changed = around_changed
        if around_changed:
            self._ground.watch = None
            if is_plain_space(self.axes):
                project(self.axes)
        if self.flat_kind:
            self._arrange()
            self._check(frame_idx, forced=around_changed)
        else:
            self._things = [self._whole]
            children = self.axes.get_children()
            forced = around_changed or not self.watchable or children != self._children
            self._children = children
            self.decor_dirty = self._whole.check(frame_idx, forced=forced)

    def _check(self, frame_idx: int, *, forced: bool) -> None:
        self.decor_dirty = forced
        spine_dirty = False
        axis_units = []
        for unit in self._things:
            if isinstance(unit, AxesNode):
                continue
            dirty = unit.check(frame_idx, forced=forced)
            if isinstance(unit.artist, Spine):
                spine_dirty = spine_dirty or dirty
            elif isinstance(unit.artist, Axis):
                axis_units.append(unit)
                self.decor_dirty = self.decor_dirty or dirty
        if spine_dirty:
            self.decor_dirty = True
            for unit in axis_units:
                unit.touch(frame_idx)

    def touch_decor(self, frame_idx: int) -> None:
        """Have the axis objects drawn, because they are aligned with others that changed."""
        self.decor_dirty = True
        for unit in self._things:
            if isinstance(unit, Unit) and isinstance(unit.artist, Axis | Axes):
                unit.touch(frame_idx)

    def place_titles(self, renderer: Any, frame_idx: int, nodes: dict[int, AxesNode]) -> None:
        """Move the titles where matplotlib would, if anything under them changed."""
        if not self.flat_kind:
            return
        axes: Any = self.axes
        titles = [self._units.get(id(title)) for title in all_titles(axes)]
        units = [unit for unit in titles if unit is not None]
        relatives = title_relatives(axes)
        below_dirty = self.decor_dirty or any(
            id(other) not in nodes or nodes[id(other)].decor_dirty for other in relatives
        )
        if not below_dirty and not any(unit.dirty for unit in units):
            return
        before = [unit.artist.get_position() for unit in units]
        update_titles(axes, relatives, renderer, reuse=not below_dirty)
        for unit, position in zip(units, before, strict=True):
            if unit.artist.get_position() != position:
                unit.touch(frame_idx)

    def flat(self) -> Iterator[Unit]:
        """The units, lowest first."""
        for thing in self._things:
            if isinstance(thing, Unit):
                yield thing
            else:
                yield from thing.flat()

    def forget(self, unit_ids: set[int]) -> None:
        """Keep only the units that are among these."""
        self._units = {key: unit for key, unit in self._units.items() if id(unit) in unit_ids}

    def settle(self) -> None:
        """Watch what all artists of the axes are drawn from, if that changed."""
        if self._ground.watch is None and self.watchable:
            axes = self.axes
            watch = Watch((), self._ground)
            watch.pick(axes, [name for name in vars(axes) if name not in AXES_UNSEEN])
            for axis in axes._axis_map.values():  # type: ignore[attr-defined]
                watch.pick(axis, AXIS_STATE)
            self._ground.watch = None if watch.reason else watch
        self.axes.stale = False

    def watch_again(self) -> None:
        """After the axes was drawn elsewhere, to the same pixels."""
        ground = self._ground
        anew = ground.watch is not None and ground.watch.changed()
        if anew:
            ground.watch = None
            self.settle()
        for unit in (self._whole, *self._units.values()):
            unit.watch_again(anew=anew)

    def _arrange(self) -> None:
        """The artists in the order in which ``Axes.draw`` draws them."""
        axes: Any = self.axes
        artists = axes.get_children()
        artists.remove(axes.patch)
        framed = axes.axison and axes.get_frame_on()
        if not framed:
            artists = [one for one in artists if not isinstance(one, Spine)]
        if not axes.axison:
            axis_ids = {id(axis) for axis in axes._axis_map.values()}
            artists = [one for one in artists if id(one) not in axis_ids]
        artists = sorted(
            (one for one in artists if not one.get_animated()), key=attrgetter("zorder")
        )
        things: list[Unit | AxesNode] = []
        if is_plain_space(axes):
            things = [self._unit(axes.patch), self._space_unit()]
        elif framed:
            things = [self._unit(axes.patch)]
        for artist in artists:
            if not isinstance(artist, Axes):
                things.append(self._unit(artist))
            elif artist.get_visible():
                things.append(self._order.node(artist))
        self._things = things

    def _unit(self, artist: Any) -> Unit:
        unit = self._units.get(id(artist))
        if unit is None or unit.artist is not artist:
            unit = self._units[id(artist)] = make_unit(artist, self._ground)
        return unit

    def _space_unit(self) -> Unit:
        unit = self._units.get(0)
        if unit is None:
            axes: Any = self.axes
            roots = axes._axis_map.values
            unit = self._units[0] = Unit(axes.xaxis, space_frame(axes), roots, self._ground)
        return unit


def make_unit(artist: Any, ground: Ground) -> Unit:
    """A unit that draws one artist by its own ``draw``."""
    return Unit(artist, artist.draw, partial(_roots, artist), ground)


def _roots(artist: Any) -> tuple[Any, ...]:
    if isinstance(artist, Legend) and getattr(artist, "_loc", 0) == 0:
        # It looks for the emptiest place: it is drawn from all the others, too.
        return (artist, vars(artist.parent).get("_children", []))
    return (artist,)


def _all_in(axes: Any) -> tuple[Any, ...]:
    return (vars(axes)["_children"], vars(axes)["child_axes"], *axes.get_children())


def all_titles(axes: Any) -> tuple[Any, Any, Any]:
    """The three titles of `axes`."""
    return axes.title, axes._left_title, axes._right_title


def _figures(figure: FigureBase) -> Iterator[FigureBase]:
    yield figure
    for child in figure.subfigs:
        yield from _figures(child)


def _groups(figure: Any) -> Iterator[frozenset[int]]:
    """Groups of axes whose labels or titles are aligned, as sets of their ids."""
    for grouper in figure._align_label_groups.values():
        yield from (frozenset(map(id, group)) for group in grouper)


def sharing_axes(axes: Any) -> Iterator[Any]:
    """The axes that share an axis with `axes`, without itself."""
    for grouper in axes._shared_axes.values():
        yield from (other for other in grouper.get_siblings(axes) if other is not axes)


def _figure_watch(figure: FigureBase) -> Watch:
    watch = Watch((), _ground(figure))
    watch.pick(figure, FIGURE_STATE)
    return watch


def _ground(figure: FigureBase, *axes: Axes) -> Ground:
    return Ground(frozenset(map(id, (figure, figure.get_figure(root=True), *axes))))
