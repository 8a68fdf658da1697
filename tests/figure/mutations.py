"""Changes whatever can be reached from an artist, past all setters, and back again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import FigureCanvasBase, RendererBase
from matplotlib.cbook import CallbackRegistry
from matplotlib.figure import FigureBase
from matplotlib.transforms import Affine2D, Bbox, TransformNode

from rayanim.figure.private import TRANSFORM_CACHES

WORDS = {
    "left": "right", "right": "left", "center": "left", "top": "bottom", "bottom": "top",
    "baseline": "top", "-": "--", "--": ":", ":": "-", "solid": "--", "dashed": ":",
    "round": "bevel", "miter": "round", "bevel": "miter", "butt": "projecting",
    "projecting": "butt", "full": "left", "default": "steps", "nearest": "bilinear",
    "bilinear": "nearest",
    "antialiased": "nearest",
    "data": "axes fraction", "upper": "lower", "lower": "upper", "normal": "italic", "face": "k",
    "horizontal": "vertical", "vertical": "horizontal", "closed": "B", "open": "BL",
    "anchor": "default", "tail": "tip", "tip": "tail", "in": "out", "out": "in", "inout": "in",
    "N": "E", "E": "N", "major": "minor", "minor": "major", "both": "neither", "outward": "data",
    "sans-serif": "serif", "dejavusans": "stix", "screen": "data", "points": "pixels",
}  # fmt: skip
"""Another word that stands where these stand."""

GUESSES = (0.5, "red", True, (0.2, 0.7))
"""What may stand where nothing stands."""

LEFT_ALONE = frozenset(
    {"stale_callback", "_remove_method", "_stale", "axes", "_parents", "_invalid", "_codes"}
)
"""Attributes that are the machinery of matplotlib's or lead back to the axes, and codes of paths:
of those that make no sense Agg may draw anything, and next time something else."""

BORDERS = (FigureBase, FigureCanvasBase, RendererBase, CallbackRegistry, Enum)
"""Classes of things that are not walked into. A member of an Enum is the same for all of Python."""


@dataclass(frozen=True)
class Mutation:
    """One change, past all setters.

    Attributes
    ----------
    path
        What is changed, from the artist on.
    do, undo
        The change, and the way back.
    """

    path: str
    do: Callable[[], None]
    undo: Callable[[], None]


def mutations_of(roots: list[Any], most: int = 100_000) -> Iterator[Mutation]:
    """Changes of all that can be reached from `roots`, but not through a figure."""
    pending: list[tuple[str, Any]] = [(type(root).__name__, root) for root in roots]
    seen: dict[int, Any] = {}
    while pending and most:
        path, thing = pending.pop(0)
        if id(thing) in seen or isinstance(thing, BORDERS) or callable(thing):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, Axes | Axis) and not any(thing is root for root in roots):
            continue
        for mutation in _changes_in_place(path, thing):
            most -= 1
            yield mutation
        for place, owner, key, value in _slots(path, thing):
            for other in _others(value):
                most -= 1
                yield _replacement(place, owner, key, value, other)
            pending.append((place, value))


def _slots(path: str, thing: Any) -> list[tuple[str, Any, Any, Any]]:
    """The places in a thing where others stand: path, owner, key and what stands there."""
    if isinstance(thing, dict):
        return [(f"{path}[{key!r}]", thing, key, value) for key, value in list(thing.items())]
    if isinstance(thing, list):
        return [(f"{path}[{n}]", thing, n, value) for n, value in enumerate(thing[:3])]
    if isinstance(thing, tuple):
        return [(f"{path}[{n}]", None, n, value) for n, value in enumerate(thing[:3])]
    if isinstance(thing, np.ndarray):
        mask = getattr(thing, "_mask", None)
        found = [(f"{path}._mask", None, "", mask)] if isinstance(mask, np.ndarray) else []
        if thing.dtype == object:
            found += [(f"{path}[{n}]", None, n, each) for n, each in enumerate(thing.flat[:3])]
        return found
    attributes = getattr(thing, "__dict__", None)
    if not isinstance(attributes, dict) or isinstance(thing, type):
        return []
    # Writing into a matrix past its setters leaves what follows from it as it was.
    derived = TRANSFORM_CACHES if isinstance(thing, TransformNode) else frozenset()
    return [
        (f"{path}.{name}", attributes, name, value)
        for name, value in list(attributes.items())
        if name not in LEFT_ALONE and name not in derived
    ]


def _replacement(path: str, owner: Any, key: Any, value: Any, other: Any) -> Mutation:
    if owner is None:
        return Mutation(path, lambda: None, lambda: None)

    def put(what: Any) -> Callable[[], None]:
        return lambda: owner.__setitem__(key, what)

    return Mutation(f"{path} = {other!r}"[:160], put(other), put(value))


def _others(value: Any) -> list[Any]:
    """Other values of the same kind."""
    if isinstance(value, Enum):
        return [each for each in type(value) if each is not value][:1]
    if isinstance(value, bool | np.bool_):
        return [not value]
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float | np.floating):
        return [value * 1.3 + 0.2, value - 0.1]
    if isinstance(value, str):
        return [WORDS.get(value, value + "i")]
    if value is None:
        return list(GUESSES)
    if isinstance(value, tuple) and value and len(value) < 9:
        first = _others(value[0])
        return [(first[0], *value[1:])] if first else []
    if isinstance(value, np.ndarray) and not value.flags.writeable and value.size:
        copied = np.array(value)
        _shake(copied)
        return [copied]
    return []


def _changes_in_place(path: str, thing: Any) -> list[Mutation]:
    """Changes that leave the thing where it is."""
    if isinstance(thing, np.ndarray) and thing.size and thing.flags.writeable:
        before = np.array(np.asarray(thing))

        def put_back() -> None:
            np.asarray(thing)[...] = before

        return [Mutation(f"{path}[...]", lambda: _shake(np.asarray(thing)), put_back)]
    if isinstance(thing, Affine2D):
        matrix = thing.get_matrix().copy()
        return [
            Mutation(f"{path}.translate", lambda: _move(thing), lambda: _set_matrix(thing, matrix))
        ]
    if type(thing) is Bbox:
        points = thing.get_points().copy()
        moved = points + np.array([[1, 1], [3, 2]])
        return [
            Mutation(
                f"{path}.set_points",
                lambda: thing.set_points(moved),
                lambda: thing.set_points(points),
            )
        ]
    if isinstance(thing, list) and thing:
        last = thing[-1]
        return [Mutation(f"{path}.pop", lambda: _pop(thing), lambda: thing.append(last))]
    return []


def _pop(things: list[Any]) -> None:
    things.pop()


def _move(transform: Affine2D) -> None:
    transform.translate(3, 2)


def _set_matrix(transform: Affine2D, matrix: np.ndarray) -> None:
    transform.set_matrix(matrix)


def _shake(array: np.ndarray) -> None:
    """Change some elements of an array."""
    if array.dtype == bool:
        array[...] = ~array
    elif np.issubdtype(array.dtype, np.number):
        flat = array.reshape(-1) if array.flags.c_contiguous else array
        flat[: max(1, len(flat) // 2)] += 1 if np.issubdtype(array.dtype, np.integer) else 0.3


def setters_of(artist: Any) -> Iterator[tuple[str, list[Any]]]:
    """Names of an artist's setters of one value, each with values to try."""
    for name in sorted(dir(artist)):
        if not name.startswith("set_") or name in SETTERS_LEFT_ALONE:
            continue
        if isinstance(getattr(getattr(artist, name), "__self__", None), type):
            continue
        values: list[Any] = []
        getter = getattr(artist, "get" + name[3:], None)
        try:
            value = getter() if getter is not None else None
            values = _others(value) if value is not None else []
            if isinstance(value, np.ndarray) and value.dtype.kind in "fi" and value.size:
                values = [np.array(value) * 0.8 + 0.1]
        except (TypeError, ValueError, AttributeError, RuntimeError, IndexError):
            pass
        yield name, [*values, *GUESSES, 2, [0.2, 0.6], "left", []]


SETTERS_LEFT_ALONE = frozenset(
    [
        "set_figure", "set_canvas", "set_axes", "set_subplotspec", "set_layout_engine", "set_gid",
        "set_constrained_layout", "set_tight_layout", "set_constrained_layout_pads",
        "set_forward_navigation_events", "set_transform", "set_clip_path", "set_clip_box",
        "set_picker", "set_label_mode",
    ]
)  # fmt: skip
"""Setters of what has nothing to do with drawing, or that take only what cannot be guessed."""
