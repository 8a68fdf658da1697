"""Notes what the script's code opens while it draws: what it reads there, no fingerprint holds."""

from __future__ import annotations

import builtins
import contextlib
import functools
import io
import os
import sysconfig
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rayanim.figure.private import replaced

OPENERS = (
    (builtins, "open"),
    (io, "open"),
    *((os, x) for x in ["open", "stat", "listdir", "scandir"]),
)
"""What Python's own libraries and numpy, Pillow and pandas come to a file by."""

IGNORED = (".ttf", ".otf", ".ttc", ".afm", ".pfb")
"""Fonts. Python's own import does not come to a file by these."""

_INSTALLED = tuple(
    os.path.realpath(sysconfig.get_path(name)) + os.sep
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)

_entered: list[OpenedFiles] = []


class OpenedFiles:
    """The first file that is opened, looked for or listed while this context is entered.

    rayanim's own threads, which write segments, do not count.
    """

    def __init__(self, *, is_on: bool = True) -> None:
        self._is_on = is_on
        self.first: str | None = None
        self._places = contextlib.ExitStack()

    def __enter__(self) -> None:
        if self._is_on and self.first is None:
            for owner, name in OPENERS:
                self._places.enter_context(replaced(owner, name, _noting))
            _entered.append(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self in _entered:
            _entered.remove(self)
        self._places.close()


def _noting(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def noting(*args: Any, **options: Any) -> Any:
        if not threading.current_thread().name.startswith("rayanim"):
            _note(args[0] if args else next(iter(options.values()), "."))
        return function(*args, **options)

    return noting


def _note(path: Any) -> None:
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else repr(path)
    # Not by a Path, whose `resolve` looks at the disk.
    absolute = os.path.abspath(text)  # noqa: PTH100
    if text.endswith(IGNORED) or absolute.startswith(_INSTALLED):
        return
    for each in _entered:
        each.first = each.first or text
