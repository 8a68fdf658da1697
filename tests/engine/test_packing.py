"""An actor has what the script's process has: its arguments, and its modules as they are."""

from __future__ import annotations

import decimal
import importlib
import locale
import os
import pickle
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import matplotlib.units as munits
import numpy as np
import pytest
from numbered import in_actor

import rayanim
from rayanim.engine.packing import (
    module_variables,
    own_modules_by_value,
    pack,
    set_module_variables,
    unpickled,
)
from rayanim.settings import RenderSettings
from rayanim.sources import as_source

MODULE = """
import math
ACCENT = "tab:blue"
TABLE = {"sizes": [1, 2], "grid": None}
LARGE = list(range(100_000))
_seen = 0
def double(value):
    return 2 * value
def see():
    global _seen
    _seen += 1
class Kind:
    pass
kind = Kind()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the script's own."""
    (tmp_path / "script_settings.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("script_settings")
    sys.modules.pop("script_settings", None)


def test_only_plain_values_of_the_script_s_own_modules_are_taken(module: ModuleType) -> None:
    """Not functions, objects, what is large, and not what is installed."""
    found = module_variables()
    assert set(found["script_settings"]) == {"ACCENT", "TABLE", "_seen"}
    assert not {"numpy", "matplotlib", "json", "rayanim", "pytest"} & set(found)


def test_values_are_set_in_modules_that_can_be_imported(module: Any) -> None:
    """One that cannot is no reason to fail: the source may not need it."""
    set_module_variables({"script_settings": {"ACCENT": "red"}, "no_such_module": {"x": 1}})
    assert module.ACCENT == "red" and module.double(2) == 4


class Surrounded(rayanim.Animator):
    """Writes down all that a script may set for its process, and a variable of its module."""

    def setup(self) -> Any:
        fig = plt.figure(figsize=(2.4, 0.96), dpi=100)
        self.text = fig.text(0, 0, "", fontsize=5)
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        import script_settings  # type: ignore[import-not-found]

        with warnings.catch_warnings(record=True) as caught:
            warnings.warn("shown or not", Noted, stacklevel=1)
        seen = (
            script_settings.ACCENT,
            sys.argv[-1],
            os.environ.get("SCRIPT_COLOUR"),
            os.environ.get("HOME"),
            locale.setlocale(locale.LC_NUMERIC),
            len(caught),
            np.array([1 / 3]),
            np.geterr()["over"],
            decimal.Decimal(1) / 3,
            sys.getrecursionlimit(),
            mdates.get_epoch(),
            type(munits.registry.get(Length)).__name__,
        )
        # Not in the first frame, by which actors are compared.
        self.text.set_text("\n".join(map(str, seen)) if frame_idx > 4 else "")


class Noted(Warning):
    pass


def test_a_module_and_its_functions_are_copied_as_one(module: Any) -> None:
    """What its functions set is seen in the module, and what is set in it by its functions."""
    with own_modules_by_value():
        packed = cloudpickle.dumps((module.see, module, module.see))
    see, copy, again = pickle.loads(packed)
    see()
    copy.see()
    assert (copy._seen, module._seen) == (2, 0)
    copy._seen = 7
    again()
    assert copy._seen == 8 and copy.double(2) == 4
    assert "ACCENT" in dir(copy) and not hasattr(copy, "MISSING")
    del copy.ACCENT
    assert not hasattr(copy, "ACCENT")


class Length(float):
    pass


class LengthConverter(munits.ConversionInterface):
    pass


def test_what_a_script_sets_for_its_process_reaches_actors(
    on_ray: Any, tmp_path: Path, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules, arguments, environment, locale, warnings, options of numpy, `decimal` and others."""
    module.ACCENT = "tab:red"
    monkeypatch.setattr(sys, "argv", ["script.py", "9"])
    monkeypatch.setenv("SCRIPT_COLOUR", "red")
    monkeypatch.delenv("HOME")
    monkeypatch.setitem(munits.registry, Length, LengthConverter())
    monkeypatch.setattr(mdates, "_epoch", "2000-01-01T00:00")
    before, deepest = locale.setlocale(locale.LC_NUMERIC), sys.getrecursionlimit()
    locale.setlocale(locale.LC_NUMERIC, "C.UTF-8")
    sys.setrecursionlimit(deepest + 5000)
    numbers = np.printoptions(precision=3), np.errstate(over="raise"), decimal.localcontext(prec=4)
    try:
        with numbers[0], numbers[1], numbers[2], warnings.catch_warnings():
            warnings.simplefilter("ignore", Noted)
            here, there = tmp_path / "here.mp4", tmp_path / "there.mp4"
            options: dict[str, Any] = {"n_frames": 24, "progress": False}
            rayanim.produce(Surrounded(), 20, outfile=here, engine="local", **options)
            report = rayanim.produce(
                Surrounded(), 20, outfile=there, engine="ray", workers=2, audit=1, **options
            )
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)
        sys.setrecursionlimit(deepest)
    assert not report.events
    assert there.read_bytes() == here.read_bytes()


class NotThere(rayanim.Animator):
    """Cannot be set up in an actor."""

    fails_in = "setup"

    def setup(self) -> Any:
        if in_actor() and self.fails_in == "setup":
            raise OSError("no such device")
        fig, ax = plt.subplots(figsize=(0.64, 0.48), dpi=100)
        (self.line,) = ax.plot([0, 1], [0, 1])
        return fig

    def update(self, frame_idx: int, params: Any) -> None:
        if in_actor() and frame_idx > 15:
            raise OSError("no such device")
        self.line.set_ydata([0, frame_idx / 20])


class NotLater(NotThere):
    """Cannot draw some frame in an actor."""

    fails_in = "update"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [NotThere, NotLater])
def test_what_fails_in_actors_only_is_drawn_here(
    on_ray: Any, tmp_path: Path, kind: type[NotThere]
) -> None:
    """One line says so: how a job is run does not decide whether it succeeds."""
    here, there = tmp_path / "here.mp4", tmp_path / "there.mp4"
    options: dict[str, Any] = {"n_frames": 30, "progress": False}
    rayanim.produce(kind(), 20, outfile=here, engine="local", **options)
    report = rayanim.produce(kind(), 20, outfile=there, engine="ray", workers=1, **options)
    assert there.read_bytes() == here.read_bytes()
    assert any("no such device" in each for each in report.events), report.events
    assert report.engine == "local" and report.frames == 30


def test_a_copy_in_this_process_leaves_the_script_s_class_alone() -> None:
    """Its methods stay the script's own, with the script's variables."""

    class Local(NotThere):
        def update(self, frame_idx: int, params: Any) -> None:
            self.seen = frame_idx

    update, source = Local.update, as_source(Local(), RenderSettings(n_frames=3))
    packed = pack(source)
    copy = unpickled(packed)
    assert Local.update is update
    copied: Any = vars(copy)["_animator"]
    assert type(copied) is not Local and type(copied).__name__ == "Local"
    # Once more: the first copy is not taken for the script's either.
    assert type(vars(unpickled(packed))["_animator"]) is not type(copied)
    assert Local.update is update
