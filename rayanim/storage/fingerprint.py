"""Names what a video is drawn from, so that a changed script does not resume with old segments.

`fingerprint` covers code: the syntax trees of the modules that define the classes and functions
which draw, without comments and without arguments of ``produce`` or ``make_video`` that say how to
run, such as ``resume=True``; and the user's own modules among those that these import, as they are
written, for trees of a whole project would take longer than a short video. What installed packages
import does not count, nor do rayanim and the standard library: `versions` names those. Nothing is
imported or run.

`value_digests` covers the values of a source and `batch_digest` the parameters of a segment. Equal
values have the same digest in every process; what cannot be compared for certain has none. Not by
joblib.hash: it gives an object and its copy different digests, and refuses lambdas.
"""

from __future__ import annotations

import ast
import copyreg
import functools
import inspect
import os
import platform
import re
import struct
import sys
import sysconfig
import types
import warnings
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from rayanim.sources import CHANGES, objects_in

DIGEST_BYTES = 32

# ---- compiled code


def codes_of(bearer: type | FunctionType) -> list[types.CodeType]:
    """The code of a function, or of all that stands in a class, by name."""
    if isinstance(bearer, FunctionType):
        return [bearer.__code__]
    entries = sorted(vars(bearer).items(), key=lambda entry: entry[0])
    return [code for _name, value in entries for code in _codes_in(value, bearer)]


def _codes_in(value: Any, owner: type) -> Iterator[types.CodeType]:
    if isinstance(value, FunctionType):
        yield value.__code__
    elif isinstance(value, staticmethod | classmethod):
        yield from _codes_in(value.__func__, owner)
    elif isinstance(value, property):
        for each in (value.fget, value.fset, value.fdel):
            yield from _codes_in(each, owner)
    elif isinstance(value, type) and value.__qualname__ == f"{owner.__qualname__}.{value.__name__}":
        yield from codes_of(value)


def code_text(code: types.CodeType) -> str:
    """What decides what `code` does, without where it stood: names, constants, instructions."""
    return "\n".join(
        [
            code.co_name,
            repr((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)),
            repr((code.co_flags, code.co_names, code.co_varnames)),
            repr((code.co_freevars, code.co_cellvars)),
            code.co_code.hex(),
            code.co_exceptiontable.hex(),
            *map(_constant_text, code.co_consts),
        ]
    )


def _constant_text(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return f"({code_text(value)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_constant_text, value))})"
    if isinstance(value, frozenset):
        # Their order differs from run to run.
        return f"{{{', '.join(sorted(map(_constant_text, value)))}}}"
    return repr(value)


def names_in(code: types.CodeType) -> set[str]:
    """Names that `code`, and what is defined in it, may look up."""
    inner = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return set(code.co_names).union(*map(names_in, inner))


# ---- what a module imports

_IMPORT = re.compile(
    r"(?:^|[;:])[ \t]*"
    r"(?:from[ \t]+(\.*)[ \t]*([\w.]*)[ \t]+import[ \t]*(\([^)]*\)|[^\n#;]*)"
    r"|import[ \t]+([^\n#;]*))",
    re.MULTILINE,
)
_COMMENT = re.compile(r"#[^\n]*")

Import = tuple[int, str]
"""How many dots a name begins with, and the rest of it."""


def imports_in(source: str) -> tuple[Import, ...]:
    """The names that the imports in a module's source lead to, each once, in order.

    Imports in functions count too: whether one has run already must not make
    a difference. What stands in a text and reads like an import counts as one.
    Not by ``ast``: trees of a whole project would take longer than a short video.
    """
    found: dict[Import, None] = {}
    for dots, module, names, plain in _IMPORT.findall(source.replace("\\\n", " ")):
        for entry in _COMMENT.sub("", plain or names).strip(" \t()").split(","):
            name = entry.split(" as ")[0].strip()
            if name.replace(".", "").isidentifier() or name == "*":
                # What is imported from a package may be a module of it.
                found[len(dots), ".".join(filter(None, (module, name)))] = None
    return tuple(found)


def imported_files(imports: Iterable[Import], file: str) -> list[str]:
    """The source files that imports lead to; not those that hooks of packages would find."""
    found: dict[str, None] = {}
    for level, name in imports:
        parents = Path(file).parents
        if level <= len(parents):
            folder = str(parents[level - 1]) if level else None
            found.update(dict.fromkeys(_files_on_the_way(name, folder)))
    return list(found)


def _files_on_the_way(name: str, folder: str | None) -> Iterator[str]:
    """The files of a dotted name's modules and packages, as far as there are any."""
    path = None if folder is None else [folder]
    if path is None and name.partition(".")[0] in sys.stdlib_module_names:
        return
    full = ""
    for part in name.split("."):
        full = f"{full}.{part}" if full else part
        try:
            spec = PathFinder.find_spec(full if folder is None else part, path)
        except (ImportError, ValueError):  # a strange entry of sys.path
            return
        if spec is None:
            return
        if spec.origin is not None and spec.has_location:
            yield os.path.realpath(spec.origin)
        if spec.submodule_search_locations is None:
            return
        path = list(spec.submodule_search_locations)


# ---- the fingerprint of the code

MAX_HELD = 1000
"""Longer lists and dictionaries are data: looking through them for code would take its time."""

MAX_FILES = 200
"""A larger project is represented by the files that are nearest to what draws."""

MAX_TREE_BYTES = 200_000
"""A longer file counts as it is written: its tree would take a tenth of a second."""

_RENDERING_CALLS = {"produce", "make_video"}
_HOW_TO_RUN = {
    "audit",
    "cache",
    "disable_progress_bar",
    "drawing_log_interval",
    "encoding_log_interval",
    "engine",
    "independent",
    "keep_parts",
    "log_json",
    "logger",
    "num_workers",
    "overwrite",
    "plotting_log_interval",
    "preload_factor",
    "progress",
    "resume",
    "sequential",
    "saving_log_interval",
    "settings",
    "time_per_print",
    "transport",
    "workers",
}
"""Arguments that change nothing in a video: resuming with other ones is what they are for."""

_LEADING = {
    FunctionType,
    MethodType,
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
    """Fingerprint of the code behind what is rendered."""
    files: dict[str, None] = {}
    texts: set[bytes] = set()
    for bearer in _bearers(thing):
        files.update(dict.fromkeys(filter(_counts, _files_of(bearer))))
        if _is_without_file(bearer):
            texts.add(_text_digest(_text_without_file(bearer)))
    texts.update(_digests_of(files))
    digest = blake2b(digest_size=DIGEST_BYTES)
    for each in sorted(texts):
        digest.update(each)
    return digest.hexdigest()


def _bearers(thing: Any) -> Iterator[type | FunctionType]:
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
        elif not isinstance(each, FunctionType):
            waiting.append(type(each))
        if isinstance(each, type | FunctionType) and not _is_standard(each):
            yield each
        waiting += (inner for inner in _held(each) if _may_bear(inner))


def _held(holder: Any) -> list[Any]:
    """What `holder` is made of."""
    inner: list[Any] = []
    if isinstance(holder, FunctionType):
        inner += [value for _name, value in _closed_over(holder)]
        inner += _globals_without_file(holder)
    elif isinstance(holder, MethodType):
        inner += [holder.__func__, holder.__self__]
    elif isinstance(holder, functools.partial):
        inner += [holder.func, *holder.args, *holder.keywords.values()]
    elif isinstance(holder, staticmethod | classmethod):
        inner.append(holder.__func__)
    elif isinstance(holder, property):
        inner += [holder.fget, holder.fset, holder.fdel]
    elif isinstance(holder, list | tuple | dict) and len(holder) <= MAX_HELD:
        inner += holder.values() if isinstance(holder, dict) else holder
    if isinstance(getattr(holder, "__dict__", None), dict | MappingProxyType):
        inner += list(vars(holder).values())[:MAX_HELD]
    return inner


def _closed_over(function: FunctionType) -> Iterator[tuple[str, Any]]:
    names = function.__code__.co_freevars
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a variable that the function will have later
            continue


def _globals_without_file(function: FunctionType) -> list[Any]:
    """What a function without a file may call; where there is a file, that counts."""
    if not _is_without_file(function):
        return []
    known = function.__globals__
    found = [known.get(name) for name in sorted(names_in(function.__code__))]
    return [each for each in found if isinstance(each, type | FunctionType)]


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


def _files_of(bearer: type | FunctionType) -> list[str]:
    """The files that a class or function was read from."""
    names: list[Any] = [code.co_filename for code in codes_of(bearer)]
    if isinstance(bearer, type):
        names.append(getattr(sys.modules.get(bearer.__module__), "__file__", None))
    return [file for name in dict.fromkeys(names) if (file := _readable(name)) is not None]


def _is_without_file(bearer: type | FunctionType) -> bool:
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
            found = Path(file).stat()
            is_tree = file in files and found.st_size <= MAX_TREE_BYTES
            module = _read(file, is_tree, found.st_mtime_ns, found.st_size)
        except OSError:  # removed since it was loaded
            yield _text_digest(f"no file {Path(file).name}")
            continue
        yield module.digest
        if not _is_users(file):
            continue
        folder = str(Path(file).parent)
        # Modules of a project import the same ones.
        wanted = {each: (folder if each[0] else "", each) for each in module.imports}
        new = [each for each, key in wanted.items() if key not in looked_up]
        looked_up.update(wanted.values())
        for imported in imported_files(new, file):
            if imported not in seen and len(seen) < MAX_FILES and _is_users(imported):
                seen.add(imported)
                waiting.append(imported)


class _Module(NamedTuple):
    digest: bytes
    imports: tuple[Import, ...]


@functools.lru_cache(maxsize=2 * MAX_FILES)
def _read(file: str, is_tree: bool, _mtime_ns: int, _size_bytes: int) -> _Module:
    """What counts of a file; read once in a process as long as it does not change."""
    source = Path(file).read_bytes()
    text = source.decode("utf-8", "replace")
    return _Module(_text_digest(_normalised(source) if is_tree else text), imports_in(text))


def _normalised(source: bytes) -> str:
    try:
        return ast.dump(_without_parameters(_WithoutHowToRun().visit(ast.parse(source))))
    except (SyntaxError, ValueError, RecursionError):
        return source.decode("utf-8", "replace")


def _text_digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace")).digest()


class _WithoutHowToRun(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = getattr(node.func, "attr", getattr(node.func, "id", None))
        if called in _RENDERING_CALLS:
            node.keywords = [each for each in node.keywords if each.arg not in _HOW_TO_RUN]
        return node


_PURE_CALLS = {
    "abs", "bool", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "range",
    "reversed", "round", "sorted", "str", "sum", "tuple", "zip",
}  # fmt: skip
_PURE_PACKAGES = {"cmath", "math", "np", "numpy"}
_NOT_PURE = {"random", "load", "fromfile", "loadtxt", "genfromtxt", "memmap", "seterr", "save"}
_PURE = (
    ast.Attribute, ast.BinOp, ast.BoolOp, ast.Call, ast.Compare, ast.Constant, ast.Dict,
    ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.List, ast.ListComp, ast.Name, ast.Set,
    ast.SetComp, ast.Slice, ast.Starred, ast.Subscript, ast.Tuple, ast.UnaryOp, ast.comprehension,
    ast.keyword, ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop,
)  # fmt: skip


def _without_parameters(tree: ast.Module) -> ast.Module:
    """Without how parameters are computed, where that does nothing else: segments compare them."""
    calls = [each for each in ast.walk(tree) if _renders(each)]
    own = _own_names(tree)
    names = set()
    for call in calls:
        for holder, field in _parameters_of(call):
            value = getattr(holder, field) if isinstance(field, str) else holder[field]
            if isinstance(value, ast.Name):
                names.add(value.id)
            elif _is_pure(value, own):
                empty = ast.Constant(None)
                if isinstance(field, str):
                    setattr(holder, field, empty)
                else:
                    holder[field] = empty
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            name = target.id if isinstance(target, ast.Name) else ""
            # Once there, and once in the call.
            if name in names and _is_pure(statement.value, own) and _uses(tree, name) == 2:
                statement.value = ast.Constant(None)
    return tree


def _uses(node: ast.AST, name: str) -> int:
    """How often a name stands for the module's variable, or may do so."""
    if isinstance(node, ast.Name):
        return int(node.id == name)
    inner = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        arguments = node.args
        own = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        if name in {each.arg for each in own}:
            inner = [arguments, *getattr(node, "decorator_list", [])]
    named = isinstance(node, ast.Global | ast.Nonlocal) and name in node.names
    return named + sum(_uses(each, name) for each in inner)


def _renders(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return getattr(node.func, "attr", getattr(node.func, "id", None)) in _RENDERING_CALLS


def _parameters_of(call: Any) -> list[tuple[Any, Any]]:
    """Where the parameters of a call that renders stand: a holder, and where in it."""
    found: list[tuple[Any, Any]] = [
        (each, "value") for each in call.keywords if each.arg == "param_by_frame"
    ]
    is_method = isinstance(call.func, ast.Attribute) and call.func.attr == "make_video"
    plain = not any(isinstance(each, ast.Starred) for each in call.args)
    if is_method and plain and len(call.args) > 1:
        found.append((call.args, 1))
    return found


def _own_names(tree: ast.Module) -> set[str]:
    """Names that may stand for code of the module's, or of what it imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = {each.asname or each.name: each.name for each in node.names}
            is_whole = isinstance(node, ast.Import)
            found |= {
                name for name, full in names.items() if not is_whole or full not in _PURE_PACKAGES
            }
        elif isinstance(node, ast.arg) or (
            isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        ):
            name = node.arg if isinstance(node, ast.arg) else node.id
            found |= {name} & (_PURE_CALLS | _PURE_PACKAGES)
    return found


def _is_pure(node: ast.AST, own: Collection[str]) -> bool:
    """Whether an expression does nothing but compute a value, without the module's `own` code."""
    for each in ast.walk(node):
        if not isinstance(each, _PURE) or (isinstance(each, ast.Name) and each.id in own):
            return False
        if isinstance(each, ast.Attribute) and each.attr in _NOT_PURE:
            return False
        if isinstance(each, ast.Call) and not _is_pure_call(each.func):
            return False
    return True


def _is_pure_call(function: ast.AST) -> bool:
    if isinstance(function, ast.Name):
        return function.id in _PURE_CALLS
    while isinstance(function, ast.Attribute):
        function = function.value
    return isinstance(function, ast.Name) and function.id in _PURE_PACKAGES


def _text_without_file(bearer: type | FunctionType) -> str:
    """Source that a notebook keeps elsewhere; else the compiled code."""
    try:
        return inspect.getsource(bearer)
    except (OSError, TypeError, SyntaxError, IndexError):
        return "\n".join(code_text(code) for code in codes_of(bearer))


_PACKAGES = ("matplotlib", "numpy", "pillow")


@functools.cache
def versions() -> Mapping[str, str]:
    """Python, the processor's kind and the libraries with their versions.

    Encoders choose their code by the kind of processor; Python's own version
    decides, among others, what its random numbers are.
    """
    from rayanim.video.spec import library_versions

    found = {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "machine": platform.machine(),
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # put into a bundle without what pip knows of it
            found[name] = "unknown"
    return MappingProxyType({**found, **library_versions()})


# ---- digests of values

_PICKLE_PROTOCOL = 4


class NoDigestError(Exception):
    """A value that cannot be compared with one of another process for certain."""


class FramesDigest:
    """Digest of the frames of one segment, as they come: their numbers and their parameters."""

    def __init__(self) -> None:
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._is_known = True

    def add(self, numbers: Sequence[int], params: Sequence[Any] | None) -> None:
        """The frames that follow."""
        for at, number in enumerate(numbers):
            # Each by itself, so that nothing of it needs to be kept.
            given = () if params is None else (params[at],)
            digest = _digest_of(Walk(), (int(number), *given)) if self._is_known else None
            self._is_known = digest is not None
            self._digest.update((digest or "").encode())

    def copy(self) -> FramesDigest:
        """One that goes on from the same frames."""
        other = FramesDigest()
        other._digest, other._is_known = self._digest.copy(), self._is_known
        return other

    def text(self) -> str | None:
        """The digest; None where a value has none."""
        return self._digest.hexdigest() if self._is_known else None


def batch_digest(numbers: Sequence[int], params: Sequence[Any] | None) -> str | None:
    """Digest of all frames of one segment."""
    digest = FramesDigest()
    digest.add(numbers, params)
    return digest.text()


def _digest_of(walk: Walk, values: Iterable[Any]) -> str | None:
    try:
        for each in values:
            walk.add(each)
    except Exception:  # the user's own objects may raise anything: no digest is no harm
        return None
    return walk.hexdigest()


class Walk:
    """One walk through values, everything that is met going into one digest."""

    def __init__(self) -> None:
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        # Where each container stands that the walk is inside of, for those that hold themselves.
        self._inside: dict[int, int] = {}

    def hexdigest(self) -> str:
        return self._digest.hexdigest()

    def add(self, value: Any) -> None:
        kind = type(value)
        if kind in _SIMPLE:
            self._put(kind.__name__, _SIMPLE[kind](value))
        elif isinstance(value, type | FunctionType | BuiltinFunctionType):
            self._add_named(value)
        else:
            self._add_once(value, lambda: self._add_container(value, kind))

    def _add_once(self, value: Any, add: Callable[[], None]) -> None:
        if id(value) in self._inside:
            self._put("again", b"%d" % self._inside[id(value)])
            return
        self._inside[id(value)] = len(self._inside)
        add()
        del self._inside[id(value)]

    def _add_named(self, value: type | FunctionType | BuiltinFunctionType) -> None:
        self._put("by name", _importable_name(value))

    def _apart(self) -> Walk:
        """A walk of its own, for what has no order."""
        return Walk()

    def _digest_apart(self, value: Any) -> bytes:
        walk = self._apart()
        walk.add(value)
        return walk.hexdigest().encode()

    def _add_container(self, value: Any, kind: type) -> None:
        if kind is list or kind is tuple:
            self._add_all(kind.__name__, value)
        elif kind is dict:
            self._add_all("dict", [each for item in value.items() for each in item])
        elif kind is set or kind is frozenset:
            self._put(kind.__name__, b"".join(sorted(map(self._digest_apart, value))))
        elif kind is np.ndarray and not value.dtype.hasobject:
            self._add_array(value)
        else:
            self._add_reduced(value)

    def _add_array(self, array: npt.NDArray[Any]) -> None:
        self._put("array", repr((np.lib.format.dtype_to_descr(array.dtype), array.shape)).encode())
        for name in array.dtype.names or ():
            # Between the fields of a structure may lie whatever was in memory before.
            self.add(np.asarray(array[name]))
        if array.dtype.names is None:
            # As bytes: dates have no buffer of their own.
            flat = np.ascontiguousarray(array).reshape(-1)
            self._put("items", flat.view(np.uint8).data if array.nbytes else b"")

    def _add_reduced(self, value: Any) -> None:
        """What a pickle would hold of `value`."""
        registered = copyreg.dispatch_table.get(type(value))
        reduced: Any = registered(value) if registered else value.__reduce_ex__(_PICKLE_PROTOCOL)
        if isinstance(reduced, str):
            self._put("by name", f"{type(value).__module__} {reduced}".encode())
            return
        make, arguments, state, items, pairs = [*reduced, None, None, None][:5]
        for each in (make, arguments, state):
            self.add(each)
        self._add_all("items", items or ())
        self._add_all("pairs", [each for pair in pairs or () for each in pair])

    def _add_all(self, kind: str, values: Iterable[Any]) -> None:
        values = list(values)
        kinds = set(map(type, values))
        # One by one, a hundred thousand numbers would take longer than drawing them.
        if kinds == {float}:
            self._put(f"{kind} of floats", struct.pack(f"<{len(values)}d", *values))
        elif kinds == {int}:
            self._put(f"{kind} of ints", repr(values).encode())
        else:
            self._put(kind, b"%d" % len(values))
            for each in values:
                self.add(each)

    def _put(self, kind: str, content: bytes | memoryview) -> None:
        # The length keeps "ab", "c" and "a", "bc" apart.
        self._digest.update(f"{kind} {len(content)}:".encode())
        self._digest.update(content)


def _importable_name(value: Any) -> bytes:
    """The name under which another process finds a class or function."""
    found: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is not value:
        # A lambda, for example: of several of that name, which one is meant?
        raise NoDigestError(value.__qualname__)
    return f"{value.__module__} {value.__qualname__}".encode()


_SIMPLE: Mapping[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"",
    type(...): lambda value: b"",
    bool: lambda value: b"%d" % value,
    int: lambda value: hex(value).encode(),
    float: lambda value: struct.pack("<d", value),
    complex: lambda value: struct.pack("<dd", value.real, value.imag),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: bytes,
    bytearray: bytes,
}

# ---- the values of a source

MAX_BYTES = 128 * 2**20
"""Hashed in a fifth of a second; what comes after has no digest."""

MAX_VALUES = 100_000
"""Looked at in half a second."""

PARAMETERS = {"param_by_frame", "n_frames"}
"""Attributes of an `Animator` that segments name: the first may be a generator to be read once."""

_CHANGED_BY_DRAWING = {"matplotlib", "mpl_toolkits"}
"""Figures and all that is in them, which drawing changes."""


def value_digests(thing: Any) -> dict[str, str | None]:
    """Digests of what is rendered, each under the name of an attribute or a variable."""
    budget = _Budget()
    with warnings.catch_warnings():
        # Iterators still give what they hold, but warn that they will not.
        warnings.simplefilter("ignore")
        return {
            name: _digest_of(_ValueWalk(budget), [value]) for name, value in _named_values(thing)
        }


class DrawnFrom:
    """The values of one source as a video finds them, and as drawing leaves them.

    What drawing fills or counts, a cache for example, is not the user's change:
    where an object is as a video in this process left it, it counts as it was
    before that.
    """

    # Of the last source only: the object, and by name the digests before and after. The object
    # is kept so that its identity stays its own.
    _left: ClassVar[tuple[Any, dict[str, tuple[str, str | None]]]] = (None, {})

    def __init__(self, thing: Any) -> None:
        self._thing = thing
        self.digests = value_digests(thing)
        left, changes = self._left
        if left is thing:
            for name, (before, after) in changes.items():
                if self.digests.get(name) == after:
                    self.digests[name] = before

    def note(self) -> None:
        """Keep what drawing has changed, after a video that failed and may be resumed."""
        after = value_digests(self._thing)
        changes = {
            name: (before, after.get(name))
            for name, before in self.digests.items()
            if before is not None and after.get(name) not in (None, before)
        }
        type(self)._left = (self._thing, changes) if changes else (None, {})


def _named_values(thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, type):
        return
    if isinstance(thing, FunctionType):
        yield from variables_of(thing)
    elif isinstance(thing, functools.partial | MethodType) or not isinstance(
        getattr(thing, "__dict__", None), dict
    ):
        yield "its state", thing
    else:
        yield from _attributes(thing)


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    """Attributes of an object, and of the user's classes in it, which a script may have set."""
    takes_parameters = hasattr(type(thing), "param_by_frame")
    skipped = {CHANGES} | (PARAMETERS if takes_parameters else set())
    # A copy: a look at a value may run the user's code, which may set another.
    for name, value in list(vars(thing).items()):
        if name not in skipped:
            yield str(name), value
    classes = {cls: None for part in objects_in(thing) for cls in type(part).__mro__}
    for cls in filter(_is_of_script, classes):
        for name, value in list(vars(cls).items()):
            is_special = name.startswith(("__", "_abc_")) or name in skipped
            is_method = isinstance(value, type) or hasattr(type(value), "__get__")
            if not is_special and not is_method:
                yield f"{cls.__qualname__}.{name}", value


def _is_of_script(cls: type) -> bool:
    """Whether a class is the user's own, and not Python's, rayanim's or an installed package's."""
    package = cls.__module__.partition(".")[0]
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    is_known = package in sys.stdlib_module_names or package == "rayanim"
    return package == "__main__" or not (is_known or "site-packages" in file)


def variables_of(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function has besides its code: defaults and what it closes over, by name."""
    code = function.__code__
    defaults = function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    yield from zip(positional[len(positional) - len(defaults) :], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()
    yield from _closed_over(function)


class _Budget:
    """What may still be looked at. Not a time: a busy machine must find the same digests."""

    def __init__(self) -> None:
        self._values, self._bytes = MAX_VALUES, MAX_BYTES

    def take(self, values: int, n_bytes: int) -> None:
        if values > self._values or n_bytes > self._bytes:
            raise NoDigestError("too much to look at")
        self._values -= values
        self._bytes -= n_bytes


class _ValueWalk(Walk):
    """A walk for which functions are what they do and have, within a budget."""

    def __init__(self, budget: _Budget) -> None:
        super().__init__()
        self._budget = budget

    def add(self, value: Any) -> None:
        if type(value).__module__.partition(".")[0] in _CHANGED_BY_DRAWING:
            raise NoDigestError("a figure")
        # Before it is copied.
        size = value.nbytes if isinstance(value, np.ndarray) else 0
        self._budget.take(1, max(size, len(value) if isinstance(value, bytes) else 0))
        if isinstance(value, types.ModuleType):
            self._put("module", value.__name__.encode())
        else:
            super().add(value)

    def _apart(self) -> Walk:
        return _ValueWalk(self._budget)

    def _add_all(self, kind: str, values: Iterable[Any]) -> None:
        values = list(values)
        self._budget.take(0, 8 * len(values))
        super()._add_all(kind, values)

    def _add_named(self, value: type | FunctionType | BuiltinFunctionType) -> None:
        if isinstance(value, FunctionType) and not _is_others(value):
            self._add_once(value, lambda: self._add_function(value))
        elif isinstance(value, BuiltinFunctionType):
            super()._add_named(value)
        else:
            self._put("by name", f"{_home_of(value)} {value.__qualname__}".encode())

    def _add_function(self, function: FunctionType) -> None:
        self._put("function", code_text(function.__code__).encode("utf-8", "surrogatepass"))
        for name, value in variables_of(function):
            self._put("variable", name.encode())
            self.add(value)

    def _add_reduced(self, value: Any) -> None:
        if isinstance(value, MethodType):
            # By what it does, too: a class may have been made by a function.
            self.add(value.__func__)
            self.add(value.__self__)
        elif CHANGES in (getattr(value, "__dict__", None) or ()):
            raise NoDigestError("what rendering left is still on it")
        else:
            super()._add_reduced(value)


def _is_others(function: FunctionType) -> bool:
    """Whether a function is Python's or an installed package's: its name stands for it."""
    module = function.__module__
    return isinstance(module, str) and (
        module.partition(".")[0] in sys.stdlib_module_names
        or "site-packages" in function.__code__.co_filename
    )


def _home_of(bearer: Any) -> str:
    """Where a class was written, the same whether its module was run or imported."""
    module = sys.modules.get(bearer.__module__)
    file = getattr(module, "__file__", None)
    if file is None and isinstance(bearer, type):
        names = (code.co_filename for code in codes_of(bearer))
        file = next((name for name in names if not name.startswith("<")), None)
    return "" if file is None else Path(file).stem
