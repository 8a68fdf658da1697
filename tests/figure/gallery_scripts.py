"""Runs one script of matplotlib's gallery and hands over the figures that it leaves open."""

from __future__ import annotations

import builtins
import logging
import os
import random
import runpy
import socket
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import animation
from matplotlib import pyplot as plt
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

GUI_PACKAGES = ("gi", "wx", "tkinter", "PyQt", "PySide", "qtpy", "tornado", "pyglet", "objc")


class SkippedError(Exception):
    """A script gives no figures here; the message says why."""


@dataclass
class Made:
    """What a script made: its figures, its animations, and all that it has a name for."""

    figures: list[Figure]
    animations: list[Any]
    names: dict[str, Any]


def figures_of(script: Path, seed: int) -> Made:
    """The figures that are open when `script` has ended, with what else it made.

    To be called in a process of its own: much of matplotlib is replaced so that nothing waits
    for a user, is shown, or is written.

    Raises
    ------
    SkippedError
        Where the script cannot run here or leaves no figure.
    """
    animations = _without_user()
    _without_chance(seed)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    os.chdir(script.parent)
    sys.path.insert(0, str(script.parent))
    sys.argv = [str(script)]
    names: dict[str, Any] = {}
    try:
        names = runpy.run_path(str(script), run_name="__main__")
    except SystemExit:
        pass
    except BaseException as error:
        raise SkippedError(_reason(error)) from error
    figures = [plt.figure(number) for number in plt.get_fignums()]
    figures += [each for each in names.values() if isinstance(each, Figure)]
    unique = list({id(each): each for each in figures}.values())
    if not unique:
        raise SkippedError("leaves no figure open")
    for each in animations:
        _take_over(each)
    return Made(unique, animations, names)


def _reason(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        name = error.name or str(error)
        return "needs a GUI" if name.startswith(GUI_PACKAGES) else f"needs the package {name}"
    if isinstance(error, ImportError):
        return "needs a GUI or a package: " + str(error).splitlines()[0][:80]
    if isinstance(error, _NetworkError) or isinstance(error.__cause__, _NetworkError):
        return "needs the network"
    if "urlopen" in str(error):
        return "needs the network"
    text = (str(error).splitlines() or [""])[0][:80]
    return f"raises {type(error).__name__}: {text}"


class _NetworkError(OSError):
    """Stands for any connection that a script tries to make."""


def _no_network(*args: Any, **kwargs: Any) -> Any:
    raise _NetworkError("scripts of the gallery are run without the network")


def _nothing(*args: Any, **kwargs: Any) -> Any:
    return None


def _without_user() -> list[Any]:
    """Replace what shows, waits, or writes; returns the list that fills with animations."""
    mpl.use = plt.switch_backend = _nothing
    plt.show = plt.pause = Figure.show = time.sleep = _nothing
    FigureCanvasBase.start_event_loop = FigureCanvasBase.flush_events = _nothing
    builtins.input = lambda *args: ""
    socket.socket.connect = _no_network
    for name in ("save", "to_jshtml", "to_html5_video"):
        setattr(animation.Animation, name, _nothing)
    _without_files()
    made: list[Any] = []
    begin = animation.Animation.__init__

    def begin_and_keep(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        made.append(self)

    animation.Animation.__init__ = begin_and_keep
    return made


def _without_files() -> None:
    """Figures are saved to streams only: a gallery may lie where nothing can be written."""
    save = Figure.savefig

    def save_to_stream(self: Figure, target: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(target, (str, os.PathLike)):
            save(self, target, *args, **kwargs)

    Figure.savefig = save_to_stream


def _without_chance(seed: int) -> None:
    """Let random numbers be the same in each run, those of generators without a seed as well."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    generator = np.random.default_rng

    def seeded(*args: Any, **kwargs: Any) -> np.random.Generator:
        given = next(iter((*args, *kwargs.values())), None)
        return generator(seed if given is None else given)

    np.random.default_rng = seeded


def _take_over(made: Any) -> None:
    """Keep an animation from starting at the first draw: its steps are random changes."""
    made._draw_was_started = True
    canvas = made._fig.canvas
    canvas.mpl_disconnect(getattr(made, "_first_draw_id", None))
    canvas.mpl_disconnect(getattr(made, "_close_id", None))
    canvas.mpl_disconnect(getattr(made, "_resize_id", None))
