"""Whether a script's code can put something only where the fingerprint of its values finds it.

Code is plain if it sets attributes of its own objects alone, calls of libraries what keeps nothing,
and makes no other name for what a library keeps. Then the values that drawing uses say all. Of
other code they do not, `numpy.height = 3` for example, and nothing is cached. Whatever is not known
is not plain.
"""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import numbers
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rayanim.engine.packing import is_the_script_s, own_files

PACKAGES = frozenset(
    [
        # Python's own
        "__future__", "abc", "argparse", "array", "ast", "base64", "binascii", "bisect",
        "builtins", "bz2", "cmath", "collections", "colorsys", "configparser", "contextlib",
        "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "enum", "errno",
        "fnmatch", "fractions", "functools", "glob", "graphlib", "gzip", "hashlib", "heapq",
        "html", "io", "itertools", "json", "keyword", "lzma", "math", "numbers", "operator", "os",
        "pathlib", "pprint", "random", "re", "reprlib", "shutil", "statistics", "string",
        "struct", "subprocess", "sys", "textwrap", "time", "tomllib", "types", "typing",
        "unicodedata", "uuid", "warnings", "zipfile", "zlib",
        # installed
        "PIL", "cmasher", "cmcrameri", "cmocean", "colorcet", "contourpy", "cycler", "dateutil",
        "matplotlib", "mpl_toolkits", "networkx", "numpy", "packaging", "palettable", "pandas",
        "rayanim", "scienceplots", "scipy", "seaborn", "shapely", "skimage", "sklearn", "tqdm",
        "typing_extensions", "yaml",
        # of which the cache refuses what draws by them
        "asyncio", "calendar", "concurrent", "email", "getpass", "http", "logging",
        "multiprocessing", "platform", "queue", "secrets", "signal", "socket", "sqlite3", "ssl",
        "tempfile", "threading", "timeit", "tracemalloc", "urllib", "webbrowser", "xml",
    ]
)  # fmt: skip
"""Of these, functions whose names do not say so keep nothing that decides about pixels, but where
`rayanim.engine.state` looks. Others may do anything: a pickle calls whatever it names."""

KEEPING = (
    "add", "append", "clear", "disable", "enable", "extend", "insert", "install", "load_module",
    "field_size_limit", "patch", "pop", "push", "putenv", "register", "remove", "reset", "set",
    "singledispatch", "unregister", "unset", "update",
)  # fmt: skip
"""How names of functions begin that do."""

SEEN = frozenset(
    [
        "matplotlib.font_manager.fontManager.addfont", "matplotlib.pyplot.clf",
        "matplotlib.pyplot.rcParams.update", "matplotlib.pyplot.set_cmap",
        "matplotlib.pyplot.setp", "matplotlib.rcParams.update", "numpy.add", "numpy.append",
        "numpy.insert", "numpy.set_printoptions", "numpy.setdiff1d", "numpy.seterr",
        "numpy.setxor1d", "os.environ.pop", "os.environ.setdefault", "os.environ.update",
        "os.remove", "os.removedirs", "rayanim.patch", "seaborn.set", "seaborn.set_context",
        "seaborn.set_palette", "seaborn.set_style", "seaborn.set_theme", "sys.path.append",
        "sys.path.insert", "sys.setrecursionlimit",
    ]
)  # fmt: skip
"""Of those the ones whose work is looked at, or does no harm."""

MAKING = frozenset(
    [
        "PIL", "argparse", "array", "builtins", "collections", "copy", "csv", "dataclasses",
        "functools", "itertools", "json", "numpy", "pandas", "random", "rayanim", "scipy",
        "types", "yaml",
    ]
)  # fmt: skip
"""Packages whose functions give what is new, and nothing that the package keeps."""

CHANGING = (
    "add", "append", "clear", "extend", "insert", "pop", "popitem", "remove", "reverse",
    "setdefault", "sort", "update",
)  # fmt: skip
"""Methods that change what they are called on."""

KEPT = frozenset(
    [
        "matplotlib.color_sequences", "matplotlib.colormaps", "matplotlib.font_manager.fontManager",
        "matplotlib.pyplot.colormaps", "matplotlib.pyplot.rcParams",
        "matplotlib.pyplot.style.available", "matplotlib.rcParams", "matplotlib.style.available",
        "numpy.c_", "numpy.index_exp", "numpy.ma.masked", "numpy.mgrid", "numpy.newaxis",
        "numpy.ogrid", "numpy.r_", "numpy.s_", "os.environ", "sys.argv", "sys.flags", "sys.path",
        "sys.stderr", "sys.stdout", "sys.version_info",
    ]
)  # fmt: skip
"""What libraries keep that is looked at, or cannot be changed."""

BUILTINS = frozenset(vars(builtins)) - {
    "__build_class__", "__import__", "compile", "delattr", "eval", "exec", "globals", "locals",
    "setattr", "type", "vars",
}  # fmt: skip

SPECIAL = frozenset(
    [
        "__add__", "__all__", "__call__", "__contains__", "__doc__", "__enter__",
        "__eq__", "__exit__", "__file__", "__future__", "__getitem__", "__hash__",
        "__init__", "__init_subclass__", "__iter__", "__len__", "__lt__", "__main__",
        "__mul__", "__name__", "__next__", "__post_init__", "__qualname__", "__repr__",
        "__slots__", "__str__", "__version__",
    ]
)  # fmt: skip
"""Names with underscores that lead nowhere else."""

FIXED = (
    types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type, numbers.Number, str,
    bytes, type(None), np.ufunc, np.dtype, enum.Enum, type(functools.lru_cache(len)), range,
)  # fmt: skip
"""Kinds of what may have another name: nothing can be put into it without setting an attribute."""


@functools.lru_cache(maxsize=200)
def why_not_plain(file: str, _mtime_ns: int, _size_bytes: int) -> str | None:
    """Why a module of the script's is not plain, as a sentence's end; None where it is."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return "cannot be read as code"
    return next(_Check(tree, file).reasons(), None)


class _Check:
    """One look through the code of a module."""

    def __init__(self, tree: ast.Module, file: str) -> None:
        self._tree = tree
        modules = [each for each in list(sys.modules.values()) if is_of_file(each, file)]
        self._package = str(getattr(modules[0], "__package__", "")) if modules else ""
        # What libraries' names stand for, by the name in the module.
        self._libraries: dict[str, str] = {}
        # The same of the script's own modules.
        self._own: dict[str, str] = {}
        self._unknown: list[str] = []
        for node in ast.walk(tree):
            self._note_import(node)
        self._bound = _bound_in(tree)
        # Names of what functions of other packages have given.
        self._given: set[str] = set()
        self._given = {name for name, value in _assigned_in(tree) if self._is_given(value)}
        self._parents = {
            child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)
        }

    def _note_import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for each in node.names:
                full = each.name if each.asname else each.name.partition(".")[0]
                self._import(each.asname or full, full)
        elif isinstance(node, ast.ImportFrom):
            home = self._home_of(node)
            for each in node.names:
                self._import(each.asname or each.name, f"{home}.{each.name}")

    def _home_of(self, node: ast.ImportFrom) -> str:
        """The module that something is imported from."""
        parts = self._package.split(".")
        parts = parts[: len(parts) + 1 - node.level] if node.level else []
        return ".".join([*parts, *filter(None, [node.module])])

    def _import(self, name: str, full: str) -> None:
        package = full.partition(".")[0]
        if not _is_installed(package):
            self._own[name] = full
            if name == "*":
                self._unknown.append(f"all of {full.removesuffix('.*')}")
            return
        self._libraries[name] = full
        if package not in PACKAGES:
            self._unknown.append(package)
        if name == "*" and package not in ("math", "rayanim"):
            self._unknown.append(f"all of {package}")

    def reasons(self) -> Iterator[str]:
        """Why it is not plain."""
        for package in self._unknown:
            yield f"imports {package}"
        for node in ast.walk(self._tree):
            for reason in self._of(node):
                yield f"{reason} in line {getattr(node, 'lineno', 0)}"

    def _of(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            is_special = name.startswith("__") and name.endswith("__")
            is_loaded = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            if (
                is_special
                and name not in SPECIAL
                and (is_loaded or isinstance(node, ast.Attribute))
            ):
                yield f"uses {name}"
            if name in vars(builtins).keys() - BUILTINS - self._bound and is_loaded:
                yield f"uses {name}"
            if name == "mro":
                yield "looks up the bases of a class"
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield from self._of_target(node)
        if isinstance(node, ast.Call):
            yield from self._of_call(node)
        if isinstance(node, ast.Name | ast.Attribute) and self._leads_to_a_library(node):
            yield f"uses {ast.unparse(node)}"
        is_chain = isinstance(node, ast.Name | ast.Attribute)
        is_whole = not isinstance(self._parents.get(node), ast.Attribute)
        if is_chain and is_whole and (full := self._full_name(node)) is not None:
            yield from self._of_chain(full, node)
        if isinstance(node, ast.Global | ast.Nonlocal):
            return
        if isinstance(node, ast.ClassDef) and node.keywords:
            yield f"gives class {node.name} a metaclass or arguments"

    def _of_target(self, node: ast.Attribute | ast.Subscript) -> Iterator[str]:
        """Of what is set or deleted."""
        base = node.value
        full = self._full_name(base)
        if full is not None:
            if not (isinstance(node, ast.Subscript) and full in KEPT):
                yield f"sets {ast.unparse(node)}"
        elif isinstance(node, ast.Subscript) and self._is_given(base):
            yield f"sets {ast.unparse(node)}"

    def _is_given(self, node: ast.AST) -> bool:
        """Whether a library's function gave it, which may keep it."""
        if isinstance(node, ast.Name):
            return node.id in self._given
        full = self._full_name(node.func) if isinstance(node, ast.Call) else None
        is_new = full is None or full.partition(".")[0] in MAKING or self._is_class(full)
        return not is_new

    def _of_call(self, node: ast.Call) -> Iterator[str]:
        function = node.func
        full = self._full_name(function)
        if full is None:
            name = function.attr if isinstance(function, ast.Attribute) else ""
            if name.startswith("register"):
                yield f"calls {ast.unparse(function)}"
            if name in CHANGING and self._is_given(getattr(function, "value", function)):
                yield f"calls {ast.unparse(function)}"
            is_getattr = isinstance(function, ast.Name) and function.id == "getattr"
            if is_getattr and node.args and self._full_name(node.args[0]) is not None:
                yield f"calls {ast.unparse(node)}"
            return
        for keyword in node.keywords:
            if keyword.arg == "allow_pickle":
                yield f"calls {ast.unparse(function)} with allow_pickle"
        if full.startswith("yaml.") and "safe" not in full:
            yield f"calls {ast.unparse(function)}"

    def _of_chain(self, full: str, node: ast.AST) -> Iterator[str]:
        """Of a library's name that is used."""
        parts = full.split(".")[1:]
        is_keeping = parts and parts[-1].startswith(KEEPING) and not self._is_class(full)
        if full not in SEEN and (is_keeping or any(each.startswith("_") for each in parts)):
            yield f"uses {ast.unparse(node)}"
        if full in KEPT or any(full.startswith(f"{each}.") for each in KEPT):
            return
        parent = self._parents.get(node)
        if isinstance(parent, ast.Call) and parent.func is node:
            return
        found, value = _value_of(full)
        if not found or not _is_fixed(value):
            yield f"uses {ast.unparse(node)}"
        elif _takes_attributes(value) and not self._only_names(node):
            yield f"makes another name for {ast.unparse(node)}"

    @staticmethod
    def _is_class(full: str) -> bool:
        return isinstance(_value_of(full)[1], type | types.ModuleType)

    def _only_names(self, node: ast.AST) -> bool:
        """Whether a class or module is only named, and no other name is made for it."""
        child = node
        parent = self._parents.get(node)
        while isinstance(parent, ast.Subscript | ast.BinOp | ast.Tuple):
            # In an annotation, or among the classes of exceptions.
            child, parent = parent, self._parents.get(parent)
        if isinstance(parent, ast.Call | ast.keyword):
            call = parent if isinstance(parent, ast.Call) else self._parents.get(parent)
            function = call.func if isinstance(call, ast.Call) else node
            if isinstance(function, ast.Name) and function.id in _ASKING:
                return True
            # A library could give a class or a module back, under another name.
            value = _value_of(self._full_name(node) or "")[1]
            is_function = isinstance(value, types.FunctionType)
            return is_function and self._full_name(function) is not None
        if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
            return child is parent.returns or child in parent.decorator_list
        if isinstance(parent, ast.AnnAssign | ast.arg):
            return child is parent.annotation
        return isinstance(parent, ast.ClassDef | ast.ExceptHandler | ast.Raise | ast.Expr)

    def _leads_to_a_library(self, node: ast.Name | ast.Attribute) -> bool:
        """Whether a module of the script's is the way to a library, or to a class of one."""
        full = self._full_name(node, self._own)
        found, value = (False, None) if full is None else _value_of(full)
        if not found or not _takes_attributes(value):
            return False
        home = value if isinstance(value, types.ModuleType) else sys.modules.get(value.__module__)
        return not is_the_script_s(home) and home is not sys.modules["__main__"]

    def _full_name(self, node: ast.AST, of: Mapping[str, str] | None = None) -> str | None:
        """What the name of a library, or `of` others, stands for, whole; None of others."""
        known = self._libraries if of is None else of
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in known:
            return None
        return ".".join([known[node.id], *names])


def _assigned_in(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Names, and what is assigned to each."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((each.id, node.value) for each in targets if isinstance(each, ast.Name))


def _bound_in(tree: ast.Module) -> set[str]:
    """Names that the module binds, apart from imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
    return found


def _is_installed(package: str) -> bool:
    """Whether a package is Python's or installed, as far as it is loaded."""
    module = sys.modules.get(package)
    if package in sys.stdlib_module_names or package == "rayanim":
        return True
    return module is None or not is_the_script_s(module)


def _value_of(full: str) -> tuple[bool, Any]:
    """What a library's name stands for now, and whether there is such a thing."""
    parts = full.split(".")
    for length in range(len(parts), 0, -1):
        value: Any = sys.modules.get(".".join(parts[:length]))
        if value is None:
            continue
        for name in parts[length:]:
            if not isinstance(value, types.ModuleType | type):
                return False, None
            try:
                value = getattr(value, name)
            except Exception:  # a library's own
                return False, None
        return True, value
    return False, None


def is_of_file(module: Any, file: str) -> bool:
    """Whether a module was read from a file."""
    return isinstance(module, types.ModuleType) and getattr(module, "__file__", None) == file


_ASKING = ("callable", "isinstance", "issubclass")
"""Functions of Python's own that only look at what they get."""

_HEAP_TYPE, _IMMUTABLE_TYPE = 1 << 9, 1 << 8
"""CPython's flags of classes."""


def _takes_attributes(value: Any) -> bool:
    """Whether attributes of it can be set: of a class in Python, a function or a module."""
    if isinstance(value, type):
        return bool(value.__flags__ & _HEAP_TYPE) and not value.__flags__ & _IMMUTABLE_TYPE
    if isinstance(value, types.FunctionType):
        return not value.__module__.startswith("rayanim.")
    return isinstance(value, types.ModuleType)


def _is_fixed(value: Any) -> bool:
    is_tuple = isinstance(value, tuple) and all(map(_is_fixed, value))
    return isinstance(value, FIXED) or is_tuple or getattr(value, "__module__", "") == "typing"


def why_script_is_not_plain() -> str | None:
    """Why some of the script's code that is loaded is not plain; None where all is."""
    files = own_files()
    if "__main__" not in files:
        # Which cells of a notebook ran is not known.
        return "the script has no file"
    for name, file in files.items():
        why: str | None = "is no source code"
        if file.endswith((".py", ".pyw")) or name == "__main__":
            try:
                status = Path(file).stat()
            except OSError:
                return f"{name} has no file"
            why = why_not_plain(file, status.st_mtime_ns, status.st_size)
        if why is not None:
            return f"{'the script' if name == '__main__' else name} {why}"
    return None
