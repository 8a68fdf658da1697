"""The exceptions: one tree, drawn as it is, and each survives the way to the driver."""

from __future__ import annotations

import inspect
import pickle
import re
import traceback
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from rayanim import errors
from rayanim.errors import RayanimError, ScriptError, SegmentLostError

CLASSES = [
    thing
    for thing in vars(errors).values()
    if inspect.isclass(thing) and issubclass(thing, RayanimError)
]


def made(kind: type[RayanimError]) -> RayanimError:
    """An error of `kind` with all attributes set."""
    if issubclass(kind, SegmentLostError):
        return kind("gone", start=3, stop=7, attempts=2)
    if issubclass(kind, ScriptError):
        return kind("broken", frame=5, traceback_text="Traceback of the user")
    return kind("wrong")


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
@pytest.mark.parametrize("kind", CLASSES)
def test_each_error_survives_pickling(kind: type[RayanimError], pickler: ModuleType) -> None:
    """Type, message, arguments and attributes arrive as they left."""
    error = made(kind)
    error.add_note("seen on the way")
    back = pickler.loads(pickler.dumps(error))
    assert type(back) is kind
    assert (str(back), back.args, vars(back)) == (str(error), error.args, vars(error))


def test_the_users_traceback_is_shown_where_the_error_arrives() -> None:
    """Python itself shows it, once, however often the error has travelled."""
    head = "Traceback (most recent call last):\n"
    users = 'File "wave.py", line 9, in update\nValueError: x\n'
    error = ScriptError("Drawing frame 5 raised.", frame=5, traceback_text=f"{head}  {users}")
    for _ in range(2):
        error = pickle.loads(pickle.dumps(error))
    shown = "".join(traceback.format_exception(error))
    assert shown.count(users) == 1
    assert shown.endswith("ScriptError: Drawing frame 5 raised.\n")
    assert pickle.loads(pickle.dumps(ScriptError("broken"))).__cause__ is None


def drawn_tree() -> dict[str, str]:
    """Each error's parent, as the docstring of the module draws it."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│├└─ ]*)(\w+Error)\b", line)
        if not found:
            continue
        depth, name = len(found[1]), found[2]
        path = [entry for entry in path if entry[0] < depth]
        if path:
            parents[name] = path[-1][1]
        path.append((depth, name))
    return parents


def test_the_tree_is_drawn_as_it_is() -> None:
    """The picture at the top of the file shows each class under its parent."""
    real = {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES if kind.__base__}
    del real["RayanimError"]
    assert drawn_tree() == real


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("SetupError", TypeError),
        ("ParametersError", ValueError),
        ("NotPicklableError", TypeError),
        ("SettingsError", ValueError),
        ("OutputError", ValueError),
    ],
)
def test_python_s_own_names_catch_them_too(name: str, builtin: type[Exception]) -> None:
    """Code that expects a ValueError or TypeError of a wrong argument gets one."""
    assert issubclass(getattr(errors, name), builtin)


def test_an_error_has_a_docstring_that_says_whose_fault_it_is() -> None:
    """No class goes without a word."""
    undocumented: list[Any] = [kind for kind in CLASSES if not vars(kind).get("__doc__")]
    assert undocumented == []
