"""One axes in the order in which a figure is drawn: its artists and what they stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.legend import Legend
from matplotlib.spines import Spine

from rayanim.drawing.links import shaped, twins_of
from rayanim.drawing.private import AXES_UNSEEN
from rayanim.drawing.space import is_plain_space, project, space_frame
from rayanim.drawing.still import Lineup, Still, framed
from rayanim.drawing.titles import title_relatives, update_titles
from rayanim.drawing.unit import Unit
from rayanim.drawing.watch import Ground, Watch

AXIS_STATE = ("_scale", "_converter", "units")
"""Attributes of an axis that the data in its axes are drawn from."""


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

    def __init__(self, axes: Axes, node_of: Callable[[Axes], AxesNode]) -> None:
        self.axes = axes
        self.decor_dirty = True
        self.surroundings_changed = True
        self._node_of = node_of
        self._ground = ground_of(axes.get_figure(), axes)
        self._units: dict[int, Unit] = {}
        self._things: list[Unit | AxesNode] = []
        self._children: list[Any] = []
        self._still = Still()
        self._lineup: Lineup | None = None
        self._frame_idx = 0
        self._whole = Unit(axes, axes.draw, partial(_all_in, axes), self._ground)

    def family(self) -> Iterator[AxesNode]:
        """This axes and the insets in it, in the order in which they are drawn."""
        yield self
        if self.flat_kind:
            for child in self.axes.child_axes:
                if isinstance(child, Axes) and child.get_visible() and not child.get_animated():
                    yield from self._node_of(child).family()

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
            or shaped(axes)
            or (axes._position.get_points() != axes._originalPosition.get_points()).any()
        ):
            locator = axes.get_axes_locator()
            axes.apply_aspect(locator(axes, renderer) if locator else None)

    @property
    def watchable(self) -> bool:
        """Whether all that the axes is drawn from can be known."""
        axes: Any = self.axes
        alone = len(twins_of(axes)) < 2
        return self.flat_kind or (
            type(axes).__module__.startswith(("matplotlib.", "mpl_toolkits.mplot3d"))
            and "draw" not in vars(axes)
            and axes.get_agg_filter() is None
            and alone
        )

    def refresh(self, frame_idx: int, *, forced: bool) -> None:
        """Mark what changed since the last frame."""
        self._frame_idx = frame_idx
        still = not forced and self._still.holds(frame_idx)
        around_changed = not still and (forced or self.moving)
        self.surroundings_changed = around_changed
        if around_changed:
            self._ground.watch = None
            self._still.forget()
            if is_plain_space(self.axes):
                project(self.axes)
        if self.flat_kind:
            if self._lineup is None or not self._lineup.same():
                self._arrange()
                self._lineup = Lineup(self.axes)
            self._check(frame_idx, forced=around_changed, still=still)
        else:
            self._things = [self._whole]
            self._lineup = None
            children = self.axes.get_children()
            forced = around_changed or not self.watchable or children != self._children
            self._children = children
            self.decor_dirty = self._whole.check(frame_idx, forced=forced)

    def _check(self, frame_idx: int, *, forced: bool, still: bool) -> None:
        self.decor_dirty = forced
        spine_dirty = False
        for unit in self._things:
            if isinstance(unit, AxesNode):
                continue
            if still and self._still.covers(unit):
                unit.rest_assured()
                continue
            dirty = unit.check(frame_idx, forced=forced)
            if isinstance(unit.artist, Spine):
                spine_dirty = spine_dirty or dirty
            elif isinstance(unit.artist, Axis):
                self.decor_dirty = self.decor_dirty or dirty
        if spine_dirty:
            self.touch_decor(frame_idx)

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

    def watch_ground(self) -> None:
        """Watch what all artists of the axes are drawn from, if that changed."""
        if self._ground.watch is None and self.watchable:
            axes = self.axes
            watch = Watch((), self._ground)
            watch.pick(axes, [name for name in vars(axes) if name not in AXES_UNSEEN])
            for axis in axes._axis_map.values():
                watch.pick(axis, AXIS_STATE)
            self._ground.watch = None if watch.reason else watch

    def settle(self) -> None:
        """After a frame was drawn."""
        units = (thing for thing in self._things if isinstance(thing, Unit))
        self._still.gather(self._ground.watch, units, self._frame_idx)
        self.axes.stale = False

    def watch_again(self) -> None:
        """After the axes was drawn elsewhere, to the same pixels."""
        ground = self._ground
        anew = ground.watch is not None and ground.watch.changed()
        if anew:
            ground.watch = None
            self.watch_ground()
        for unit in (self._whole, *self._units.values()):
            unit.watch_again(anew=anew)

    def _arrange(self) -> None:
        """The artists in the order in which ``Axes.draw`` draws them."""
        axes: Any = self.axes
        artists = axes.get_children()
        artists.remove(axes.patch)
        frame = framed(axes)
        if not frame:
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
        elif frame:
            things = [self._unit(axes.patch)]
        for artist in artists:
            if not isinstance(artist, Axes):
                things.append(self._unit(artist))
            elif artist.get_visible():
                things.append(self._node_of(artist))
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


def sharing_axes(axes: Any) -> Iterator[Any]:
    """The axes that share an axis with `axes`, without itself."""
    for grouper in axes._shared_axes.values():
        yield from (other for other in grouper.get_siblings(axes) if other is not axes)


def ground_of(figure: Any, *axes: Axes) -> Ground:
    return Ground(frozenset(map(id, (figure, figure.get_figure(root=True), *axes))))
