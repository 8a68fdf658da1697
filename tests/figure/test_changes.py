"""The closed world: a change is seen for certain, or what it belongs to is drawn in every frame."""

from __future__ import annotations

import array
import copy
import functools
import itertools
import locale
import operator
import pickle
import shutil
import types
import weakref
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import font_manager, units
from matplotlib.axis import Axis
from matplotlib.colors import Normalize, get_named_colors_mapping
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, Wedge
from matplotlib.path import Path as Outline
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Affine2D, Bbox
from sameness import assert_same_as_full, unguarded
from test_canvas import full_pixels
from videos import wave

from rayanim.figure.artists import ArtistNode, draws_alone
from rayanim.figure.canvas import IncrementalCanvas, VideoCanvas
from rayanim.figure.changes import Backoff, Mark, SharedInputs, Watch, marks_of, restore_flags
from rayanim.figure.global_inputs import TRUSTED_CLASSES, GlobalInputs

Change = Callable[[], object]

HELD: dict[str, Callable[[], tuple[Any, Change]]] = {}
"""By name what makes a thing that an artist may hold, and how it is changed."""


def held(function: Callable[..., tuple[Any, Change]]) -> Callable[..., tuple[Any, Change]]:
    """Enter a thing that an artist may hold."""
    HELD[function.__name__] = function
    return function


class Own:
    """A class of the user's."""

    def __init__(self, value: int = 1) -> None:
        self.value = value

    def text(self, x: float, pos: int) -> str:
        """What a formatter would ask for."""
        return str(self.value)

    def grow(self) -> None:
        """Become another."""
        self.value += 1


class OwnList(list):  # type: ignore[type-arg]
    """A list that knows more."""


class OwnDict(dict):  # type: ignore[type-arg]
    """A dictionary that knows more."""


class OwnArray(np.ndarray):  # type: ignore[type-arg]
    """An array that knows more."""


class OwnTuple(tuple):  # type: ignore[type-arg]
    """A tuple with attributes."""


class OwnString(str):
    """A text with attributes."""


class OwnFloat(float):
    """A number with attributes."""


class Slots:
    """An object without a dictionary."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = [1]


class Light(Enum):
    """An enumeration of the user's: its members can hold anything."""

    GREEN = "green"


class OwnNorm(Normalize):
    """A norm of the user's."""

    shift = 0


class OwnTransform(Affine2D):
    """A transform of the user's."""


class OwnOutline(Outline):
    """A path of the user's."""


@dataclass
class Data:
    """A data class."""

    values: list[int] = field(default_factory=lambda: [1])


Pair = namedtuple("Pair", "one other")

SETTINGS = {"value": 1}


def reads_a_global(x: float, pos: int = 0) -> str:
    """A function that reads what nobody hands to it."""
    return str(SETTINGS["value"])


def change_global() -> None:
    """Change what it reads."""
    SETTINGS["value"] += 1


@held
def a_list() -> tuple[Any, Change]:
    thing = [1, [2, 3]]
    return thing, lambda: thing[1].append(4)  # type: ignore[union-attr, attr-defined]


@held
def a_dictionary() -> tuple[Any, Change]:
    thing = {"a": {"b": [1]}}
    return thing, lambda: operator.setitem(thing["a"]["b"], 0, 2)


@held
def an_ordered_dictionary() -> tuple[Any, Change]:
    thing = OrderedDict(a=1, b=2)
    return thing, lambda: thing.move_to_end("a")


@held
def a_set() -> tuple[Any, Change]:
    thing = {1, 2}
    return thing, lambda: (thing.remove(1), thing.add(9))


@held
def a_list_in_a_tuple() -> tuple[Any, Change]:
    thing = ([1],)
    return thing, lambda: thing[0].append(2)


@held
def a_pair() -> tuple[Any, Change]:
    thing = Pair([1], 2)
    return thing, lambda: thing.one.append(2)


@held
def a_list_of_the_users() -> tuple[Any, Change]:
    thing = OwnList([1])
    return thing, lambda: setattr(thing, "more", 2)


@held
def a_dictionary_of_the_users() -> tuple[Any, Change]:
    thing = OwnDict(a=1)
    return thing, lambda: setattr(thing, "more", 2)


@held
def an_array_of_the_users() -> tuple[Any, Change]:
    thing = np.zeros(3).view(OwnArray)
    return thing, lambda: setattr(thing, "more", 2)


@held
def a_tuple_of_the_users() -> tuple[Any, Change]:
    thing = OwnTuple((1, 2))
    return thing, lambda: setattr(thing, "more", 2)


@held
def a_string_of_the_users() -> tuple[Any, Change]:
    thing = OwnString("a")
    return thing, lambda: setattr(thing, "more", 2)


@held
def a_number_of_the_users() -> tuple[Any, Change]:
    thing = OwnFloat(2)
    return thing, lambda: setattr(thing, "more", 2)


@held
def a_default_dictionary() -> tuple[Any, Change]:
    thing: Any = defaultdict(list)
    return thing, lambda: thing["a"].append(1)


@held
def a_counter() -> tuple[Any, Change]:
    thing = Counter("ab")
    return thing, lambda: thing.update("b")


@held
def a_user_dictionary() -> tuple[Any, Change]:
    thing = UserDict(a=1)
    return thing, lambda: thing.update(a=2)


@held
def a_chain_of_dictionaries() -> tuple[Any, Change]:
    thing = ChainMap({"a": 1})
    return thing, lambda: thing.update(a=2)


@held
def a_view_of_a_dictionary() -> tuple[Any, Change]:
    below = {"a": 1}
    return types.MappingProxyType(below), lambda: below.update(a=2)


@held
def a_deque() -> tuple[Any, Change]:
    thing = deque([1], maxlen=3)
    return thing, lambda: thing.append(2)


@held
def an_iterator() -> tuple[Any, Change]:
    thing = iter([1, 2, 3])
    return thing, lambda: next(thing)


@held
def a_count() -> tuple[Any, Change]:
    thing = itertools.count()
    return thing, lambda: next(thing)


@held
def a_generator() -> tuple[Any, Change]:
    thing = (number for number in range(3))
    return thing, lambda: next(thing)


@held
def bytes_that_change() -> tuple[Any, Change]:
    thing = bytearray(b"ab")
    return thing, lambda: operator.setitem(thing, 0, 7)


@held
def a_view_of_bytes() -> tuple[Any, Change]:
    below = bytearray(b"ab")
    return memoryview(below), lambda: operator.setitem(below, 0, 7)


@held
def an_array_of_the_standard_library() -> tuple[Any, Change]:
    thing = array.array("d", [1, 2])
    return thing, lambda: operator.setitem(thing, 0, 7)


@held
def a_namespace() -> tuple[Any, Change]:
    thing = types.SimpleNamespace(value=1)
    return thing, lambda: setattr(thing, "value", 2)


@held
def a_module() -> tuple[Any, Change]:
    thing = types.ModuleType("settings")
    return thing, lambda: setattr(thing, "value", 2)


@held
def an_object() -> tuple[Any, Change]:
    thing = Own()
    return thing, thing.grow


@held
def an_object_with_slots() -> tuple[Any, Change]:
    thing = Slots()
    return thing, lambda: thing.value.append(2)


@held
def a_data_class() -> tuple[Any, Change]:
    thing = Data()
    return thing, lambda: thing.values.append(2)


@held
def an_enumeration() -> tuple[Any, Change]:
    return Light.GREEN, lambda: setattr(Light.GREEN, "more", 2)


@held
def a_class() -> tuple[Any, Change]:
    kind = type("Kind", (), {"value": 1})
    return kind, lambda: setattr(kind, "value", 2)


@held
def a_function() -> tuple[Any, Change]:
    return reads_a_global, change_global


@held
def a_lambda() -> tuple[Any, Change]:
    values = [1]
    return (lambda x, pos: values[0]), lambda: values.append(2)


@held
def a_method() -> tuple[Any, Change]:
    thing = Own()
    return thing.text, thing.grow


@held
def the_get_of_a_dictionary() -> tuple[Any, Change]:
    names = {1: "a"}
    return names.get, lambda: names.update({1: "b"})


@held
def an_item_getter_bound_to_a_list() -> tuple[Any, Change]:
    names = ["a"]
    return names.__getitem__, lambda: operator.setitem(names, 0, "b")


@held
def an_item_getter_bound_to_an_array() -> tuple[Any, Change]:
    values = np.zeros(3)
    return values.__getitem__, lambda: operator.setitem(values, 0, 7)


@held
def an_item_getter_bound_to_a_deque() -> tuple[Any, Change]:
    values = deque([1])
    return values.__getitem__, lambda: operator.setitem(values, 0, 7)


@held
def the_call_of_a_function() -> tuple[Any, Change]:
    return reads_a_global.__call__, change_global  # type: ignore[operator]


@held
def an_item_getter() -> tuple[Any, Change]:
    key = [0]
    return operator.itemgetter(slice(key)), lambda: key.append(1)


@held
def a_part_of_a_function() -> tuple[Any, Change]:
    return functools.partial(reads_a_global, 1), change_global


@held
def a_part_with_a_list() -> tuple[Any, Change]:
    values = [1]
    return functools.partial(np.add, values), lambda: values.append(2)


@held
def a_part_with_attributes() -> tuple[Any, Change]:
    thing = functools.partial(np.add, 1)
    thing.note = [1]  # type: ignore[attr-defined]
    return thing, lambda: thing.note.append(2)  # type: ignore[attr-defined]


@held
def a_remembering_function() -> tuple[Any, Change]:
    thing = functools.lru_cache(reads_a_global)
    return thing, change_global


@held
def a_function_made_for_arrays() -> tuple[Any, Change]:
    return np.frompyfunc(reads_a_global, 1, 1), change_global


@held
def a_vectorized_function() -> tuple[Any, Change]:
    return np.vectorize(reads_a_global), change_global


@held
def a_weak_reference() -> tuple[Any, Change]:
    thing = Own()
    kept = [thing]
    return weakref.ref(thing), kept[0].grow


@held
def a_weak_proxy() -> tuple[Any, Change]:
    thing = Own()
    kept = [thing]
    return weakref.proxy(thing), kept[0].grow


@held
def a_random_generator() -> tuple[Any, Change]:
    thing = np.random.default_rng(1)
    return thing, thing.random


@held
def a_small_array() -> tuple[Any, Change]:
    thing = np.zeros(3)
    return thing, lambda: operator.setitem(thing, 1, 2)


@held
def a_zero_that_becomes_negative() -> tuple[Any, Change]:
    thing = np.zeros(3)
    return thing, lambda: operator.setitem(thing, 1, -0.0)


@held
def a_large_array() -> tuple[Any, Change]:
    thing = np.zeros((300, 300))
    return thing, lambda: operator.setitem(thing, (211, 97), 1e-9)


@held
def every_second_element_of_a_large_array() -> tuple[Any, Change]:
    thing = np.zeros(20_000)
    return thing[::2], lambda: operator.setitem(thing, 9998, 1)


@held
def a_large_array_that_is_transposed() -> tuple[Any, Change]:
    thing = np.zeros((100, 90))
    return thing.T, lambda: operator.setitem(thing, (99, 89), 1)


@held
def a_broadcast_array() -> tuple[Any, Change]:
    below = np.zeros(2000)
    return np.broadcast_to(below, (4, 2000)), lambda: operator.setitem(below, 3, 1)


@held
def an_array_of_another_shape() -> tuple[Any, Change]:
    thing = np.arange(6.0).reshape(2, 3)
    return thing, lambda: setattr(thing, "shape", (3, 2))


@held
def an_array_of_objects() -> tuple[Any, Change]:
    thing = np.array(["a", "b"], object)
    return thing, lambda: operator.setitem(thing, 0, "c")


@held
def a_list_in_an_array_of_objects() -> tuple[Any, Change]:
    thing = np.empty(2, object)
    thing[0] = [1]
    return thing, lambda: thing[0].append(2)


@held
def an_array_of_records() -> tuple[Any, Change]:
    thing = np.zeros(3, [("x", float), ("y", int)])
    return thing, lambda: operator.setitem(thing["y"], 1, 2)


@held
def an_array_of_records_with_objects() -> tuple[Any, Change]:
    thing = np.zeros(3, [("x", float), ("y", object)])
    thing["y"][1] = [1]
    return thing, lambda: thing["y"][1].append(2)


@held
def an_array_of_dates() -> tuple[Any, Change]:
    thing = np.array(["2021-01-01"], "datetime64[D]")
    return thing, lambda: operator.setitem(thing, 0, np.datetime64("2022-01-01"))


@held
def an_array_of_texts() -> tuple[Any, Change]:
    thing = np.array(["aa", "bb"])
    return thing, lambda: operator.setitem(thing, 0, "cc")


@held
def an_array_of_long_texts() -> tuple[Any, Change]:
    kind = getattr(np.dtypes, "StringDType", None)
    thing = np.array(["a" * 50, "b"], object if kind is None else kind())
    return thing, lambda: operator.setitem(thing, 0, "c" * 50)


@held
def a_memory_map(tmp: list[Any] = []) -> tuple[Any, Change]:  # noqa: B006
    import tempfile

    tmp.append(tempfile.NamedTemporaryFile())  # noqa: SIM115
    thing = np.memmap(tmp[-1].name, float, "w+", shape=(4,))
    return thing, lambda: operator.setitem(thing, 0, 7)


@held
def cells_that_are_masked_first() -> tuple[Any, Change]:
    thing = np.ma.array([1.0, 2, 3])
    return thing, lambda: operator.setitem(thing, 1, np.ma.masked)


@held
def cells_that_are_masked_later() -> tuple[Any, Change]:
    thing = np.ma.array([1.0, 2, 3], mask=[True, False, False])
    return thing, lambda: operator.setitem(thing, 1, np.ma.masked)


@held
def cells_below_a_mask() -> tuple[Any, Change]:
    thing = np.ma.array([1.0, 2, 3], mask=[True, False, False])
    return thing, lambda: operator.setitem(thing.data, 2, 9)


@held
def a_fill_value() -> tuple[Any, Change]:
    thing = np.ma.array([1.0, 2, 3], mask=[True, False, False])
    return thing, lambda: thing.set_fill_value(5)


@held
def a_norm() -> tuple[Any, Change]:
    thing = Normalize(0, 1)
    return thing, lambda: setattr(thing, "vmax", 2)


@held
def a_norm_of_the_users() -> tuple[Any, Change]:
    thing = OwnNorm(0, 1)
    return thing, lambda: setattr(thing, "shift", 2)


@held
def a_transform() -> tuple[Any, Change]:
    thing = Affine2D()
    return thing, lambda: thing.translate(1, 2)


@held
def the_matrix_of_a_transform() -> tuple[Any, Change]:
    thing = Affine2D()
    return thing, lambda: operator.setitem(thing.get_matrix(), (0, 2), 3)


@held
def a_composed_transform() -> tuple[Any, Change]:
    part = Affine2D()
    return Affine2D().scale(2) + part, lambda: part.translate(1, 2)


@held
def a_box() -> tuple[Any, Change]:
    thing = Bbox([[0, 0], [1, 1]])
    return thing, lambda: operator.setitem(thing.get_points(), (1, 1), 3)


@held
def a_transform_of_the_users() -> tuple[Any, Change]:
    thing = OwnTransform()
    return thing, lambda: setattr(thing, "more", 2)


@held
def the_points_of_a_path() -> tuple[Any, Change]:
    thing = Outline([(0, 0), (1, 1)])
    return thing, lambda: operator.setitem(thing.vertices, (1, 1), 3)


@held
def a_path_of_the_users() -> tuple[Any, Change]:
    thing = OwnOutline([(0, 0), (1, 1)])
    return thing, lambda: setattr(thing, "more", 2)


@held
def the_path_of_a_wedge() -> tuple[Any, Change]:
    thing = Wedge((0, 0), 1, 0, 90)
    return thing, lambda: operator.setitem(thing.get_path().vertices, (1, 1), 3)


@held
def a_formatter_with_a_method() -> tuple[Any, Change]:
    names = {1: "a"}
    return FuncFormatter(names.get), lambda: names.update({1: "b"})


@held
def an_artist() -> tuple[Any, Change]:
    thing = Rectangle((0, 0), 1, 1)
    return thing, lambda: setattr(thing, "_width", 2)


@held
def the_flag_of_an_artist() -> tuple[Any, Change]:
    thing = Rectangle((0, 0), 1, 1)
    return thing, lambda: setattr(thing, "stale", True)


@held
def an_artist_drawn_by_others() -> tuple[Any, Change]:
    thing = Rectangle((0, 0), 1, 1)
    return thing, lambda: setattr(thing, "stale", False)


@held
def a_draw_of_its_own() -> tuple[Any, Change]:
    thing = Rectangle((0, 0), 1, 1)
    thing.draw = lambda renderer: None  # type: ignore[method-assign]
    return thing, change_global


@pytest.mark.parametrize("name", HELD)
def test_a_change_is_seen_or_the_artist_is_drawn_in_every_frame(name: str) -> None:
    """Whatever an artist holds: a change of it is seen, or it is not trusted at all."""
    thing, change = HELD[name]()
    line = Line2D([0, 1], [0, 1])
    line.held = thing  # type: ignore[attr-defined]
    watch = Watch((line,), None)
    assert watch.changed() is (watch.reason is not None)
    change()
    assert watch.changed()


KNOWN = (
    "a_list", "a_dictionary", "an_ordered_dictionary", "a_set", "a_list_in_a_tuple",
    "a_part_with_a_list", "a_small_array", "a_large_array", "every_second_element_of_a_large_array",
    "a_large_array_that_is_transposed", "an_array_of_objects", "an_array_of_records",
    "an_array_of_dates", "cells_that_are_masked_first", "a_norm", "a_transform", "a_box",
    "the_points_of_a_path", "the_path_of_a_wedge", "an_artist", "an_array_of_another_shape",
)  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_often_held_is_trusted(name: str) -> None:
    """These do not have their artist drawn in every frame."""
    line = Line2D([0, 1], [0, 1])
    line.held = HELD[name]()[0]  # type: ignore[attr-defined]
    watch = Watch((line,), None)
    assert watch.reason is None
    assert not watch.changed()


REPLACED: dict[str, tuple[Any, Any, bool]] = {
    "an equal list": ([1, "a"], [1, "a"], False),
    "another list": ([1, "a"], [1, "b"], True),
    "one number of another kind": (1, 1.0, True),
    "a truth for a number": (1, True, True),
    "an equal array": (np.arange(3), np.arange(3), False),
    "an array of another kind": (np.arange(3), np.arange(3.0), True),
    "an array of another shape": (np.zeros((2, 3)), np.zeros((3, 2)), True),
    "an equal large array": (np.zeros(9000), np.zeros(9000), False),
    "a large array transposed": (
        np.arange(10_000.0).reshape(100, 100), np.arange(10_000.0).reshape(100, 100).T, True,
    ),
    "an equal transform": (Affine2D().scale(2), Affine2D().scale(2), False),
    "nan": (float("nan"), 1.0, True),
    "an equal norm": (Normalize(0, 1), Normalize(0, 1), False),
    "a class": (Normalize, Affine2D, True),
    "a dictionary in another order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
    "the same list twice": ([[1], [1]], [[2]] * 2, True),
}  # fmt: skip


@pytest.mark.parametrize("name", REPLACED)
def test_what_was_put_anew_with_the_same_values_is_the_same(name: str) -> None:
    """Not the things themselves count, but what they hold."""
    before, after, differs = REPLACED[name]
    line = Line2D([0, 1], [0, 1])
    line.held = before  # type: ignore[attr-defined]
    watch = Watch((line,), None)
    line.held = after  # type: ignore[attr-defined]
    assert watch.changed() is differs


def test_functions_beside_matplotlib_s_folder_are_not_matplotlib_s() -> None:
    """A package whose name begins like matplotlib's is the user's."""
    folder = str(Path(mpl.__file__).parent)
    namespace: dict[str, Any] = {"values": [1]}
    source = "def read(x, pos): return str(values[0])"
    exec(compile(source, f"{folder}_more/module.py", "exec"), namespace)
    line = Line2D([0, 1], [0, 1])
    line.held = namespace["read"]  # type: ignore[attr-defined]
    assert Watch((line,), None).reason is not None


def test_classes_that_call_themselves_matplotlib_s_are_not() -> None:
    """Only what stands in matplotlib's module under its own name is matplotlib's."""
    line = Line2D([0, 1], [0, 1])
    line.held = type("Path", (), {"__module__": "matplotlib.path"})()  # type: ignore[attr-defined]
    assert Watch((line,), None).reason is not None


def test_a_thing_that_is_held_twice_is_met_once() -> None:
    """Things that hold each other are walked to the end all the same."""
    line, ring = Line2D([0, 1], [0, 1]), [1]
    ring.append(ring)  # type: ignore[arg-type]
    line.held = [ring, ring]  # type: ignore[attr-defined]
    watch = Watch((line,), None)
    assert not watch.changed()
    ring.append(2)
    assert watch.changed()


def test_a_new_attribute_and_one_that_is_gone_are_changes() -> None:
    line = Line2D([0, 1], [0, 1])
    watch = Watch((line,), None)
    line.more = 1  # type: ignore[attr-defined]
    assert watch.changed()
    watch = Watch((line,), None)
    del line.more  # type: ignore[attr-defined]
    assert watch.changed()


# The inputs that all artists share.


def settled(figure: Figure) -> IncrementalCanvas:
    """A canvas on which nothing is drawn any more."""
    canvas = unguarded(figure)
    for _ in range(5):
        canvas.draw()
    assert drawn(canvas) == []
    return canvas


def drawn(canvas: IncrementalCanvas) -> list[Any]:
    """The artists that were drawn in the last frame."""
    return [node.artist for node in canvas.nodes if node.is_drawn and node.stands_for_artists]


def add_colour(path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setitem(get_named_colors_mapping(), "rayanim's own", "#123456")


def change_colour(path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setitem(get_named_colors_mapping(), "red", "#123456")


def change_setting(path: Path, patch: pytest.MonkeyPatch) -> None:
    mpl.rcParams["path.simplify_threshold"] = 0.5


def change_list(path: Path, patch: pytest.MonkeyPatch) -> None:
    mpl.rcParams["font.sans-serif"].insert(0, "DejaVu Serif")


def add_font(path: Path, patch: pytest.MonkeyPatch) -> None:
    manager = font_manager.fontManager
    patch.setattr(manager, "ttflist", list(manager.ttflist))
    shutil.copy(font_manager.findfont("DejaVu Sans"), path / "copy.ttf")
    manager.addfont(path / "copy.ttf")


def add_converter(path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setitem(units.registry, Own, units.ConversionInterface())


def change_class(path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Line2D, "get_zorder", lambda self: self.zorder)


def change_base_class(path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Axis, "OFFSETTEXTPAD", 9)


def add_to_class(path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Text, "an_attribute_of_the_users", 1, raising=False)


GLOBAL = (
    add_colour, change_colour, change_setting, change_list, add_font, add_converter,
    change_class, change_base_class, add_to_class,
)  # fmt: skip


@pytest.mark.parametrize("change", GLOBAL)
def test_a_change_of_what_all_share_has_all_drawn_once(
    change: Callable[[Path, pytest.MonkeyPatch], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Settings, colours, fonts, units and classes: everything is drawn anew, once."""
    mpl.rcParams["font.sans-serif"] = list(mpl.rcParams["font.sans-serif"])
    # A renderer remembers how large texts are, so that a new one may put them elsewhere.
    canvas, full = settled(wave()), VideoCanvas(wave())
    full.draw()
    change(tmp_path, monkeypatch)
    canvas.draw()
    full.draw()
    assert len(drawn(canvas)) == len([node for node in canvas.nodes if node.stands_for_artists])
    assert np.array_equal(canvas.pixels, full.pixels)
    for _ in range(3):
        canvas.draw()
    assert drawn(canvas) == []
    monkeypatch.undo()
    canvas.draw()
    full.draw()
    assert np.array_equal(canvas.pixels, full.pixels)


def test_another_locale_has_all_drawn_once() -> None:
    before = locale.setlocale(locale.LC_ALL)
    inputs = GlobalInputs()
    assert inputs.changed()
    assert not inputs.changed()
    other = next((name for name in ("C.UTF-8", "C", "POSIX") if _sets(name, before)), None)
    if other is None:
        pytest.skip("this machine knows one locale only")
    try:
        assert inputs.changed()
        assert not inputs.changed()
    finally:
        locale.setlocale(locale.LC_ALL, before)


def _sets(name: str, before: str) -> bool:
    try:
        return locale.setlocale(locale.LC_ALL, name) != before
    except locale.Error:
        return False


def test_classes_are_looked_at_once_they_were_met(monkeypatch: pytest.MonkeyPatch) -> None:
    Watch((Line2D([0, 1], [0, 1]),), None)
    TRUSTED_CLASSES.changed()
    assert not TRUSTED_CLASSES.changed()
    monkeypatch.setattr(Line2D, "zorder", 7)
    assert TRUSTED_CLASSES.changed()
    assert not TRUSTED_CLASSES.changed()


# Marks in the stale flags.


def test_a_mark_is_false_and_stored_as_that() -> None:
    mark = Mark()
    assert not mark
    assert pickle.loads(pickle.dumps(mark)) is False
    assert copy.deepcopy(mark) is False
    assert copy.copy(mark) is False


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])
def test_copies_of_a_figure_in_use_hold_no_mark(copied: Callable[[Figure], Figure]) -> None:
    """A figure can be copied between frames: the copy draws, and so does the figure."""
    figure = wave()
    canvas = settled(figure)
    figure.set_canvas(canvas)
    other = copied(figure)
    flags = [vars(artist)["_stale"] for artist in other.findobj()]
    assert all(type(flag) is bool for flag in flags)
    assert np.array_equal(full_pixels(other), full_pixels(figure))
    again = unguarded(other)
    for number in range(4):
        for each, drawing in ((figure, canvas), (other, again)):
            each.axes[0].lines[0].set_ydata(np.cos(np.arange(60) + number))
            drawing.draw()
        assert np.array_equal(canvas.pixels, again.pixels)
        assert np.array_equal(canvas.pixels, full_pixels(figure))


def test_two_watches_share_a_mark() -> None:
    """Neither takes the other's for a change, and both see one."""
    line = Line2D([0, 1], [0, 1])
    one, other = Watch((line,), None), Watch((line,), None)
    assert not one.changed() and not other.changed()
    line.stale = True
    assert one.changed() and other.changed()


@pytest.mark.parametrize("flag", [True, False])
def test_who_sets_or_resets_a_flag_is_seen(flag: bool) -> None:
    """Whoever draws an artist resets its flag, and may have hidden that it was set."""
    line = Line2D([0, 1], [0, 1])
    watch = Watch((line,), None)
    line._stale = flag
    assert watch.is_stale()
    assert watch.changed()


def test_flags_are_restored_after_matplotlib_has_drawn() -> None:
    line = Line2D([0, 1], [0, 1])
    watch = Watch((line,), None)
    flags, marks = watch.flags(), marks_of((line,))
    line.stale = True
    restore_flags(flags)
    assert not watch.changed()
    line.stale = True
    restore_flags(marks)
    assert not watch.changed()


def test_a_flag_that_was_set_is_no_mark() -> None:
    line = Line2D([0, 1], [0, 1])
    line.stale = True
    assert marks_of((line,)) == []


def test_artists_that_others_draw_stay_unchanged() -> None:
    """The texts in a legend are drawn by it, and watched by it alone."""

    def build() -> Figure:
        figure = wave()
        figure.axes[0].legend([figure.axes[0].lines[0]], ["one"], loc="upper left")
        return figure

    canvas = settled(build())
    legend = canvas.figure.axes[0].get_legend()
    legend.get_texts()[0].set_text("two")
    canvas.draw()
    assert drawn(canvas) == [legend]
    canvas.draw()
    assert np.array_equal(canvas.pixels, full_pixels(canvas.figure))


def test_an_artist_drawn_by_the_user_between_frames_is_right() -> None:
    """A draw that somebody else asked for resets flags: what changed before it is drawn still."""

    def change(figure: Figure) -> None:
        line = figure.axes[0].lines[0]
        line.set_color("red")
        line.draw(figure.canvas.get_renderer())
        line.set_linewidth(line.get_linewidth() + 1)
        full_pixels(figure)

    assert_same_as_full(wave, [change] * 4)


# What the artists of one axes share, and backoff.


def test_shared_inputs_count_their_changes_once_in_each_epoch() -> None:
    axes = wave().axes[0]
    shared = SharedInputs(axes)
    shared.refresh(1)
    version = shared.version
    assert shared.is_watched
    axes.set_xlim(0, 3)
    shared.refresh(1)
    assert shared.version == version
    shared.refresh(2)
    assert shared.version == version + 1
    shared.refresh(3)
    assert shared.version == version + 1
    shared.forget()
    assert shared.version == version + 2
    assert not shared.is_watched


def test_shared_inputs_whose_changes_cannot_be_seen_are_always_changed() -> None:
    axes = wave().axes[0]
    axes.held = deque([1])
    shared = SharedInputs(axes)
    shared.refresh(1)
    assert not shared.is_watched
    version = shared.version
    shared.refresh(2)
    assert shared.version == version + 1


def test_what_shared_inputs_watch_is_not_watched_again() -> None:
    """Of an artist in an axes only its own values are compared."""
    axes = wave().axes[0]
    shared = SharedInputs(axes)
    shared.refresh(1)
    line = axes.lines[0]
    assert id(axes) in shared.places
    assert id(line) not in shared.places
    watch = Watch((line,), shared)
    assert id(axes) not in watch.places
    axes.set_xlim(0, 3)
    line.stale = False
    assert len(watch.places) < len(Watch((line,), None).places)


def test_what_changes_in_every_frame_is_left_unwatched_for_longer_and_longer() -> None:
    backoff = Backoff()
    seen = "".join("-" if backoff.skips() else "w" for _ in range(24))
    assert seen.startswith("ww-")
    pauses = [len(run) for run in seen.split("w")[:-1] if run]
    assert pauses == sorted(pauses) and pauses[-1] > pauses[0]


def test_a_backoff_ends_where_something_did_not_change() -> None:
    backoff = Backoff()
    for _ in range(12):
        backoff.skips()
    while backoff.skips():
        pass
    backoff.reset()
    assert [backoff.skips() for _ in range(Backoff.ENOUGH)] == [False] * Backoff.ENOUGH


def test_a_backoff_has_an_end() -> None:
    backoff = Backoff()
    backoff.skip_longest()
    assert sum(backoff.skips() for _ in range(3 * Backoff.LONGEST)) < 3 * Backoff.LONGEST - 1


@pytest.fixture
def node() -> Iterator[ArtistNode]:
    """The node of a line that belongs to some axes."""
    axes = wave().axes[0]
    yield ArtistNode(axes.lines[0], SharedInputs(axes))


def test_a_node_is_due_until_two_draws_were_alike(node: ArtistNode) -> None:
    assert node.is_due(1)
    assert node.watch is None


def test_an_artist_of_the_users_may_change_others() -> None:
    """Only of matplotlib's own it is known that drawing one leaves the others as they are."""

    class Placing(Text):
        """Moves other artists when it is drawn."""

    assert draws_alone(Text())
    assert not draws_alone(Placing())
    assert not draws_alone(wave().axes[0].xaxis)
