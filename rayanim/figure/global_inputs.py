"""Detects changes of what every artist may be drawn from beside its figure.

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

from __future__ import annotations

import locale
import sys
from itertools import chain
from operator import is_
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager, units
from matplotlib.colors import get_named_colors_mapping

OWN_MODULES = ("matplotlib.", "mpl_toolkits.")

UNKNOWN_MODULES = (
    "matplotlib.animation",
    "matplotlib.sankey",
    "matplotlib.testing",
    "matplotlib.widgets",
    "mpl_toolkits.axisartist",
    "mpl_toolkits.axes_grid1.parasite_axes",
)
"""Modules of matplotlib's whose classes draw from what cannot be followed."""


class GlobalInputs:
    """Settings, colours, fonts, units, locale and classes, as they were at the last look."""

    def __init__(self) -> None:
        self._mappings: list[dict[str, Any]] = []
        self._font_manager: Any = None
        self._fonts: list[Any] = []
        self._locale = ""

    def changed(self) -> bool:
        """Whether any of it changed since the last call."""
        manager = font_manager.fontManager
        mappings: tuple[Any, ...] = (mpl.rcParams, get_named_colors_mapping(), units.registry)
        locale_name = locale.setlocale(locale.LC_ALL)
        classes_changed = TRUSTED_CLASSES.changed()
        if (
            self._mappings
            and not classes_changed
            and locale_name == self._locale
            and manager is self._font_manager
            and all(map(_same_mapping, mappings, self._mappings))
            and manager.ttflist == self._fonts
        ):
            return False
        self._mappings = [
            {name: _copied(value) for name, value in dict.items(mapping)} for mapping in mappings
        ]
        self._font_manager, self._fonts = manager, list(manager.ttflist)
        self._locale = locale_name
        return True


def _copied(value: Any) -> Any:
    if type(value) is list:
        return [_copied(item) for item in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def _same_mapping(now: Any, kept: dict[str, Any]) -> bool:
    try:
        return dict.__eq__(now, kept) is True
    except Exception:
        # Comparing arrays gives arrays.
        pairs: list[tuple[Any, Any]] = [(value, kept.get(name)) for name, value in dict.items(now)]
        return len(now) == len(kept) and all(
            value is other or (isinstance(value, np.ndarray) and np.array_equal(value, other))
            for value, other in pairs
        )


class TrustedClasses:
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


TRUSTED_CLASSES = TrustedClasses()


def is_matplotlibs(kind: type) -> bool:
    """Whether `kind` is a class that matplotlib itself defines, under its name."""
    module = kind.__module__
    if not module.startswith(OWN_MODULES) or module.startswith(UNKNOWN_MODULES):
        return False
    found: Any = sys.modules.get(module)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind
