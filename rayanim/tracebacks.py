"""Tracebacks for users: their own lines, without those of rayanim."""

from __future__ import annotations

import ast
import contextlib
import difflib
import functools
import inspect
import io
import linecache
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from rayanim.errors import NotPicklableError, RayanimError, RemoteError, ScriptError

ParamsT = ParamSpec("ParamsT")
ResultT = TypeVar("ResultT")

PACKAGE = str(Path(__file__).resolve().parent) + os.sep
"""Where rayanim's own code lies; its lines of a traceback are of no use to a user."""

_PYTHON_S_OWN = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
_INSTALLED = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))

_HEADER_ALONE = re.compile(
    r"^Traceback \(most recent call last\):\n(?!  (?:File |\[Previous ))", re.MULTILINE
)
_FRAME = re.compile(r'^(?P<indent>[ |]*)File "(?P<file>.+)", line \d+', re.MULTILINE)


def called_by_users(function: Callable[ParamsT, ResultT]) -> Callable[ParamsT, ResultT]:
    """Have `function` raise what rayanim raises on purpose without rayanim's own frames.

    So Python shows the line that made the call and, of what the user's code raised, the
    user's own lines. `rayanim run -v` shows all.
    """

    @functools.wraps(function)
    def called(*args: ParamsT.args, **kwargs: ParamsT.kwargs) -> ResultT:
        with _UsersFrames():
            _check_names(function, kwargs)
            return function(*args, **kwargs)

    return called


def _check_names(function: Callable[..., Any], given: Iterable[str]) -> None:
    """Refuse an argument of a name that there is not, and say which may be meant."""
    known = dict(inspect.signature(function).parameters)
    if any(each.kind is each.VAR_KEYWORD for each in known.values()):
        from rayanim.render import produce

        known |= inspect.signature(produce).parameters
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise TypeError(
                f"{function.__name__}() got an unexpected keyword argument {name!r}.{hint}"
            )


class _UsersFrames:
    """What `called_by_users` does, as a context."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: Any
    ) -> None:
        # Python takes the traceback from the exception when it goes on, and adds the callers.
        is_wrong_call = isinstance(error, TypeError) and _last_file(trace) == __file__
        if isinstance(error, RayanimError) or is_wrong_call or _is_script_s(error):
            from rayanim.overrides import current

            if not current().whole_tracebacks:
                _leave_out_own_frames(error)


def _is_script_s(error: BaseException | None) -> bool:
    """Whether `rayanim.save` raises it as the script has raised it."""
    return "rayanim_error" in getattr(error, "__dict__", ())


def _last_file(trace: TracebackType) -> str:
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename


def _leave_out_own_frames(error: BaseException | None) -> None:
    """Do so in `error`, and in what it was raised from."""
    seen: set[int] = set()
    libraries = not isinstance(error, RayanimError)
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = users_frames(error, libraries=libraries)
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if isinstance(error, RayanimError):
            cause = error.__cause__ = _cause_for_users(error, cause)
        if isinstance(cause, RemoteError):
            script = getattr(sys.modules.get("__main__"), "__file__", None)
            text = _with_files(without_own_frames(cause.args[0]), script and Path(script))
            cause.args = (text,)
        libraries = isinstance(error, ScriptError) and not isinstance(error, NotPicklableError)
        error = cause


def _cause_for_users(error: RayanimError, cause: BaseException | None) -> BaseException | None:
    """What `error` was raised from, by way of `cause`, where that says more than its message."""
    passed = {id(error)}
    while isinstance(cause, RayanimError) and cause.message in error.message:
        if id(cause) in passed:
            return None
        passed.add(id(cause))
        cause = cause.__cause__
    if isinstance(error, ScriptError) or cause is None:
        return cause
    # Else it is how rayanim came upon it.
    return cause if users_frames(cause, libraries=False) is not None else None


def users_frames(error: BaseException, *, libraries: bool = True) -> TracebackType | None:
    """The traceback of `error` without frames of rayanim, and of libraries that it calls.

    Libraries that the user's code calls stay. With `libraries` so do those that fail by
    themselves, on the user's data for example.
    """
    kept: list[TracebackType] = []
    between: list[TracebackType] = []  # what rayanim calls
    after_own, trace = True, error.__traceback__
    while trace is not None:
        file, known = trace.tb_frame.f_code.co_filename, trace.tb_frame.f_globals
        # The code of a dataclass has no file.
        module = str(known.get("__name__"))
        if _is_own(file) or module.startswith("rayanim."):
            between, after_own = [], True
        elif is_users(file) and "__builtins__" in known:  # Cython's frames are without
            kept.append(trace)
            between, after_own = [], False
        else:
            (between if after_own else kept).append(trace)
        trace = trace.tb_next
    if libraries:
        kept += between
    users = None
    for each in reversed(kept):
        users = TracebackType(users, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return users


def _is_own(file: str) -> bool:
    # Actors on other machines have it elsewhere, but always installed.
    return file.startswith(PACKAGE) or f"{os.sep}site-packages{os.sep}rayanim{os.sep}" in file


def is_users(file: str) -> bool:
    """Whether the file is neither rayanim's nor of Python, nor of a package."""
    return not _is_own(file) and not _is_installed(file)


def _is_installed(file: str) -> bool:
    """Whether the file is of Python, or of a package."""
    is_package_s = any(name in file for name in _INSTALLED)
    return is_package_s or file.startswith(("<frozen ", *_PYTHON_S_OWN))


def of_error(error: RayanimError, script: Path | None, *, verbose: bool = False) -> str:
    """What is shown before the message of one of rayanim's own exceptions."""
    users = _users_traceback(error) if isinstance(error, ScriptError) else None
    if verbose:
        # An actor's traceback is text and no part of the exception's own.
        remote = f"{users.rstrip()}\n\n" if users and error.__cause__ is None else ""
        return _with_files(remote + whole(error).replace(REMOTE, ""), script)
    if isinstance(error, NotPicklableError):
        return ""  # the pickler's own frames; the message names the attribute
    if users:
        shown = _with_files(without_own_frames(users), script)
        return shown if _FRAME.search(shown) else ""  # else the message says as much
    return _line_of(error, script)


def _users_traceback(error: ScriptError) -> str | None:
    """What the user's code raised, as Python shows it where it was raised in this process."""
    cause = error.__cause__
    while isinstance(cause, ScriptError):
        cause = cause.__cause__
    is_raised_here = cause is not None and not isinstance(cause, RayanimError | RemoteError)
    if cause is None or not is_raised_here or error.traceback_text is None:
        return error.traceback_text
    return _as_python_shows(cause, users_frames(cause))


def whole(error: BaseException) -> str:
    """All of it, as Python shows it."""
    return "".join(traceback.format_exception(error))


def of_script(error: BaseException) -> str:
    """The traceback from the script's first frame on."""
    first = error.__traceback__
    while first is not None and _is_own(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    return _HEADER_ALONE.sub("", _as_python_shows(error, first))


def _as_python_shows(error: BaseException, first: TracebackType | None) -> str:
    """`error` with the traceback that begins at `first`."""
    if sys.version_info >= (3, 12):
        return "".join(traceback.format_exception(type(error), error, first))
    # "Did you mean" is known to the interpreter's own hook alone, and that one
    # shows the traceback that the exception has.
    before = error.__traceback__
    try:
        with contextlib.redirect_stderr(io.StringIO()) as shown:
            sys.__excepthook__(type(error), error.with_traceback(first), first)
    finally:
        error.__traceback__ = before
    return shown.getvalue()


def without_own_frames(text: str) -> str:
    """A traceback's text without the frames of rayanim's own code."""
    kept: list[str] = []
    hidden: str | None = None  # the indentation of the frame that is being left out
    for line in text.rstrip().splitlines():
        found = _FRAME.match(line)
        if found:
            hidden = found["indent"] if _is_own(found["file"]) else None
        elif hidden is not None and not line.startswith(
            (f"{hidden}  ", f"{hidden}[Previous line repeated")
        ):
            hidden = None
        if hidden is None:
            kept.append(line)
    return _HEADER_ALONE.sub("", "\n".join(kept) + "\n")


REMOTE = f"{RemoteError.__module__}.{RemoteError.__qualname__}: \n\n"
"""What Python writes before the traceback that comes from an actor."""

_SENT = re.compile(r'File "<dynamic-code>", line (?P<line>\d+), in (?P<name>.+)')
"""Pickled code has forgotten in which file it is."""

_NAMED_BY_PYTHON = {
    "<lambda>": ast.Lambda,
    "<listcomp>": ast.ListComp,
    "<setcomp>": ast.SetComp,
    "<dictcomp>": ast.DictComp,
    "<genexpr>": ast.GeneratorExp,
}


def _with_files(text: str, script: Path | None) -> str:
    """An actor's traceback in which frames of the script, and of modules beside it, are found."""
    if script is None or _SENT.search(text) is None:
        return text
    script = script.absolute()
    loaded = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    beside = sorted({Path(file) for file in loaded if file and Path(file).parent == script.parent})
    paths = [script, *(path for path in beside if path != script)]

    def found(match: re.Match[str]) -> str:
        line, name = int(match["line"]), match["name"]
        path = next((str(path) for path in paths if _has_code(path, line, name)), None)
        if path is None:
            return match[0]
        shown = linecache.getline(path, line).strip()
        return f'File "{path}", line {line}, in {name}\n    {shown}'

    return _SENT.sub(found, text)


def _has_code(path: Path, line: int, name: str) -> bool:
    """Whether a function called `name` stands at that line of the file."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    kind = _NAMED_BY_PYTHON.get(name, ast.FunctionDef | ast.AsyncFunctionDef)
    return any(
        isinstance(node, kind)
        and isinstance(node, ast.stmt | ast.expr)
        and getattr(node, "name", name) == name
        and node.lineno <= line <= (node.end_lineno or 0)
        for node in ast.walk(tree)
    )


def _line_of(error: BaseException, script: Path | None) -> str:
    """The script's line that led to `error`, as a traceback shows it; empty where none did."""
    if script is None:
        return ""
    path = str(script.absolute())
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename == path]
    return "".join(traceback.format_list(frames[-1:]))
