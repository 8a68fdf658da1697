"""Detects, for certain, whether what an artist is drawn from has changed.

The world is closed: a `Watch` walks over all that can be reached from an
artist and knows, for each thing that it meets, how a change of it shows.
Whatever it does not know (a class or a function of the user's, a container of
another kind) is a reason to draw the artist in every frame: unknown means
changed. Things that the walk keeps are kept as objects, never as an ``id`` of
something that may be gone.

An artist is unchanged if nobody has set its stale flag since it was drawn
*and* all values are the same. Each of the two sees changes that the other
misses.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import functools
import locale
import os
import re
import sys
import types
import uuid
import zoneinfo
from collections import OrderedDict
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import chain
from operator import getitem, is_
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import xxhash
from matplotlib import font_manager, units
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, Tick
from matplotlib.backend_bases import FigureCanvasBase, RendererBase
from matplotlib.cbook import CallbackRegistry
from matplotlib.colors import get_named_colors_mapping
from matplotlib.figure import FigureBase
from matplotlib.legend import Legend
from matplotlib.patches import Wedge
from matplotlib.quiver import Quiver
from matplotlib.spines import Spine
from matplotlib.text import Text
from matplotlib.ticker import TickHelper
from matplotlib.transforms import Affine2D, Bbox, TransformNode

from rayanim.figure.private import (
    AXES_UNSEEN,
    AXIS_STATE,
    FIGURE_STATE,
    TEXT_PLACE,
    TICK_PARTS,
    TRANSFORM_CACHES,
    UNSEEN,
    WEDGE_PATH,
)

ATOMS = frozenset(
    [
        int, float, complex, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented),
        range, decimal.Decimal, fractions.Fraction, uuid.UUID, re.Pattern,
        datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone,
        zoneinfo.ZoneInfo, types.WrapperDescriptorType,
    ]
)  # fmt: skip
"""Kinds of things that cannot be changed."""

PLAIN_ATOMS = frozenset([int, bool, str, bytes, type(None), range, re.Pattern])
"""Those of them that are the same where they are equal."""

SKIPPED = (CallbackRegistry, RendererBase, FigureCanvasBase)
"""Kinds of matplotlib's that no artist is drawn from."""

UNKNOWN_MODULES = (
    "matplotlib.animation",
    "matplotlib.sankey",
    "matplotlib.testing",
    "matplotlib.widgets",
    "mpl_toolkits.axisartist",
    "mpl_toolkits.axes_grid1.parasite_axes",
)
"""Modules of matplotlib's whose classes draw from what cannot be followed."""

MATPLOTLIB_FOLDERS = (
    str(Path(mpl.__file__).parent) + os.sep,
    str(Path(mpl.__file__).parent.parent / "mpl_toolkits") + os.sep,
)

SMALL_BYTES = 1 << 12
"""Up to here an array is compared by its bytes, beyond by a hash of all of them."""

AGAIN, COVERED = "again", "covered"
"""Stand in a walk's values for things that are watched elsewhere."""


class Mark:
    """Stands in an artist's stale flag until somebody sets or resets the flag.

    False like the flag of an artist that was just drawn, and stored as that.
    """

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> tuple[type[bool], tuple[()]]:
        return bool, ()


class Ground:
    """What all artists of one axes, or of a figure, are drawn from."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.version = 0
        self.reason: str | None = None
        self._watch: Watch | None = None
        self._epoch = -1
        self._rest = Rest()

    @property
    def watched(self) -> bool:
        """Whether its changes are seen now."""
        return self._watch is not None and self._watch.reason is None

    def place_of(self, thing: Any) -> int | None:
        """The place of `thing` among those that are watched here, None if it is not."""
        return None if self._watch is None else self._watch.places.get(id(thing))

    def refresh(self, epoch: int) -> None:
        """Find out whether it changed; once for each `epoch`."""
        if epoch == self._epoch:
            return
        self._epoch = epoch
        if self._watch is not None:
            known = self._watch.things
            if not self._watch.changed():
                self._rest.calm()
                if self._watch.things is not known and not _same_each(known, self._watch.things):
                    # Equal things have taken the place of those that artists are watched with.
                    self.version += 1
                return
        self.forget()
        if not self._rest.resting():
            self._watch = Watch((self.owner,), None)
            self.reason = self._watch.reason

    def forget(self) -> None:
        """Take it for changed."""
        self.version += 1
        self._watch = None


class Rest:
    """Lets what changed in a few frames running go unwatched for a while, then longer."""

    __slots__ = ("_frames", "_power", "_streak")

    ENOUGH = 2
    LONGEST = 32

    def __init__(self) -> None:
        self._streak = self._power = self._frames = 0

    def calm(self) -> None:
        """It did not change."""
        self._streak = self._power = 0

    def resting(self) -> bool:
        """It changed: whether it is not watched until the next frame."""
        if self._frames:
            self._frames -= 1
            return self._frames > 0
        self._streak += 1
        if self._streak <= self.ENOUGH:
            return False
        self._frames = min(2**self._power, self.LONGEST)
        self._power += 1
        return True

    def until_end(self) -> None:
        """Do not watch it for the longest time."""
        self._frames = self.LONGEST


class Watch:
    """The values of all that can be reached from some roots."""

    def __init__(self, roots: Iterable[Any], ground: Ground | None) -> None:
        self.reason: str | None = None
        self.places: dict[int, int] = {}
        self._roots = tuple(roots)
        self._ground = ground
        self.things: list[Any] = []
        self._helped: list[Axis] = []
        # By identity: quick, and where it says "the same" there is no doubt.
        self._views: list[Any] = []
        self._lengths: list[int] = []
        self._viewed: list[Any] = []
        self._owners: list[dict[str, Any]] = []
        self._names: list[str] = []
        self._picked: list[Any] = []
        self._leaf_owners: list[dict[str, Any]] = []
        self._leaf_names: list[str] = []
        self._leaf_bytes: list[bytes] = []
        self._small: list[Any] = []
        self._small_bytes: list[bytes] = []
        self._large: list[Any] = []
        self._large_hashes: list[bytes] = []
        self._arrays: list[Any] = []
        self._kinds: list[tuple[Any, Any]] = []
        self._objects: list[Any] = []
        self._items: list[list[Any]] = []
        self._flagged: list[dict[str, Any]] = []
        self._marks: list[Any] = []
        # By value: what a walk met, in its order.
        self._values: list[Any] = []
        self._pending: list[Any] = list(self._roots)
        self._walk()

    def _walk(self) -> None:
        try:
            while self._pending and self.reason is None:
                self._visit(self._pending.pop())
        except Exception as error:
            self.reason = f"it could not be followed: {type(error).__name__}: {error}"
        if self.reason is not None:
            self._flagged.clear()

    def changed(self) -> bool:
        """Whether anything is not as it was."""
        if self.reason is not None or self.is_stale():
            return True
        if self._same_things():
            return False
        return self._walked_differently()

    def is_stale(self) -> bool:
        """Whether somebody has set or reset the stale flag of anything here."""
        return not all(map(is_, [flags["_stale"] for flags in self._flagged], self._marks))

    def flags(self) -> list[tuple[dict[str, Any], Any]]:
        """The stale flags as they are now, to be put back after matplotlib has drawn."""
        return [(flags, flags["_stale"]) for flags in self._flagged]

    def same_values(self, other: Watch) -> bool:
        """Whether both walks met the same values."""
        return self.reason is None and other.reason is None and self._values == other._values

    def _same_things(self) -> bool:
        try:
            return (
                list(map(len, self._views)) == self._lengths
                and all(map(is_, chain.from_iterable(self._views), self._viewed))
                and all(map(is_, map(getitem, self._owners, self._names), self._picked))
                and [leaf.tobytes() for leaf in map(getitem, self._leaf_owners, self._leaf_names)]
                == self._leaf_bytes
                and [(array.shape, array.dtype) for array in self._arrays] == self._kinds
                and [array.tobytes() for array in self._small] == self._small_bytes
                and [_hash(array) for array in self._large] == self._large_hashes
                and all(map(_same_items, self._objects, self._items))
            )
        except (KeyError, AttributeError, ValueError):
            return False

    def _walked_differently(self) -> bool:
        """Whether a new walk meets other values; what was only put anew is kept instead."""
        try:
            now = Watch(self._roots, self._ground)
        except RuntimeError:
            return True
        if not self.same_values(now):
            return True
        for name, value in vars(now).items():
            setattr(self, name, value)
        return False

    def _visit(self, thing: Any) -> None:
        kind = type(thing)
        values = self._values
        if kind in ATOMS:
            values.append(kind)
            # Some that are equal show differently: -0.0, a time zone of another name.
            values.append(thing if kind in PLAIN_ATOMS else repr(thing))
            return
        place = self.places.get(id(thing))
        if place is not None:
            values.append(AGAIN)
            values.append(place)
            return
        if self._ground is not None:
            place = self._ground.place_of(thing)
            if place is not None:
                values.append(COVERED)
                values.append(place)
                return
        self.places[id(thing)] = len(self.things)
        self.things.append(thing)
        values.append(kind)
        visit = _VISITS.get(kind)
        if visit is None:
            visit = _VISITS[kind] = _visit_of(kind)
        visit(self, thing)

    def _visit_value(self, thing: Any) -> None:
        """Something that never changes, but may be another one with an equal value."""
        self._values.append(thing.tobytes() if isinstance(thing, np.generic) else thing)

    def _visit_nothing(self, thing: Any) -> None:
        """Something that no artist is drawn from."""

    def _visit_tuple(self, thing: Any) -> None:
        self._values.append(len(thing))
        self._pending.extend(thing)

    def _visit_slice(self, thing: slice) -> None:
        self._pending.extend((thing.start, thing.stop, thing.step))

    def _visit_list(self, thing: Any) -> None:
        self._view(thing)
        self._values.append(len(thing))
        self._pending.extend(thing)

    def _visit_dict(self, thing: dict[Any, Any]) -> None:
        self._view(thing.keys())
        self._view(thing.values())
        self._values.append(len(thing))
        self._pending.extend(thing.keys())
        self._pending.extend(thing.values())

    def _visit_array(self, array: Any) -> None:
        self._arrays.append(array)
        self._kinds.append((array.shape, array.dtype))
        self._values.append(self._kinds[-1])
        if array.dtype == object:
            items = array.ravel().tolist()
            self._objects.append(array)
            self._items.append(items)
            self._pending.extend(items)
        elif array.dtype.hasobject:
            self.reason = "an array of records holds objects"
        elif array.nbytes <= SMALL_BYTES:
            self._small.append(array)
            self._small_bytes.append(array.tobytes())
            self._values.append(self._small_bytes[-1])
        else:
            # Its bytes are hashed as they lie in memory.
            self._values.append(array.strides)
            self._large.append(array)
            self._large_hashes.append(_hash(array))
            self._values.append(self._large_hashes[-1])

    def _visit_masked(self, array: Any) -> None:
        # Its attributes hold the mask: cells masked for the first time get a new one.
        attributes = vars(array)
        self._view(attributes.values())
        self._values.append(tuple(attributes))
        self._pending.extend(attributes.values())
        self._pending.append(array.view(np.ndarray))

    def _visit_transform(self, node: Any) -> None:
        attributes = vars(node)
        leaf = ""
        if isinstance(node, Affine2D):
            leaf = "_mtx"
        elif type(node) in LEAF_BOXES:
            leaf = "_points"
        for name, value in attributes.items():
            if name == leaf and value is not None:
                self._leaf(attributes, name)
            elif name not in TRANSFORM_CACHES:
                self._pick(attributes, name)
                self._pending.append(value)

    def _visit_attributes(self, thing: Any) -> None:
        attributes = vars(thing)
        self._view(attributes.values())
        self._values.append(tuple(attributes))
        pending = self._pending
        for name, value in attributes.items():
            if name not in UNSEEN:
                pending.append(value)

    def _visit_artist(self, artist: Any, *skipped: str) -> None:
        # Drawing writes some attributes and reads them nowhere: each is looked at by name.
        attributes = vars(artist)
        self._flag(attributes)
        self._lengths.append(len(attributes))
        self._views.append(attributes)
        self._viewed.extend(attributes)
        for name, value in attributes.items():
            if name not in UNSEEN and name not in skipped:
                self._values.append(name)
                self._pick(attributes, name)
                self._pending.append(value)

    def _visit_text(self, text: Any) -> None:
        # An axis that is measured and then drawn puts its empty label to and fro.
        self._visit_artist(text, *(() if text.get_text() else TEXT_PLACE))

    def _visit_spine(self, spine: Any) -> None:
        # It is drawn from the limits of its axes, not from the axis that it belongs to.
        self._visit_artist(spine, "axis")

    def _visit_wedge(self, wedge: Any) -> None:
        # Polar axes have their wedge make its path anew in every draw, from the same values.
        self._visit_artist(wedge, WEDGE_PATH)
        try:
            self._pending.append(wedge.get_path())
        except Exception as error:
            self.reason = f"a wedge has no path: {error}"

    def _visit_tick(self, tick: Any) -> None:
        """A tick: of its parts that are hidden only that."""
        attributes = vars(tick)
        for name in TICK_PARTS:
            part = attributes.get(name)
            if part is not None and not part.get_visible() and id(part) not in self.places:
                self.places[id(part)] = len(self.things)
                self.things.append(part)
                self._values.append(name)
                self._pick(vars(part), "_visible")
        self._visit_artist(tick)

    def _visit_tick_helper(self, helper: Any) -> None:
        """A locator or formatter: of an axis it counts all but its ticks."""
        attributes = vars(helper)
        self._view(attributes.values())
        self._values.append(tuple(attributes))
        for name, value in attributes.items():
            if name in UNSEEN:
                continue
            if name == "axis" and isinstance(value, Axis) and id(value) not in self.places:
                if not any(value is axis for axis in self._helped):
                    self._helped.append(value)
                    self._visit_axis_state(value)
            else:
                self._pending.append(value)

    def _visit_axis_state(self, axis: Any) -> None:
        if _visit_of(type(axis)) is Watch._visit_unknown:
            self._visit_unknown(axis)
            return
        attributes = vars(axis)
        for name, value in attributes.items():
            if name not in UNSEEN and name not in ("majorTicks", "minorTicks"):
                self._values.append(name)
                self._pick(attributes, name)
                self._pending.append(value)
        self._pending.append(axis.axes.dataLim)

    def _visit_axis(self, axis: Any) -> None:
        self._visit_artist(axis)
        axes = axis.axes
        if axes is None or axes.get_figure(root=False) is None:
            # Of axes that were removed.
            return
        # Labels keep clear of the spines and of the labels that they are aligned with.
        self._pending.append(axes.dataLim)
        self._pending.extend(axes.spines.values())
        for grouper in axes.get_figure(root=False)._align_label_groups.values():
            for other in grouper.get_siblings(axes):
                if other is not axes:
                    self._pending.extend(other._axis_map.values())

    def _visit_legend(self, legend: Any) -> None:
        self._visit_artist(legend)
        children = vars(legend.parent).get("_children")
        if children is not None and legend._loc == 0:
            # It looks for the emptiest place between all that is in the axes.
            self._pending.append(children)

    def _visit_quiver(self, quiver: Any) -> None:
        self._visit_artist(quiver)
        self._pending.append(quiver.axes.dataLim)

    def _visit_axes(self, axes: Any) -> None:
        attributes = vars(axes)
        for name, value in attributes.items():
            if name in AXES_UNSEEN:
                continue
            self._values.append(name)
            if type(value) is np.ndarray:
                self._leaf(attributes, name)
            else:
                self._pick(attributes, name)
                self._pending.append(value)
        for axis in axes._axis_map.values():
            self._pick_names(axis, AXIS_STATE)
        self._pending.append(axes.patch)

    def _visit_figure(self, figure: Any) -> None:
        self._pick_names(figure, FIGURE_STATE)

    def _visit_function(self, function: Any) -> None:
        if not function.__code__.co_filename.startswith(MATPLOTLIB_FOLDERS):
            self.reason = f"the function {function.__qualname__} may read anything"
            return
        self._pending.extend((function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            try:
                self._pending.append(cell.cell_contents)
            except ValueError:
                continue

    def _visit_method(self, method: Any) -> None:
        self._pending.extend((method.__func__, method.__self__))

    def _visit_method_wrapper(self, method: Any) -> None:
        self._values.append(method.__name__)
        self._pending.append(method.__self__)

    def _visit_builtin(self, function: Any) -> None:
        if type(function.__self__) is not str:
            # Strings never change, and what they do is only to format.
            self.reason = f"the function {function.__qualname__} may read anything"
        self._values.append(function)

    def _visit_ufunc(self, function: Any) -> None:
        if getattr(np, function.__name__, None) is not function:
            self.reason = f"the function {function.__name__} may read anything"
        self._values.append(function)

    def _visit_partial(self, function: Any) -> None:
        if vars(function):
            self._visit_unknown(function)
        self._pending.extend((function.func, function.args, function.keywords))

    def _visit_class(self, kind: type) -> None:
        if kind not in ATOMS and _visit_of(kind) is Watch._visit_unknown:
            self._visit_unknown(kind)
        self._values.append(kind)

    def _visit_unknown(self, thing: Any) -> None:
        kind = thing if isinstance(thing, type) else type(thing)
        self.reason = f"{kind.__module__}.{kind.__qualname__} may read or hold anything"

    def _view(self, view: Any) -> None:
        kept = list(view)
        self._views.append(view)
        self._lengths.append(len(kept))
        self._viewed.extend(kept)

    def _pick(self, attributes: dict[str, Any], name: str) -> None:
        self._owners.append(attributes)
        self._names.append(name)
        self._picked.append(attributes[name])

    def _pick_names(self, thing: Any, names: Iterable[str]) -> None:
        attributes = vars(thing)
        for name in names:
            if name in attributes:
                self._values.append(name)
                self._pick(attributes, name)
                self._pending.append(attributes[name])

    def _leaf(self, attributes: dict[str, Any], name: str) -> None:
        self._leaf_owners.append(attributes)
        self._leaf_names.append(name)
        self._leaf_bytes.append(attributes[name].tobytes())
        self._values.append(self._leaf_bytes[-1])

    def _flag(self, attributes: dict[str, Any]) -> None:
        mark = attributes.get("_stale")
        if type(mark) is not Mark:
            # Another watch's mark is left: it would look set to that watch.
            mark = attributes["_stale"] = Mark()
        self._flagged.append(attributes)
        self._marks.append(mark)


class Surroundings:
    """What every artist may be drawn from beside its figure.

    ===================  ====================================================
    input                how it is compared
    ===================  ====================================================
    ``rcParams``         all values, lists in them by what they hold
    named colours        all of them
    fonts                the list of those that are known
    unit registry        all converters
    locale               its name
    classes              all attributes of matplotlib's classes that were met
    ===================  ====================================================
    """

    def __init__(self) -> None:
        self._known: tuple[Any, ...] = ()

    def changed(self) -> bool:
        """Whether any of it changed since the last call."""
        manager = font_manager.fontManager
        now: tuple[Any, ...] = (
            mpl.rcParams,
            get_named_colors_mapping(),
            units.registry,
            manager.ttflist,
        )
        place = locale.setlocale(locale.LC_ALL)
        others_changed = CLASSES.changed()
        if (
            self._known
            and not others_changed
            and place == self._known[-1]
            and manager is self._known[-2]
            and all(map(_same_mapping, now[:3], self._known[:3]))
            and now[3] == self._known[3]
        ):
            return False
        copies = [
            {name: _copied(value) for name, value in dict.items(mapping)} for mapping in now[:3]
        ]
        self._known = (*copies, list(now[3]), manager, place)
        return True


def _copied(value: Any) -> Any:
    if type(value) is list:
        return [_copied(item) for item in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def _same_mapping(now: Any, kept: dict[str, Any]) -> bool:
    try:
        return dict.__eq__(now, kept) is True
    except Exception:
        # Arrays do not say whether they are equal.
        pairs: list[tuple[Any, Any]] = [(value, kept.get(name)) for name, value in dict.items(now)]
        return len(now) == len(kept) and all(
            value is other or (isinstance(value, np.ndarray) and np.array_equal(value, other))
            for value, other in pairs
        )


LEAF_BOXES = frozenset({Bbox})
"""Boxes that hold numbers; all others are derived from other boxes."""

_PLAIN: dict[type, Callable[[Watch, Any], None]] = {
    tuple: Watch._visit_tuple,
    frozenset: Watch._visit_tuple,
    list: Watch._visit_list,
    set: Watch._visit_list,
    dict: Watch._visit_dict,
    OrderedDict: Watch._visit_dict,
    slice: Watch._visit_slice,
    np.ndarray: Watch._visit_array,
    np.ma.MaskedArray: Watch._visit_masked,
    np.ufunc: Watch._visit_ufunc,
    type(np.mean): Watch._visit_ufunc,
    type(np.ma.nomask): Watch._visit_value,
    types.FunctionType: Watch._visit_function,
    types.MethodType: Watch._visit_method,
    types.MethodWrapperType: Watch._visit_method_wrapper,
    types.BuiltinFunctionType: Watch._visit_builtin,
    functools.partial: Watch._visit_partial,
}
_VISITS: dict[type, Callable[[Watch, Any], None]] = dict(_PLAIN)


class Classes:
    """Classes of matplotlib's that artists are drawn by, with what they hold."""

    def __init__(self) -> None:
        self._known: set[type] = set()
        self._views: list[Any] = []
        self._lengths: list[int] = []
        self._values: list[Any] = []

    def add(self, kind: type) -> None:
        """Watch `kind` and the classes of matplotlib's that it inherits from."""
        for base in kind.__mro__:
            if base not in self._known and base.__module__.startswith(OWN_MODULES):
                self._known.add(base)
                self._views.append(vars(base).values())
                self._lengths.append(len(vars(base)))
                self._values += vars(base).values()

    def changed(self) -> bool:
        """Whether an attribute of one was set since it was added, or since the last call."""
        if list(map(len, self._views)) == self._lengths and all(
            map(is_, chain.from_iterable(self._views), self._values)
        ):
            return False
        self._lengths = list(map(len, self._views))
        self._values = list(chain.from_iterable(self._views))
        return True


OWN_MODULES = ("matplotlib.", "mpl_toolkits.")

CLASSES = Classes()


def _visit_of(kind: type) -> Callable[[Watch, Any], None]:
    """How things of exactly this class are watched."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if issubclass(kind, np.generic | np.dtype):
        known = kind not in (np.void, np.object_) and kind.__module__.startswith("numpy")
        return Watch._visit_value if known else Watch._visit_unknown
    if issubclass(kind, type):
        return Watch._visit_class
    if issubclass(kind, SKIPPED):
        return Watch._visit_nothing
    if not _is_matplotlibs(kind):
        return Watch._visit_unknown
    CLASSES.add(kind)
    return next(
        (visit for base, visit in _FAMILIES if issubclass(kind, base)), _by_attributes(kind)
    )


_FAMILIES: tuple[tuple[Any, Callable[[Watch, Any], None]], ...] = (
    (Enum, Watch._visit_value),
    (TransformNode, Watch._visit_transform),
    (Axes, Watch._visit_axes),
    (FigureBase, Watch._visit_figure),
    (Axis, Watch._visit_axis),
    (Tick, Watch._visit_tick),
    (Spine, Watch._visit_spine),
    (Wedge, Watch._visit_wedge),
    (Legend, Watch._visit_legend),
    (Quiver, Watch._visit_quiver),
    (Text, Watch._visit_text),
    (Artist, Watch._visit_artist),
    (TickHelper, Watch._visit_tick_helper),
)


def is_known(thing: Any) -> bool:
    """Whether `thing` is of a class whose changes are seen."""
    return _visit_of(type(thing)) is not Watch._visit_unknown


def _by_attributes(kind: type) -> Callable[[Watch, Any], None]:
    has_attributes = kind.__dictoffset__ != 0
    slots = any(vars(base).get("__slots__") for base in kind.__mro__)
    foreign = any(
        base is not object
        and not _is_matplotlibs(base)
        and base.__module__ not in ("abc", "typing")
        for base in kind.__mro__
    )
    if not has_attributes or slots or foreign:
        return Watch._visit_unknown
    return Watch._visit_attributes


def _is_matplotlibs(kind: type) -> bool:
    """Whether `kind` is a class that matplotlib itself defines, under its name."""
    module = kind.__module__
    if not module.startswith(OWN_MODULES) or module.startswith(UNKNOWN_MODULES):
        return False
    found: Any = sys.modules.get(module)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind


def _hash(array: Any) -> bytes:
    return xxhash.xxh3_128_digest(array.ravel(order="K").view(np.uint8).data)


def _same_each(these: list[Any], those: list[Any]) -> bool:
    return len(these) == len(those) and all(map(is_, these, those))


def _same_items(array: Any, items: list[Any]) -> bool:
    return _same_each(array.ravel().tolist(), items)
