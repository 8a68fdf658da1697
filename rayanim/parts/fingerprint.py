"""Names the code that draws a film, so that a changed script does not go on from old parts.

What counts are the modules that define the user's classes and functions, and
those of the user's own that these import: their syntax trees, without comments,
and without what a call of ``produce`` or ``make_video`` says of how to run,
such as ``resume=True``. Installed packages and the standard library do not
count, their versions stand in the manifest; nor do values, which the first
frame and the parts' own digests tell. Nothing is imported or run.
"""

from __future__ import annotations

import ast
import functools
import inspect
import os
import sys
import sysconfig
import types
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rayanim.parts.code import code_text, codes_of
from rayanim.parts.imports import imported_files
from rayanim.parts.part_file import DIGEST_BYTES

MAX_HELD = 1000
"""Longer lists and dictionaries are data: looking through them for code would take its time."""

MAX_FILES = 200
"""A project larger than that is told by the files that are nearest to what draws."""

_RENDERING_CALLS = {"produce", "make_video"}
_HOW_TO_RUN = {
    "disable_progress_bar",
    "drawing_log_interval",
    "encoding_log_interval",
    "engine",
    "keep_parts",
    "logger",
    "num_workers",
    "overwrite",
    "plotting_log_interval",
    "preload_factor",
    "progress",
    "resume",
    "saving_log_interval",
    "settings",
    "time_per_print",
    "workers",
}
"""Arguments that change nothing in a film: going on with other ones is what they are for."""

_INSTALLED = tuple(
    os.path.realpath(path) + os.sep
    for path in {
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        Path(__file__).parents[1],
    }
)


def fingerprint(thing: Any) -> str:
    """Fingerprint of the code behind what is rendered.

    Parameters
    ----------
    thing
        A class, a function, or an object with the user's code in it: an
        animator, a generator, an act with its scenes.

    Returns
    -------
    str
        Hexadecimal digits, the same in every process as long as the code is.
    """
    files: dict[str, None] = {}
    texts: set[str] = set()
    for bearer in _bearers(thing):
        file = _file_of(bearer)
        if file is None:
            texts.add(_text_without_file(bearer))
        elif _is_users(file):
            files[file] = None
    texts.update(_texts_of(files))
    digest = blake2b(digest_size=DIGEST_BYTES)
    for each in sorted(blake2b(text.encode("utf-8", "replace")).digest() for text in texts):
        digest.update(each)
    return digest.hexdigest()


def _bearers(thing: Any) -> Iterator[type | types.FunctionType]:
    """The classes and functions in `thing`, each once; not those of the standard library."""
    seen: dict[int, Any] = {}
    waiting = [thing]
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen[id(each)] = each
        if isinstance(each, type):
            waiting += each.__mro__[1:]
            if each.__module__ != "builtins":
                yield each
            continue
        if isinstance(each, types.FunctionType):
            yield each
        elif not isinstance(each, types.ModuleType):
            waiting.append(type(each))
        waiting += _held(each)


def _held(holder: Any) -> Iterator[Any]:
    """What `holder` is made of and may be, or hold, the user's code."""
    inner: list[Any] = []
    if isinstance(holder, types.FunctionType):
        inner += [each.cell_contents for each in holder.__closure__ or () if _is_filled(each)]
    elif isinstance(holder, types.MethodType):
        inner += [holder.__func__, holder.__self__]
    elif isinstance(holder, functools.partial):
        inner += [holder.func, *holder.args, *holder.keywords.values()]
    elif isinstance(holder, list | tuple | dict):
        if len(holder) <= MAX_HELD:
            inner += holder.values() if isinstance(holder, dict) else holder
    attributes = inspect.getattr_static(holder, "__dict__", None)
    if attributes is not None and not isinstance(holder, types.ModuleType):
        inner += list(vars(holder).values())[:MAX_HELD]
    return (each for each in inner if _may_bear(each))


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # a variable that the function will have later
        return False
    return True


def _may_bear(value: Any) -> bool:
    """Whether looking into `value` can lead to the user's code."""
    if isinstance(
        value, types.FunctionType | types.MethodType | functools.partial | list | tuple | dict
    ):
        return True
    kind = value if isinstance(value, type) else type(value)
    if kind.__module__.partition(".")[0] == "rayanim":
        return True
    file = _file_of(kind) if kind.__module__ not in sys.stdlib_module_names else ""
    return file is None or _is_users(file)


def _file_of(bearer: type | types.FunctionType) -> str | None:
    """The file that defines a class or function; None where there is none to read.

    Of what is built into the interpreter, or compiled, the name of the module.
    """
    if isinstance(bearer, types.FunctionType):
        return _readable(bearer.__code__.co_filename)
    module = sys.modules.get(bearer.__module__)
    found = _readable(getattr(module, "__file__", None))
    if found is None:
        codes = codes_of(bearer)
        if not codes and bearer.__module__ != "__main__":
            return bearer.__module__
        found = next(filter(None, (_readable(code.co_filename) for code in codes)), None)
    return found


def _readable(name: Any) -> str | None:
    if not isinstance(name, str) or not Path(name).is_file():
        return None
    return os.path.realpath(name)


def _is_users(file: str) -> bool:
    is_installed = file.startswith(_INSTALLED) or "site-packages" in Path(file).parts
    return Path(file).is_absolute() and not is_installed and file.endswith((".py", ".pyw"))


def _texts_of(files: dict[str, None]) -> Iterator[str]:
    """The normalised text of each file, and of the user's own files that these import."""
    waiting, seen = list(files), set(files)
    while waiting:
        file = waiting.pop(0)
        try:
            source = Path(file).read_bytes()
        except OSError:  # removed since it was loaded: it cannot be told any more
            yield f"no file {Path(file).name}"
            continue
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            yield source.decode("utf-8", "replace")
            continue
        for found in imported_files(tree, file):
            if found not in seen and len(seen) < MAX_FILES and _is_users(found):
                seen.add(found)
                waiting.append(found)
        yield ast.dump(_WithoutHowToRun().visit(tree))


class _WithoutHowToRun(ast.NodeTransformer):
    """Takes off arguments that change nothing in the film."""

    def visit_Call(self, node: ast.Call) -> ast.AST:  # noqa: N802 - ast's own way to name it
        self.generic_visit(node)
        called = getattr(node.func, "attr", getattr(node.func, "id", None))
        if called in _RENDERING_CALLS:
            node.keywords = [each for each in node.keywords if each.arg not in _HOW_TO_RUN]
        return node


def _text_without_file(bearer: type | types.FunctionType) -> str:
    """Source that a notebook keeps elsewhere; else the compiled code."""
    try:
        return inspect.getsource(bearer)
    except (OSError, TypeError, SyntaxError, IndexError):
        return "\n".join(code_text(code) for code in codes_of(bearer))
