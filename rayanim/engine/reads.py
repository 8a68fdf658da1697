"""Notes what the script's code opens while it draws: what it reads there, no fingerprint holds."""

from __future__ import annotations

import builtins
import contextlib
import functools
import inspect
import io
import os
import random
import sys
import sysconfig
import threading
import types
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from rayanim.figure.private import replaced

OF_PATHS = frozenset(["open", "os.listdir", "os.scandir"])
"""What Python itself reports (PEP 578), under whatever name a function was bound before."""

OF_OTHERS = frozenset(
    [
        "ctypes.dlopen", "glob.glob", "mmap.__new__", "os.exec", "os.fork", "os.forkpty",
        "os.getxattr", "os.listxattr", "os.posix_spawn", "os.spawn", "os.startfile", "os.system",
        "pty.spawn", "socket.bind", "socket.connect", "socket.getaddrinfo",
        "socket.gethostbyname", "socket.gethostname", "sqlite3.connect", "subprocess.Popen",
        "winreg.ConnectRegistry", "winreg.OpenKey",
    ]
)  # fmt: skip
"""The same of what gives something without a file that this process opens."""

NOT_REPORTED = (
    "access", "cpu_count", "fstat", "fstatvfs", "getloadavg", "getlogin", "getpid", "lstat",
    "pread", "preadv", "read", "readlink", "readv", "stat", "statvfs", "times", "uname", "urandom",
)  # fmt: skip
"""Functions of `os` that look at the system without an event."""

FONTS = (".ttf", ".otf", ".ttc", ".afm", ".pfb")
"""How the names of fonts end."""

OF_A_TERMINAL = frozenset(
    [
        "_", "COLORTERM", "COLUMNS", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "GPG_AGENT_INFO",
        "GPG_TTY", "LINES", "OLDPWD", "PWD", "SHLVL", "SSH_AGENT_PID", "SSH_AUTH_SOCK",
        "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION",
        "TERM_SESSION_ID", "TMUX", "TMUX_PANE", "VSCODE_GIT_ASKPASS_EXTRA_ARGS",
        "VSCODE_GIT_ASKPASS_MAIN", "VSCODE_GIT_ASKPASS_NODE", "VSCODE_GIT_IPC_HANDLE",
        "VSCODE_INJECTION", "VSCODE_IPC_HOOK_CLI", "VSCODE_PID", "VTE_VERSION", "WAYLAND_DISPLAY",
        "WINDOWID", "WINDOWPATH", "XAUTHORITY", "XDG_ACTIVATION_TOKEN", "XDG_CURRENT_DESKTOP",
        "XDG_MENU_PREFIX", "XDG_RUNTIME_DIR", "XDG_SEAT", "XDG_SEAT_PATH", "XDG_SESSION_CLASS",
        "XDG_SESSION_DESKTOP", "XDG_SESSION_ID", "XDG_SESSION_PATH", "XDG_SESSION_TYPE", "XDG_VTNR",
        "CUDA_VISIBLE_DEVICES", "MPLBACKEND", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS",
        "RAY_JOB_CONFIG_JSON_ENV_VAR", "RAY_JOB_ID", "RAY_TMPDIR", "RAY_USE_TLS",
    ]
)  # fmt: skip
"""Variables that say where a command was typed, or that are of one process."""

OF_RAY = (
    "RAY_ACCEL_", "RAY_AUTH_", "RAY_BACKEND_", "RAY_CLIENT_", "RAY_CLUSTER_", "RAY_DASHBOARD_",
    "RAY_DEDUP_", "RAY_ENABLE_", "RAY_GCS_", "RAY_LOG_", "RAY_NODE_", "RAY_RAYLET_",
    "RAY_RUNTIME_ENV_", "RAY_TLS_", "RAY_TRAIN_", "RAY_USAGE_", "RAY_WORKER_", "RAY_enable_",
    "RAY_max_", "RAY_memory_", "RAY_preload_", "RAY_worker_", "RAYANIM_",
)  # fmt: skip
"""How the names of Ray's own variables begin, and of rayanim's."""


def is_of_a_terminal(name: str) -> bool:
    """Whether a variable of the environment says where a command was typed, and no more."""
    return name in OF_A_TERMINAL or name.startswith(OF_RAY)


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

    def __init__(
        self,
        *,
        is_on: bool = True,
        not_reported: Sequence[str] = NOT_REPORTED,
    ) -> None:
        self._is_on = is_on
        self._not_reported = not_reported
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
            looks: list[Any] = [
                (os, name, _noting) for name in self._not_reported if hasattr(os, name)
            ]
            seeds = [(owner, "seed", _noting_no_seed) for owner in (random, random.Random)]
            looks.append((type(os.environ), "__getitem__", _noting_variable))
            # What numpy's generators ask where they get no seed.
            self._places.enter_context(replaced(*looks, *seeds, (random, "_urandom", _noting)))
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
    if caller is None or not _is_of_an_import(caller):
        path = arguments[0] if event in OF_PATHS else None
        _note("." if path is None else path, None if event in OF_PATHS else event)


def _is_of_an_import(frame: types.FrameType) -> bool:
    """Whether code is read, and not what lies beside it (`pkgutil.get_data`)."""
    caller = frame if frame.f_back is None or frame.f_code.co_name != "get_data" else frame.f_back
    return all(each.f_code.co_filename.startswith("<frozen importlib") for each in (frame, caller))


def _noting(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def noting(*args: Any, **options: Any) -> Any:
        if _entered:
            _note(args[0] if args else next(iter(options.values()), "."))
        return function(*args, **options)

    return noting


def _noting_variable(function: Callable[..., Any]) -> Callable[..., Any]:
    """What says where a command was typed is not compared."""

    @functools.wraps(function)
    def noting(environment: Any, name: Any) -> Any:
        if _entered and isinstance(name, str | bytes) and is_of_a_terminal(os.fsdecode(name)):
            _note("", f"the environment variable {os.fsdecode(name)}")
        return function(environment, name)

    return noting


def _noting_no_seed(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def noting(*args: Any, **options: Any) -> Any:
        given = (*args, *options.values())
        if _entered and all(each is None or isinstance(each, random.Random) for each in given):
            _note("", "random numbers without a seed")
        return function(*args, **options)

    return noting


def _note(path: Any, event: str | None = None) -> None:
    if threading.current_thread().name.startswith("rayanim"):
        return
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else repr(path)
    # Not by a Path, whose `resolve` looks at the disk.
    absolute = os.path.abspath(text)  # noqa: PTH100
    if event is None and (absolute.startswith(_INSTALLED) or _is_of_a_font(absolute)):
        return
    for each in _entered:
        each.names.setdefault(event or absolute)


class WrittenFile:
    """The first file that this thread opens to write it while this context is entered."""

    def __init__(self) -> None:
        self.path: str | None = None
        self._places = contextlib.ExitStack()

    def __enter__(self) -> None:
        opens = [(owner, "open", _noting_mode) for owner in (builtins, io)]
        self._places.enter_context(replaced(*opens, (os, "open", _noting_flags)))
        token = _written.set(self)
        self._places.callback(_written.reset, token)

    def __exit__(self, *_: object) -> None:
        self._places.close()

    def note(self, path: Any) -> None:
        """Such a file is opened; neither a pipe nor what is thrown away."""
        if self.path is None and isinstance(path, str | bytes | os.PathLike):
            text = os.fsdecode(path)
            self.path = None if text == os.devnull else os.path.abspath(text)  # noqa: PTH100


_written: ContextVar[WrittenFile | None] = ContextVar("rayanim_written", default=None)


def _noting_mode(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def noting(file: Any, mode: Any = "r", *args: Any, **options: Any) -> Any:
        written = _written.get()
        # An opener opens the file by itself.
        if written is not None and set("wax+").intersection(mode) and "opener" not in options:
            written.note(file)
        return function(file, mode, *args, **options)

    return noting


def _noting_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def noting(path: Any, flags: int, *args: Any, **options: Any) -> Any:
        written = _written.get()
        # Temporary files are made under names of their own.
        if written is not None and flags & (os.O_WRONLY | os.O_RDWR) and not flags & os.O_EXCL:
            written.note(path)
        return function(path, flags, *args, **options)

    return noting


def _is_of_a_font(path: str) -> bool:
    """Whether it is a font that matplotlib knows, or what matplotlib looks at on the way to one.

    The fingerprint of the process has when those were changed.
    """
    module = sys.modules.get("matplotlib.font_manager")
    if module is None:
        return False
    if path.endswith(FONTS):
        return path in {each.fname for each in module.fontManager.ttflist}
    here = inspect.currentframe()
    while here is not None and here.f_globals is not vars(module):
        here = here.f_back
    return here is not None
