"""Names the values that a film is drawn from, so that parts drawn from others are not taken up.

The same code draws another video where an attribute of an object or of its
class, a default or a variable of an enclosing function is another. Each gets a
digest of its own, so that a message can name the one that has changed. What has
no name that another process would find again, a lock or an open file for
example, has none.

Nothing is drawn from, opened or consumed, and what rendering left on the
objects before is passed over, see `rayanim.leftovers`. Parameters of frames are
not looked at: the parts tell theirs.
"""

from __future__ import annotations

import functools
import sys
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rayanim.leftovers import MARK, parts_of
from rayanim.parts.code import code_text, codes_of
from rayanim.parts.digest import UntellableError, Walk

MAX_BYTES = 128 * 2**20
"""Hashed in a fifth of a second; what comes after has no digest."""

MAX_VALUES = 100_000
"""Looked at in half a second."""

_PARAMETERS = {"param_by_frame", "n_frames"}
"""An `Animator`'s attributes that parts tell: the first may be a generator to be read once."""

_CHANGED_BY_DRAWING = {"matplotlib", "mpl_toolkits"}
"""Figures and all that is in them, which drawing changes."""

_WHOLE = "its state"


def value_digests(thing: Any) -> dict[str, str | None]:
    """Digests of what is rendered, each under the name of an attribute or a variable.

    Parameters
    ----------
    thing
        The user's object, before it is opened.

    Returns
    -------
    dict
        Hexadecimal digits; None where a value cannot be told, or would take
        too long.
    """
    budget = _Budget()
    with warnings.catch_warnings():
        # Iterators still tell what they hold, but warn that they will not.
        warnings.simplefilter("ignore")
        return {name: _digest(value, budget) for name, value in _named_values(thing)}


class DrawnFrom:
    """The values of one source as a film finds them, and as drawing leaves them.

    What drawing fills or counts, a cache say, is not the user's change: where an
    object is as a film in this process left it, it counts as it was before that.

    Parameters
    ----------
    thing
        The user's object, before it is opened.
    """

    # By id: not every object can be a key. The object is kept so that its id stays its own.
    _left: ClassVar[dict[int, _Left]] = {}

    def __init__(self, thing: Any) -> None:
        self._thing = thing
        self.digests = value_digests(thing)
        left = self._left.get(id(thing))
        if left is not None:
            for name, (before, after) in left.changes.items():
                if self.digests.get(name) == after:
                    self.digests[name] = before

    def note(self) -> None:
        """Keep what drawing has changed, after a film that failed and may be gone on with."""
        after = value_digests(self._thing)
        changes = {
            name: (before, after.get(name))
            for name, before in self.digests.items()
            if before is not None and after.get(name) not in (None, before)
        }
        self._left.clear()
        if changes:
            self._left[id(self._thing)] = _Left(self._thing, changes)


@dataclass(frozen=True, slots=True)
class _Left:
    """What drawing changed on an object: digests before and after, by name."""

    thing: Any
    changes: dict[str, tuple[str, str | None]]


def _named_values(thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, type):
        return
    if isinstance(thing, types.FunctionType):
        yield from _variables(thing)
    elif isinstance(thing, functools.partial | types.MethodType) or not _has_attributes(thing):
        yield _WHOLE, thing
    else:
        yield from _attributes(thing)


def _has_attributes(thing: Any) -> bool:
    return isinstance(getattr(thing, "__dict__", None), dict)


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    takes_parameters = hasattr(type(thing), "param_by_frame")
    passed_over = {MARK} | (_PARAMETERS if takes_parameters else set())
    # A copy: telling a value may run the user's code, which may set another.
    for name, value in list(vars(thing).items()):
        if name not in passed_over:
            yield str(name), value
    yield from _class_attributes(thing, passed_over)


def _class_attributes(thing: Any, passed_over: set[str]) -> Iterator[tuple[str, Any]]:
    """Attributes of the user's classes in `thing`, which a script may have set at run time."""
    classes = {cls: None for part in parts_of(thing) for cls in type(part).__mro__}
    for cls in filter(_is_of_script, classes):
        for name, value in list(vars(cls).items()):
            is_special = name.startswith(("__", "_abc_")) or name in passed_over
            if (
                not is_special
                and not isinstance(value, type)
                and not hasattr(type(value), "__get__")
            ):
                yield f"{cls.__qualname__}.{name}", value


def _is_of_script(cls: type) -> bool:
    """Whether a class is the user's own, and not Python's, rayanim's or an installed package's."""
    package = cls.__module__.partition(".")[0]
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    is_known = package in sys.stdlib_module_names or package == "rayanim"
    return package == "__main__" or not (is_known or "site-packages" in file)


def _variables(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function has besides its code: defaults and what it closes over, by name."""
    code = function.__code__
    defaults = function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    yield from zip(positional[len(positional) - len(defaults) :], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a variable that the function will have later
            continue


def _digest(value: Any, budget: _Budget) -> str | None:
    walk = _ValueWalk(budget)
    try:
        walk.add(value)
    except Exception:  # the user's own objects may raise anything: no digest is no harm
        return None
    return walk.hexdigest()


class _Budget:
    """What may still be looked at. Not a time: a busy machine must find the same digests."""

    def __init__(self) -> None:
        self._values, self._bytes = MAX_VALUES, MAX_BYTES

    def take(self, values: int, n_bytes: int) -> None:
        """Count what is looked at next.

        Raises
        ------
        UntellableError
            If it is too much.
        """
        if values > self._values or n_bytes > self._bytes:
            raise UntellableError("too much to look at")
        self._values -= values
        self._bytes -= n_bytes


class _ValueWalk(Walk):
    """A walk that tells functions by what they do and have, within a budget."""

    def __init__(self, budget: _Budget) -> None:
        super().__init__()
        self._budget = budget

    def add(self, value: Any) -> None:
        if type(value).__module__.partition(".")[0] in _CHANGED_BY_DRAWING:
            raise UntellableError("a figure")
        # Before it is copied.
        size = value.nbytes if isinstance(value, np.ndarray) else 0
        self._budget.take(1, max(size, len(value) if isinstance(value, bytes) else 0))
        if isinstance(value, types.ModuleType):
            self._put("module", value.__name__.encode())
        else:
            super().add(value)

    def _apart(self) -> Walk:
        return _ValueWalk(self._budget)

    def _add_all(self, kind: str, values: Any) -> None:
        values = list(values)
        self._budget.take(0, 8 * len(values))
        super()._add_all(kind, values)

    def _add_named(self, value: Any) -> None:
        if isinstance(value, types.FunctionType) and not _is_others(value):
            self._add_function(value)
        elif isinstance(value, types.BuiltinFunctionType):
            super()._add_named(value)
        else:
            self._put("by name", f"{_home_of(value)} {value.__qualname__}".encode())

    def _add_function(self, function: types.FunctionType) -> None:
        if id(function) in self._inside:
            self._put("again", b"%d" % self._inside[id(function)])
            return
        self._inside[id(function)] = len(self._inside)
        self._put("function", code_text(function.__code__).encode("utf-8", "surrogatepass"))
        for name, value in _variables(function):
            self._put("variable", name.encode())
            self.add(value)
        del self._inside[id(function)]

    def _add_reduced(self, value: Any) -> None:
        if isinstance(value, types.MethodType):
            # By what it does, too: a class may have been made by a function.
            self.add(value.__func__)
            self.add(value.__self__)
        elif MARK in (getattr(value, "__dict__", None) or ()):
            raise UntellableError("what rendering left is still on it")
        else:
            super()._add_reduced(value)


def _is_others(function: types.FunctionType) -> bool:
    """Whether a function is Python's or an installed package's: its name tells it."""
    module = function.__module__
    return isinstance(module, str) and (
        module.partition(".")[0] in sys.stdlib_module_names
        or "site-packages" in function.__code__.co_filename
    )


def _home_of(bearer: Any) -> str:
    """Where a class was written, the same whether its module was run or imported."""
    module = sys.modules.get(bearer.__module__)
    file = getattr(module, "__file__", None)
    if file is None and isinstance(bearer, type):
        names = (code.co_filename for code in codes_of(bearer))
        file = next((name for name in names if not name.startswith("<")), None)
    return "" if file is None else Path(file).stem
