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
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Tick
from matplotlib.backend_bases import FigureCanvasBase, RendererBase
from matplotlib.cbook import CallbackRegistry
from matplotlib.figure import FigureBase
from matplotlib.transforms import Affine2D, Bbox, TransformNode

from rayanim.drawing.private import NOISE, TRANSFORM_CACHES, UNSEEN_ATTRIBUTES
from rayanim.drawing.record import SAMPLE, Record

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

ELSEWHERE = "it depends on another axes or figure"
"""Why an artist is drawn in every frame that stands on more than its own axes."""

TICK_PARTS = ("gridline", "tick1line", "tick2line", "label1", "label2")

TICK_PART_STATE = (
    "_transform", "_fontproperties", "_path_effects", "_agg_filter", "_clippath", "clipbox",
    "_bbox_patch",
)  # fmt: skip
"""What can change in a part of a tick without a setter of its own."""


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
        self.record = Record()
        self._seen: dict[int, Any] = {}
        self._pending: list[Any] = list(roots)
        self._walk()

    def pick(self, thing: Any, names: Iterable[str]) -> None:
        """Watch some attributes of `thing` beside the roots."""
        attributes = vars(thing)
        for name in names:
            if name in attributes:
                self.record.pick(attributes, name)
                self._pending.append(attributes[name])
        self._walk()

    def changed(self) -> bool:
        """Whether anything differs from what was recorded."""
        return not self.record.same() and self.record.differs()

    def _walk(self) -> None:
        while self._pending:
            self._visit(self._pending.pop())

    def _visit(self, thing: Any) -> None:
        if isinstance(thing, ATOMS) or id(thing) in self._seen or self._ground.covers(thing):
            return
        self._seen[id(thing)] = thing
        if isinstance(thing, np.ndarray):
            self._visit_array(thing)
        elif isinstance(thing, TransformNode):
            self._visit_transform(thing)
        elif isinstance(thing, dict):
            self.record.view(thing.keys())
            self.record.view(thing.values())
            self._pending.extend(thing.values())
        elif isinstance(thing, tuple | frozenset):
            self._pending.extend(thing)
        elif isinstance(thing, list | set):
            self.record.view(thing)
            self._pending.extend(thing)
        elif isinstance(thing, SKIPPED):
            return
        elif isinstance(thing, Axes | FigureBase):
            if id(thing) not in self._ground.home:
                self.reason = self.reason or ELSEWHERE
        else:
            self._visit_other(thing)

    def _visit_array(self, array: np.ndarray[Any, Any]) -> None:
        if isinstance(array, np.ma.MaskedArray):
            self._pending.append(
                np.ma.getmaskarray(array) if array.mask is np.ma.nomask else array.mask
            )
            self._pending.append(array.data)
            return
        if array.dtype.hasobject:
            self._pending.extend(array.ravel().tolist() if array.size < SAMPLE else ())
        self.record.array(array)

    def _visit_transform(self, node: TransformNode) -> None:
        attributes = vars(node)
        leaf = {Affine2D: "_mtx", Bbox: "_points"}.get(_own_kind(node) or object, "")
        for name, value in attributes.items():
            if name == leaf and value is not None:
                self.record.leaf(attributes, name)
            elif name not in TRANSFORM_CACHES:
                self.record.pick(attributes, name)
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
        if isinstance(thing, Tick):
            self._visit_tick(thing)
        elif attributes is not None:
            self.record.view(attributes.values(), tuple(attributes))
            unseen = UNSEEN_ATTRIBUTES if _is_matplotlibs(type(thing)) else ()
            for name, value in attributes.items():
                if name not in unseen and name not in NOISE:
                    self._pending.append(value)
        for base in type(thing).__mro__:
            for name in vars(base).get("__slots__", ()):
                if isinstance(name, str) and name not in ("__dict__", "__weakref__"):
                    self._pending.append(getattr(thing, name, None))

    def _visit_tick(self, tick: Tick) -> None:
        """Watch a tick and its parts by their stale flags: there are hundreds, all by setters."""
        attributes = vars(tick)
        self.record.flag(tick)
        for name in TICK_PARTS:
            part = attributes.get(name)
            if part is None or id(part) in self._seen:
                continue
            self._seen[id(part)] = part
            self.record.pick(attributes, name)
            self.record.flag(part)
            self._trust(type(part))
            if part.get_visible():
                self._pending.extend(vars(part).get(name) for name in TICK_PART_STATE)

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
