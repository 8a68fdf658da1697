"""Names the code that draws a film, so that a changed script does not go on from old parts.

What counts are the modules that define the classes and functions which draw:
their syntax trees, without comments, and without what a call of ``produce`` or
``make_video`` says of how to run, such as ``resume=True``. So do the user's own
among those that these import, as they are written: trees of a whole project
would take longer than a short film. What installed packages import does not count,
nor do rayanim and the standard library, whose versions stand in the manifest;
nor do values, see `rayanim.parts.values`. Nothing is imported or run.
"""

from __future__ import annotations

import ast
import functools
import inspect
import os
import sys
import sysconfig
import types
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rayanim.parts.code import code_text, codes_of, names_in
from rayanim.parts.imports import Import, imported_files, imports_in
from rayanim.parts.part_file import DIGEST_BYTES

MAX_HELD = 1000
"""Longer lists and dictionaries are data: looking through them for code would take its time."""

MAX_FILES = 200
"""A project larger than that is told by the files that are nearest to what draws."""

MAX_TREE_BYTES = 200_000
"""A longer file is told as it is written: its tree would take a tenth of a second."""

_RENDERING_CALLS = {"produce", "make_video"}
_HOW_TO_RUN = {
    "disable_progress_bar",
    "drawing_log_interval",
    "encoding_log_interval",
    "engine",
    "keep_parts",
    "log_json",
    "logger",
    "num_workers",
    "on_history",
    "overwrite",
    "plotting_log_interval",
    "preload_factor",
    "progress",
    "resume",
    "saving_log_interval",
    "settings",
    "time_per_print",
    "transport",
    "workers",
}
"""Arguments that change nothing in a film: going on with other ones is what they are for."""

_LEADING = {
    types.FunctionType,
    types.MethodType,
    functools.partial,
    staticmethod,
    classmethod,
    property,
    list,
    tuple,
    dict,
}
"""Python's own kinds of object that may hold the user's code."""

_RAYANIM = str(Path(__file__).resolve().parents[1]) + os.sep
_STANDARD = tuple(
    os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")
)
_INSTALLED = {"site-packages", "dist-packages"}


def fingerprint(thing: Any) -> str:
    """Fingerprint of the code behind what is rendered.

    Parameters
    ----------
    thing
        A class, a function, or an object with the user's code in it: an
        animator, a generator, an act with its scenes, a source. Before it is
        opened: what `setup` puts on it may bring more code.

    Returns
    -------
    str
        Hexadecimal digits, the same in every process as long as the code is.
    """
    files: dict[str, None] = {}
    texts: set[bytes] = set()
    for bearer in _bearers(thing):
        files.update(dict.fromkeys(filter(_counts, _files_of(bearer))))
        if _is_without_file(bearer):
            texts.add(_digest(_text_without_file(bearer)))
    texts.update(_digests_of(files))
    digest = blake2b(digest_size=DIGEST_BYTES)
    for each in sorted(texts):
        digest.update(each)
    return digest.hexdigest()


def _bearers(thing: Any) -> Iterator[type | types.FunctionType]:
    """The classes and functions in `thing`, each once; not those of the standard library."""
    seen: dict[int, Any] = {}
    waiting = deque([thing])
    while waiting:
        each = waiting.popleft()
        if id(each) in seen:
            continue
        seen[id(each)] = each
        if isinstance(each, type):
            waiting += each.__mro__[1:]
        elif not isinstance(each, types.FunctionType):
            waiting.append(type(each))
        if isinstance(each, type | types.FunctionType) and not _is_standard(each):
            yield each
        waiting += (inner for inner in _held(each) if _may_bear(inner))


def _held(holder: Any) -> list[Any]:
    """What `holder` is made of."""
    inner: list[Any] = []
    if isinstance(holder, types.FunctionType):
        inner += [each.cell_contents for each in holder.__closure__ or () if _is_filled(each)]
        inner += _globals_without_file(holder)
    elif isinstance(holder, types.MethodType):
        inner += [holder.__func__, holder.__self__]
    elif isinstance(holder, functools.partial):
        inner += [holder.func, *holder.args, *holder.keywords.values()]
    elif isinstance(holder, staticmethod | classmethod):
        inner.append(holder.__func__)
    elif isinstance(holder, property):
        inner += [holder.fget, holder.fset, holder.fdel]
    elif isinstance(holder, list | tuple | dict) and len(holder) <= MAX_HELD:
        inner += holder.values() if isinstance(holder, dict) else holder
    if isinstance(getattr(holder, "__dict__", None), dict | types.MappingProxyType):
        inner += list(vars(holder).values())[:MAX_HELD]
    return inner


def _globals_without_file(function: types.FunctionType) -> list[Any]:
    """What a function without a file may call: where there is one, it tells."""
    if not _is_without_file(function):
        return []
    known = function.__globals__
    found = [known.get(name) for name in sorted(names_in(function.__code__))]
    return [each for each in found if isinstance(each, type | types.FunctionType)]


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # a variable that the function will have later
        return False
    return True


def _may_bear(value: Any) -> bool:
    """Whether looking into `value` can lead to the user's code."""
    if isinstance(value, types.ModuleType):
        return False
    kind = value if isinstance(value, type) else type(value)
    if kind in _LEADING:
        return True
    if _is_standard(kind):
        return False
    is_ours = kind.__module__.partition(".")[0] == "rayanim"
    return is_ours or _is_without_file(kind) or any(map(_is_users, _files_of(kind)))


def _is_standard(bearer: Any) -> bool:
    """Whether a class or function is Python's own."""
    module = bearer.__module__
    return not isinstance(module, str) or module.partition(".")[0] in sys.stdlib_module_names


def _files_of(bearer: type | types.FunctionType) -> list[str]:
    """The files that a class or function was read from."""
    names: list[Any] = [code.co_filename for code in codes_of(bearer)]
    if isinstance(bearer, type):
        names.append(getattr(sys.modules.get(bearer.__module__), "__file__", None))
    return [file for name in dict.fromkeys(names) if (file := _readable(name)) is not None]


def _is_without_file(bearer: type | types.FunctionType) -> bool:
    """Whether it was typed, or made by ``exec``."""
    codes = codes_of(bearer)
    if codes:
        return not any(_readable(code.co_filename) for code in codes)
    # A class without code, or a compiled one, which has a module.
    return not _files_of(bearer) and bearer.__module__ == "__main__"


def _readable(name: Any) -> str | None:
    if not isinstance(name, str) or not os.path.isfile(name):  # noqa: PTH113 - a path per value
        return None
    return os.path.realpath(name)


def _is_users(file: str) -> bool:
    """Whether a file is of the user's own project."""
    return _counts(file) and _INSTALLED.isdisjoint(Path(file).parts)


def _counts(file: str) -> bool:
    """Whether a file is source code, and neither rayanim's nor Python's."""
    is_installed = not _INSTALLED.isdisjoint(Path(file).parts)
    is_standard = file.startswith(_STANDARD) and not is_installed
    return file.endswith((".py", ".pyw")) and not is_standard and not file.startswith(_RAYANIM)


def _digests_of(files: dict[str, None]) -> Iterator[bytes]:
    """Digests of each file, and of the user's own files that these import."""
    waiting, seen = deque(files), set(files)
    looked_up: set[tuple[str, Import]] = set()
    while waiting:
        file = waiting.popleft()
        try:
            module = _module(file, file in files)
        except OSError:  # removed since it was loaded: it cannot be told any more
            yield _digest(f"no file {Path(file).name}")
            continue
        yield module.digest
        if not _is_users(file):
            continue
        folder = str(Path(file).parent)
        # Modules of a project import the same ones.
        wanted = {each: (folder if each[0] else "", each) for each in module.imports}
        new = tuple(each for each, key in wanted.items() if key not in looked_up)
        looked_up.update(wanted.values())
        for found in imported_files(new, file):
            if found not in seen and len(seen) < MAX_FILES and _is_users(found):
                seen.add(found)
                waiting.append(found)


@dataclass(frozen=True, slots=True)
class _Module:
    """What is read of a file."""

    digest: bytes
    imports: tuple[Import, ...]


def _module(file: str, is_drawing: bool) -> _Module:
    """What a file tells; read once in a process as long as it does not change."""
    found = Path(file).stat()
    is_tree = is_drawing and found.st_size <= MAX_TREE_BYTES
    return _read(file, is_tree, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=2 * MAX_FILES)
def _read(file: str, is_tree: bool, _mtime_ns: int, _size_bytes: int) -> _Module:
    source = Path(file).read_bytes()
    text = source.decode("utf-8", "replace")
    return _Module(_digest(_normalised(source) if is_tree else text), imports_in(text))


def _normalised(source: bytes) -> str:
    try:
        return ast.dump(_WithoutHowToRun().visit(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError):
        return source.decode("utf-8", "replace")


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace")).digest()


class _WithoutHowToRun(ast.NodeTransformer):
    """Takes off arguments that change nothing in the film."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
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
