"""Notes what the script's code opens while it draws: what it reads there, no fingerprint holds."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import sys
import sysconfig
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rayanim.figure.private import replaced

OF_PATHS = frozenset(["open", "os.listdir", "os.scandir"])
"""What Python itself reports (PEP 578), under whatever name a function was bound before."""

OF_OTHERS = frozenset(["os.system", "socket.connect", "sqlite3.connect", "subprocess.Popen"])
"""The same of what gives something without a file that this process opens."""

IGNORED = (".ttf", ".otf", ".ttc", ".afm", ".pfb")
"""Fonts."""

_INSTALLED = tuple(
    os.path.realpath(sysconfig.get_path(name)) + os.sep
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)

_EVENTS = OF_PATHS | OF_OTHERS

_entered: list[OpenedFiles] = []

_is_listening: list[bool] = []
"""Whether the hook is there, which cannot be taken away."""


class OpenedFiles:
    """What is opened, looked for or listed while this context is entered.

    rayanim's own threads, which write segments, do not count; nor does what imports code, which
    has its own fingerprint.
    """

    def __init__(self, *, is_on: bool = True) -> None:
        self._is_on = is_on
        self.names: dict[str, None] = {}
        """In the order in which they were opened first."""
        self._places = contextlib.ExitStack()

    @property
    def first(self) -> str | None:
        """What was opened first."""
        return next(iter(self.names), None)

    def __enter__(self) -> None:
        if self._is_on and not self.names:
            if not _is_listening:
                _is_listening.append(True)
                sys.addaudithook(_heard)
            # Which Python does not report.
            self._places.enter_context(replaced((os, "stat", _noting)))
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


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if not _entered or event not in _EVENTS:
        return
    here = inspect.currentframe()
    caller = None if here is None else here.f_back
    if caller is None or not caller.f_code.co_filename.startswith("<frozen importlib"):
        path = arguments[0] if event in OF_PATHS else None
        _note("." if path is None else path, None if event in OF_PATHS else event)


def _noting(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def noting(*args: Any, **options: Any) -> Any:
        if _entered:
            _note(args[0] if args else next(iter(options.values()), "."))
        return function(*args, **options)

    return noting


def _note(path: Any, event: str | None = None) -> None:
    if threading.current_thread().name.startswith("rayanim"):
        return
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else repr(path)
    # Not by a Path, whose `resolve` looks at the disk.
    absolute = os.path.abspath(text)  # noqa: PTH100
    if event is None and (text.endswith(IGNORED) or absolute.startswith(_INSTALLED)):
        return
    for each in _entered:
        each.names.setdefault(event or absolute)
