"""Keeps what importing and starting Ray would change in this process."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

QUIET_ENVIRONMENT = {
    # Workers at nice 15, Ray's default, would let any other program go first.
    "RAY_worker_niceness": "0",
    # Saves about a second of the start; nothing reads the metrics of a local job.
    "RAY_enable_metrics_collection": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Without it Ray warns about CUDA_VISIBLE_DEVICES, which no actor here reads.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextlib.contextmanager
def environment_for_ray() -> Iterator[None]:
    """Variables that only Ray's processes are to see, set while they start."""
    mine = {name: value for name, value in QUIET_ENVIRONMENT.items() if name not in os.environ}
    if not _home_is_writable():
        # Ray 2.60 writes a token into the home folder, and fails where it cannot.
        mine.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)


def _home_is_writable() -> bool:
    try:
        folder = Path.home() / ".ray"
    except RuntimeError:
        return False
    while not folder.exists():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


@contextlib.contextmanager
def kept_logging() -> Iterator[None]:
    """Keep Ray from configuring loggers that are not its own."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@contextlib.contextmanager
def kept_interpreter() -> Iterator[None]:
    """Take back what importing Ray and `ray.init` set in this interpreter.

    That is a hook for exceptions, filters for warnings of its own and of what
    it imports, `faulthandler`, and a folder of packages before all others on
    the search path. Only that is taken away: the script's thread may change
    the path and the filters at the same time.
    """
    search_path, filters = list(sys.path), list(warnings.filters)
    modules = set(sys.modules)
    faults_shown = faulthandler.is_enabled()
    try:
        with kept_excepthook():
            yield
    finally:
        for entry in _added(sys.path, search_path):
            if Path(entry).parent.name == "ray":
                sys.path.remove(entry)
        for added in _added(warnings.filters, filters):
            if added[2].__module__ not in modules:
                warnings.filters.remove(added)  # type: ignore[attr-defined]
        if not faults_shown:
            faulthandler.disable()


@contextlib.contextmanager
def kept_excepthook() -> Iterator[None]:
    hook = sys.excepthook
    try:
        yield
    finally:
        sys.excepthook = hook


def _added(now: Iterable[Any], before: list[Any]) -> list[Any]:
    return [each for each in now if each not in before]
