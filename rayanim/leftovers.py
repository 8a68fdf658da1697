"""Takes off the user's objects, before a film begins, what the film before it left on them.

What `setup`, `start` and the drawing of frames set on an object stays there to
be read after the film. The next film must find neither: its actors could not
unpickle a figure, and its frames would depend on the film before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

MARK = "_rayanim_left"
"""The attribute that keeps what is to be taken off: on the object, so that it goes with it."""

MAX_PARTS = 1000
"""Longer lists are data, not parts of a film: looking through them would take its time."""


class _Missing(Enum):
    """Stands for an attribute that is not there; stays itself when copied and pickled."""

    MISSING = "missing"


_MISSING = _Missing.MISSING


@dataclass(frozen=True, slots=True)
class _Change:
    """An attribute's value before a film and after it."""

    before: Any
    after: Any


class Watch:
    """Sees what a film changes on an object, and on those that it is made of.

    Attributes are compared, not what they hold: a list that the object had
    before keeps what is appended to it.

    Parameters
    ----------
    thing
        The user's object, as it is before the film.
    """

    def __init__(self, thing: Any) -> None:
        self._before = [(each, dict(vars(each))) for each in parts_of(thing)]

    def note(self) -> None:
        """Keep on each object what has changed, for `take_off`."""
        for each, before in self._before:
            now = vars(each)
            changes = {
                name: _Change(before.get(name, _MISSING), now.get(name, _MISSING))
                for name in before.keys() | now.keys()
                if before.get(name, _MISSING) is not now.get(name, _MISSING)
            }
            if changes:
                now[MARK] = changes

    @contextlib.contextmanager
    def noted_on_failure(self) -> Iterator[None]:
        """Note what was changed where what is done inside fails, and no one will close."""
        try:
            yield
        except BaseException:
            self.note()
            raise


def take_off(thing: Any) -> None:
    """Put back what the last film changed on `thing`, and on what it is made of.

    What was set again since then is the user's own, and stays.
    """
    for each in parts_of(thing):
        attributes = vars(each)
        for name, change in attributes.pop(MARK, {}).items():
            if attributes.get(name, _MISSING) is not change.after:
                continue
            if change.before is _MISSING:
                del attributes[name]
            else:
                attributes[name] = change.before


def parts_of(thing: Any) -> list[Any]:
    """`thing` and the generators, scenes, states and renderers in it, each once."""
    forms, own_keeper = _forms()
    found: dict[int, Any] = {}
    waiting = [thing]
    while waiting:
        each = waiting.pop()
        if id(each) in found or not hasattr(each, "__dict__") or isinstance(each, own_keeper):
            continue
        found[id(each)] = each
        waiting += [inner for inner in _held(each) if isinstance(inner, forms) or _is_ours(inner)]
    return list(found.values())


def _held(holder: Any) -> Iterator[Any]:
    """What the attributes of `holder` are, and what short lists and tuples among them hold."""
    for value in vars(holder).values():
        yield value
        if isinstance(value, list | tuple) and len(value) <= MAX_PARTS:
            yield from value


def _is_ours(inner: Any) -> bool:
    """Whether it is one of rayanim's own, which may hold the user's."""
    return type(inner).__module__.partition(".")[0] == "rayanim"


def _forms() -> tuple[tuple[type, ...], type]:
    """The classes whose objects a film is made of, and the one that cleans up by itself."""
    from rayanim.acts import ActRenderer, ActState, FigureRenderer
    from rayanim.frame_gen import FrameGenerator
    from rayanim.scenes import Scene

    return (FrameGenerator, Scene, ActState, ActRenderer), FigureRenderer
