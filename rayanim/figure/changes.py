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
import os
import re
import types
import uuid
import zoneinfo
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from itertools import chain, compress
from operator import getitem, is_
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import xxhash
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, Tick, XAxis, YAxis
from matplotlib.backend_bases import FigureCanvasBase, RendererBase
from matplotlib.cbook import CallbackRegistry
from matplotlib.figure import FigureBase
from matplotlib.legend import Legend
from matplotlib.patches import Wedge
from matplotlib.quiver import Quiver
from matplotlib.scale import LinearScale
from matplotlib.spines import Spine
from matplotlib.text import Text
from matplotlib.ticker import (
    AutoLocator,
    AutoMinorLocator,
    FixedFormatter,
    FixedLocator,
    FormatStrFormatter,
    MaxNLocator,
    MultipleLocator,
    NullFormatter,
    NullLocator,
    ScalarFormatter,
    StrMethodFormatter,
    TickHelper,
)
from matplotlib.transforms import Affine2D, Bbox, TransformNode

from rayanim.figure.global_inputs import TRUSTED_CLASSES, is_matplotlibs
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

MATPLOTLIB_FOLDERS = (
    str(Path(mpl.__file__).parent) + os.sep,
    str(Path(mpl.__file__).parent.parent / "mpl_toolkits") + os.sep,
)

SMALL_BYTES = 1 << 12
"""Up to here an array is compared by its bytes, beyond by a hash of all of them."""

LEAF_BOXES = frozenset({Bbox})
"""Boxes that hold numbers; all others are derived from other boxes."""

AGAIN, SHARED = "again", "shared"
"""Stand in a walk's values for things that are watched elsewhere."""


Flags = list[tuple[dict[str, Any], Any]]
"""Attributes of artists, each with what stands in their stale flag."""


class Watch:
    """The values of all that can be reached from some roots, as they were when it was made.

    What `shared` watches is left out. `reason` says why changes cannot be seen, if so.
    """

    def __init__(self, roots: Iterable[Any], shared: SharedInputs | None) -> None:
        self.reason: str | None = None
        self.things: list[Any] = []
        self.places: dict[int, int] = {}
        self._roots = tuple(roots)
        self._shared = shared
        self._helped: list[Axis] = []
        # By identity: quick, and what is identical is the same for certain.
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
        self._orders: list[tuple[str, ...]] = []
        self._masks: list[tuple[bool, ...]] = []
        self._held: list[Any] = []
        # By value: what a walk met, in its order.
        self._values: list[Any] = []
        self._pending: list[Any] = list(self._roots)
        self._walk()

    def _walk(self) -> None:
        try:
            self._visit_pending()
        except Exception as error:
            self.reason = f"it could not be followed: {type(error).__name__}: {error}"
        if self.reason is not None:
            self._flagged.clear()

    def _visit_pending(self) -> None:
        # One loop without calls for most things: a walk meets thousands.
        pending, places, things = self._pending, self.places, self.things
        add = self._values.append
        shared = {} if self._shared is None else self._shared.places
        while pending and self.reason is None:
            thing = pending.pop()
            kind = type(thing)
            if kind in PLAIN_ATOMS:
                add(kind)
                add(thing)
                continue
            if kind in ATOMS:
                # Some that are equal show differently: -0.0, a time zone of another name.
                add(kind)
                add(repr(thing))
                continue
            key = id(thing)
            if key in places:
                add(AGAIN)
                add(places[key])
                continue
            if key in shared:
                add(SHARED)
                add(shared[key])
                continue
            places[key] = len(things)
            things.append(thing)
            add(kind)
            visit = _VISITS.get(kind)
            if visit is None:
                visit = _VISITS[kind] = _visit_of(kind)
            visit(self, thing)

    def changed(self) -> bool:
        """Whether anything is not as it was."""
        if self.reason is not None or self.is_stale():
            return True
        if self._same_things():
            return False
        return self._new_walk_differs()

    def is_stale(self) -> bool:
        """Whether somebody has set or reset the stale flag of anything here."""
        return not all(map(is_, [flags["_stale"] for flags in self._flagged], self._marks))

    def flags(self) -> Flags:
        """The stale flags as they are now, to be restored after matplotlib has drawn."""
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
                and list(map(tuple, self._flagged)) == self._orders
                and all(map(is_, chain.from_iterable(self._held_now()), self._held))
                and [leaf.tobytes() for leaf in map(getitem, self._leaf_owners, self._leaf_names)]
                == self._leaf_bytes
                and [(array.shape, array.dtype) for array in self._arrays] == self._kinds
                and [array.tobytes() for array in self._small] == self._small_bytes
                and [_hash(array) for array in self._large] == self._large_hashes
                and all(map(_same_items, self._objects, self._items))
            )
        except (KeyError, AttributeError, ValueError):
            return False

    def _held_now(self) -> Iterator[Iterable[Any]]:
        """What artists hold in the attributes that count, which are in the same order as before."""
        return map(compress, map(dict.values, self._flagged), self._masks)

    def _new_walk_differs(self) -> bool:
        """Whether a new walk meets other values; if not, the new walk is kept."""
        try:
            now = Watch(self._roots, self._shared)
        except RuntimeError:
            return True
        if not self.same_values(now):
            return True
        for name, value in vars(now).items():
            setattr(self, name, value)
        return False

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
        names = tuple(attributes)
        mask = _mask(names, skipped)
        held = list(compress(attributes.values(), mask))
        self._orders.append(names)
        self._masks.append(mask)
        self._held += held
        self._values.append(tuple(compress(names, mask)))
        self._pending += held

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
        if not _is_placed_by_view(axis):
            self._pending.append(axes.dataLim)
        # Labels keep clear of the spines and of the labels that they are aligned with.
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


class SharedInputs:
    """What all artists of one axes, or of a figure, are drawn from: watched once for all of them.

    `version` grows with each change.
    """

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.version = 0
        self._watch: Watch | None = None
        self._epoch = -1
        self._backoff = Backoff()

    @property
    def watch(self) -> Watch | None:
        """The watch over it, None where its changes are not seen now."""
        return self._watch if self._watch is not None and self._watch.reason is None else None

    @property
    def is_watched(self) -> bool:
        """Whether its changes are seen now."""
        return self.watch is not None

    @property
    def places(self) -> dict[int, int]:
        """The places of the things that are watched here, by their ids."""
        return {} if self._watch is None else self._watch.places

    def refresh(self, epoch: int) -> None:
        """Find out whether it changed; once in each epoch, see `FigureDrawing`."""
        if epoch == self._epoch:
            return
        self._epoch = epoch
        if self._watch is not None:
            known = self._watch.things
            if not self._watch.changed():
                self._backoff.reset()
                if self._watch.things is not known and not _same_each(known, self._watch.things):
                    # Equal things have taken the place of those that artists are watched with.
                    self.version += 1
                return
        self.forget()
        if not self._backoff.skips():
            self._watch = Watch((self.owner,), None)

    def forget(self) -> None:
        """Take it for changed."""
        self.version += 1
        self._watch = None


class Backoff:
    """Leaves what changed in a few frames running unwatched for a while, then for longer."""

    __slots__ = ("_frames", "_power", "_streak")

    ENOUGH = 2
    LONGEST = 32

    def __init__(self) -> None:
        self._streak = self._power = self._frames = 0

    def reset(self) -> None:
        """It did not change."""
        self._streak = self._power = 0

    def is_skipping(self) -> bool:
        """Whether it is left unwatched in this frame."""
        self._frames = max(0, self._frames - 1)
        return self._frames > 0

    def skips(self) -> bool:
        """It changed: whether to leave it unwatched in this frame."""
        if self._frames:
            self._frames -= 1
            return self._frames > 0
        self._streak += 1
        if self._streak <= self.ENOUGH:
            return False
        self._frames = min(2**self._power, self.LONGEST)
        self._power += 1
        return True

    def skip_next(self) -> None:
        """Leave it unwatched in the next frame in which it is drawn."""
        self._frames = max(self._frames, 2)

    def skip_longest(self) -> None:
        """Leave it unwatched for the longest time."""
        self._frames = self.LONGEST


class Mark:
    """Stands in an artist's stale flag until somebody sets or resets the flag.

    False like the flag of an artist that was just drawn, and stored as that.
    """

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> tuple[type[bool], tuple[()]]:
        return bool, ()


def marks_of(artists: Iterable[Any]) -> Flags:
    """The stale flags of artists that nobody has set or reset since they were watched."""
    attributes: Iterator[dict[str, Any]] = (vars(artist) for artist in artists)
    return [(flags, flags["_stale"]) for flags in attributes if type(flags.get("_stale")) is Mark]


def restore_flags(flags: Flags) -> None:
    """Give stale flags back what stood in them."""
    for attributes, mark in flags:
        attributes["_stale"] = mark


def is_known(thing: Any) -> bool:
    """Whether `thing` is of a class whose changes are seen."""
    kind = type(thing)
    visit = _VISITS.get(kind)
    if visit is None:
        visit = _VISITS[kind] = _visit_of(kind)
    return visit is not Watch._visit_unknown


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
    if not is_matplotlibs(kind):
        return Watch._visit_unknown
    TRUSTED_CLASSES.add(kind)
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


def _by_attributes(kind: type) -> Callable[[Watch, Any], None]:
    has_attributes = kind.__dictoffset__ != 0
    slots = any(vars(base).get("__slots__") for base in kind.__mro__)
    foreign = any(
        base is not object and not is_matplotlibs(base) and base.__module__ not in ("abc", "typing")
        for base in kind.__mro__
    )
    if not has_attributes or slots or foreign:
        return Watch._visit_unknown
    return Watch._visit_attributes


PLACED_BY_VIEW = frozenset(
    [
        AutoLocator, AutoMinorLocator, FixedLocator, MaxNLocator, MultipleLocator, NullLocator,
        FixedFormatter, FormatStrFormatter, NullFormatter, ScalarFormatter, StrMethodFormatter,
        LinearScale,
    ]
)  # fmt: skip
"""Locators, formatters and scales that do not ask where the data in the axes lie."""


def _is_placed_by_view(axis: Any) -> bool:
    """Whether the ticks of `axis` follow from its limits, and not from the data in its axes."""
    if type(axis) not in (XAxis, YAxis):
        return False
    used = [axis._scale]
    for ticker in (axis.major, axis.minor):
        used += (ticker.locator, ticker.formatter)
    return all(type(each) in PLACED_BY_VIEW for each in used)


@functools.lru_cache(maxsize=1024)
def _mask(names: tuple[str, ...], skipped: tuple[str, ...]) -> tuple[bool, ...]:
    """Which attributes of an artist it is drawn from."""
    return tuple(name not in UNSEEN and name not in skipped for name in names)


def _hash(array: Any) -> bytes:
    return xxhash.xxh3_128_digest(array.ravel(order="K").view(np.uint8).data)


def _same_each(these: list[Any], those: list[Any]) -> bool:
    return len(these) == len(those) and all(map(is_, these, those))


def _same_items(array: Any, items: list[Any]) -> bool:
    return _same_each(array.ravel().tolist(), items)
