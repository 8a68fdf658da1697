"""The exceptions: one tree, drawn as it is, and each survives the way to the driver."""

from __future__ import annotations

import inspect
import pickle
import re
import sys
import traceback
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from rayanim import errors
from rayanim.errors import (
    FrameError,
    RayanimError,
    ScriptError,
    SegmentLostError,
    SetupError,
    print_in_one_line,
)

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
        ("ScriptError", RuntimeError),
        ("FrameError", RuntimeError),
        ("ParametersError", RuntimeError),
        ("FarmError", RuntimeError),
        ("EncodeError", RuntimeError),
    ],
)
def test_python_s_own_names_catch_them_too(name: str, builtin: type[Exception]) -> None:
    """Code that expects a ValueError or TypeError of a wrong argument gets one."""
    assert issubclass(getattr(errors, name), builtin)


def test_an_error_has_a_docstring_that_says_whose_fault_it_is() -> None:
    """No class goes without a word."""
    undocumented: list[Any] = [kind for kind in CLASSES if not vars(kind).get("__doc__")]
    assert undocumented == []


class OwnError(Exception):
    """A user's exception whose constructor wants two arguments."""

    def __new__(cls, code: int, text: str) -> OwnError:
        return super().__new__(cls, code, text)

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)


class NoBaseError(Exception):
    """A user's exception that cannot be derived from."""

    def __init_subclass__(cls) -> None:
        raise LookupError("no base")


def raised_from(cause: Exception) -> ScriptError:
    """An error as the engine raises it of what the user's code raised, naming a frame later."""
    try:
        try:
            raise cause
        except Exception as error:
            raise SetupError("broken", traceback_text="Traceback of the user") from error
    except SetupError as error:
        try:
            raise FrameError("Frame 5: broken", frame=5) from error
        except FrameError as outer:
            return outer


@pytest.mark.parametrize(
    "cause",
    [
        KeyError("mine"),
        OwnError(3, "x"),
        FileNotFoundError(2, "gone"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
        StopIteration(1),
        AttributeError("x", name="y", obj=1),
    ],
)
def test_an_error_can_be_caught_as_what_the_user_raised(cause: Exception) -> None:
    """Under the user's class and ours; the message is ours, the cause the user's."""
    error = errors.as_raised(raised_from(cause))
    assert isinstance(error, type(cause))
    assert isinstance(error, FrameError)
    assert (type(error).__name__, type(error).__module__) == ("FrameError", "rayanim.errors")
    assert (str(error), error.args, error.frame) == ("Frame 5: broken", ("Frame 5: broken",), 5)
    assert error.__cause__ is cause
    assert error.__traceback__ is not None
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.frame) == (FrameError, "Frame 5: broken", 5)


@pytest.mark.parametrize(
    "cause", [NoBaseError(), RuntimeError("x"), ExceptionGroup("x", [ValueError()])]
)
def test_an_error_stays_itself_where_it_cannot_be_both(cause: Exception) -> None:
    """Or where it is one already."""
    error = raised_from(cause)
    assert errors.as_raised(error) is error
    alone = FrameError("broken")
    assert errors.as_raised(alone) is alone


def test_an_interrupt_is_printed_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its notes; other exceptions are printed as ever."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    error = KeyboardInterrupt()
    error.add_note("1 finished segment is kept.")
    print_in_one_line(error)
    sys.excepthook(KeyboardInterrupt, error, None)
    assert capsys.readouterr().err == "rayanim: stopped. 1 finished segment is kept.\n"
    for other in (KeyboardInterrupt("other"), ValueError("other")):
        sys.excepthook(type(other), other, None)
        assert capsys.readouterr().err == f"{type(other).__name__}: other\n"


def test_an_interrupt_that_is_caught_leaves_no_excepthook(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook goes with it, also where another one comes before."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    first, second = KeyboardInterrupt(), KeyboardInterrupt()
    print_in_one_line(first)
    print_in_one_line(second)
    del first
    assert sys.excepthook is not sys.__excepthook__
    del second
    assert sys.excepthook is sys.__excepthook__


def test_an_excepthook_of_the_caller_s_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A debugger's, for example."""

    def hook(*args: object) -> None:
        raise AssertionError

    monkeypatch.setattr(sys, "excepthook", hook)
    print_in_one_line(KeyboardInterrupt())
    assert sys.excepthook is hook


class StepError(Exception):
    """Of a script, with an attribute of its own."""

    def __init__(self, step: int) -> None:
        super().__init__("diverged")
        self.step = step


def test_what_is_raised_has_the_attributes_of_the_script_s_exception() -> None:
    error = FrameError("Frame 3: diverged", frame=3)
    error.__cause__ = StepError(7)
    raised: Any = errors.as_raised(error)
    assert isinstance(raised, StepError) and isinstance(raised, FrameError)
    assert (raised.step, raised.frame, raised.message) == (7, 3, "Frame 3: diverged")
