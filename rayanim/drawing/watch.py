"""Tells whether anything that an artist is drawn from has changed.

`Watch` walks, once, over all that can be reached from the artist: its
attributes, lists, arrays, transforms, fonts, norms, locators. It keeps each by
identity and arrays by value, and later compares the lot in a few passes that
run in C. What cannot be watched (a function or a class of the user's, which
may read anything) is said by `reason`.
"""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from operator import getitem, is_
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Tick
from matplotlib.backend_bases import FigureCanvasBase, RendererBase
from matplotlib.cbook import CallbackRegistry
from matplotlib.figure import FigureBase
from matplotlib.transforms import Affine2D, Bbox, TransformNode

from rayanim.drawing.private import TRANSFORM_CACHES, UNSEEN_ATTRIBUTES

TRUSTED = frozenset(
    [
        "builtins",
        "matplotlib",
        "mpl_toolkits",
        "numpy",
        "datetime",
        "dateutil",
        "zoneinfo",
        "cycler",
        "collections",
        "functools",
        "decimal",
        "fractions",
        "enum",
        "pandas",
        "re",
        "types",
        "typing",
        "pathlib",
        "uuid",
        "itertools",
        "operator",
        "_thread",
        "threading",
        "weakref",
        "PIL",
        "contourpy",
    ]
)
"""Top-level modules whose classes and functions draw from nothing hidden."""

ATOMS = (
    int, float, complex, str, bytes, bool, type(None), type(Ellipsis), type(NotImplemented), type,
    np.generic, np.dtype, Enum, range, slice, types.BuiltinFunctionType, types.ModuleType,
    types.MethodWrapperType, types.WrapperDescriptorType, weakref.ReferenceType, np.ufunc,
    weakref.WeakMethod, types.MappingProxyType,
)  # fmt: skip
"""Things that do not change, or whose changes cannot matter."""

SKIPPED = (CallbackRegistry, RendererBase, FigureCanvasBase)

MOST_BYTES = 1 << 20
"""Arrays larger than this are compared by a sample: what it misses, the guard finds."""

SAMPLE = 4096
"""Items in such a sample."""

NOISE = frozenset({"_renderer", "_mouseover", "_remove_method", "stale_callback", "ind_offset"})
"""Attributes that drawing writes and does not read."""

TICK_PARTS = ("gridline", "tick1line", "tick2line", "label1", "label2")

TICK_PART_STATE = (
    "_visible", "_transform", "_fontproperties", "_path_effects", "_agg_filter", "_clippath",
    "clipbox",
)  # fmt: skip
"""What can change in a part of a tick without its stale flag."""

Names = tuple[str, ...]


@dataclass(slots=True)
class Ground:
    """What is watched for all artists of an axes or a figure at once.

    Attributes
    ----------
    home
        Ids of the axes and figures on which they are known to depend. Another
        one that the walk meets makes its artist impossible to watch.
    watch
        What watches their transforms, limits and scales, or None.
    """

    home: frozenset[int]
    watch: Watch | None = None

    def covers(self, thing: Any) -> bool:
        """Whether `thing` is watched for all of them."""
        return self.watch is not None and id(thing) in self.watch._seen


class Watch:
    """A record of the state that `roots` are drawn from.

    Parameters
    ----------
    roots
        Where the walk starts: artists, as a rule.
    ground
        What the artist stands on and need not be watched again.
    """

    def __init__(self, roots: Iterable[Any], ground: Ground) -> None:
        self.reason: str | None = None
        self._ground = ground
        self._seen: dict[int, Any] = {}
        self._views: list[Any] = []
        self._names: list[Names | None] = []
        self._arrays: list[np.ndarray[Any, Any]] = []
        self._pick_owners: list[dict[str, Any]] = []
        self._pick_names: list[str] = []
        self._picked: list[Any] = []
        self._leaves: list[tuple[dict[str, Any], str]] = []
        self._pending: list[Any] = list(roots)
        while self._pending:
            self._visit(self._pending.pop())
        self._keep()

    def pick(self, thing: Any, names: Iterable[str]) -> None:
        """Watch some attributes of `thing` beside the roots."""
        attributes = vars(thing)
        for name in names:
            if name in attributes:
                self._pick(attributes, name)
                self._pending.append(attributes[name])
        while self._pending:
            self._visit(self._pending.pop())
        self._keep()

    def changed(self) -> bool:
        """Whether anything differs from what was recorded."""
        try:
            picked = map(getitem, self._pick_owners, self._pick_names)
            if not all(map(is_, picked, self._picked)) and self._picks_differ():
                return True
            if [
                attributes[name].tobytes() for attributes, name in self._leaves
            ] != self._leaf_bytes:
                return True
            if [array.tobytes() for array in self._arrays] != self._array_bytes:
                return True
        except (KeyError, AttributeError):
            return True
        if sum(map(len, self._views)) != len(self._values):
            return True
        if all(map(is_, chain.from_iterable(self._views), self._values)):
            return False
        return self._differs()

    def _pick(self, attributes: dict[str, Any], name: str) -> None:
        self._pick_owners.append(attributes)
        self._pick_names.append(name)
        self._picked.append(attributes[name])

    def _picks_differ(self) -> bool:
        now = list(map(getitem, self._pick_owners, self._pick_names))
        if all(a is b or _same_atom(a, b) for a, b in zip(now, self._picked, strict=True)):
            self._picked = now
            return False
        return True

    def _keep(self) -> None:
        self._values = list(chain.from_iterable(self._views))
        self._array_bytes = [array.tobytes() for array in self._arrays]
        self._leaf_bytes = [attributes[name].tobytes() for attributes, name in self._leaves]

    def _differs(self) -> bool:
        """Compare item by item: numbers set anew to the same value are no change."""
        position = 0
        for view, names in zip(self._views, self._names, strict=True):
            for offset, value in enumerate(view):
                kept = self._values[position]
                if value is not kept:
                    name = names[offset] if names is not None else ""
                    if name not in NOISE and not _same_atom(value, kept):
                        return True
                    self._values[position] = value
                position += 1
        return False

    def _visit(self, thing: Any) -> None:
        if isinstance(thing, ATOMS) or id(thing) in self._seen or self._ground.covers(thing):
            return
        self._seen[id(thing)] = thing
        if isinstance(thing, np.ndarray):
            self._visit_array(thing)
        elif isinstance(thing, TransformNode):
            self._visit_transform(thing)
        elif isinstance(thing, dict):
            self._watch_view(thing.keys(), None)
            self._watch_view(thing.values(), None)
            self._pending.extend(thing.values())
        elif isinstance(thing, tuple | frozenset):
            self._pending.extend(thing)
        elif isinstance(thing, list | set):
            self._watch_view(thing, None)
            self._pending.extend(thing)
        elif isinstance(thing, SKIPPED):
            return
        elif isinstance(thing, Axes | FigureBase):
            if id(thing) not in self._ground.home:
                self.reason = self.reason or "it depends on another axes or figure"
        else:
            self._visit_other(thing)

    def _watch_view(self, view: Any, names: Names | None) -> None:
        self._views.append(view)
        self._names.append(names)

    def _visit_array(self, array: np.ndarray[Any, Any]) -> None:
        if isinstance(array, np.ma.MaskedArray):
            self._pending.append(
                np.ma.getmaskarray(array) if array.mask is np.ma.nomask else array.mask
            )
            self._pending.append(array.data)
            return
        if array.dtype.hasobject:
            self._pending.extend(array.ravel().tolist() if array.size < SAMPLE else ())
        if array.nbytes > MOST_BYTES:
            flat = (
                array.reshape(-1, order="A") if array.flags.forc else array[:: len(array) // 64 + 1]
            )
            array = flat[:: max(1, flat.size // SAMPLE)]
        self._arrays.append(array)

    def _visit_transform(self, node: TransformNode) -> None:
        attributes = vars(node)
        leaf = {Affine2D: "_mtx", Bbox: "_points"}.get(_own_kind(node) or object, "")
        for name, value in attributes.items():
            if name == leaf and value is not None:
                self._leaves.append((attributes, name))
            elif name not in TRANSFORM_CACHES:
                self._pick(attributes, name)
                self._pending.append(value)
        self._trust(type(node))

    def _visit_other(self, thing: Any) -> None:
        if isinstance(thing, types.FunctionType):
            self._trust_function(thing)
        elif isinstance(thing, types.MethodType):
            self._pending.append(thing.__self__)
            self._trust_function(thing.__func__)
        elif isinstance(thing, functools.partial):
            self._pending.extend((thing.func, thing.args, thing.keywords))
        else:
            self._trust(type(thing))
            self._visit_attributes(thing)

    def _visit_attributes(self, thing: Any) -> None:
        attributes = getattr(thing, "__dict__", None)
        if attributes is not None:
            self._watch_view(attributes.values(), tuple(attributes))
            unseen = UNSEEN_ATTRIBUTES if _is_matplotlibs(type(thing)) else ()
            for name, value in attributes.items():
                if name not in unseen and name not in NOISE and name not in TICK_PARTS:
                    self._pending.append(value)
        if isinstance(thing, Tick):
            for name in TICK_PARTS:
                if name in thing.__dict__:
                    self._visit_tick_part(thing.__dict__[name])
        for base in type(thing).__mro__:
            for name in vars(base).get("__slots__", ()):
                if isinstance(name, str) and name not in ("__dict__", "__weakref__"):
                    self._pending.append(getattr(thing, name, None))

    def _visit_tick_part(self, part: Any) -> None:
        """Watch a part of a tick by its stale flag: there are hundreds, and each setter sets it."""
        attributes = vars(part)
        if id(part) in self._seen or not attributes.get("_visible", True):
            # Hidden, it draws nothing, and what is set on it shows only with its visibility.
            names: tuple[str, ...] = ("_visible",)
        elif attributes.get("_stale") is False:
            names = ("_stale", *TICK_PART_STATE)
            self._pending.extend(attributes.get(name) for name in TICK_PART_STATE)
        else:
            self._pending.append(part)
            return
        self._seen[id(part)] = part
        for name in names:
            if name in attributes:
                self._pick(attributes, name)

    def _trust(self, kind: type) -> None:
        if self.reason is None and kind.__module__.partition(".")[0] not in TRUSTED:
            self.reason = f"{kind.__module__}.{kind.__qualname__} is not matplotlib's"

    def _trust_function(self, function: Any) -> None:
        module = getattr(function, "__module__", None) or ""
        if self.reason is None and module.partition(".")[0] not in TRUSTED:
            self.reason = f"the function {function.__qualname__} may read anything"
        for cell in getattr(function, "__closure__", None) or ():
            try:
                self._pending.append(cell.cell_contents)
            except ValueError:
                continue


def _is_matplotlibs(kind: type) -> bool:
    return any(base.__module__.startswith("matplotlib.") for base in kind.__mro__)


def _own_kind(node: TransformNode) -> type | None:
    """Which of the two kinds that hold numbers, not other nodes, this is."""
    return next((kind for kind in (Affine2D, Bbox) if isinstance(node, kind)), None)


def _same_atom(value: Any, kept: Any) -> bool:
    if type(value) is not type(kept):
        return False
    if isinstance(value, tuple):
        return len(value) == len(kept) and all(map(_same_atom, value, kept))
    return isinstance(value, int | float | str | bytes | np.generic) and bool(value == kept)
